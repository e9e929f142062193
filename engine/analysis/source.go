// This file reads, parses and resolves files, and keeps their lines and ignore comments.

package analysis

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"orrery/starlib/guard"
)

// Source reads a file by its name relative to the blueprint directory, with forward slashes and without leading ones ("lib/x.star").
type Source func(name string) ([]byte, error)

// ReadSource reads a source file, and refuses a large one unread. One that grows meanwhile is
// read to one byte over the limit, so that whoever parses it can refuse it.
func ReadSource(f fs.File) ([]byte, error) {
	most := guard.Load().FileBytes
	if info, err := f.Stat(); err == nil && info.Size() > int64(most) {
		return nil, &guard.LimitError{Code: guard.CodeSource, Text: fmt.Sprintf("it has %d bytes; the limit of a blueprint file is %d (%s)", info.Size(), most, guard.CodeSource)}
	}
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}

// Folder reads sources from a folder of the file system.
func Folder(root string) Source {
	return func(name string) ([]byte, error) {
		f, err := os.Open(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return ReadSource(f)
	}
}

// file is one parsed file. tree is nil when it could not be read or is not Starlark.
type file struct {
	name   string
	lines  []string
	tree   *syntax.File
	ignore map[int][]string // line -> rules that are switched off on it
}

var ignoreComment = regexp.MustCompile(`#\s*orrery:\s*ignore\[([^\]]*)\]`)

// readFile reads and parses one file, noting its findings. It never returns nil.
func (a *analyzer) readFile(name string, text []byte) *file {
	f := &file{name: name, ignore: map[int][]string{}}
	a.files[name] = f
	f.lines = strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if most := guard.Load().FileBytes; len(text) > most {
		a.reportAt(ruleLoad, name, 1, 1, 0, fmt.Sprintf("the file has %d bytes; the limit of a blueprint file is %d (%s)", len(text), most, guard.CodeSource), "move parts of it into files that it loads")
		return f
	}
	err := guard.CheckSource(name, string(text)) // the parser itself has no bound on nesting
	var tree *syntax.File
	if err == nil {
		tree, err = Dialect.Parse(name, text, syntax.RetainComments)
	}
	if err != nil {
		a.reportSyntax(f, err)
		return f
	}
	a.readIgnores(f, tree)
	a.reportResolve(resolve.File(tree, guard.FewMisses(len(text), definedIn(name)), isUniversal))
	f.tree = tree
	return f
}

// readIgnores takes the ignore comments from the syntax tree, so that one inside a string does not count.
func (a *analyzer) readIgnores(f *file, tree *syntax.File) {
	syntax.Walk(tree, func(n syntax.Node) bool {
		if n == nil {
			return false
		}
		c := n.Comments()
		if c == nil {
			return true
		}
		for _, list := range [][]syntax.Comment{c.Before, c.Suffix, c.After} {
			for _, comment := range list {
				a.readIgnore(f, comment)
			}
		}
		return true
	})
}

func (a *analyzer) readIgnore(f *file, c syntax.Comment) {
	m := ignoreComment.FindStringSubmatch(c.Text)
	if m == nil {
		return
	}
	line := int(c.Start.Line)
	for _, name := range strings.Split(m[1], ",") {
		name = strings.TrimSpace(name)
		if _, ok := rules[name]; !ok {
			known := make([]string, 0, len(rules))
			for _, r := range Rules() {
				known = append(known, r.Name)
			}
			a.report(ruleUnknownRule, c.Start, fmt.Sprintf("no rule is called %s, so nothing is switched off", quote(name)), didYouMean(name, known))
			continue
		}
		f.ignore[line] = append(f.ignore[line], name)
		// A comment on a line of its own speaks of the line below it.
		if strings.HasPrefix(strings.TrimSpace(f.line(line)), "#") {
			f.ignore[line+1] = append(f.ignore[line+1], name)
		}
	}
}

func (f *file) line(n int) string {
	if f == nil || n < 1 || n > len(f.lines) {
		return ""
	}
	return f.lines[n-1]
}

func (f *file) ignores(line int, rule string) bool {
	for _, r := range f.ignore[line] {
		if r == rule {
			return true
		}
	}
	return false
}

func (a *analyzer) reportSyntax(f *file, err error) {
	var se syntax.Error
	if !errors.As(err, &se) {
		a.reportAt(ruleSyntax, f.name, 1, 1, 0, err.Error(), "")
		return
	}
	suggestion := pythonism(f.line(int(se.Pos.Line)))
	if suggestion == "" {
		suggestion = unclosed(strings.Join(f.lines, "\n"), int(se.Pos.Line), int(se.Pos.Col))
	}
	a.reportAt(ruleSyntax, f.name, int(se.Pos.Line), int(se.Pos.Col), 0, se.Msg, suggestion)
}

// unclosed says which bracket is still open on an earlier line than the place of a syntax error: the
// place is where the parser noticed, not where the bracket is missing.
func unclosed(text string, line, col int) string {
	type open struct {
		bracket   rune
		line, col int
	}
	var stack []open
	at, column := 1, 0
	quote, escaped, comment := "", false, false
	rest := []rune(text)
	for i := 0; i < len(rest) && (at < line || at == line && column < col-1); i++ {
		r := rest[i]
		column++
		switch {
		case r == '\n':
			at, column, comment = at+1, 0, false
			if len(quote) == 1 {
				quote = "" // such a text ends with its line
			}
		case comment:
		case escaped:
			escaped = false
		case quote != "":
			escaped = r == '\\'
			if string(rest[i:min(i+len(quote), len(rest))]) == quote {
				i, column, quote = i+len(quote)-1, column+len(quote)-1, ""
			}
		case r == '#':
			comment = true
		case r == '"' || r == '\'':
			quote = string(r)
			if three := strings.Repeat(quote, 3); string(rest[i:min(i+3, len(rest))]) == three {
				i, column, quote = i+2, column+2, three
			}
		case strings.ContainsRune("([{", r):
			stack = append(stack, open{r, at, column})
		case strings.ContainsRune(")]}", r) && len(stack) > 0:
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) == 0 || stack[len(stack)-1].line == line {
		return ""
	}
	last := stack[len(stack)-1]
	return fmt.Sprintf("the %q of line %d, column %d is still open here: close it, or put a comma before this", string(last.bracket), last.line, last.col)
}

// pythonisms are the marks of Python that Starlark does not have, with what to write instead. The first that matches the line is told.
var pythonisms = []struct {
	mark *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(`^\s*async\s+def\b`), "write a plain def: handlers are not async"},
	{regexp.MustCompile(`\bawait\s`), "drop await: calls return their value"},
	{regexp.MustCompile(`^\s*@`), `Starlark has no decorators: write the def first, then bp.handler_for("state")(fn)`},
	{regexp.MustCompile(`\bf["']`), `Starlark has no f-strings: write "..." % value or "...".format(value)`},
	{regexp.MustCompile(`^\s*(from\s.+\s)?import\b`), `drop the import: modules are predeclared, other files come by load("//lib/x.star", "name")`},
	{regexp.MustCompile(`^\s*class\b`), "Starlark has no classes: use functions and dicts, or struct()"},
	{regexp.MustCompile(`^\s*(try|except|finally)\b`), "Starlark has no exceptions: use catch(fn, ...), which gives .ok, .value and .error"},
	{regexp.MustCompile(`^\s*raise\b`), "use fail(message) or fail_with(kind, message)"},
	{regexp.MustCompile(`^\s*with\b`), "Starlark has no with statement"},
	{regexp.MustCompile(`\bis\s+(not\s+)?None\b`), "write == None or != None"},
	{regexp.MustCompile(`^\s*def\b.*(->|:\s*\w+\s*[,)=])`), "Starlark has no type annotations"},
	{regexp.MustCompile(`\{\s*\*\*`), "build the dict with dict(a, **b) or .update()"},
	{regexp.MustCompile(`^\s*(global|nonlocal|del|assert|yield)\b`), "Starlark does not have this statement"},
}

func pythonism(line string) string {
	for _, p := range pythonisms {
		if p.mark.MatchString(line) {
			return p.say + "; `orrery port` converts whole Python files"
		}
	}
	return ""
}

var undefinedName = regexp.MustCompile(`^undefined: (\S+)(?: \(did you mean (\S+)\?\))?$`)

// reportResolve notes every unresolved name and every breach of the dialect.
func (a *analyzer) reportResolve(err error) {
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		return
	}
	for i, e := range list {
		if i == guard.MaxFindings {
			a.report(ruleDialect, e.Pos, fmt.Sprintf("%d more errors from here on are not shown", len(list)-i), "mend those before")
			break
		}
		m := undefinedName.FindStringSubmatch(e.Msg)
		if m == nil {
			suggestion := ""
			if strings.Contains(e.Msg, "while loops") {
				suggestion = "write `for _ in range(limit):` with a break"
			}
			a.report(ruleDialect, e.Pos, e.Msg, suggestion)
			continue
		}
		suggestion := ""
		if m[2] != "" {
			suggestion = "did you mean " + quote(m[2]) + "?"
		} else {
			suggestion = didYouMean(m[1], append(Predeclared(), universeNames...))
		}
		a.reportSpan(ruleUnresolved, e.Pos, len([]rune(m[1])), fmt.Sprintf("nothing defines the name %s", m[1]), suggestion)
	}
}

// loadName turns the argument of load() into a file name, or says why it can not.
func loadName(arg string) (string, error) {
	rest, ok := strings.CutPrefix(arg, "//")
	if !ok {
		return "", fmt.Errorf("load path %s does not begin with // (the blueprint directory)", quote(arg))
	}
	if rest == "" || strings.ContainsAny(rest, "\\:\x00") || path.IsAbs(rest) || path.Clean(rest) != rest || rest == ".." || strings.HasPrefix(rest, "../") {
		return "", fmt.Errorf("load path %s is not a plain path below the blueprint directory", quote(arg))
	}
	return rest, nil
}
