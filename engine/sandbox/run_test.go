package sandbox

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"orrery/engine/blueprint"
	"orrery/engine/job"
)

// This file tests a run as a whole: what a handler may do, and what it leaves.

// load compiles one file and gives its first blueprint.
func load(t testing.TB, src string) *blueprint.Blueprint {
	t.Helper()
	p, err := blueprint.Compile("main.star", map[string]string{"main.star": src})
	if err != nil {
		t.Fatalf("the script does not load:\n%v", err)
	}
	return p.Blueprints[0]
}

func step(b *blueprint.Blueprint, state string) Step {
	return Step{
		Blueprint: b, State: state, Job: &job.Job{ID: "job-1", Blueprint: b.Name, State: state},
		Initial: json.RawMessage(`{"language":"en","n":3,"user":{"name":"Ada"}}`), History: json.RawMessage(`{"seen":1}`),
	}
}

// ok runs a step that must not fail.
func ok(t testing.TB, st Step) job.Decision {
	t.Helper()
	d := Run(context.Background(), st)
	if d.Failure != nil {
		t.Fatalf("the step failed: %s\n%s", d.Failure.Message, d.Failure.Trace)
	}
	return d
}

// bad runs a step that must fail with this text in its message.
func bad(t testing.TB, st Step, want string) *job.Error {
	t.Helper()
	d := Run(context.Background(), st)
	if d.Failure == nil {
		t.Fatalf("the step did not fail; wanted %q", want)
	}
	if !strings.Contains(d.Failure.Message, want) {
		t.Fatalf("message %q\nlacks  %q", d.Failure.Message, want)
	}
	if d.Kind != job.NoAction || d.StateHistory != nil || d.Writes != nil {
		t.Errorf("a failed step still wants something: %+v", d)
	}
	return d.Failure
}

const frame = `
bp = blueprint(name = "t", api_version = "v1", api_endpoint = "/jobs/t/")
bp.add_data_store("counter", {"total": 5})
def done(context): pass
bp.handler_for("done", is_end = True)(done)
def gather(context, actions): actions.transition_to("done")
bp.aggregator_for("gather")(gather)
`

// body makes a blueprint whose start handler has the given lines.
func body(t testing.TB, params string, lines ...string) Step {
	t.Helper()
	src := frame + "def start(" + params + "):\n    " + strings.Join(lines, "\n    ") + "\nbp.handler_for(\"start\", is_start = True)(start)\n"
	return step(load(t, src), "start")
}

func TestTransition(t *testing.T) {
	d := ok(t, body(t, "context, actions", `context.state_history["greeting"] = "Hello " + context.initial_data["user"]["name"]`,
		`print("going", context.job_id)`, `actions.transition_to("done", error_message = "none", after_seconds = 90)`))
	if d.Kind != job.Transition || d.Target != "done" || d.ErrorMessage != "none" || d.After != 90 || d.Handler != "start" {
		t.Errorf("decision: %+v", d)
	}
	if got, want := string(d.StateHistory), `{"seen":1,"greeting":"Hello Ada"}`; got != want {
		t.Errorf("state_history %s, want %s", got, want)
	}
	if len(d.Log) != 1 || d.Log[0] != (job.LogLine{Level: "info", Message: "going job-1", State: "start"}) {
		t.Errorf("log: %+v", d.Log)
	}
}

func TestHistoryUnchangedIsNil(t *testing.T) {
	st := body(t, "state_history, actions", `x = state_history["seen"]`, `actions.transition_to("done")`)
	st.History = json.RawMessage(`{ "seen" : 1, "f": 1.50, "t": "\u00e9" }`)
	if d := ok(t, st); d.StateHistory != nil {
		t.Errorf("unchanged state_history was written: %s", d.StateHistory)
	}
}

