package startest

import (
	"cmp"
	"path/filepath"
	"slices"

	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/engine/simulate"
)

// This file counts which states and transitions of blueprints the jobs of cases took.

// Coverage is one blueprint: its graph, and how often each part was taken.
type Coverage struct {
	Graph  *analysis.Graph
	File   string // as a caller can open it
	States map[string]int
	Edges  map[*analysis.Edge]int
}

// Missing lists what no job took, in the order of the graph. A supplied end state that
// nothing was written for counts like any other: something leads there.
func (c *Coverage) Missing() (states []*analysis.State, edges []*analysis.Edge) {
	for _, s := range c.Graph.States {
		if c.States[s.Name] == 0 {
			states = append(states, s)
		}
	}
	for _, e := range c.Graph.Edges {
		if c.Edges[e] == 0 {
			edges = append(edges, e)
		}
	}
	return states, edges
}

// Share gives how many of the states and edges were taken, and how many there are.
func (c *Coverage) Share() (taken, all int) {
	states, edges := c.Missing()
	all = len(c.Graph.States) + len(c.Graph.Edges)
	return all - len(states) - len(edges), all
}

// covered collects coverage over all files of a run, by the blueprint's file and name.
type covered struct{ all map[[2]string]*Coverage }

func newCovered() *covered { return &covered{map[[2]string]*Coverage{}} }

// add enters the blueprints of a test file's own, so that untested ones show.
func (c *covered) add(f File, b *book) {
	for _, bp := range b.own {
		c.entry(f.Root, b, bp.Name)
	}
}

func (c *covered) entry(root string, b *book, name string) *Coverage {
	bp, g := b.byName[name], b.graphs[name]
	if bp == nil || g == nil {
		return nil
	}
	file := filepath.Join(root, filepath.FromSlash(bp.File))
	key := [2]string{file, name}
	if c.all[key] == nil {
		c.all[key] = &Coverage{Graph: g, File: file, States: map[string]int{}, Edges: map[*analysis.Edge]int{}}
	}
	return c.all[key]
}

// take counts a job and its children.
func (c *covered) take(root string, b *book, r *simulate.JobReport) {
	for i := range r.Children {
		c.take(root, b, &r.Children[i])
	}
	e := c.entry(root, b, r.Blueprint)
	if e == nil {
		return
	}
	e.follow(b.byName[r.Blueprint], r.Path, r.Moves)
}

// Follow gives what one job took of its blueprint's graph.
func Follow(g *analysis.Graph, bp *blueprint.Blueprint, path []string, moves []simulate.Move) *Coverage {
	c := &Coverage{Graph: g, File: bp.File, States: map[string]int{}, Edges: map[*analysis.Edge]int{}}
	c.follow(bp, path, moves)
	return c
}

func (c *Coverage) follow(bp *blueprint.Blueprint, path []string, moves []simulate.Move) {
	for _, state := range path {
		c.States[state]++
	}
	for _, m := range moves {
		if edge := c.edge(bp, m); edge != nil {
			c.Edges[edge]++
		}
	}
}

// edge finds the edge that a move took. Two test files may have read the same graph twice,
// so edges are those of the graph that was entered first.
func (c *Coverage) edge(bp *blueprint.Blueprint, m simulate.Move) *analysis.Edge {
	condition := conditionOf(bp, m.From, m.Handler)
	var best *analysis.Edge
	rank := 0
	for _, e := range c.Graph.Edges {
		if e.From != m.From || !e.Dynamic && e.To != m.To {
			continue
		}
		n := 1
		if !e.Dynamic {
			n += 8
		}
		if e.Label == m.Label || e.Label == "aggregate" && (m.Label == "success" || m.Label == "") {
			n += 4
		} else if !e.Dynamic || e.Label != "" {
			continue
		}
		if e.Condition == condition || e.Condition == condition+"(context)" { // a function shows as its call
			n += 2
		}
		if n > rank {
			best, rank = e, n
		}
	}
	return best
}

// conditionOf gives the text of the condition under which a handler runs.
func conditionOf(bp *blueprint.Blueprint, state, handler string) string {
	s := bp.States[state]
	if s == nil {
		return ""
	}
	for _, h := range s.Handlers {
		if h.Name == handler && h.When != nil {
			return h.When.Text
		}
	}
	return ""
}

func (c *covered) report() []*Coverage {
	var all []*Coverage
	for _, e := range c.all {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *Coverage) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Graph.Name, b.Graph.Name))
	})
	return all
}
