package blueprint

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"orrery/engine/analysis"
	"orrery/engine/job"
	"orrery/starlib"
)

// This file tests Compile: what a file gives, and every fault at once with its place.

const small = `
bp = blueprint(name = "small", api_version = "v1", api_endpoint = "/jobs/small/", description = "d", example = {"n": 1})
def go(actions): actions.transition_to("finished")
bp.handler_for("start", is_start = True)(go)
`

func compile(t testing.TB, files map[string]string) *Program {
	t.Helper()
	p, err := Compile("main.star", files)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProgram(t *testing.T) {
	p := compile(t, map[string]string{"main.star": small, "other.star": "nothing ="})
	b := p.Blueprint("small")
	if b == nil || b.Start != "start" || b.Path() != "v1/jobs/small" || b.File != "main.star" || b.Line != 2 || b.Revision != p.Revision {
		t.Fatalf("blueprint: %+v", b)
	}
	if len(p.Files) != 1 || len(p.Revision) != 64 {
		t.Errorf("the program holds %d files, revision %q", len(p.Files), p.Revision)
	}
	text, err := json.Marshal(b.Info())
	want := `{"name":"small","api_endpoint":"/jobs/small/","api_version":"v1","revision":"` + p.Revision + `","file":"main.star","start":"start","states":["failed","finished","start"],"description":"d","example":{"n":1}}`
	if err != nil || string(text) != want {
		t.Errorf("info\n%s\nwant\n%s", text, want)
	}
}

func TestEndStatuses(t *testing.T) {
	src := small + "def end(): pass\n"
	want := map[string]job.Status{
		"finished": job.Finished, "failed": job.Failed, "task_failed": job.Failed, "cancelled": job.Cancelled, "task_cancelled": job.Cancelled,
		"too_expensive": job.Finished, "sorry": job.Failed, "fine_failed": job.Finished, "failed_again": job.Finished,
	}
	for name := range want {
		status := ""
		switch name {
		case "finished", "failed":
			continue
		case "sorry":
			status = `, status = "failed"`
		case "fine_failed":
			status = `, status = "finished"`
		}
		src += fmt.Sprintf("bp.handler_for(%q, is_end = True%s)(end)\n", name, status)
	}
	b := compile(t, map[string]string{"main.star": src}).Blueprints[0]
	for name, status := range want {
		if p, ok := b.Place(name); !ok || !p.End || p.Status != status {
			t.Errorf("%s: %+v, want %s", name, p, status)
		}
	}
	if !b.States["failed"].Supplied || b.States["sorry"].Supplied {
		t.Error("finished and failed are supplied, others are not")
	}
	if _, ok := b.Place("nowhere"); ok || b.Suggest("task_faild") != "task_failed" || b.Suggest("quite_else") != "" {
		t.Error("an unknown state")
	}
}

func TestRevisionIsOfAllTexts(t *testing.T) {
	lib := map[string]string{"main.star": "load(\"//lib/a.star\", \"name\")\n" + strings.Replace(small, `"small"`, "name", 1), "lib/a.star": `name = "small"`, "unused.star": "x = 1"}
	one := compile(t, lib)
	if len(one.Files) != 2 || one.Blueprints[0].Name != "small" {
		t.Errorf("files %d, blueprint %q", len(one.Files), one.Blueprints[0].Name)
	}
	lib["unused.star"] = "x = 2"
	if compile(t, lib).Revision != one.Revision {
		t.Error("a file that is not loaded changed the revision")
	}
	lib["lib/a.star"] += "\n"
	if compile(t, lib).Revision == one.Revision {
		t.Error("a loaded file did not change the revision")
	}
	if revision(map[string]string{"a": "bc"}) == revision(map[string]string{"ab": "c"}) {
		t.Error("names and texts run into each other")
	}
}

func TestLibraryMakesNoBlueprintOfItsLoader(t *testing.T) {
	p := compile(t, map[string]string{"main.star": "load(\"//lib.star\", \"bp\", \"make\")\nmake(\"mine\")\n", "lib.star": small + "def make(name):\n    b = blueprint(name = name)\n    b.handler_for(\"start\", is_start = True)(go)\n"})
	if len(p.Blueprints) != 1 || p.Blueprints[0].Name != "mine" {
		t.Errorf("blueprints: %+v", p.Blueprints)
	}
}

func TestTopLevelPrintIsKept(t *testing.T) {
	p := compile(t, map[string]string{"main.star": small + "print(\"hi\", 1)\nlogging.getLogger(\"x\").warning(\"w\")\n"})
	if len(p.Log) != 2 || p.Log[0] != (job.LogLine{Level: "info", Message: "hi 1"}) || p.Log[1].Level != "warning" {
		t.Errorf("log: %+v", p.Log)
	}
}

func TestFaults(t *testing.T) {
	const decorate = "bp = blueprint(name = \"b\")\ndef go(actions): pass\ndef end(): pass\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // "file:line:col: message", the beginning of each finding's line
	}{
		{"syntax", map[string]string{"main.star": "x = (1\ny = 2"}, []string{"main.star:2:2: error: got identifier, want ')'"}},
		{"all unresolved names", map[string]string{"main.star": "a = b\nc = d\n"}, []string{"main.star:1:5: error: undefined: b", "main.star:2:5: error: undefined: d"}},
		{"while", map[string]string{"main.star": "def f():\n    while True: pass\n"}, []string{"main.star:2:5: error: this Starlark dialect does not support while loops"}},
		{"top level fails", map[string]string{"main.star": "def f(x):\n    return x[\"a\"]\ny = f({})\n"}, []string{"main.star:2:13: error: key \"a\" not in dict"}},
		{"load escapes", map[string]string{"main.star": "load(\"//../x.star\", \"y\")\n"}, []string{"main.star:1:6: error: the load path \"//../x.star\" is not a plain path below the blueprint directory"}},
		{"load without root", map[string]string{"main.star": "load(\"x.star\", \"y\")\n"}, []string{"main.star:1:6: error: the load path \"x.star\" does not begin with //"}},
		{"load of nothing", map[string]string{"main.star": "load(\"//x.star\", \"y\")\n"}, []string{"main.star:1:6: error: there is no file \"x.star\" in the blueprint directory"}},
		{"circle", map[string]string{"main.star": "load(\"//a.star\", \"y\")\n", "a.star": "load(\"//b.star\", \"y\")\n", "b.star": "load(\"//a.star\", \"y\")\n"}, []string{"b.star:1:6: error: the files load each other in a circle: a.star -> b.star -> a.star"}},
		{"faults of several files", map[string]string{"main.star": "load(\"//a.star\", \"y\")\nx = z\n", "a.star": "y = (\n"}, []string{"a.star:2:1: error: got end of file", "main.star:2:5: error: undefined: z"}},
		{"loaded file fails", map[string]string{"main.star": "load(\"//a.star\", \"y\")\n", "a.star": "y = 1 // 0\n"}, []string{"a.star:1:7: error: floored division by zero"}},
		{"name not there", map[string]string{"main.star": "load(\"//a.star\", \"z\")\n", "a.star": "y = 1\n"}, []string{"main.star:1:1: error: load: name z not found in module //a.star"}},
		{"no start, open registration", map[string]string{"main.star": decorate + "bp.handler_for(\"a\")(go)\nbp.handler_for(\"b\")\n"}, []string{
			"main.star:1:15: error: the blueprint \"b\" has no start", "main.star:5:15: error: the state \"b\" gets no function"}},
		{"two starts", map[string]string{"main.star": decorate + "bp.handler_for(\"a\", is_start = True)(go)\nbp.handler_for(\"b\", is_start = True)(go)\n"}, []string{"main.star:5:15: error: the blueprint \"b\" has two starts, \"a\" and \"b\""}},
		{"twice without conditions", map[string]string{"main.star": decorate + "bp.handler_for(\"a\", is_start = True)(go)\nbp.handler_for(\"a\", is_start = True)(go)\n"}, []string{"main.star:5:15: error: the state \"a\" is registered twice without conditions (line 4 too)"}},
		{"end and not", map[string]string{"main.star": decorate + "bp.handler_for(\"s\", is_start = True)(go)\nbp.handler_for(\"a\", is_end = True)(end)\nbp.handler_for(\"a\").when(\"context.x\")(go)\n"}, []string{"main.star:6:15: error: the state \"a\" is registered as an end state at one place and not at another (line 5)"}},
		{"aggregator twice", map[string]string{"main.star": decorate + "bp.handler_for(\"s\", is_start = True)(go)\nbp.aggregator_for(\"a\")(go)\nbp.handler_for(\"a\")(go)\n"}, []string{"main.star:6:15: error: the state \"a\" is registered twice, and an aggregator has one handler"}},
		{"misspelt parameter", map[string]string{"main.star": "bp = blueprint(name = \"b\")\ndef go(acitons): pass\nbp.handler_for(\"s\", is_start = True)(go)\n"}, []string{"main.star:2:8: error: the parameter acitons of go: did you mean actions?"}},
		{"star parameters", map[string]string{"main.star": "bp = blueprint(name = \"b\")\ndef go(*args): pass\nbp.handler_for(\"s\", is_start = True)(go)\n"}, []string{"main.star:2:1: error: the handler go has * parameters"}},
		{"bad condition", map[string]string{"main.star": decorate + "bp.handler_for(\"s\", is_start = True).when(\"language == 'en'\")(go)\n"}, []string{"main.star:4:42: error: condition \"language == 'en'\", character 1: nothing defines the name language"}},
		{"status without end", map[string]string{"main.star": decorate + "bp.handler_for(\"s\", status = \"failed\")(go)\n"}, []string{"main.star:4:15: error: handler_for: status belongs to end states"}},
		{"two of a name", map[string]string{"main.star": small + "b2 = blueprint(name = \"small\")\n"}, []string{"main.star:5:15: error: the blueprint \"small\" is made twice; the first one is at line 2"}},
		{"clock at load", map[string]string{"main.star": "x = time.now()\n"}, []string{"main.star:1:13: error: time.now: works inside handlers only, not while the file is loaded"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Compile("main.star", c.files)
			var load *LoadError
			if !errors.As(err, &load) {
				t.Fatalf("error: %v", err)
			}
			if len(load.Findings) != len(c.want) {
				t.Errorf("%d findings, want %d:\n%v", len(load.Findings), len(c.want), err)
			}
			for i, f := range load.Findings {
				got := fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Col, f.Severity, f.Message)
				if i < len(c.want) && !strings.HasPrefix(got, c.want[i]) {
					t.Errorf("finding\n%s\nwant\n%s", got, c.want[i])
				}
				if f.Source == "" && f.Line > 0 && f.Line <= strings.Count(c.files[f.File], "\n") {
					t.Errorf("no source line for %s", got)
				}
			}
		})
	}
}

