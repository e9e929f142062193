// This file holds what a picture may show beside the graph itself: the ways that jobs took, a legend, and dark colours.

package draw

import (
	"fmt"
	"strings"

	"orrery/engine/analysis"
)

// Look says how a graph is drawn. Its zero value is the plain picture.
type Look struct {
	Dark   bool
	Legend bool
	Over   map[*analysis.Graph]*Overlay // nil: nothing is laid over
}

// Overlay is what happened in a graph: how often jobs entered its states and took its ways. What is missing was not, and is drawn pale and dashed.
type Overlay struct {
	States  map[string]int
	Edges   map[*analysis.Edge]int
	Current string // the state a job stands in; "" when none is marked
}

const (
	inkCurrent  = "#e65100"
	fillCurrent = "#ffe0b2"
)

// state gives the attributes of a state that the overlay changes; they win over those before them.
func (o *Overlay) state(s *analysis.State) string {
	switch {
	case o == nil:
		return ""
	case s.Name == o.Current && s.IsEnd: // its colour tells how the job ended
		return ", penwidth=4"
	case s.Name == o.Current:
		return fmt.Sprintf(", penwidth=4, color=%q, fillcolor=%q", inkCurrent, fillCurrent)
	case o.States[s.Name] > 0:
		return ", penwidth=2.8"
	case s.Kind == analysis.KindAggregator:
		return fmt.Sprintf(", style=\"filled,dashed\", color=%q, fontcolor=%q, fillcolor=\"white\"", inkMuted, inkMuted)
	}
	return fmt.Sprintf(", style=\"rounded,filled,dashed\", color=%q, fontcolor=%q, fillcolor=\"white\"", inkMuted, inkMuted)
}

// edge does the same for a way.
func (o *Overlay) edge(e *analysis.Edge) string {
	switch {
	case o == nil:
		return ""
	case o.Edges[e] > 0:
		return ", penwidth=3"
	}
	return fmt.Sprintf(", style=dashed, penwidth=1, color=%q, fontcolor=%q", inkMuted, inkMuted)
}

// legend explains the colours and shapes that the graphs have, in a cluster of its own.
func (w *dotWriter) legend(look Look, graphs []*analysis.Graph) {
	found := map[string]string{}
	row := func(key, label, attrs string) {
		found[key] = fmt.Sprintf("    %s [label=%s, %s];\n", dotID("(legend) "+key), dotLabel(label), attrs)
	}
	for _, g := range graphs {
		for _, s := range g.States {
			switch {
			case s.IsEnd:
				ink, fill := inkGood, fillGood
				if s.Status == "failed" {
					ink, fill = inkBad, fillBad
				} else if s.Status == "cancelled" {
					ink, fill = inkCancelled, fillCanceled
				}
				row("end "+s.Status, "end: the job is "+s.Status, fmt.Sprintf("peripheries=2, color=%q, fillcolor=%q", ink, fill))
			case s.Kind == analysis.KindAggregator:
				row("aggregator", "aggregator:\nall tasks done", fmt.Sprintf("shape=hexagon, style=filled, color=%q, fillcolor=%q", inkGather, fillGather))
			case s.IsStart:
				row("start", "start", fmt.Sprintf("color=%q, fillcolor=%q", inkStart, fillStart))
			default:
				row("state", "state", fmt.Sprintf("color=%q, fillcolor=%q", inkState, fillState))
			}
		}
		for _, e := range g.Edges {
			if e.Kind == analysis.EdgeSubBlueprint {
				row("child", "another blueprint", fmt.Sprintf("shape=component, style=filled, color=%q, fillcolor=%q", inkChild, fillChild))
			}
			if e.Dynamic {
				row("dynamic", "?  known when it runs", fmt.Sprintf("style=\"rounded,dashed\", color=%q", inkMuted))
			}
		}
		if o := look.Over[g]; o != nil {
			row("passed", "thick: taken", fmt.Sprintf("penwidth=2.8, color=%q", inkState))
			row("missed", "pale and dashed: not taken", fmt.Sprintf("style=\"rounded,filled,dashed\", color=%q, fontcolor=%q, fillcolor=\"white\"", inkMuted, inkMuted))
			if s := g.State(o.Current); s != nil && !s.IsEnd {
				row("current", "where the job is", fmt.Sprintf("penwidth=4, color=%q, fillcolor=%q", inkCurrent, fillCurrent))
			}
		}
	}
	var rows []string
	for _, key := range legendOrder {
		if r := found[key]; r != "" {
			rows = append(rows, r)
		}
	}
	w.WriteString("  subgraph \"cluster_(legend)\" {\n    graph [label=\"Legend\", style=\"rounded,dashed\", fontsize=13, margin=12, color=\"#cbd2d9\"];\n    node [fontsize=11, height=0.3, margin=\"0.14,0.05\"];\n")
	for i, r := range rows {
		w.WriteString(r)
		if i > 0 { // one below the other
			fmt.Fprintf(w, "    %s -> %s [style=invis, minlen=1, weight=9];\n", nodeOf(rows[i-1]), nodeOf(r))
		}
	}
	w.WriteString("  }\n")
}

// legendOrder is how the rows of a legend stand.
var legendOrder = []string{"start", "state", "aggregator", "child", "dynamic", "end finished", "end failed", "end cancelled", "passed", "current", "missed"}

// nodeOf gives the quoted name that a row begins with.
func nodeOf(row string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(row), " [label=")
	return name
}

// background of pictures.
const (
	lightGround = "#ffffff"
	darkGround  = "#151b23"
)

func (l Look) ground() string {
	if l.Dark {
		return darkGround
	}
	return lightGround
}

// dark are the colours that take the place of the light ones. They stand as attributes only: within labels quotes are escaped.
var dark = strings.NewReplacer(
	`="white"`, `="`+darkGround+`"`,
	`="`+inkText+`"`, `="#e6edf3"`, `="`+inkLine+`"`, `="#9fb0c0"`, `="`+inkMuted+`"`, `="#8593a3"`, `="`+fillState+`"`, `="#222b36"`,
	`="`+inkStart+`"`, `="#64b5f6"`, `="`+fillStart+`"`, `="#12304d"`,
	`="`+inkGood+`"`, `="#81c784"`, `="`+fillGood+`"`, `="#16351b"`,
	`="`+inkBad+`"`, `="#ef9a9a"`, `="`+fillBad+`"`, `="#451a1d"`,
	`="`+inkCancelled+`"`, `="#ffd54f"`, `="`+fillCanceled+`"`, `="#3d3312"`,
	`="`+inkGather+`"`, `="#ce93d8"`, `="`+fillGather+`"`, `="#38203f"`,
	`="`+inkChild+`"`, `="#4db6ac"`, `="`+fillChild+`"`, `="#103633"`,
	`="`+inkCurrent+`"`, `="#ffb74d"`, `="`+fillCurrent+`"`, `="#5a3410"`,
	`="#cbd2d9"`, `="#3b4754"`,
)

func darkened(dot []byte) []byte { return []byte(dark.Replace(string(dot))) }

// mermaidOverlay marks what was taken.
func mermaidOverlay(b *strings.Builder, o *Overlay, ids map[string]string, names []string) {
	if o == nil {
		return
	}
	for _, name := range names {
		class := "passed"
		switch {
		case name == o.Current:
			class = "current"
		case o.States[name] == 0:
			class = "untaken"
		}
		fmt.Fprintf(b, "  class %s %s\n", ids[name], class)
	}
}
