package draw

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"regexp"
	"slices"
	"strconv"
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
	if n := strings.Count(text, `label="to failed"`); n != 60 {
		t.Errorf("%d signs to the failure, want one for each state: a bundle of sixty lines is no picture", n)
	}
	few := chainOf(60)
	few.Edges = slices.DeleteFunc(few.Edges, func(e *analysis.Edge) bool {
		return e.To == "failed" && !slices.Contains([]string{"s1", "s2", "s20", "s58"}, e.From)
	})
	if n := strings.Count(string(render(t, DOT, few)), `label="to failed"`); n != 2 {
		t.Errorf("%d signs to a failure that three columns lead to, want one in each other column", n)
	}
}

// xOf gives where a state stands in an SVG.
func xOf(t *testing.T, svg []byte, state string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?s)id="state_` + regexp.QuoteMeta(state) + `".*?<text [^>]* x="([-0-9.]+)"`).FindSubmatch(svg)
	if m == nil {
		t.Fatalf("no state %s in the picture", state)
	}
	x, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// The columns stand in the order of the way, whatever order the file names its states in, and the labels of edges are there.
func TestColumnsStandInOrder(t *testing.T) {
	for _, legend := range []bool{false, true} {
		g := chainOf(60)
		slices.Reverse(g.States)
		svg := look(t, SVG, g, Look{Legend: legend})
		last := -1e9
		for _, s := range []string{"s0", "s20", "s40", "s55"} {
			x := xOf(t, svg, s)
			if x <= last {
				t.Errorf("%s stands at %g, left of the one before it, legend %v", s, x, legend)
			}
			last = x
		}
		if n := bytes.Count(svg, []byte("> failure</text>")); n != 60 {
			t.Errorf("%d of 60 labels are drawn, legend %v", n, legend)
		}
	}
}

// A long name is broken, whole, and a line that crosses a label leaves its letters free.
func TestLongNamesAndLabels(t *testing.T) {
	name := "fan_out_to_all_regional_warehouses_and_collect_the_stock_of_each"
	cases := map[string]string{
		"short":                             "short",
		name:                                "fan_out_to_all_regional_\nwarehouses_and_collect_the_\nstock_of_each",
		"sendTheMonthlyInvoicesToEverybody": "sendTheMonthlyInvoicesTo\nEverybody",
		strings.Repeat("ж", 70):             strings.Repeat("ж", 30) + "\n" + strings.Repeat("ж", 30) + "\n" + strings.Repeat("ж", 10),
		"проверка_документов_и_подписей_у_руководителя": "проверка_документов_и_\nподписей_у_руководителя",
	}
	for in, want := range cases {
		if got := wrapName(in); got != want {
			t.Errorf("wrapName(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := wrap("context.initial_data.amount > 100000 and context.initial_data.country == 'ES'"), "context.initial_data.amount\n> 100000\nand context.initial_data.country\n== 'ES'"; got != want {
		t.Errorf("a condition: %q, want %q", got, want)
	}
	if got, want := wrapList("tasks: stock_madrid, stock_málaga, stock_zürich"), "tasks: stock_madrid,\nstock_málaga, stock_zürich"; got != want {
		t.Errorf("a list: %q, want %q", got, want)
	}
	if got := wrapName(strings.Repeat("long name ", 60)); strings.Count(got, "\n") != nameLines-1 || !strings.HasSuffix(got, "…") {
		t.Errorf("an endless name: %q", got)
	}
	g := chainOf(3)
	if svg := string(look(t, SVG, g, Look{Dark: true})); strings.Count(svg, `paint-order="stroke" stroke="`+darkGround) != 4 {
		t.Errorf("the labels of the edges have no rim:\n%s", svg)
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
