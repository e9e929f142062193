// This file writes DOT, the text that Graphviz lays out and that people can keep. Its styles are what pictures look like.

package draw

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"orrery/engine/analysis"
)

// The colours of pictures: a dark line and a light fill for each role.
const (
	inkText      = "#1f2933"
	inkLine      = "#52606d"
	inkMuted     = "#66727f"
	inkState     = "#52606d"
	fillState    = "#f5f7fa"
	inkStart     = "#1565c0"
	fillStart    = "#e3f2fd"
	inkGood      = "#2e7d32"
	fillGood     = "#e8f5e9"
	inkBad       = "#c62828"
	fillBad      = "#ffebee"
	inkCancelled = "#8d6e00"
	fillCanceled = "#fff8e1"
	inkGather    = "#6a1b9a"
	fillGather   = "#f3e5f5"
	inkChild     = "#00695c"
	fillChild    = "#e0f2f1"
)

// Graphs above these sizes are laid out with short cuts, without which Graphviz may need minutes.
const (
	bigNodes, bigEdges   = 60, 120
	hugeNodes, hugeEdges = 200, 300
)

const (
	fontName     = "Verdana" // one name, or the layout reckons with Times; a wide one, so that any font which a browser has fits
	wrapColumns  = 30        // of conditions
	maxLabel     = 120
	maxNodeLines = 6
)

// dotWriter writes one DOT text.
type dotWriter struct {
	strings.Builder
	prefix string // before node names, so that graphs in one text do not share nodes
	indent string
	ids    map[string]bool
	signs  map[string]string // nodes of signs, by column and state
	packed int               // parts in a row; 0: the picture is one part
	look   Look
}

// dotText writes the graphs as one digraph. What stands beside each other (blueprints, columns of a long one, the legend) are parts that Graphviz lays out alone and packs.
func dotText(graphs []*analysis.Graph, look Look) []byte {
	w := &dotWriter{indent: "  ", ids: map[string]bool{}, signs: map[string]string{}, look: look, packed: parts(graphs, look)}
	name := "blueprints"
	if len(graphs) == 1 {
		name = graphs[0].Name
	}
	fmt.Fprintf(w, "digraph %s {\n", dotID(name))
	w.header(graphs)
	for i, g := range graphs {
		if len(graphs) > 1 {
			w.prefix = fmt.Sprintf("%d:", i+1)
		}
		folded := columnsOf(g)
		framed := w.packed > 0 && folded == nil // a part must be a frame, or each state that nothing leads to is a part
		if framed {
			w.indent = "    "
			frame := "peripheries=0, label=\"\""
			if len(graphs) > 1 {
				frame = frameOf(title(g))
			}
			fmt.Fprintf(w, "  subgraph %s {\n    graph [%s];\n", dotID(fmt.Sprintf("cluster_%d", i+1)), frame)
		}
		w.graph(g, folded, len(graphs) > 1)
		if framed {
			w.WriteString("  }\n")
			w.indent = "  "
		}
	}
	if look.Legend {
		w.legend(look, graphs)
	}
	w.WriteString("}\n")
	if look.Dark {
		return darkened([]byte(w.String()))
	}
	return []byte(w.String())
}

// frameOf is how the frame of one of several blueprints looks.
func frameOf(label string) string {
	return fmt.Sprintf("label=%s, style=\"rounded\", color=%q, fontsize=15, margin=16", dotLabel(label), "#cbd2d9")
}

// maxRow is the number of blueprints that stand in a row.
const maxRow = 4

// parts gives how many parts of a picture stand in a row, 0 when it has one part only.
func parts(graphs []*analysis.Graph, look Look) int {
	n, columns := len(graphs), 0
	for _, g := range graphs {
		high := 0
		for _, c := range columnsOf(g) {
			high = max(high, c+1)
		}
		columns = max(columns, high)
	}
	if look.Legend {
		n++
	}
	switch {
	case columns > 0:
		return n + columns - 1
	case n > 1:
		return min(n, maxRow)
	}
	return 0
}

func (w *dotWriter) header(graphs []*analysis.Graph) {
	nodes, edges := size(graphs)
	ranksep := 0.6
	if w.packed > 0 {
		ranksep /= 2 // and its edges are twice as long
	}
	fmt.Fprintf(w, "  graph [rankdir=TB, bgcolor=\"white\", pad=0.3, nodesep=0.45, ranksep=%g, labelloc=t", ranksep)
	fmt.Fprintf(w, ", fontname=%q, fontsize=17, fontcolor=%q", fontName, inkText)
	if w.packed > 0 { // each part is laid out alone, then they stand in rows
		fmt.Fprintf(w, ", pack=24, packmode=\"array_it%d\"", w.packed)
	}
	switch {
	case nodes > hugeNodes || edges > hugeEdges:
		w.WriteString(", nslimit=0.5, nslimit1=0.5, mclimit=0.1, splines=line")
	case nodes > bigNodes || edges > bigEdges:
		w.WriteString(", nslimit=2, nslimit1=2, mclimit=0.5")
	}
	if len(graphs) == 1 {
		fmt.Fprintf(w, ", label=%s", dotLabel(title(graphs[0])))
	}
	w.WriteString("];\n")
	fmt.Fprintf(w, "  node [shape=box, style=\"rounded,filled\", fontname=%q, fontsize=13, fontcolor=%q, color=%q, fillcolor=%q, margin=\"0.2,0.1\", penwidth=1.4];\n", fontName, inkText, inkState, fillState)
	fmt.Fprintf(w, "  edge [fontname=%q, fontsize=11, fontcolor=%q, color=%q, penwidth=1.3, arrowsize=0.8", fontName, inkText, inkLine)
	if w.packed > 0 { // dot doubles the lines for the labels of edges, but forgets it for graphs that it packs
		w.WriteString(", minlen=2")
	}
	w.WriteString("];\n")
}

