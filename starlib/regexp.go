package starlib

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// This file holds the module re: Python's names over Go's RE2, which takes linear time and
// has no lookaround and no backreferences.

// compiled keeps patterns: scripts compile the same few again and again.
var compiled = struct {
	sync.Mutex
	m map[string]*regexp.Regexp
}{m: map[string]*regexp.Regexp{}}

const (
	maxPatterns     = 512
	maxPatternBytes = 16 << 10
)

func pattern(call, text string) (*regexp.Regexp, error) {
	compiled.Lock()
	re, ok := compiled.m[text]
	compiled.Unlock()
	if ok {
		return re, nil
	}
	if len(text) > maxPatternBytes {
		return nil, fmt.Errorf("%s: the pattern has %d bytes; the limit is %d", call, len(text), maxPatternBytes)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (patterns are RE2: no lookaround, no backreferences)", call, err)
	}
	compiled.Lock()
	defer compiled.Unlock()
	if len(compiled.m) >= maxPatterns { // any one: the map is only a cache
		for k := range compiled.m {
			delete(compiled.m, k)
			break
		}
	}
	compiled.m[text] = re
	return re, nil
}

type regexpCall func(call string, re *regexp.Regexp, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

// regexpCalls are the functions of the module, with the pattern first, and the methods of
// a compiled pattern.
var regexpCalls = map[string]regexpCall{
	"match": finder(func(re *regexp.Regexp, s string) []int { return anchored(re, `\A(?:`, `)`).FindStringSubmatchIndex(s) }),
	"fullmatch": finder(func(re *regexp.Regexp, s string) []int {
		return anchored(re, `\A(?:`, `)\z`).FindStringSubmatchIndex(s)
	}),
	"search":  finder(func(re *regexp.Regexp, s string) []int { return re.FindStringSubmatchIndex(s) }),
	"findall": findAll,
	"sub":     substitute,
	"split":   splitText,
}

func anchored(re *regexp.Regexp, before, after string) *regexp.Regexp {
	a, err := pattern("re", before+re.String()+after)
	if err != nil {
		return re // cannot be: the inner pattern compiled
	}
	return a
}

func reModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "re", Members: starlark.StringDict{
		"compile": starlark.NewBuiltin("compile", compilePattern),
		"escape":  starlark.NewBuiltin("escape", escapePattern),
	}}
	for name, call := range regexpCalls {
		m.Members[name] = starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if len(args) == 0 {
				return nil, fmt.Errorf("%s: a pattern is missing", b.Name())
			}
			if p, ok := args[0].(regexpValue); ok {
				return call(b.Name(), p.re, args[1:], kwargs)
			}
			text, ok := starlark.AsString(args[0])
			if !ok {
				return nil, fmt.Errorf("%s: the pattern is %s; it must be text", b.Name(), args[0].Type())
			}
			re, err := pattern(b.Name(), text)
			if err != nil {
				return nil, err
			}
			return call(b.Name(), re, args[1:], kwargs)
		})
	}
	return m
}

func compilePattern(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &text); err != nil {
		return nil, err
	}
	re, err := pattern(b.Name(), text)
	if err != nil {
		return nil, err
	}
	return regexpValue{re}, nil
}

func escapePattern(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	return starlark.String(regexp.QuoteMeta(text)), nil
}

// regexpValue is a compiled pattern.
type regexpValue struct{ re *regexp.Regexp }

var _ starlark.HasAttrs = regexpValue{}

func (p regexpValue) String() string        { return fmt.Sprintf("re.compile(%q)", p.re.String()) }
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
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return call(b.Name(), p.re, args, kwargs)
	}), nil
}

func finder(find func(*regexp.Regexp, string) []int) regexpCall {
	return func(call string, re *regexp.Regexp, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		if err := starlark.UnpackArgs(call, args, kwargs, "string", &text); err != nil {
			return nil, err
		}
		at := find(re, text)
		if at == nil {
			return starlark.None, nil
		}
		return &matchValue{names: re.SubexpNames(), text: text, at: at}, nil
	}
}

// findAll gives the matches: texts, or the groups of each when the pattern has groups.
func findAll(call string, re *regexp.Regexp, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(call, args, kwargs, "string", &text); err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, m := range re.FindAllStringSubmatch(text, DefaultLimits().Elements) {
		switch len(m) {
		case 1:
			out = append(out, starlark.String(m[0]))
		case 2:
			out = append(out, starlark.String(m[1]))
		default:
			groups := make(starlark.Tuple, len(m)-1)
			for i, g := range m[1:] {
				groups[i] = starlark.String(g)
			}
			out = append(out, groups)
		}
	}
	return starlark.NewList(out), nil
}

// substitute replaces matches: sub(repl, string, count=0). \1 and \g<name> stand for groups.
func substitute(call string, re *regexp.Regexp, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var repl, text string
	var count int
	if err := starlark.UnpackArgs(call, args, kwargs, "repl", &repl, "string", &text, "count?", &count); err != nil {
		return nil, err
	}
	template := pythonGroups.ReplaceAllString(strings.ReplaceAll(repl, "$", "$$"), "$${${1}${2}}")
	var out []byte
	last := 0
	for i, at := range re.FindAllStringSubmatchIndex(text, -1) {
		if count > 0 && i == count {
			break
		}
		out = append(out, text[last:at[0]]...)
		out = re.ExpandString(out, template, text, at)
		last = at[1]
		if len(out) > maxText {
			return nil, &LimitError{Code: CodeData, Text: fmt.Sprintf("%s: a text has at most %d bytes", call, maxText)}
		}
	}
	return starlark.String(append(out, text[last:]...)), nil
}

const maxText = 16 << 20

var pythonGroups = regexp.MustCompile(`\\(?:(\d+)|g<(\w+)>)`)

func splitText(call string, re *regexp.Regexp, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	var most int
	if err := starlark.UnpackArgs(call, args, kwargs, "string", &text, "maxsplit?", &most); err != nil {
		return nil, err
	}
	n := -1
	if most > 0 {
		n = most + 1
	}
	var out []starlark.Value
	for _, part := range re.Split(text, n) {
		out = append(out, starlark.String(part))
	}
	return starlark.NewList(out), nil
}
