package sandbox

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/starlib"
)

// This file tests how runs fail: which handler is chosen, limits, places and backtraces.

const conditional = `
bp = blueprint(name = "t")
def go(actions): actions.transition_to("pick")
bp.handler_for("start", is_start = True)(go)
def english(actions): actions.transition_to("finished", error_message = "english")
def rich(actions): actions.transition_to("finished", error_message = "rich")
bp.handler_for("pick").when("context.initial_data.language == 'en'")(english)
bp.handler_for("pick").when(lambda context: context.client.plan == "premium")(rich)
`

func TestConditionsInOrder(t *testing.T) {
	usual := "def usual(actions): actions.transition_to(\"finished\", error_message = \"usual\")\n"
	before := strings.Replace(conditional, "bp.handler_for(\"pick\")", usual+"bp.handler_for(\"pick\")(usual)\nbp.handler_for(\"pick\")", 1)
	for _, c := range []struct{ src, initial, plan, want string }{
		{conditional, `{"language":"en"}`, "premium", "english"},
		{conditional, `{"language":"de"}`, "premium", "rich"},
		{conditional + usual + "bp.handler_for(\"pick\")(usual)\n", `{"language":"de"}`, "", "usual"},
		{before, `{"language":"en"}`, "", "english"},
		{before, `{}`, "", "usual"},
	} {
		st := step(load(t, c.src), "pick")
		st.Initial, st.Job.Client.Plan = json.RawMessage(c.initial), c.plan
		if d := ok(t, st); d.ErrorMessage != c.want || d.Handler != c.want {
			t.Errorf("%s, plan %q: %s ran, want %s", c.initial, c.plan, d.Handler, c.want)
		}
	}
}

func TestNoConditionTrue(t *testing.T) {
	st := step(load(t, conditional), "pick")
	st.Initial = json.RawMessage(`{"language":"fr"}`)
	e := bad(t, st, "no condition of the state \"pick\" is true, and no handler without a condition is registered:\n"+
		"  english: context.initial_data.language == 'en' (context.initial_data.language is \"fr\")\n"+
		"  rich: lambda (lambda(context) is False)")
	if e.Code != job.CodeScript || e.State != "pick" || e.File != "main.star" || e.Line != 5 {
		t.Errorf("failure: %+v", e)
	}
}

func TestConditionsChangeNothing(t *testing.T) {
	for body, want := range map[string]string{
		`context.state_history.update({"a": 1})`: "use state_history, or a copy",
		`context.actions.transition_to("start")`: "transition_to: a condition only looks; change things in the handler",
		`context.data_stores.s.set("a", 1)`:      "set: a condition only looks",
		`context.data_stores.s.delete("a")`:      "delete: a condition only looks",
	} {
		src := "bp = blueprint(name = \"t\", data_stores = {\"s\": {}})\ndef go(actions): actions.transition_to(\"finished\")\n" +
			"bp.handler_for(\"start\", is_start = True).when(lambda context: " + body + ")(go)\n"
		bad(t, step(load(t, src), "start"), want)
	}
}

func TestConditionOfWrongTypes(t *testing.T) {
	src := "bp = blueprint(name = \"t\")\ndef go(actions): actions.transition_to(\"finished\")\nbp.handler_for(\"start\", is_start = True).when(\"context.initial_data.n < '5'\")(go)\n"
	bad(t, step(load(t, src), "start"), "context.initial_data.n is the number 3 and '5' is the text \"5\"")
}

func TestActionsCounted(t *testing.T) {
	e := bad(t, body(t, "context, actions", `if context.initial_data["n"] > 5:`, `    actions.transition_to("done")`),
		`the handler start of state "start" called no action`)
	if e.Line != 8 || e.Col != 1 || !strings.Contains(e.Trace, "def start(context, actions):") {
		t.Errorf("place %d:%d\n%s", e.Line, e.Col, e.Trace)
	}
	src := "bp = blueprint(name = \"t\")\ndef go(actions): actions.transition_to(\"end\")\nbp.handler_for(\"start\", is_start = True)(go)\nbp.handler_for(\"end\", is_end = True)(go)\n"
	bad(t, step(load(t, src), "end"), `go is the handler of the end state "end" and called transition_to (main.star:2): an end state takes no action`)
}

func TestBacktrace(t *testing.T) {
	src := "bp = blueprint(name = \"t\")\ndef inner(x):\n    return 1 // x\ndef start(actions):\n    y = [inner(n) for n in [1, 0]]\nbp.handler_for(\"start\", is_start = True)(start)\n"
	e := bad(t, step(load(t, src), "start"), "floored division by zero")
	want := "Traceback (most recent call last):\n  main.star:5:15: in start\n  main.star:3:14: in inner\nError: floored division by zero\n" +
		"        return 1 // x\n                 ^"
	if e.Code != job.CodeScript || e.File != "main.star" || e.Line != 3 || e.Col != 14 || e.Trace != want {
		t.Errorf("%+v\n%s\nwant\n%s", e, e.Trace, want)
	}
}

