package draw

import (
	"fmt"
	"math"
	"strings"

	"orrery/engine/analysis"
)

// This file folds graphs that would be one very long column into several columns beside each
// other, which read from top to bottom and from left to right.

const (
	longColumn = 18   // states below each other that one still puts on a page
	foldFactor = 0.22 // of the height of a state to the width of a column, for a page that is a little wider than high
)

// columnsOf gives the column of each state, from 0; nil when the graph is not long.
func columnsOf(g *analysis.Graph) map[string]int {
	levels := levelsOf(g)
	deepest := 0
	for _, l := range levels {
		deepest = max(deepest, l)
	}
	if deepest < longColumn {
		return nil
	}
	columns := max(2, int(math.Round(math.Sqrt(float64(deepest+1)*foldFactor))))
	high := (deepest + columns) / columns
	out := make(map[string]int, len(levels))
	for name, l := range levels {
		out[name] = l / high
	}
	return out
}

// levelsOf gives how far below the start each state stands: one more than the lowest state
// that leads to it, ways back left out.
func levelsOf(g *analysis.Graph) map[string]int {
	next := map[string][]string{}
	for _, e := range g.Edges {
		if !e.Dynamic {
			next[e.From] = append(next[e.From], e.To)
		}
	}
	order := downwards(g, next)
	place := map[string]int{}
	for i, name := range order {
		place[name] = i
	}
	levels := map[string]int{}
	for _, name := range order {
		for _, to := range next[name] {
			if at, drawn := place[to]; drawn && at > place[name] {
				levels[to] = max(levels[to], levels[name]+1)
			}
		}
	}
	return levels
}

// downwards orders the states so that each comes before those that it leads to, ways back
// left out. It does not recurse: a graph may be one long chain.
func downwards(g *analysis.Graph, next map[string][]string) []string {
	type visit struct {
		name string
		n    int // of the ways that were followed
	}
	seen := map[string]bool{}
	var after []string // each comes behind those that it leads to
	from := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for stack := []visit{{name: name}}; len(stack) > 0; {
			top := &stack[len(stack)-1]
			if top.n == len(next[top.name]) {
				after = append(after, top.name)
				stack = stack[:len(stack)-1]
				continue
			}
			to := next[top.name][top.n]
			top.n++
			if !seen[to] && g.State(to) != nil {
				seen[to] = true
				stack = append(stack, visit{name: to})
			}
		}
	}
	if g.Start != "" {
		from(g.Start)
	}
	for _, s := range g.States {
		from(s.Name)
	}
	for i, k := 0, len(after)-1; i < k; i, k = i+1, k-1 {
		after[i], after[k] = after[k], after[i]
	}
	return after
}

// fold puts the columns side by side, in order. Of one of several blueprints they have frames; begin is the dot before the start.
func (w *dotWriter) fold(g *analysis.Graph, columns map[string]int, begin string, several bool) {
	last := 0
	for _, c := range columns {
		last = max(last, c)
	}
	for i := range last + 1 {
		frame := "peripheries=0, label=\"\", margin=10" // not drawn: it keeps the columns apart
		switch {
		case several && i == 0:
			frame = frameOf(title(g))
		case several:
			frame = frameOf(wrapName(g.Name) + "\ncontinued")
		}
		fmt.Fprintf(w, "%ssubgraph %s {\n%s  graph [%s];\n", w.indent, columnID(w.prefix, i), w.indent, frame)
		if begin != "" && i == columns[g.Start] {
			fmt.Fprintf(w, "%s  %s;\n", w.indent, begin)
		}
		for _, s := range g.States {
			if columns[s.Name] == i {
				fmt.Fprintf(w, "%s  %s;\n", w.indent, w.node(s.Name))
			}
		}
		fmt.Fprintf(w, "%s}\n", w.indent)
	}
}

// crowd is the number of lines to an end state from which on each gets a sign of its own: a
// bundle of lines down a whole column (all failures, say) hides the way itself.
const crowd = 6

// target gives the node where an edge of a folded graph ends: its state, or a sign for it.
func (w *dotWriter) target(g *analysis.Graph, e *analysis.Edge, columns map[string]int) string {
	column := columns[e.From]
	if s := g.State(e.To); s != nil && s.IsEnd {
		lines := 0
		for _, other := range g.Edges {
			if other.To == e.To && !other.Dynamic && columns[other.From] == column {
				lines++
			}
		}
		if lines >= crowd {
			return w.sign(g, e.To, column, e.From)
		}
	}
	if columns[e.To] == column {
		return w.node(e.To)
	}
	return w.sign(g, e.To, column, "")
}

// sign gives the node that stands in a column for a state that is elsewhere: a line across all
// columns would be hard to follow. All states of a column share one, or one state has its own.
func (w *dotWriter) sign(g *analysis.Graph, state string, column int, of string) string {
	key := fmt.Sprintf("%s%d %s %s", w.prefix, column, state, of)
	if id, ok := w.signs[key]; ok {
		return id
	}
	id := w.freshID(strings.TrimSpace(fmt.Sprintf("column %d to %s %s", column, state, of)))
	w.signs[key] = id
	ink := inkState
	if s := g.State(state); s != nil {
		ink, _ = colours(s)
	}
	fmt.Fprintf(w, "%ssubgraph %s { %s [label=%s, style=\"rounded,dashed\", fontsize=11, margin=\"0.12,0.05\", color=%q, fontcolor=%q, class=\"elsewhere\"]; }\n", w.indent, columnID(w.prefix, column), id, dotLabel("to "+wrapName(state)), ink, ink)
	return id
}

// columnID names the frame of a column; several with one name are one to Graphviz.
func columnID(prefix string, column int) string {
	return dotID(fmt.Sprintf("cluster_%scolumn_%d", prefix, column+1))
}
