// This file tests what needs several files: load(), names over a directory; and the forms that findings are printed in.

package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// files is a Source over a map.
func files(m map[string]string) Source {
	return func(name string) ([]byte, error) {
		text, ok := m[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
}

func list1(r *Result) string {
	var lines []string
	for _, f := range r.Findings {
		lines = append(lines, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Rule))
	}
	return strings.Join(lines, "\n")
}

const okHandler = `(lambda actions: actions.transition_to("finished"))` + "\n"

func TestLoadedFunctionsAreFollowed(t *testing.T) {
	r, err := Tree(files(map[string]string{
		"lib/steps.star": `
OUT = {"success": "pack", "failure": "failed"}
def dispatch(actions, kind, transitions = OUT):
    actions.dispatch_task(kind, transitions = transitions)
def simple(name, first):
    bp = blueprint(name, api_endpoint = "jobs/" + name)
    bp.handler_for("start", is_start = True)(first)
    return bp
`,
		"flows/a.star": `
load("//lib/steps.star", "dispatch", make = "simple")
def first(context, actions):
    dispatch(actions, "work")
bp = make("made", first)
bp.handler_for("pack")(lambda actions: dispatch(actions, "pack", transitions = {"success": "finishd", "failure": "failed"}))
`,
	}), []string{"lib/steps.star", "flows/a.star"})
	if err != nil {
		t.Fatal(err)
	}
	if got := list1(r); got != "flows/a.star:6 unknown-target" {
		t.Errorf("findings:\n%s", got)
	}
	if len(r.Graphs) != 1 || r.Graphs[0].Name != "made" || r.Graphs[0].File != "flows/a.star" || r.Graphs[0].APIEndpoint != "jobs/made" {
		t.Fatalf("graphs: %+v", r.Graphs)
	}
	want := "start -task:failure-> failed (work)\nstart -task:success-> pack (work)\n"
	if got := showEdges(r.Graphs[0]); !strings.HasSuffix(got, want) {
		t.Errorf("edges\n%s", got)
	}
}

func TestLoadErrors(t *testing.T) {
	deep := map[string]string{}
	for i := 0; i < 30; i++ {
		deep[fmt.Sprintf("d%d.star", i)] = fmt.Sprintf("load(\"//d%d.star\", \"x\")\n", i+1)
	}
	deep["d30.star"] = "x = 1\n"
	for _, c := range []struct {
		what, message string
		files         map[string]string
	}{
		{"missing file", "can not be read: file does not exist", map[string]string{"a.star": `load("//b.star", "x")`}},
		{"missing name", `b.star defines no "dispach"`, map[string]string{"a.star": `load("//b.star", "dispach")`, "b.star": "def dispatch(): pass\n"}},
		{"outside", "is not a plain path below", map[string]string{"a.star": `load("//../b.star", "x")`}},
		{"relative", "does not begin with //", map[string]string{"a.star": `load("b.star", "x")`}},
		{"cycle", "while it is itself loading", map[string]string{"a.star": `load("//b.star", "x")`, "b.star": `load("//a.star", "y")`}},
		{"broken", "see its own error", map[string]string{"a.star": `load("//b.star", "x")`, "b.star": "def ("}},
		{"deep", "deeper than 20", func() map[string]string { deep["a.star"] = `load("//d0.star", "x")`; return deep }()},
	} {
		r, err := File(files(c.files), "a.star")
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range r.Errors() {
			found = found || (f.Rule == ruleLoad && strings.Contains(f.Message, c.message))
		}
		if !found {
			t.Errorf("%s: no load-error with %q in\n%+v", c.what, c.message, r.Findings)
		}
	}
}

func TestDirectoryChecks(t *testing.T) {
	source := files(map[string]string{
		"a.star": `
bp = blueprint("parent", api_version = "v1", api_endpoint = "jobs/same")
def start(context, actions):
    actions.run_blueprint("child", {}, {"success": "finished", "failure": "failed"})
bp.handler_for("start", is_start = True)(start)
`,
		"b.star":      "b = blueprint(\"child\")\nb.handler_for(\"start\", is_start = True)" + okHandler,
		"c.star":      "b = blueprint(\"other\", api_version = \"v1\", api_endpoint = \"jobs/same\")\nb.handler_for(\"start\", is_start = True)" + okHandler,
		"c_test.star": "def test_it():\n    run().expect(status = \"finished\")\n    assert_that(1)\n",
	})
	r, err := Tree(source, []string{"c_test.star", "c.star", "b.star", "a.star"})
	if err != nil {
		t.Fatal(err)
	}
	if got := list1(r); got != "c.star:1 duplicate-endpoint\nc_test.star:3 unresolved-name" {
		t.Errorf("findings over the directory:\n%s", got)
	}
	if len(r.Graphs) != 3 || r.Graphs[0].File != "a.star" {
		t.Errorf("graphs: %v", r.Graphs)
	}
	one, err := File(source, "a.star")
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Errors()) != 0 || len(one.Findings) != 1 || one.Findings[0].Severity != Hint {
		t.Errorf("a file alone can not know that a blueprint is missing: %+v", one.Findings)
	}
}

