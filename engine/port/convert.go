package port

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"orrery/engine/analysis"
)

// This file is the way from Python files to Starlark files and a report.

// File is one Python file: Name is relative to the common folder, with forward slashes.
type File struct {
	Name string
	Text []byte
}

// Result is what became of one file.
type Result struct {
	Python     string             `json:"python"`
	Star       string             `json:"starlark"` // the name of the new file
	Text       string             `json:"-"`        // empty when a piece was refused
	Lines      int                `json:"lines"`    // of Python
	Other      bool               `json:"-"`        // it has no blueprint: a worker or a script, to be left as it is
	Blueprints []string           `json:"blueprints"`
	Entries    []Entry            `json:"entries"`
	Findings   []analysis.Finding `json:"findings"` // errors of `orrery check`; the file is complete, but does not load
}

// Good reports whether the file was converted and passes `orrery check`.
func (r *Result) Good() bool { return r.Text != "" && len(r.Findings) == 0 }

// Convert converts files that belong together: imports among them become loads. The error
// says why nothing could be read at all; whatever is wrong with one file is in its Result.
func Convert(ctx context.Context, files []File) ([]*Result, error) {
	sources, err := read(ctx, files)
	if err != nil {
		return nil, err
	}
	s := newSet(sources)
	results := make([]*Result, len(files))
	for i, src := range sources {
		results[i] = s.convert(src)
	}
	return results, check(results)
}

// set is the files that are converted together.
type set struct {
	modules map[string]*source // by dotted module name
	loaded  map[string]bool    // names of files that another one imports from
}

func newSet(sources []*source) *set {
	s := &set{modules: map[string]*source{}, loaded: map[string]bool{}}
	for _, src := range sources {
		s.modules[moduleName(src.name)] = src
	}
	// Only what blueprints import, directly or by others, is a library of theirs.
	var todo []*source
	for _, src := range sources {
		if declares.MatchString(src.text) {
			todo = append(todo, src)
		}
	}
	for len(todo) > 0 {
		src := todo[0]
		todo = todo[1:]
		for _, n := range src.tree.List("body") {
			if !n.is("ImportFrom", "Import") {
				continue
			}
			for _, target := range s.importTargets(src, n) {
				if !s.loaded[target.name] {
					s.loaded[target.name] = true
					todo = append(todo, target)
				}
			}
		}
	}
	return s
}

// declares finds files that seem to make a blueprint or to register handlers.
var declares = regexp.MustCompile(`\b(StateMachine)?Blueprint\s*\(|\.(handler_for|aggregator_for|handler|aggregator)\b`)

func moduleName(name string) string {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".py"), "/__init__")
	return strings.ReplaceAll(name, "/", ".")
}

// StarName gives the name of the Starlark file for a Python file.
func StarName(name string) string { return strings.TrimSuffix(name, path.Ext(name)) + ".star" }

func (s *set) convert(src *source) *Result {
	r := &Result{Python: src.name, Star: StarName(src.name), Entries: []Entry{}, Findings: []analysis.Finding{}, Blueprints: []string{}}
	if src.fault != nil {
		r.Entries = append(r.Entries, Entry{Action: Refused, File: src.name, Line: src.fault.line, Python: lineOf(src.text, src.fault.line),
			Reason: "not Python that can be read: " + src.fault.message, Do: "mend it in Python first"})
		return r
	}
	r.Lines = strings.Count(src.text, "\n") + 1
	c, text := s.run(src, nil)
	if c.collides() { // once more, with other names for what would hide a module
		c, text = s.run(src, c.clashes())
	}
	r.Other = c.other
	r.Entries, r.Blueprints = append(r.Entries, c.entries...), append(r.Blueprints, c.blueprintNames()...)
	sortEntries(r.Entries)
	for _, e := range r.Entries {
		if e.Action == Refused {
			return r
		}
	}
	formatted, err := formatStar(r.Star, text)
	if err != nil {
		r.Entries = append(r.Entries, Entry{Action: Refused, File: src.name, Line: 1, Python: lineOf(src.text, 1), Reason: err.Error(), Do: "please report this with the file"})
		return r
	}
	r.Text = formatted
	return r
}

// run converts once. Any Python may come: what this package did not think of refuses the
// file instead of ending the program.
func (s *set) run(src *source, renames map[string]string) (c *converter, text string) {
	c = newConverter(s, src)
	if renames != nil {
		c.renames = renames
	}
	defer func() {
		if p := recover(); p != nil {
			at := &Node{Line: 1 + strings.Count(src.text[:min(c.cursor, len(src.text))], "\n"), text: src.text, Start: c.cursor, End: min(len(src.text), c.cursor+lineRest(src.text[c.cursor:]))}
			c.refuse(at, fmt.Sprintf("orrery port failed here (%v)", p), "please report this with the file")
			text = ""
		}
	}()
	return c, c.file()
}

func lineOf(text string, line int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	return quotePython(lines[line-1])
}

// check runs `orrery check` over what was written, in memory.
func check(results []*Result) error {
	texts := map[string]string{}
	for _, r := range results {
		if r.Text != "" {
			texts[r.Star] = r.Text
		}
	}
	source := func(name string) ([]byte, error) {
		if text, ok := texts[name]; ok {
			return []byte(text), nil
		}
		return nil, errors.New("there is no such file among the converted ones")
	}
	for _, r := range results {
		if r.Text == "" {
			continue
		}
		found, err := analysis.File(source, r.Star)
		if err != nil {
			return err
		}
		for _, f := range found.Errors() {
			if f.File == r.Star {
				r.Findings = append(r.Findings, f)
			}
		}
	}
	return nil
}
