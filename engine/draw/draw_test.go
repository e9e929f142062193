// This file tests pictures and texts of graphs: what is in them, that they are the same every time, and that hostile names do no harm.

package draw

import (
	"bytes"
	"container/list"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"boot.orrery/lazy"

	"orrery/engine/analysis"
)

var waitedAtStart = lazy.Waiting()

// Each process that links the library would pay 25 to 80 ms and 10 MB for it.
func TestTheLibraryDoesNotStartWithTheProcess(t *testing.T) {
	if !waitedAtStart {
		t.Error("the layout library started with the process: see boot.orrery/lazy for what may have changed in Go or in the library")
	}
	waits := lazy.Waiting()
	if len(render(t, SVG, sample(t))) == 0 {
		t.Error("no picture")
	}
	if lazy.Waiting() != waits {
		t.Error("a picture that a child drew started the library in this process")
	}
}

// A process that is no child's parent draws by itself.
func TestTheLibraryStartsWhereItIsWanted(t *testing.T) {
	out, err := inline([]byte("digraph { a -> b }"), "svg")
	if err != nil || !bytes.Contains(out, []byte("</svg>")) {
		t.Errorf("%s, %v", out, err)
	}
	if lazy.Waiting() {
		t.Error("it drew without a start")
	}
}

// The tests run as their own children, as the product does.
func TestMain(m *testing.M) {
	ChildMain()
	os.Exit(m.Run())
}

func sample(t testing.TB) *analysis.Graph {
	t.Helper()
	r, err := analysis.File(func(name string) ([]byte, error) { return os.ReadFile("testdata/" + name) }, "sample.star")
	if err != nil || len(r.Graphs) != 1 {
		t.Fatal(err, r)
	}
	return r.Graphs[0]
}

func render(t testing.TB, format Format, graphs ...*analysis.Graph) []byte {
	t.Helper()
	data, err := RenderAll(context.Background(), graphs, format)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return data
}

// forget empties the cache, so that a test sees the work and not its memory.
func forget() {
	pictures.mu.Lock()
	defer pictures.mu.Unlock()
	pictures.order.Init()
	pictures.byKey, pictures.bytes = map[key]*list.Element{}, 0
}