func TestDispatch(t *testing.T) {
	d := ok(t, body(t, "context, actions", `actions.dispatch_task("work", params = context.initial_data, transitions = {"success": "finished", "late": "failed"},`,
		`    dispatch_strategy = "cheapest", priority = 2, max_cost = 0.5, resource_requirements = {"gpu": {"vram_gb": 16}},`,
		`    timeout_seconds = 10, dispatch_timeout_seconds = 20, result_timeout_seconds = 30, retry = {"max": 5, "only": ["X"]})`))
	if d.Kind != job.Dispatch || len(d.Tasks) != 1 {
		t.Fatalf("decision: %+v", d)
	}
	got, err := json.Marshal(d.Tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"task_type":"work","params":{"language":"en","n":3,"user":{"name":"Ada"}},"transitions":{"late":"failed","success":"finished"},` +
		`"dispatch_strategy":"cheapest","priority":2,"max_cost":0.5,"resource_requirements":{"gpu":{"vram_gb":16}},"timeout_seconds":10,` +
		`"dispatch_timeout_seconds":20,"result_timeout_seconds":30,"retry":{"max":5,"initial_seconds":1,"factor":2,"max_seconds":60,"only":["X"]}}`
	if string(got) != want {
		t.Errorf("task\n%s\nwant\n%s", got, want)
	}
}

func TestParallel(t *testing.T) {
	d := ok(t, body(t, "actions", `for i in range(3):`, `    actions.dispatch_task("part", {"i": i}, {"success": "gather", "failure": "failed"})`))
	if d.Kind != job.Dispatch || len(d.Tasks) != 3 || string(d.Tasks[2].Params) != `{"i":2}` {
		t.Errorf("several dispatch_task: %+v", d)
	}
	d = ok(t, body(t, "actions", `actions.dispatch_parallel([{"type": "a"}, {"task_type": "b", "priority": 1.5}], "gather", failure = "failed")`))
	if d.Kind != job.Parallel || d.Into != "gather" || len(d.Tasks) != 2 || d.Tasks[1].Priority != 1.5 ||
		d.Tasks[0].Transitions["success"] != "gather" || d.Tasks[0].Transitions["failure"] != "failed" {
		t.Errorf("dispatch_parallel: %+v", d)
	}
	if d = ok(t, body(t, "actions", `actions.dispatch_parallel([], aggregate_into = "gather")`)); d.Kind != job.Parallel || len(d.Tasks) != 0 {
		t.Errorf("empty dispatch_parallel: %+v", d)
	}
}

func TestChildAndApproval(t *testing.T) {
	d := ok(t, body(t, "actions", `actions.run_blueprint("other", initial_data = {"a": (1, 2)}, transitions = {"success": "done"}, result_timeout = 5)`))
	if d.Kind != job.RunChild || string(d.Child.InitialData) != `{"a":[1,2]}` || d.Child.ResultTimeout != 5 || d.Child.Transitions["success"] != "done" {
		t.Errorf("run_blueprint: %+v %+v", d, d.Child)
	}
	d = ok(t, body(t, "actions", `actions.await_human_approval("telegram", "ok?", {"approved": "done", "timeout": "failed"}, timeout_seconds = 60, chat = "c1")`))
	if d.Kind != job.AskApproval || d.Approval.Integration != "telegram" || d.Approval.Timeout != 60 || string(d.Approval.Extra) != `{"chat":"c1"}` {
		t.Errorf("await_human_approval: %+v %+v", d, d.Approval)
	}
}

func TestParametersByName(t *testing.T) {
	st := body(t, "n, actions, job_id, seen, colour = \"red\", *, user",
		`if [n, job_id, seen, colour, user["name"]] != [3, "job-1", 1, "red", "Ada"]: fail("got", n, job_id, seen, colour, user)`, `actions.transition_to("done")`)
	ok(t, st)
	e := bad(t, body(t, "context, colour, actions", "pass"), `the handler start wants "colour", and nothing has that name: state_history has "seen", initial_data has "language", "n", "user"`)
	if e.File != "main.star" || e.Line != 8 || e.Col != 20 || !strings.Contains(e.Trace, "def start(context, colour, actions):") {
		t.Errorf("place %s:%d:%d\n%s", e.File, e.Line, e.Col, e.Trace)
	}
}

func TestSuppliedEndState(t *testing.T) {
	st := body(t, "actions", "pass")
	st.State = "failed"
	if d := ok(t, st); d.Kind != job.NoAction {
		t.Errorf("decision of a supplied state: %+v", d)
	}
}

func BenchmarkRun(b *testing.B) {
	st := body(b, "context, actions", `context.state_history["n"] = context.initial_data["n"] + 1`,
		`actions.dispatch_task("work", params = context.initial_data, transitions = {"success": "finished", "failure": "failed"})`)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if d := Run(ctx, st); d.Failure != nil {
			b.Fatal(d.Failure)
		}
	}
}