func title(g *analysis.Graph) string {
	t := wrapName(g.Name)
	if t == "" {
		t = "(name known when loaded)"
	}
	if g.APIEndpoint != "" {
		path := "/api/" + strings.Trim(strings.Trim(g.APIVersion, "/")+"/"+strings.Trim(g.APIEndpoint, "/"), "/")
		t += "\nPOST " + path
	}
	return t
}

func (w *dotWriter) graph(g *analysis.Graph, columns map[string]int, several bool) {
	for _, s := range g.States {
		w.ids[w.prefix+s.Name] = true
	}
	states := slices.Clone(g.States) // parts are packed in the order of their first nodes
	slices.SortStableFunc(states, func(a, b *analysis.State) int { return cmp.Compare(columns[a.Name], columns[b.Name]) })
	for _, s := range states {
		w.state(g, s)
	}
	dot := ""
	if g.Start != "" {
		dot = w.freshID("begin")
		fmt.Fprintf(w, "%s%s [label=\" \", shape=circle, style=filled, fixedsize=true, width=0.18, fillcolor=%q, color=%q];\n", w.indent, dot, inkText, inkText)
		for _, s := range g.States {
			if s.IsStart {
				fmt.Fprintf(w, "%s%s -> %s;\n", w.indent, dot, w.node(s.Name))
			}
		}
	}
	w.missing(g)
	w.children(g, columns)
	if columns != nil {
		w.fold(g, columns, dot, several)
	}
	for i, e := range g.Edges {
		w.edge(g, e, i, columns)
	}
}

func (w *dotWriter) node(state string) string { return dotID(w.prefix + state) }

// freshID makes the name of a node that is no state.
func (w *dotWriter) freshID(name string) string {
	id := w.prefix + "(" + name + ")"
	for w.ids[id] {
		id += "'"
	}
	w.ids[id] = true
	return dotID(id)
}

// colours gives the line and the fill of a state.
func colours(s *analysis.State) (ink, fill string) {
	switch {
	case s.IsEnd && s.Status == "failed":
		return inkBad, fillBad
	case s.IsEnd && s.Status == "cancelled":
		return inkCancelled, fillCanceled
	case s.IsEnd:
		return inkGood, fillGood
	case s.Kind == analysis.KindAggregator:
		return inkGather, fillGather
	case s.IsStart:
		return inkStart, fillStart
	}
	return inkState, fillState
}

func (w *dotWriter) state(g *analysis.Graph, s *analysis.State) {
	ink, fill := colours(s)
	extra := ""
	if s.Kind == analysis.KindAggregator && !s.IsEnd {
		extra = ", shape=hexagon, style=filled"
	}
	if s.IsEnd {
		extra += ", peripheries=2"
	}
	lines := append([]string{wrapName(s.Name)}, activities(g, s)...)
	fmt.Fprintf(w, "%s%s [label=%s, color=%q, fillcolor=%q%s, id=%s, class=%q%s];\n", w.indent, w.node(s.Name), dotLabel(strings.Join(lines, "\n")), ink, fill, extra,
		dotID("state_"+slug(w.prefix+s.Name)), strings.TrimSpace("state "+s.Kind+" "+s.Status), w.look.Over[g].state(s))
}

