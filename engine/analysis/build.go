// This file turns what was noted about a blueprint into its Graph.

package analysis

import (
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// graph builds the Graph of a blueprint and checks it.
func (a *analyzer) graph(bp *blueprintInfo) *Graph {
	start := syntax.Start(bp.node)
	g := &Graph{
		Name: bp.name, APIEndpoint: bp.endpoint, APIVersion: bp.version, Description: bp.description, DataStores: bp.stores, Renders: bp.renders,
		Ends: []string{}, States: []*State{}, Edges: []*Edge{}, File: bp.file, Line: 1, Col: 1, Open: bp.open,
	}
	// A blueprint that a loaded function makes has no line in its own file.
	if start.Filename() == bp.file {
		g.Line, g.Col = int(start.Line), int(start.Col)
	}
	for _, r := range bp.regs {
		g.addRegistration(r)
	}
	edges := mergedEdges(bp)
	for _, e := range edges {
		if (e.To == "finished" || e.To == "failed") && g.State(e.To) == nil {
			g.States = append(g.States, &State{Name: e.To, IsEnd: true, Supplied: true, Status: e.To, Conditions: []string{}, File: e.File, Line: e.Line, Col: e.Col})
		}
	}
	for _, s := range g.States {
		s.finish()
	}
	sort.Slice(g.States, func(i, j int) bool { return g.States[i].Name < g.States[j].Name })
	for _, s := range g.States {
		if s.IsStart && g.Start == "" {
			g.Start = s.Name
		}
		if s.IsEnd {
			g.Ends = append(g.Ends, s.Name)
		}
	}
	for _, e := range edges {
		g.Edges = append(g.Edges, &e.Edge)
	}
	a.checkGraph(bp, g, edges)
	return g
}

func (g *Graph) addRegistration(r *registration) {
	if r.state == "" {
		return
	}
	s := g.State(r.state)
	if s == nil {
		pos := syntax.Start(r.node)
		s = &State{Name: r.state, Conditions: []string{}, File: pos.Filename(), Line: int(pos.Line), Col: int(pos.Col)}
		g.States = append(g.States, s)
	}
	s.IsStart = s.IsStart || r.isStart
	s.IsEnd = s.IsEnd || r.isEnd
	if r.aggregator {
		s.Kind = KindAggregator
	}
	if s.Status == "" {
		s.Status = r.status
	}
	if cond := r.condition(); cond != "" {
		s.Conditions = append(s.Conditions, cond)
	}
	for _, alt := range alternatives(orUnknown(r.fn)) {
		if fn, ok := alt.(*function); ok {
			s.Handlers = append(s.Handlers, fn.name)
		}
	}
}

func (r *registration) condition() string { return strings.Join(r.conditions, " and ") }

// finish settles a state's kind and the status that a job ends with here.
func (s *State) finish() {
	switch {
	case s.IsStart:
		s.Kind = KindStart
	case s.IsEnd:
		s.Kind = KindEnd
	case s.Kind == "":
		s.Kind = KindState
	}
	switch {
	case !s.IsEnd:
		s.Status = ""
	case s.Status == "":
		s.Status = statusByName(s.Name)
	}
}

// statusByName is the status of an end state that does not say its own.
func statusByName(name string) string {
	switch {
	case name == "failed" || strings.HasSuffix(name, "_failed"):
		return "failed"
	case name == "cancelled" || strings.HasSuffix(name, "_cancelled"):
		return "cancelled"
	}
	return "finished"
}

// mergedEdges gives the edges of all handlers in their order; those that differ only in the task are one.
func mergedEdges(bp *blueprintInfo) []*edgeInfo {
	type key struct{ from, to, label, kind, condition string }
	byKey := map[key]*edgeInfo{}
	var all []*edgeInfo
	for _, h := range bp.runs {
		for _, e := range h.edges {
			e.From, e.Condition = h.reg.state, h.reg.condition()
			k := key{e.From, e.To, e.Label, e.Kind, e.Condition}
			if first, ok := byKey[k]; ok {
				first.TaskType = uniqueNames([]string{first.TaskType, e.TaskType})
				continue
			}
			byKey[k] = e
			all = append(all, e)
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		switch {
		case a.From != b.From:
			return a.From < b.From
		case a.To != b.To:
			return a.To < b.To
		case a.Label != b.Label:
			return a.Label < b.Label
		case a.Kind != b.Kind:
			return a.Kind < b.Kind
		}
		return a.Condition < b.Condition
	})
	return all
}

func mapKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
