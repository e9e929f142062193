package draw

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"strings"
	"testing"

	"orrery/engine/analysis"
)

// This file tests that long graphs are folded into columns.

// chainOf is a chain of states with a failure that all lead to, and a way back.
func chainOf(n int) *analysis.Graph {
	g := &analysis.Graph{Name: "chain", Start: "s0"}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		g.States = append(g.States, &analysis.State{Name: name, IsStart: i == 0, Kind: analysis.KindState})
		if i+1 < n {
			g.Edges = append(g.Edges, &analysis.Edge{From: name, To: fmt.Sprintf("s%d", i+1), Kind: analysis.EdgeTransition})
		}
		g.Edges = append(g.Edges, &analysis.Edge{From: name, To: "failed", Label: "failure", Kind: analysis.EdgeTask})
	}
	g.Edges = append(g.Edges, &analysis.Edge{From: "s5", To: "s2", Label: "again", Kind: analysis.EdgeTask})
	g.States = append(g.States, &analysis.State{Name: "failed", IsEnd: true, Status: "failed", Kind: analysis.KindEnd})
	return g
}

func TestLongGraphsAreFolded(t *testing.T) {
	short, long := chainOf(10), chainOf(60)
	if c := columnsOf(short); c != nil {
		t.Errorf("a short graph is folded: %v", c)
	}
	columns := columnsOf(long)
	last := 0
	for i := range 60 {
		c := columns[fmt.Sprintf("s%d", i)]
		if c < last || c > last+1 {
			t.Errorf("s%d stands in column %d, the one before it in %d", i, c, last)
		}
		last = c
	}
	if last != 3 {
		t.Errorf("60 states stand in %d columns, want 4", last+1)
	}
	text := string(render(t, DOT, long))
	for _, want := range []string{`label="to s16"`, `label="to failed"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no sign %s", want)
		}
	}
	if n := strings.Count(text, `label="to failed"`); n != 3 {
		t.Errorf("%d signs to the failure, want one in each other column", n)
	}
}

// A page is about as wide as high; and the same graph gives the same bytes.
func TestAFoldedPictureFitsAPage(t *testing.T) {
	with := chainOf(60)
	with.Edges = append(with.Edges, &analysis.Edge{From: "s30", To: "s31", Label: "success", Kind: analysis.EdgeSubBlueprint, TaskType: "child"},
		&analysis.Edge{From: "s31", Dynamic: true, Kind: analysis.EdgeTransition}, &analysis.Edge{From: "s33", To: "nowhere", Kind: analysis.EdgeTransition})
	if text := render(t, SVG, with, chainOf(25)); !bytes.Contains(text, []byte("child")) {
		t.Error("a folded graph lost its sub-blueprint")
	}
	data := render(t, PNG, chainOf(60))
	size, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil || size.Height > 3*size.Width || size.Width > 3*size.Height {
		t.Errorf("%d x %d, %v", size.Width, size.Height, err)
	}
	again, err := Render(context.Background(), chainOf(60), PNG)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("the same graph gives another picture: %v", err)
	}
}
