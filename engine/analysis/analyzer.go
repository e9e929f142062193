// This file holds the analyzer, the state of one analysis: files read, modules executed, blueprints found, findings noted.

package analysis

import (
	"sort"
	"strconv"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

type analyzer struct {
	src        Source
	files      map[string]*file
	modules    map[string]*module
	blueprints []*blueprintInfo // in the order of creation
	current    string           // the file whose execution makes blueprints now
	wholeTree  bool             // names of blueprints that no file has are certainly unknown

	findings []Finding
	seen     map[findingKey]bool
}

type findingKey struct {
	rule, file, message string
	line, col           int
}

// module is an executed file: what load() takes names from.
type module struct {
	file    *file
	frame   *frame
	loading bool // its execution has begun and not ended: loading it again is a cycle
	failed  bool // it could not be parsed
}

var universeNames = func() []string {
	var names []string
	for name := range starlark.Universe {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}()

func newAnalyzer(src Source) *analyzer {
	return &analyzer{src: src, files: map[string]*file{}, modules: map[string]*module{}, seen: map[findingKey]bool{}}
}

// report notes a finding at a position of the syntax tree.
func (a *analyzer) report(rule string, pos syntax.Position, message, suggestion string) {
	a.reportAt(rule, pos.Filename(), int(pos.Line), int(pos.Col), 0, message, suggestion)
}

// reportNode notes a finding about a whole node, so that it can be underlined.
func (a *analyzer) reportNode(rule string, n syntax.Node, message, suggestion string) *Finding {
	start, end := n.Span()
	endCol := 0
	if end.Line == start.Line {
		endCol = int(end.Col)
	}
	return a.reportAt(rule, start.Filename(), int(start.Line), int(start.Col), endCol, message, suggestion)
}

// reportSpan notes a finding about length characters.
func (a *analyzer) reportSpan(rule string, pos syntax.Position, length int, message, suggestion string) *Finding {
	return a.reportAt(rule, pos.Filename(), int(pos.Line), int(pos.Col), int(pos.Col)+length, message, suggestion)
}

// reportAt notes a finding once, however often it is met, and returns it so that a caller may make it milder until the next call; nil when it is already known.
func (a *analyzer) reportAt(rule, file string, line, col, endCol int, message, suggestion string) *Finding {
	key := findingKey{rule, file, message, line, col}
	if a.seen[key] {
		return nil
	}
	a.seen[key] = true
	r := rules[rule]
	a.findings = append(a.findings, Finding{
		Rule: rule, Severity: r.Severity, Hard: r.Hard, File: file, Line: line, Col: col, EndCol: endCol,
		Message: message, Suggestion: suggestion, Source: a.files[file].line(line),
	})
	return &a.findings[len(a.findings)-1]
}

// milder lowers the severity of a finding that is not certain.
func (f *Finding) milder(s Severity) {
	if f != nil {
		f.Severity, f.Hard = s, false
	}
}

// result sorts the findings and sets those aside that comments switch off.
func (a *analyzer) result(graphs []*Graph) *Result {
	r := &Result{Graphs: graphs}
	for _, f := range a.findings {
		if file := a.files[f.File]; file != nil && file.ignores(f.Line, f.Rule) {
			r.suppressed = append(r.suppressed, f)
		} else {
			r.Findings = append(r.Findings, f)
		}
	}
	sortFindings(r.Findings)
	sortFindings(r.suppressed)
	return r
}

func quote(s string) string { return strconv.Quote(s) }
