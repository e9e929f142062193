// This file tests what is laid over graphs: ways taken, the legend, dark colours.

package draw

import (
	"bytes"
	"context"
	"image/png"
	"slices"
	"strings"
	"testing"

	"orrery/engine/analysis"
)

func look(t *testing.T, format Format, g *analysis.Graph, l Look) []byte {
	t.Helper()
	data, err := RenderLook(context.Background(), []*analysis.Graph{g}, format, l)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// lineOf gives the line of a DOT text that begins a node or an edge.
func lineOf(t *testing.T, dot []byte, begin string) string {
	t.Helper()
	for line := range strings.Lines(string(dot)) {
		if strings.HasPrefix(strings.TrimSpace(line), begin) {
			return line
		}
	}
	t.Fatalf("no line begins with %s in\n%s", begin, dot)
	return ""
}

func TestOverlay(t *testing.T) {
	g := sample(t)
	first := g.Edges[slices.IndexFunc(g.Edges, func(e *analysis.Edge) bool {
		to := g.State(e.To)
		return to != nil && !to.IsEnd && e.To != e.From
	})]
	over := &Overlay{States: map[string]int{first.From: 2, first.To: 1}, Edges: map[*analysis.Edge]int{first: 1}, Current: first.To}
	dot := look(t, DOT, g, Look{Over: map[*analysis.Graph]*Overlay{g: over}})
	if line := lineOf(t, dot, dotID(first.From)+" ["); !strings.Contains(line, "penwidth=2.8") {
		t.Errorf("a state that was entered: %s", line)
	}
	if line := lineOf(t, dot, dotID(first.To)+" ["); !strings.Contains(line, "penwidth=4") || !strings.Contains(line, fillCurrent) {
		t.Errorf("the current state: %s", line)
	}
	if line := lineOf(t, dot, dotID(first.From)+" -> "+dotID(first.To)); !strings.Contains(line, "penwidth=3") {
		t.Errorf("a way that was taken: %s", line)
	}
	pale := 0
	for _, e := range g.Edges {
		if e != first && !e.Dynamic && strings.Contains(lineOf(t, dot, dotID(e.From)+" -> "+dotID(e.To)), "style=dashed, penwidth=1") {
			pale++
		}
	}
	if pale == 0 {
		t.Error("no way that was not taken is pale")
	}
	if plain := look(t, DOT, g, Look{}); !bytes.Equal(plain, render(t, DOT, g)) || bytes.Contains(plain, []byte(fillCurrent)) {
		t.Error("the plain picture has changed")
	}
	text := string(look(t, Mermaid, g, Look{Over: map[*analysis.Graph]*Overlay{g: over}}))
	if !strings.Contains(text, " current\n") || !strings.Contains(text, " untaken\n") || !strings.Contains(text, "classDef current") {
		t.Errorf("Mermaid:\n%s", text)
	}
}

// Where a job has ended its colour says how, not only that it is there.
func TestAnEndKeepsItsColour(t *testing.T) {
	g := chainOf(3)
	over := map[*analysis.Graph]*Overlay{g: {States: map[string]int{"s0": 1, "failed": 1}, Current: "failed"}}
	dot := look(t, DOT, g, Look{Legend: true, Over: over})
	line := lineOf(t, dot, dotID("failed")+" [")
	if !strings.Contains(line, "penwidth=4") || !strings.Contains(line, fillBad) || strings.Contains(line, fillCurrent) {
		t.Errorf("the end of a failed job: %s", line)
	}
	if bytes.Contains(dot, []byte("where the job is")) {
		t.Error("the legend explains a colour that is not there")
	}
}

func TestDarkWithLegend(t *testing.T) {
	g := sample(t)
	l := Look{Dark: true, Legend: true}
	dot := string(look(t, DOT, g, l))
	for _, light := range []string{inkText, fillState, fillGood, fillBad, inkGather} {
		if strings.Contains(dot, `="`+light+`"`) {
			t.Errorf("the light colour %s is in the dark picture", light)
		}
	}
	if !strings.Contains(dot, "Legend") || !strings.Contains(dot, "end: the job is failed") {
		t.Errorf("no legend in\n%s", dot)
	}
	one := look(t, PNG, g, l)
	forget()
	if !bytes.Equal(one, look(t, PNG, g, l)) {
		t.Error("the same picture has other bytes")
	}
	img, err := png.Decode(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	r, gr, b, _ := img.At(0, 0).RGBA()
	wr, wg, wb, _ := parseColor(darkGround).RGBA()
	if r != wr || gr != wg || b != wb {
		t.Errorf("the corner has the colour %x %x %x", r, gr, b)
	}
}