func TestRaisedKindIsKept(t *testing.T) {
	e := bad(t, body(t, "actions", `fail_with("quota", "used up", details = {"left": 0})`), "quota: used up")
	text, err := json.Marshal(e.Details)
	if err != nil || e.Code != job.CodeScript || string(text) != `{"details":{"left":0},"kind":"quota"}` {
		t.Errorf("code %s, details %s, %v", e.Code, text, err)
	}
}

func TestLimits(t *testing.T) {
	short := DefaultLimits()
	short.Time = 30 * time.Millisecond
	few := DefaultLimits()
	few.Steps = 10_000
	patient := DefaultLimits() // the race detector on a loaded machine must not meet the limit of time first
	patient.Time = time.Minute
	for _, c := range []struct {
		name   string
		limits Limits
		code   string
		want   string
		lines  []string
	}{
		{"steps", few, starlib.CodeSteps, "a handler runs at most 10000 Starlark steps", []string{"for i in range(1000000): pass"}},
		{"time", short, starlib.CodeTime, "a handler works at most 30ms", []string{"for i in range(1000000):", "    for j in range(1000): pass"}},
		{"caught", few, starlib.CodeSteps, "a handler runs at most", []string{"def spin():", "    for i in range(1000000): pass", "catch(spin)", `actions.transition_to("done")`}},
		{"print", patient, starlib.CodeLog, "a handler writes at most 262144 bytes of log", []string{`for i in range(100): print("x" * 10000)`}},
		{"log", patient, starlib.CodeLog, "a handler writes at most 262144 bytes of log", []string{`for i in range(100): logging.info("x" * 10000)`}},
		{"last print", DefaultLimits(), starlib.CodeLog, "a handler writes at most", []string{`actions.transition_to("done")`, `print("x" * 300000)`}},
		{"tasks", patient, starlib.CodeDispatches, "at most 10000 tasks", []string{`for i in range(10001): actions.dispatch_task("x", transitions = {"success": "gather"})`}},
		{"history", DefaultLimits(), job.CodeSizeLimit, "state_history is larger than its limit of 1 MiB", []string{`context.state_history["x"] = "x" * (1 << 20)`, `actions.transition_to("done")`}},
		{"history type", DefaultLimits(), job.CodeScript, "state_history.x: a value of type set cannot be stored", []string{`context.state_history["x"] = set([1])`, `actions.transition_to("done")`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := body(t, "context, actions", c.lines...)
			st.Limits = c.limits
			e := bad(t, st, c.want)
			if e.Code != c.code || e.Line == 0 {
				t.Errorf("failure %s at line %d: %s", e.Code, e.Line, e.Trace)
			}
		})
	}
}

func TestWaitingForTheHostIsNotWork(t *testing.T) {
	st := body(t, "actions", "sleep(0.2)", `actions.transition_to("done")`)
	st.Limits = DefaultLimits()
	st.Limits.Time = 100 * time.Millisecond
	ok(t, st) // sleeps twice as long as it may work
}

// What ends a run ends the call of the Host that it waits for.
func TestEndOfARunEndsItsCall(t *testing.T) {
	st := body(t, "context, actions", `x = "x" * 5000000`, "sleep(0.5)", `actions.transition_to("done")`)
	st.Host.Sleep = func(ctx context.Context, _ time.Duration) error {
		running.look(1, heapBytes, func() {}) // the watchdog
		<-ctx.Done()
		return ctx.Err()
	}
	if e := bad(t, st, "its limit is 1 bytes"); e.Code != starlib.CodeWatchdog {
		t.Errorf("code %s", e.Code)
	}
}

// A pure run ends before its first call, and catch does not keep it.
func TestPureRunDeparts(t *testing.T) {
	st := body(t, "context, actions", "catch(sleep, 0.5)", `actions.transition_to("done")`)
	st.Host.Sleep = func(context.Context, time.Duration) error { t.Error("it slept"); return nil }
	st.Pure = true
	if d := Run(context.Background(), st); !Departed(d.Failure) || d.Kind != job.NoAction {
		t.Errorf("decision: %+v", d)
	}
	st = body(t, "context, actions", `actions.transition_to("done")`)
	st.Pure = true
	ok(t, st)
}

func TestCallerEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	st := body(t, "actions", "sleep(0.5)", "for i in range(1000000): pass", `actions.transition_to("done")`)
	st.Host.Sleep = func(context.Context, time.Duration) error { cancel(); return nil }
	d := Run(ctx, st)
	if d.Failure == nil || d.Failure.Code != job.CodeTransient || !strings.Contains(d.Failure.Message, "the step was interrupted: context canceled") {
		t.Errorf("failure: %+v", d.Failure)
	}
}

