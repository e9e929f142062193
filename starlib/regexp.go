package starlib

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/starlib/guard"
)

// This file holds the module re: Python's names over Go's RE2, which takes linear time and
// has no lookaround and no backreferences. How patterns and searches are bounded is in
// regexp_cost.go.

// compiled keeps patterns: scripts compile the same few again and again.
var compiled = struct {
	sync.Mutex
	m    map[string]*expression
	size int // of all together, in instructions
}{m: map[string]*expression{}}

const (
	maxPatterns     = 512
	maxCompiled     = 20 * maxPatternSize // an instruction takes some hundred bytes
	maxPatternBytes = 16 << 10
)

func pattern(thread *starlark.Thread, call, text string) (*expression, error) {
	compiled.Lock()
	re, ok := compiled.m[text]
	compiled.Unlock()
	if ok {
		return re, nil
	}
	if len(text) > maxPatternBytes {
		return nil, fmt.Errorf("%s: the pattern has %d bytes; the limit is %d", call, len(text), maxPatternBytes)
	}
	re, err := compileExpression(thread, call, text)
	if err != nil {
		return nil, err
	}
	compiled.Lock()
	defer compiled.Unlock()
	if other, ok := compiled.m[text]; ok { // another run was quicker
		return other, nil
	}
	for k, old := range compiled.m { // any one: the map is only a cache
		if len(compiled.m) < maxPatterns && compiled.size+re.size <= maxCompiled {
			break
		}
		compiled.size -= old.size
		delete(compiled.m, k)
	}
	compiled.m[text] = re
	compiled.size += re.size
	return re, nil
}

type regexpCall func(thread *starlark.Thread, call string, re *expression, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

// regexpCalls are the functions of the module, with the pattern first, and the methods of
// a compiled pattern.
var regexpCalls = map[string]regexpCall{
	"match":     finder(`\A(?:`, `)`),
	"fullmatch": finder(`\A(?:`, `)\z`),
	"search":    finder("", ""),
	"findall":   findAll,
	"sub":       substitute,
	"split":     splitText,
}

func reModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "re", Members: starlark.StringDict{
		"compile": starlark.NewBuiltin("compile", compilePattern),
		"escape":  starlark.NewBuiltin("escape", escapePattern),
	}}
	for name, call := range regexpCalls {
		m.Members[name] = starlark.NewBuiltin(name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if len(args) == 0 {
				return nil, fmt.Errorf("%s: a pattern is missing", b.Name())
			}
			if p, ok := args[0].(regexpValue); ok {
				return call(thread, b.Name(), p.re, args[1:], kwargs)
			}
			text, ok := starlark.AsString(args[0])
			if !ok {
				return nil, fmt.Errorf("%s: the pattern is %s; it must be text", b.Name(), args[0].Type())
			}
			re, err := pattern(thread, b.Name(), text)
			if err != nil {
				return nil, err
			}
			return call(thread, b.Name(), re, args[1:], kwargs)
		})
	}
	return m
}

func compilePattern(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &text); err != nil {
		return nil, err
	}
	re, err := pattern(thread, b.Name(), text)
	if err != nil {
		return nil, err
	}
	return regexpValue{re}, nil
}

func escapePattern(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Text(b.Name(), 2*len(text)); err != nil {
		return nil, err
	}
	return starlark.String(regexp.QuoteMeta(text)), nil
}

// regexpValue is a compiled pattern.
type regexpValue struct{ re *expression }

var (
	_ starlark.HasAttrs = regexpValue{}
	_ guard.Wordy       = regexpValue{}
)

func (p regexpValue) String() string        { return fmt.Sprintf("re.compile(%q)", p.re.String()) }
func (p regexpValue) TextBound() int        { return 4*len(p.re.String()) + 16 }
func (p regexpValue) Type() string          { return "re.pattern" }
func (p regexpValue) Freeze()               {}
func (p regexpValue) Truth() starlark.Bool  { return starlark.True }
func (p regexpValue) Hash() (uint32, error) { return starlark.String(p.re.String()).Hash() }

// AttrNames lists what Attr gives.
func (p regexpValue) AttrNames() []string {
	return []string{"findall", "fullmatch", "match", "pattern", "search", "split", "sub"}
}