// activities are the lines below a state's name: what it waits for.
func activities(g *analysis.Graph, s *analysis.State) []string {
	words := map[string]string{analysis.EdgeTask: "task", analysis.EdgeParallel: "tasks", analysis.EdgeApproval: "approval"}
	seen := map[string]bool{}
	var lines []string
	for _, e := range g.Edges {
		word := words[e.Kind]
		if e.From != s.Name || word == "" || e.TaskType == "" {
			continue
		}
		line := wrapList(word + ": " + e.TaskType)
		if !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	sort.Strings(lines)
	if s.IsEnd && s.Status != "" && s.Status != s.Name {
		lines = append(lines, "ends "+s.Status)
	}
	if len(lines) > maxNodeLines {
		lines = append(lines[:maxNodeLines], "...")
	}
	return lines
}

// missing draws what edges join and no state is: targets that do not exist, and the states whose names only a load tells.
func (w *dotWriter) missing(g *analysis.Graph) {
	for _, e := range g.Edges {
		if from := w.prefix + e.From; !w.ids[from] {
			w.ids[from] = true
			fmt.Fprintf(w, "%s%s [label=%s, style=\"rounded,dashed\", color=%q];\n", w.indent, dotID(from), dotLabel("states known\nwhen loaded"), inkMuted)
		}
		id := w.prefix + e.To
		if e.Dynamic || w.ids[id] {
			continue
		}
		w.ids[id] = true
		fmt.Fprintf(w, "%s%s [label=%s, style=\"rounded,dashed\", color=%q, fontcolor=%q];\n", w.indent, dotID(id), dotLabel(wrapName(e.To)+"\nno such state"), inkBad, inkBad)
	}
}

// children draws one box for each sub-blueprint that a state runs, linked to it.
func (w *dotWriter) children(g *analysis.Graph, columns map[string]int) {
	seen := map[[2]string]bool{}
	for _, e := range g.Edges {
		if e.Kind != analysis.EdgeSubBlueprint || seen[[2]string{e.From, e.TaskType}] {
			continue
		}
		seen[[2]string{e.From, e.TaskType}] = true
		name := e.TaskType
		if name == "" {
			name = "known when it runs"
		}
		id := w.freshID("runs " + e.From + " " + name)
		if columns != nil { // it stands beside its state, so in its column
			fmt.Fprintf(w, "%ssubgraph %s {\n", w.indent, columnID(w.prefix, columns[e.From]))
		}
		fmt.Fprintf(w, "%s%s [label=%s, shape=component, style=filled, color=%q, fillcolor=%q, class=\"blueprint\"];\n", w.indent, id, dotLabel(wrapName(name)), inkChild, fillChild)
		fmt.Fprintf(w, "%s%s -> %s [label=\" runs\", style=dotted, arrowhead=none, constraint=false, color=%q, fontcolor=%q];\n", w.indent, w.node(e.From), id, inkChild, inkChild)
		fmt.Fprintf(w, "%s{ rank=same; %s; %s; }\n", w.indent, w.node(e.From), id)
		if columns != nil {
			fmt.Fprintf(w, "%s}\n", w.indent)
		}
	}
}

// edge draws one edge; one to another column ends at a sign that names where it leads.
func (w *dotWriter) edge(g *analysis.Graph, e *analysis.Edge, n int, columns map[string]int) {
	to := w.node(e.To)
	if columns != nil && !e.Dynamic {
		to = w.target(g, e, columns)
	}
	var attrs []string
	if e.Dynamic {
		to = w.freshID("dynamic")
		fmt.Fprintf(w, "%s%s [label=\"?\", shape=circle, style=\"filled,dashed\", width=0.35, margin=0, color=%q, fillcolor=\"white\"];\n", w.indent, to, inkMuted)
		attrs = append(attrs, "style=dashed")
	}
	ink := inkLine
	switch e.Label {
	case "success", "approved", "aggregate":
		ink = inkGood
	case "failure", "rejected":
		ink = inkBad
	case "cancelled":
		ink = inkCancelled
	}
	if e.Kind == analysis.EdgeParallel && e.Label == "aggregate" {
		ink = inkGather
		attrs = append(attrs, "penwidth=2.2")
	}
	if label := edgeLabel(e); label != "" {
		attrs = append(attrs, "label="+dotLabel(label))
	}
	attrs = append(attrs, fmt.Sprintf("color=%q, fontcolor=%q", ink, ink), fmt.Sprintf("id=%s", dotID(fmt.Sprintf("edge_%s%d", slug(w.prefix), n+1))), fmt.Sprintf("class=%q", "edge "+e.Kind))
	fmt.Fprintf(w, "%s%s -> %s [%s%s];\n", w.indent, w.node(e.From), to, strings.Join(attrs, ", "), w.look.Over[g].edge(e))
}

// edgeLabel is the key of transitions, and the condition with the task that it chooses.
func edgeLabel(e *analysis.Edge) string {
	label := e.Label
	if e.Condition == "" {
		return pad(label)
	}
	if e.TaskType != "" {
		label = strings.TrimSpace(label + " (" + shorten(e.TaskType, 40) + ")")
	}
	return pad(strings.TrimLeft(label+"\nwhen "+wrap(shorten(e.Condition, maxLabel)), "\n"))
}

// pad keeps a label off its line by a space before each of its lines.
func pad(label string) string {
	if label == "" {
		return ""
	}
	return " " + strings.ReplaceAll(label, "\n", "\n ")
}

func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// dotID quotes the name of a graph or node.
func dotID(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\r", " ", "\x00", "").Replace(s) + `"`
}

// dotLabel quotes a label: no escape or entity of DOT has a meaning in it. An empty one would show the node's name.
func dotLabel(s string) string {
	if s == "" {
		s = " "
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;", "\n", `\n`, "\r", " ", "\x00", "").Replace(s) + `"`
}

// slug makes a name that can be an id in a page: other characters become their code.
func slug(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "_%x_", r)
		}
	}
	return b.String()
}