func TestHardFindingsStopALoadThoughSwitchedOff(t *testing.T) {
	r, err := File(files(map[string]string{"a.star": `
bp = blueprint("a", api_endpoint = "jobs/a")
def start(context, actions):
    actions.transition_to("nowhere") # orrery: ignore[unknown-target]
bp.handler_for("start", is_start = True)(start)
bp.handler_for("alone")(start) # orrery: ignore[unreachable-state]
`}), "a.star")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) != 0 {
		t.Errorf("not switched off: %+v", r.Findings)
	}
	errs := r.Errors()
	if len(errs) != 1 || errs[0].Rule != "unknown-target" {
		t.Errorf("errors of a load: %+v", errs)
	}
}

func TestReadErrorIsReturned(t *testing.T) {
	_, err := File(files(nil), "a.star")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "a.star") {
		t.Errorf("error: %v", err)
	}
}

func TestForms(t *testing.T) {
	r, err := File(files(map[string]string{"a,b.star": `
bp = blueprint("a", api_endpoint = "jobs/a")
bp.handler_for("start", is_start = True).when("context.initial_data.x == 1 and inital_data.y")(lambda actions: actions.transition_to("finised"))
bp.handler_for("finish", is_end = True)(lambda context: None)
`}), "a,b.star")
	if err != nil {
		t.Fatal(err)
	}
	var text, gh, js strings.Builder
	if err := errors.Join(Text(&text, r.Findings), GitHub(&gh, r.Findings), JSON(&js, r.Findings)); err != nil {
		t.Fatal(err)
	}
	source := strings.Split(text.String(), "\n")
	if at := strings.Index(source[1], "inital_data.y"); at < 0 || strings.Index(source[2], "^~~~~~~~~~~") != at {
		t.Errorf("the caret is not below the name:\n%s", text.String())
	}
	if !strings.Contains(text.String(), `did you mean "finished"?`) {
		t.Errorf("no suggestion:\n%s", text.String())
	}
	if want := "::error file=a%2Cb.star,line=3,col=80,title=bad-condition::the condition can not be used: nothing defines the name inital_data"; !strings.HasPrefix(gh.String(), want) {
		t.Errorf("annotations:\n%s", gh.String())
	}
	var back []map[string]any
	if err := json.Unmarshal([]byte(js.String()), &back); err != nil {
		t.Fatal(err)
	}
	if len(back) != 2 || back[0]["rule"] != "bad-condition" || back[0]["line"] != 3.0 || back[0]["suggestion"] == nil || len(back[0]) != 8 {
		t.Errorf("JSON: %v", back)
	}
}

func TestGraphJSONShape(t *testing.T) {
	r, err := File(files(map[string]string{"a.star": "bp = blueprint(\"a\", data_stores = {\"s\": {\"n\": 1}})\nbp.handler_for(\"start\", is_start = True)" + okHandler}), "a.star")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r.Graphs[0])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"a","api_endpoint":"","api_version":"","start":"start","ends":["finished"],"data_stores":{"s":{"n":1}},` +
		`"states":[{"name":"finished","kind":"end","is_start":false,"is_end":true,"status":"finished","conditions":[],"file":"a.star","line":2},` +
		`{"name":"start","kind":"start","is_start":true,"is_end":false,"status":"","conditions":[],"file":"a.star","line":2}],` +
		`"edges":[{"from":"start","to":"finished","label":"","kind":"transition","condition":""}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
