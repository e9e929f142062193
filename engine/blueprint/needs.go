package blueprint

import (
	"maps"
	"slices"

	"go.starlark.net/syntax"

	"orrery/engine/analysis"
)

// This file finds what the texts need of the server beside the language: databases by name,
// and files.

// Need is one place where a text uses a database by a constant name, or files.
type Need struct {
	Database  string // "" when it is files that are used
	File      string
	Line, Col int
}

// Needs lists the first place of each database in each file, and of files, in order. Names
// that are built at run time are not known before.
func (s *Snapshot) Needs() []Need {
	var all []Need
	seen := map[string]bool{}
	for _, main := range slices.Sorted(maps.Keys(s.Programs)) {
		for _, file := range slices.Sorted(maps.Keys(s.Programs[main].Files)) {
			if seen[file] {
				continue // several programs load it
			}
			seen[file] = true
			f, err := analysis.Dialect.Parse(file, s.Programs[main].Files[file], 0)
			if err != nil {
				continue // it has been compiled, so this cannot be
			}
			all = append(all, needsOf(f)...)
		}
	}
	return all
}

func needsOf(f *syntax.File) (needs []Need) {
	add := func(database string, at syntax.Position) {
		if !slices.ContainsFunc(needs, func(n Need) bool { return n.Database == database }) {
			needs = append(needs, Need{Database: database, File: at.Filename(), Line: int(at.Line), Col: int(at.Col)})
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if dot, ok := n.Fn.(*syntax.DotExpr); ok && len(n.Args) == 1 && dot.Name.Name == "connect" {
				module, isName := dot.X.(*syntax.Ident)
				name, isText := n.Args[0].(*syntax.Literal)
				if text, ok := literal(name); isName && isText && ok && module.Name == "sql" {
					at, _ := n.Span()
					add(text, at)
				}
			}
		case *syntax.DotExpr:
			if n.Name.Name == "task_files" {
				at, _ := n.Span()
				add("", at)
			}
		case *syntax.Ident:
			if n.Name == "task_files" {
				add("", n.NamePos)
			}
		}
		return true
	})
	return needs
}

func literal(l *syntax.Literal) (string, bool) {
	if l == nil {
		return "", false
	}
	text, ok := l.Value.(string)
	return text, ok
}