func TestFailedReadIsTransient(t *testing.T) {
	st := body(t, "context, actions", `context.data_stores.counter.get("broken")`)
	st.Host = testHost()
	if e := bad(t, st, "data_stores.counter: the disk is gone"); e.Code != job.CodeTransient {
		t.Errorf("code %s", e.Code)
	}
}

func TestStoreReadsAndWrites(t *testing.T) {
	st := body(t, "data_stores, actions", `c = data_stores.counter`, `c.set("total", c.get("total") + 1)`, `c.delete("old")`, `c.set("a", 1)`, `c.delete("a")`, `c.get("seen")`, `c.delete("total")`, `actions.transition_to("done")`)
	st.Host.Stores = fakeStores{"counter/seen": json.RawMessage(`1`)}
	d := ok(t, st)
	reads, _ := json.Marshal(d.Reads)
	writes, _ := json.Marshal(d.Writes)
	if want := `[{"Store":"counter","Key":"total","Version":0},{"Store":"counter","Key":"seen","Version":7}]`; string(reads) != want {
		t.Errorf("reads %s, want %s", reads, want)
	}
	// The declared key total is deleted by null; else its initial value would come back.
	if want := `[{"store":"counter","key":"total","value":null},{"store":"counter","key":"old","value":null},{"store":"counter","key":"a","value":null}]`; string(writes) != want {
		t.Errorf("writes %s, want %s", writes, want)
	}
	if d.Writes[0].Value == nil || d.Writes[1].Value != nil {
		t.Errorf("a declared key is kept as null and any other is deleted: %+v", d.Writes)
	}
}

func TestErrorOfTheFailedTask(t *testing.T) {
	st := body(t, "error, actions", `if [error.code, error.attempts, error.details["why"]] != ["X", 4, "y"]: fail(error)`, `actions.transition_to("done")`)
	st.Job.Error = &job.Error{Code: "X", Message: "m", Attempts: 4, Details: map[string]any{"why": "y"}}
	ok(t, st)
}

func TestAggregator(t *testing.T) {
	src := "bp = blueprint(name = \"t\")\ndef go(actions): actions.transition_to(\"finished\")\nbp.handler_for(\"start\", is_start = True)(go)\n" +
		"def gather(context, aggregation_results, actions):\n    context.state_history[\"all\"] = {k: v[\"data\"] for k, v in aggregation_results.items() if v[\"status\"] == \"success\"}\n    actions.transition_to(\"finished\")\nbp.aggregator_for(\"gather\")(gather)\n"
	st := step(load(t, src), "gather")
	st.Results = []job.Result{{TaskID: "t1", Type: "a", Status: "success", Data: json.RawMessage(`{"x":1.0}`)}, {TaskID: "t2", Type: "b", Status: "success"}}
	if d := ok(t, st); string(d.StateHistory) != `{"seen":1,"all":{"t1":{"x":1.0},"t2":null}}` {
		t.Errorf("state_history %s", d.StateHistory)
	}
}

func TestLoggingLevelsAndArguments(t *testing.T) {
	src := "log = logging.getLogger(\"n\")\n" + frame + "def start(context, actions):\n    log.info(\"a %s %d\", \"b\", 3)\n    log.error(\"100%\")\n    logging.warning({\"a\": 1})\n    log.debug(\"x\\n\")\n    actions.transition_to(\"done\")\nbp.handler_for(\"start\", is_start = True)(start)\n"
	d := ok(t, step(load(t, src), "start"))
	want := []job.LogLine{{Level: "info", Message: "a b 3", State: "start"}, {Level: "error", Message: "100%", State: "start"}, {Level: "warning", Message: `{"a": 1}`, State: "start"}, {Level: "debug", Message: "x", State: "start"}}
	if len(d.Log) != len(want) {
		t.Fatalf("log: %+v", d.Log)
	}
	for i := range want {
		if d.Log[i] != want[i] {
			t.Errorf("line %d: %+v, want %+v", i, d.Log[i], want[i])
		}
	}
}

func TestLogOfAFailedStepIsKept(t *testing.T) {
	d := Run(context.Background(), body(t, "actions", `print("before")`, `fail("x")`))
	if d.Failure == nil || len(d.Log) != 1 || d.Log[0].Message != "before" || d.Handler != "start" {
		t.Errorf("decision: %+v", d)
	}
}

// broken is a Host part that panics, as a fault of ours would.
type broken struct{}

func (broken) JobState(context.Context, string) (json.RawMessage, error) { panic("a nil map") }

func TestPanicIsAFailure(t *testing.T) {
	st := body(t, "context, actions", `context.storage.get_job_state("x")`)
	st.Host.Jobs = broken{}
	if e := bad(t, st, "the interpreter failed: a nil map"); e.Code != job.CodeScript {
		t.Errorf("code %s", e.Code)
	}
}