func TestSamplePicture(t *testing.T) {
	data := render(t, PNG, sample(t))
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	if size.X < 600 || size.Y < 600 {
		t.Fatalf("the picture is %v", size)
	}
	// Each role's fill and line must be in it: what the library's own PNG gets wrong.
	want := map[color.NRGBA]string{}
	for _, c := range []string{fillStart, fillGood, fillBad, fillGather, fillChild, fillCanceled, inkGood, inkBad, inkGather, inkLine} {
		want[parseColor(c).(color.NRGBA)] = c
	}
	for y := 0; y < size.Y; y++ {
		for x := 0; x < size.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			delete(want, color.NRGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255})
		}
	}
	if len(want) > 0 {
		t.Errorf("colours that no pixel has: %v", want)
	}
	if dir := os.Getenv("ORRERY_DRAW_OUT"); dir != "" {
		for _, f := range []Format{PNG, SVG, DOT, Mermaid, JSON} {
			if err := os.WriteFile(dir+"/sample."+string(f), render(t, f, sample(t)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSampleSVG(t *testing.T) {
	svg := render(t, SVG, sample(t))
	var texts []string
	dec := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if c, ok := tok.(xml.CharData); ok {
			texts = append(texts, strings.TrimSpace(string(c)))
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		"order_flow", "POST /api/v1/jobs/orders", "task: check_order", "approval: telegram", "tasks: pack, resize", "payment_flow", "Оплата принята & <отправка>",
		"success", "cancelled", "no such state", "ends failed", "when", "context.initial_data.language",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the SVG does not say %q", want)
		}
	}
	for _, want := range []string{`id="state_fan_out"`, `class="node state end cancelled"`, "stroke-dasharray", `id="edge_1"`} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("the SVG has no %s", want)
		}
	}
}

func TestSameGraphSameBytes(t *testing.T) {
	for _, f := range []Format{SVG, PNG, DOT, Mermaid, JSON} {
		g := sample(t)
		if f == PNG {
			g = tangle(3, 4) // pixels are slow under the race detector
		}
		first := render(t, f, g)
		forget()
		second := render(t, f, g)
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs from run to run", f)
		}
	}
	// A child and this process must agree, and one process with itself.
	dot := dotText([]*analysis.Graph{sample(t)}, Look{})
	child, err := layout(context.Background(), dot, "svg", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 3; i++ {
		here, err := inline(dot, "svg")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(child, here) {
			t.Fatalf("layout %d in this process differs from the child's", i)
		}
	}
}

func TestCachedPictureIsACopy(t *testing.T) {
	first := render(t, SVG, sample(t))
	want := bytes.Clone(first)
	clear(first)
	if got := render(t, SVG, sample(t)); !bytes.Equal(got, want) {
		t.Error("a caller's change is in the cache")
	}
}

func TestCacheForgetsTheOldest(t *testing.T) {
	forget()
	for i := 0; i < cacheEntries+10; i++ {
		pictures.put(keyOf("x", []byte(fmt.Sprint(i))), []byte("data"))
	}
	if _, ok := pictures.get(keyOf("x", []byte("0"))); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := pictures.get(keyOf("x", []byte(fmt.Sprint(cacheEntries+9)))); !ok {
		t.Error("the newest is not there")
	}
	if pictures.order.Len() != cacheEntries || pictures.bytes != 4*cacheEntries {
		t.Errorf("%d entries, %d bytes", pictures.order.Len(), pictures.bytes)
	}
}

// hostile has names that mean something in DOT, SVG or Mermaid.
func hostile() *analysis.Graph {
	names := []string{`quote " and back\slash\`, `\N \G`, `<b>&amp;</b>`, "new\nline", "]; evil -> node; //", "(begin)", "日本 ⏳", strings.Repeat("long ", 60)}
	g := &analysis.Graph{Name: `"]; </svg><script>`, Start: names[0]}
	for i, n := range names {
		g.States = append(g.States, &analysis.State{Name: n, Kind: analysis.KindState, IsStart: i == 0})
		if i > 0 {
			g.Edges = append(g.Edges, &analysis.Edge{From: names[i-1], To: n, Label: n, Kind: analysis.EdgeTask, TaskType: n, Condition: n})
		}
	}
	return g
}

func TestHostileNames(t *testing.T) {
	g := hostile()
	svg := render(t, SVG, g)
	if bytes.Contains(svg, []byte("<script>")) || bytes.Contains(svg, []byte("<b>")) {
		t.Error("a name became markup")
	}
	var shown strings.Builder
	dec := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if c, ok := tok.(xml.CharData); ok {
			shown.Write(c)
		}
	}
	for _, want := range []string{`quote " and back\slash\`, `\N \G`, "<b>&amp;</b>", "日本 ⏳"} {
		if !strings.Contains(strings.ReplaceAll(shown.String(), "\u00a0", " "), want) {
			t.Errorf("the SVG does not show %q", want)
		}
	}
	g.States, g.Edges = g.States[:3], g.Edges[:2]
	render(t, PNG, g)
	g = hostile()
	if mermaid := string(render(t, Mermaid, g)); strings.Contains(mermaid, "<b>") || strings.Contains(mermaid, "evil -> node; //\n") {
		t.Errorf("mermaid:\n%s", mermaid)
	}
}

func TestSeveralGraphsInOnePicture(t *testing.T) {
	a, b := sample(t), sample(t)
	b.Name = "second"
	svg := render(t, SVG, a, b)
	for _, want := range []string{"order_flow", "second", `id="state_1_3a_start"`, `id="state_2_3a_start"`} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("no %q", want)
		}
	}
}

// A state whose name only a load tells has edges, but is none of the states.
func TestStatesKnownWhenLoaded(t *testing.T) {
	g := &analysis.Graph{Name: "open", States: []*analysis.State{{Name: "a", Kind: analysis.KindState}}, Edges: []*analysis.Edge{
		{To: "a", Kind: analysis.EdgeTransition}, {Dynamic: true, Kind: analysis.EdgeTask},
	}}
	for _, f := range []Format{DOT, SVG, Mermaid} {
		data := render(t, f, g)
		if n := bytes.Count(data, []byte("states known")); n != 1 {
			t.Errorf("%s says so %d times:\n%s", f, n, data)
		}
	}
}

func TestJSONIsThePromisedShape(t *testing.T) {
	var got struct {
		Blueprints []struct {
			Name   string
			States []struct{ Name, Kind string }
			Edges  []struct{ From, To, Label, Kind string }
		}
	}
	if err := json.Unmarshal(render(t, JSON, sample(t)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Blueprints) != 1 || got.Blueprints[0].Name != "order_flow" || len(got.Blueprints[0].States) != 11 || len(got.Blueprints[0].Edges) == 0 {
		t.Errorf("%+v", got)
	}
	if empty := render(t, JSON); string(empty) != "{\n  \"blueprints\": []\n}\n" {
		t.Errorf("no graphs: %s", empty)
	}
}

func TestFormatNames(t *testing.T) {
	for name, want := range map[string]Format{"a.png": PNG, "b.SVG": SVG, "c.gv": DOT, "d.dot": DOT, "e.mmd": Mermaid, "f.json": JSON} {
		if got, err := FormatOf(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"plain", "a.bmp"} {
		if _, err := FormatOf(name); err == nil || !strings.Contains(err.Error(), "svg") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tangle is a graph that Graphviz needs minutes for when it may.
func tangle(nodes, edges int) *analysis.Graph {
	g := &analysis.Graph{Name: "tangle", Start: "s0"}
	for i := 0; i < nodes; i++ {
		g.States = append(g.States, &analysis.State{Name: fmt.Sprint("s", i), Kind: analysis.KindState, IsStart: i == 0})
	}
	seed := uint32(1)
	next := func() int {
		seed = seed*1664525 + 1013904223
		return int(seed>>8) % nodes
	}
	for i := 0; i < edges; i++ {
		g.Edges = append(g.Edges, &analysis.Edge{From: fmt.Sprint("s", next()), To: fmt.Sprint("s", next()), Kind: analysis.EdgeTransition})
	}
	return g
}

func TestStoppedLayout(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Render(ctx, tangle(5, 5), SVG); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

// Without the short cuts of the header this layout takes minutes; the child must die when its caller gives up.
func TestChildIsKilledInTheMiddle(t *testing.T) {
	var dot strings.Builder
	dot.WriteString("digraph {\n")
	for _, e := range tangle(300, 700).Edges {
		fmt.Fprintf(&dot, "%q -> %q;\n", e.From, e.To)
	}
	dot.WriteString("}\n")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	begun := time.Now()
	_, err := layout(ctx, []byte(dot.String()), "svg", 300, 700)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(begun); took > layoutTime/2 {
		t.Errorf("it took %v to stop", took)
	}
	if _, err := layout(context.Background(), []byte("digraph { a -> b }"), "svg", 2, 1); err != nil {
		t.Errorf("the next layout fails: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	if _, err := Render(context.Background(), tangle(maxNodes+1, 1), PNG); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error: %v", err)
	}
	if data := render(t, DOT, tangle(maxNodes+1, 1)); len(data) == 0 {
		t.Error("DOT has no limit")
	}
	childReady = false
	defer func() { childReady = true }()
	if _, err := Render(context.Background(), tangle(maxInlineNodes+1, 1), SVG); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error: %v", err)
	}
}

func TestTangleIsDrawnInTime(t *testing.T) {
	if data := render(t, SVG, tangle(200, 400)); !bytes.Contains(data, []byte("s199")) {
		t.Error("no last state")
	}
}

func TestBrokenDOT(t *testing.T) {
	if _, err := inline([]byte("digraph {"), "svg"); err == nil {
		t.Error("half a text was drawn")
	}
	if _, err := inline([]byte("digraph { a -> b }"), "svg"); err != nil {
		t.Errorf("the next one fails too: %v", err)
	}
	if _, err := layout(context.Background(), []byte("digraph {"), "svg", 1, 1); err == nil || !strings.Contains(err.Error(), "DOT text") {
		t.Errorf("a child's error: %v", err)
	}
}