// An endless file meets the bound of steps, or on a machine that is slow enough that of time.
func TestEndlessTopLevel(t *testing.T) {
	_, err := Compile("main.star", map[string]string{"main.star": "for i in range(1000000):\n    for j in range(1000): pass\n"})
	if err == nil || !strings.HasPrefix(err.Error(), "main.star:2:5: error: ") ||
		!strings.Contains(err.Error(), "the top level of a file runs at most 10000000 Starlark steps") && !strings.Contains(err.Error(), "loading a file takes at most 5s") {
		t.Errorf("%v", err)
	}
}

func TestLoadErrorShowsTheLine(t *testing.T) {
	_, err := Compile("main.star", map[string]string{"main.star": "a = 1\nb =  nothing\n"})
	want := "main.star:2:6: error: undefined: nothing [unresolved-name]\n    b =  nothing\n         ^"
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestStoreView(t *testing.T) {
	b := &Blueprint{Stores: map[string]map[string]json.RawMessage{"s": {"a": json.RawMessage("1"), "b": json.RawMessage("2")}}}
	got, err := json.Marshal(b.StoreView("s", map[string]json.RawMessage{"b": json.RawMessage("null"), "c": json.RawMessage("null")}))
	if err != nil || string(got) != `{"a":1,"c":null}` {
		t.Errorf("view %s, %v", got, err)
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"acitons": "actions", "contxt": "context", "erorr": "error", "user": "", "context": "", "id": ""} {
		if got := nearest(name, []string{"actions", "context", "error"}); got != want {
			t.Errorf("nearest(%s) is %q, want %q", name, got, want)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	files := map[string]string{"main.star": small}
	for b.Loop() {
		if _, err := Compile("main.star", files); err != nil {
			b.Fatal(err)
		}
	}
}

// The analysis reads the same language that starlib runs.
func TestAnalysisKnowsTheSameNames(t *testing.T) {
	if got, want := strings.Join(analysis.FixedParameters(), " "), strings.Join(starlib.Fixed(), " "); got != want {
		t.Errorf("parameters\n%s\nwant\n%s", got, want)
	}
	for _, name := range analysis.Predeclared() {
		if !starlib.Predeclared().Has(name) {
			t.Errorf("the analysis knows %s, and scripts do not have it", name)
		}
	}
	for name := range starlib.Predeclared() {
		if !slices.Contains(analysis.Predeclared(), name) && !starlark.Universe.Has(name) {
			t.Errorf("scripts have %s, and the analysis does not know it", name)
		}
	}
}
