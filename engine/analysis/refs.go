// This file lists the places that name states, for editors.

package analysis

import (
	"cmp"
	"slices"

	"go.starlark.net/syntax"
)

// Ref is one place that names a state. Lines and columns count from 1, columns in characters, EndCol is one past the last.
type Ref struct {
	Blueprint, State  string
	Def               bool // a registration; else something leads there
	File              string
	Line, Col, EndCol int
	Exact             bool // the place is a literal that holds just the name, so it can be renamed
}

// refs gives each place once.
func (a *analyzer) refs() []Ref {
	seen := map[Ref]bool{}
	var all []Ref
	add := func(bp *blueprintInfo, state string, def bool, node syntax.Node) {
		if node == nil || state == "" {
			return
		}
		start, end := node.Span()
		r := Ref{Blueprint: bp.name, State: state, Def: def, File: start.Filename(), Line: int(start.Line), Col: int(start.Col), EndCol: int(start.Col) + 1}
		if end.Line == start.Line {
			r.EndCol = int(end.Col)
		}
		lit, ok := node.(*syntax.Literal)
		r.Exact = ok && lit.Value == any(state)
		if !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	for _, bp := range a.blueprints {
		for _, reg := range bp.regs {
			add(bp, reg.state, true, reg.stateNode)
		}
		for _, h := range bp.runs {
			for _, e := range h.edges {
				add(bp, e.To, false, e.target)
			}
		}
	}
	slices.SortFunc(all, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.State, b.State))
	})
	return all
}
