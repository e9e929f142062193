// This file keeps what the ways through a handler have done so far, so that "two kinds of action" and "parallel tasks" mean one way and not two branches of an if.

package analysis

import (
	"sort"

	"go.starlark.net/syntax"
)

// pathState is what one way through a handler has done: the zero value, nothing.
type pathState struct {
	action  string // name of the action called last
	success string // of dispatch_task: the success target; "" none, "?" not known
	many    bool   // of dispatch_task: called more than once
	line    int32  // of the last call; with col, its site
	col     int32
	file    string
}

// pathSet is the different ways that lead to a point. Empty: nothing leads there.
type pathSet map[pathState]bool

// maxPaths is where a set stops telling ways apart by site and target.
const maxPaths = 64

func startPaths() pathSet { return pathSet{pathState{}: true} }

func (p pathSet) empty() bool { return len(p) == 0 }

func (p pathSet) clone() pathSet {
	c := make(pathSet, len(p))
	for s := range p {
		c[s] = true
	}
	return c
}

func (p pathSet) union(q pathSet) pathSet {
	if len(p) == 0 {
		return q
	}
	u := p.clone()
	for s := range q {
		u[s] = true
	}
	if len(u) <= maxPaths {
		return u
	}
	coarse := pathSet{}
	for s := range u {
		c := pathState{action: s.action}
		if s.action == "dispatch_task" {
			c.success = "?"
		}
		coarse[c] = true
	}
	return coarse
}

func (p pathSet) equal(q pathSet) bool {
	if len(p) != len(q) {
		return false
	}
	for s := range p {
		if !q[s] {
			return false
		}
	}
	return true
}

// sorted lists the states in a fixed order, so that findings do not depend on the order of a map.
func (p pathSet) sorted() []pathState {
	all := make([]pathState, 0, len(p))
	for s := range p {
		all = append(all, s)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		switch {
		case a.line != b.line:
			return a.line < b.line
		case a.col != b.col:
			return a.col < b.col
		case a.action != b.action:
			return a.action < b.action
		case a.success != b.success:
			return a.success < b.success
		}
		return !a.many && b.many
	})
	return all
}

func (s pathState) at(pos syntax.Position) pathState {
	s.line, s.col, s.file = pos.Line, pos.Col, pos.Filename()
	return s
}

func (s pathState) isAt(pos syntax.Position) bool {
	return s.line == pos.Line && s.col == pos.Col && s.file == pos.Filename()
}
