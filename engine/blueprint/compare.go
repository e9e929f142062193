package blueprint

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"go.starlark.net/syntax"

	"orrery/engine/analysis"
)

// This file compares two revisions of a blueprint: what differs in its graph, in its
// functions and in the text.

// Diff is what differs between two revisions of a blueprint. All lists are in order.
type Diff struct {
	Name        string   `json:"name"`
	From        string   `json:"from"` // revisions
	To          string   `json:"to"`
	States      Lists    `json:"states"`
	Transitions Lists    `json:"transitions"`
	Handlers    Lists    `json:"handlers"`
	Functions   []string `json:"functions"` // other functions whose text differs: file: name
	Files       Lists    `json:"files"`
	Text        string   `json:"text"` // unified
}

// Lists are names that only one side has, or that both have with a difference.
type Lists struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
}

// Empty reports whether nothing differs.
func (l Lists) Empty() bool { return len(l.Added)+len(l.Removed)+len(l.Changed) == 0 }

// listsOf compares what both sides have under their names.
func listsOf(from, to map[string]string) Lists {
	l := Lists{[]string{}, []string{}, []string{}}
	for _, name := range slices.Sorted(maps.Keys(to)) {
		old, was := from[name]
		switch {
		case !was:
			l.Added = append(l.Added, name)
		case old != to[name]:
			l.Changed = append(l.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if _, is := to[name]; !is {
			l.Removed = append(l.Removed, name)
		}
	}
	return l
}

// Compare says what differs from one revision of a blueprint to another.
func Compare(from, to *Blueprint) (*Diff, error) {
	d := &Diff{Name: to.Name, From: from.Revision, To: to.Revision, Files: listsOf(from.Program.Files, to.Program.Files), Functions: []string{}}
	d.States = listsOf(from.stateTexts(), to.stateTexts())
	before, after := functionsOf(from.Program), functionsOf(to.Program)
	d.Handlers = listsOf(from.handlerTexts(before), to.handlerTexts(after))
	handlers := map[string]bool{}
	for _, b := range []*Blueprint{from, to} {
		for _, s := range b.States {
			for _, h := range s.Handlers {
				handlers[functionKey(h.Pos.Filename(), h.Name)] = true
			}
		}
	}
	others := listsOf(before.texts, after.texts)
	for _, name := range slices.Sorted(slices.Values(slices.Concat(others.Added, others.Removed, others.Changed))) {
		if !handlers[name] {
			d.Functions = append(d.Functions, name)
		}
	}
	old, err := from.Graph()
	if err != nil {
		return nil, err
	}
	now, err := to.Graph()
	if err != nil {
		return nil, err
	}
	d.Transitions = listsOf(edgeTexts(old), edgeTexts(now))
	d.Text, err = unified(from.Program.Files, to.Program.Files)
	return d, err
}

// Graph reads the blueprint's graph from the text that it was loaded from.
func (b *Blueprint) Graph() (*analysis.Graph, error) {
	result, err := analysis.File(func(file string) ([]byte, error) {
		text, ok := b.Program.Files[file]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}, b.File)
	if err != nil {
		return nil, err
	}
	for _, g := range result.Graphs {
		if g.Name == b.Name {
			return g, nil
		}
	}
	return nil, fmt.Errorf("the name of the blueprint %q is only known when its file runs, so its graph can not be read from the text", b.Name)
}

func (b *Blueprint) stateTexts() map[string]string {
	out := map[string]string{}
	for name, s := range b.States {
		out[name] = fmt.Sprint(s.Start, s.End, s.Aggregator, s.Status)
	}
	return out
}

// edgeTexts names each transition as people read it.
func edgeTexts(g *analysis.Graph) map[string]string {
	out := map[string]string{}
	for _, e := range g.Edges {
		to := e.To
		if e.Dynamic {
			to = "(known at run time)"
		}
		name := e.From + " -> " + to
		if e.Label != "" {
			name += " [" + e.Label + "]"
		}
		if e.Condition != "" {
			name += " when " + e.Condition
		}
		out[name] = e.Kind + " " + e.TaskType
	}
	return out
}

// handlerTexts gives the functions of each state; a lambda has no name to find its text by,
// so it counts as changed when the text of its line is.
func (b *Blueprint) handlerTexts(all functions) map[string]string {
	out := map[string]string{}
	for name, s := range b.States {
		for _, h := range s.Handlers {
			key := name + ": " + h.Name
			text, ok := all.texts[functionKey(h.Pos.Filename(), h.Name)]
			if !ok {
				text = b.Program.Line(h.Pos.Filename(), int(h.Pos.Line))
			}
			if h.When != nil {
				text += "\nwhen " + h.When.Text
			}
			out[key] += text
		}
	}
	return out
}

// functions are the texts of a program's functions by file and name.
type functions struct{ texts map[string]string }

func functionKey(file, name string) string { return file + ": " + name }

func functionsOf(p *Program) functions {
	out := functions{map[string]string{}}
	for file, text := range p.Files {
		tree, err := analysis.Dialect.Parse(file, text, 0)
		if err != nil {
			continue // it has been compiled, so this cannot be
		}
		lines := strings.SplitAfter(text, "\n")
		syntax.Walk(tree, func(n syntax.Node) bool {
			if def, ok := n.(*syntax.DefStmt); ok {
				start, end := def.Span()
				out.texts[functionKey(file, def.Name.Name)] += strings.Join(lines[start.Line-1:min(int(end.Line), len(lines))], "")
			}
			return true
		})
	}
	return out
}

// maxDiffLines bounds a file's text that is compared line by line; it is quadratic at worst.
const maxDiffLines = 20_000

// unified compares texts file by file.
func unified(from, to map[string]string) (string, error) {
	var b strings.Builder
	names := map[string]bool{}
	for _, side := range []map[string]string{from, to} {
		for name := range side {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, now := from[name], to[name]
		if old == now {
			continue
		}
		if strings.Count(old, "\n")+strings.Count(now, "\n") > maxDiffLines {
			fmt.Fprintf(&b, "%s differs; it is too long to be compared line by line\n", name)
			continue
		}
		d := difflib.UnifiedDiff{A: linesOf(old), B: linesOf(now), FromFile: sideName(name, from), ToFile: sideName(name, to), Context: 3}
		if err := difflib.WriteUnifiedDiff(&b, d); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// linesOf gives the lines of a text, each with its end: the library compares them so.
func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		return lines[:last]
	}
	lines[len(lines)-1] += "\n"
	return lines
}

// sideName is a file's name, or that of nothing.
func sideName(name string, side map[string]string) string {
	if _, ok := side[name]; ok {
		return name
	}
	return "/dev/null"
}
