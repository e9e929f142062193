// This file writes Mermaid, which many web pages draw: a flowchart, because its state diagrams can not show names of any text.

package draw

import (
	"fmt"
	"strings"

	"orrery/engine/analysis"
)

// mermaidText writes the graphs as one flowchart; several stand in subgraphs.
func mermaidText(graphs []*analysis.Graph, look Look) []byte {
	var b strings.Builder
	if len(graphs) == 1 && graphs[0].Name != "" {
		fmt.Fprintf(&b, "---\ntitle: %q\n---\n", graphs[0].Name)
	}
	b.WriteString("flowchart TD\n")
	for i, g := range graphs {
		if len(graphs) > 1 {
			fmt.Fprintf(&b, "  subgraph b%d[%s]\n", i+1, mermaidLabel(g.Name))
		}
		mermaidGraph(&b, g, fmt.Sprintf("b%d_", i+1), look.Over[g])
		if len(graphs) > 1 {
			b.WriteString("  end\n")
		}
	}
	fmt.Fprintf(&b, "  classDef start fill:%s,stroke:%s\n  classDef good fill:%s,stroke:%s\n  classDef bad fill:%s,stroke:%s\n", fillStart, inkStart, fillGood, inkGood, fillBad, inkBad)
	fmt.Fprintf(&b, "  classDef cancelled fill:%s,stroke:%s\n  classDef gather fill:%s,stroke:%s\n", fillCanceled, inkCancelled, fillGather, inkGather)
	fmt.Fprintf(&b, "  classDef missing stroke:%s,stroke-dasharray:4\n", inkBad)
	if len(look.Over) > 0 {
		fmt.Fprintf(&b, "  classDef passed stroke-width:3px\n  classDef untaken fill:#ffffff,stroke:%s,color:%s,stroke-dasharray:4\n  classDef current fill:%s,stroke:%s,stroke-width:4px\n", inkMuted, inkMuted, fillCurrent, inkCurrent)
	}
	return []byte(b.String())
}

func mermaidGraph(b *strings.Builder, g *analysis.Graph, prefix string, over *Overlay) {
	ids := map[string]string{}
	for i, s := range g.States {
		id := fmt.Sprintf("%ss%d", prefix, i+1)
		ids[s.Name] = id
		label := mermaidLabel(strings.Join(append([]string{s.Name}, activities(g, s)...), "\n"))
		open, end, class := "(", ")", ""
		switch {
		case s.IsEnd:
			open, end, class = "([", "])", map[string]string{"finished": "good", "failed": "bad", "cancelled": "cancelled"}[s.Status]
		case s.IsStart:
			class = "start"
		case s.Kind == analysis.KindAggregator:
			open, end, class = "{{", "}}", "gather"
		}
		if class != "" {
			class = ":::" + class
		}
		fmt.Fprintf(b, "  %s%s%s%s%s\n", id, open, label, end, class)
		if s.IsStart {
			fmt.Fprintf(b, "  %sbegin%d((\" \")) --> %s\n", prefix, i+1, id)
		}
	}
	names := make([]string, len(g.States))
	for i, s := range g.States {
		names[i] = s.Name
	}
	mermaidOverlay(b, over, ids, names)
	children := map[[2]string]bool{}
	for i, e := range g.Edges {
		mermaidEdge(b, e, ids, fmt.Sprintf("%sx%d", prefix, i+1))
		if key := [2]string{e.From, e.TaskType}; e.Kind == analysis.EdgeSubBlueprint && e.TaskType != "" && !children[key] {
			children[key] = true
			fmt.Fprintf(b, "  %s -. runs .- %sc%d[[%s]]\n", ids[e.From], prefix, i+1, mermaidLabel(e.TaskType))
		}
	}
}

// mermaidEdge writes an edge; fresh is the name of a node that it may need of its own.
func mermaidEdge(b *strings.Builder, e *analysis.Edge, ids map[string]string, fresh string) {
	from, to := ids[e.From], ids[e.To]
	if from == "" {
		from = fresh + "f"
		ids[e.From] = from
		fmt.Fprintf(b, "  %s(%s):::missing\n", from, mermaidLabel("states known\nwhen loaded"))
	}
	arrow := "-->"
	switch {
	case e.Dynamic:
		to, arrow = fresh+"((\"?\"))", "-.->"
	case to == "":
		ids[e.To] = fresh
		to = fresh + "(" + mermaidLabel(e.To+"\nno such state") + "):::missing"
	}
	if e.Kind == analysis.EdgeParallel && !e.Dynamic {
		arrow = "==>"
	}
	if label := strings.TrimSpace(edgeLabel(e)); label != "" {
		arrow += "|" + mermaidLabel(label) + "|"
	}
	fmt.Fprintf(b, "  %s %s %s\n", from, arrow, to)
}

// mermaidLabel quotes a label; what has a meaning in Mermaid or HTML becomes an entity.
func mermaidLabel(s string) string {
	if s == "" {
		s = " "
	}
	return `"` + strings.NewReplacer("#", "#35;", "&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;", `\`, "#92;", "\n", "<br/>", "\r", " ").Replace(s) + `"`
}