// Attr gives the pattern's text or a method.
func (p regexpValue) Attr(name string) (starlark.Value, error) {
	if name == "pattern" {
		return starlark.String(p.re.String()), nil
	}
	call, ok := regexpCalls[name]
	if !ok {
		return nil, nil
	}
	return starlark.NewBuiltin(name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return call(thread, b.Name(), p.re, args, kwargs)
	}), nil
}

// finder gives the first match of the pattern between two anchors.
func finder(before, after string) regexpCall {
	return func(thread *starlark.Thread, call string, re *expression, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		if err := starlark.UnpackArgs(call, args, kwargs, "string", &text); err != nil {
			return nil, err
		}
		if before != "" {
			var err error
			if re, err = pattern(thread, call, before+re.String()+after); err != nil {
				return nil, err
			}
		}
		if err := re.search(thread, call, text); err != nil {
			return nil, err
		}
		at, err := re.first(guard.Of(thread), text)
		if err != nil {
			return nil, err
		}
		if at == nil {
			return starlark.None, nil
		}
		if err := guard.Of(thread).Alloc(128 + 8*len(at)); err != nil {
			return nil, err
		}
		return &matchValue{names: re.SubexpNames(), text: text, at: at}, nil
	}
}

// findAll gives the matches: texts, or the groups of each when the pattern has groups.
func findAll(thread *starlark.Thread, call string, re *expression, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(call, args, kwargs, "string", &text); err != nil {
		return nil, err
	}
	found, err := re.all(thread, call, text, -1)
	if err != nil {
		return nil, err
	}
	out := make([]starlark.Value, 0, len(found))
	for _, at := range found {
		switch len(at) {
		case 2:
			out = append(out, group(text, at, 0))
		case 4:
			out = append(out, group(text, at, 1))
		default:
			groups := make(starlark.Tuple, len(at)/2-1)
			for i := range groups {
				groups[i] = group(text, at, i+1)
			}
			out = append(out, groups)
		}
	}
	return starlark.NewList(out), nil
}

// group gives the text of one group; of one that took no part it is empty.
func group(text string, at []int, i int) starlark.String {
	if at[2*i] < 0 {
		return ""
	}
	return starlark.String(text[at[2*i]:at[2*i+1]])
}

// substitute replaces matches: sub(repl, string, count=0). \1 and \g<name> stand for groups.
func substitute(thread *starlark.Thread, call string, re *expression, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var repl, text string
	var count int
	if err := starlark.UnpackArgs(call, args, kwargs, "repl", &repl, "string", &text, "count?", &count); err != nil {
		return nil, err
	}
	// A part that names a group is looked up once for the template and once for each match.
	parts := strings.Count(repl, `\`)
	if err := guard.Of(thread).Work(thread, 12*parts+len(repl)/16); err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	template := pythonGroups.ReplaceAllString(strings.ReplaceAll(repl, "$", "$$"), "$${${1}${2}}")
	if count <= 0 {
		count = -1
	}
	found, err := re.all(thread, call, text, count)
	if err != nil {
		return nil, err
	}
	account := guard.Of(thread)
	if err := account.Text(call, len(text)+len(template)); err != nil {
		return nil, err
	}
	var out []byte
	last := 0
	for _, at := range found {
		if err := account.Work(thread, 2*parts+len(template)/64); err != nil { // also when it comes to nothing
			return nil, fmt.Errorf("%s: %w", call, err)
		}
		out = append(out, text[last:at[0]]...)
		out = re.ExpandString(out, template, text, at)
		last = at[1]
		if len(out)+len(text)-last > account.Limits().TextBytes {
			break
		}
	}
	if err := account.Text(call, len(out)+len(text)-last); err != nil {
		return nil, err
	}
	return starlark.String(append(out, text[last:]...)), nil
}

var pythonGroups = regexp.MustCompile(`\\(?:(\d+)|g<(\w+)>)`)

func splitText(thread *starlark.Thread, call string, re *expression, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	var most int
	if err := starlark.UnpackArgs(call, args, kwargs, "string", &text, "maxsplit?", &most); err != nil {
		return nil, err
	}
	if most <= 0 {
		most = -1
	}
	found, err := re.all(thread, call, text, most)
	if err != nil {
		return nil, err
	}
	n := -1
	if most > 0 {
		n = most + 1
	}
	out := make([]starlark.Value, 0, len(found)+1)
	for _, part := range re.Split(text, n) {
		out = append(out, starlark.String(part))
	}
	return starlark.NewList(out), nil
}
