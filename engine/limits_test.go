package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/sandbox"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file breaks every limit of LimitTable: a limit without a case fails the test. Those of
// a step are broken twice, lowered by the operator and by the blueprint.

// breach is a way to break a limit that was lowered to n.
type breach struct {
	n     float64
	says  []string // what the message must hold: the value, and what was asked where that is known
	lines []string // the body of a handler; or
	load  map[string]string
	other func(t *testing.T, l Limits) *job.Error
}

var breaches = map[string]breach{
	"steps":             {n: 1000, says: []string{"at most 1000 Starlark steps"}, lines: []string{"for i in range(100000): pass"}},
	"seconds":           {n: 0.01, says: []string{"at most 10ms"}, lines: []string{"for i in range(1000000):", "    for j in range(1000): pass"}},
	"sleep_seconds":     {n: 0.1, says: []string{"sleep(0.2)", "at most 100ms"}, lines: []string{"sleep(0.2)"}},
	"calls":             {n: 3, says: []string{"at most 3 calls", "number 4"}, lines: []string{"for i in range(9): sleep(0)"}},
	"call_seconds":      {n: 0.01, says: []string{"data_stores.kept", "within 10ms"}, lines: []string{`context.data_stores.kept.get("n")`}},
	"file_seconds":      {n: 0.01, says: []string{"task_files.read", "within 10ms"}, other: slowFile},
	"memory_mib":        {n: 1, says: []string{"at most 1 MiB of values", "more were asked for"}, lines: []string{`x = ["x" * 100000 + str(i) for i in range(20)]`}},
	"text_kib":          {n: 1, says: []string{"at most 1 KiB", "2000 bytes were asked for"}, lines: []string{`x = "x" * 2000`}},
	"elements":          {n: 10, says: []string{"at most 10 elements", "11 were asked for"}, lines: []string{"x = [0] * 11"}},
	"integer_bits":      {n: 100, says: []string{"at most 100 bits", "up to 102 were asked for"}, lines: []string{"x = 1 << 101"}},
	"depth":             {n: 5, says: []string{"nested 5 deep, and more was asked for"}, lines: []string{"x = []", "for i in range(9): x = [x]", "str(x)"}},
	"log_kib":           {n: 1, says: []string{"at most 1024 bytes", "this makes 2001"}, lines: []string{`print("x" * 2000)`}},
	"dispatches":        {n: 2, says: []string{"at most 2 tasks", "one more"}, lines: []string{`for i in range(3): actions.dispatch_task("x", transitions = {"success": "gather"})`}},
	"state_history_kib": {n: 1, says: []string{"state_history is larger than its limit of 1 KiB"}, lines: []string{`context.state_history["x"] = "x" * 2000`, `actions.transition_to("finished")`}},
	"initial_data_kib":  {n: 1, says: []string{"initial_data has 2011 bytes", "1024"}, other: largeStart},
	"params_kib":        {n: 1, says: []string{"params is larger than its limit of 1 KiB"}, lines: []string{`actions.dispatch_task("x", params = {"x": "x" * 2000}, transitions = {"success": "finished"})`}},
	"data_kib":          {n: 1, says: []string{"kept.n is larger than its limit of 1 KiB"}, lines: []string{`context.data_stores.kept.set("n", "x" * 2000)`}},
	"transitions":       {n: 7, says: []string{"7"}, other: endless},
	"job_steps":         {n: 7, says: []string{"7"}, other: endless},
	"sub_depth":         {n: 1, says: []string{"nested 2 deep", "the limit is 1"}, other: nested},
	"step_ends":         {n: 1, says: []string{"ended once while this step ran", "life.star:", "it is not run again", "orrery jobs retry"}, other: endsOnce},
	"source_kib":        {n: 1, says: []string{"has 2000 bytes", "is 1024", guard.CodeSource}, load: map[string]string{"main.star": "#" + strings.Repeat("x", 1999)}},
	"load_depth":        {n: 2, says: []string{"at most 2 deep", "b.star would be one more", guard.CodeLoadDepth}, load: loads("main", "a", "b", "c")},
	"load_files":        {n: 2, says: []string{"at most 2 files", "b.star would be one more", guard.CodeLoadFiles}, load: loads("main", "a", "b", "c")},
	"load_seconds":      {n: 0.01, says: []string{"at most 10ms"}, load: map[string]string{"main.star": "def f():\n    for i in range(1000000):\n        for j in range(1000): pass\nf()\n"}},
}

// loads makes files of which each loads the next.
func loads(names ...string) map[string]string {
	files := map[string]string{}
	for i, name := range names {
		text := "x = 1\n"
		if i+1 < len(names) {
			text = fmt.Sprintf("load(\"//%s.star\", \"x\")\ny = x\n", names[i+1])
			if i > 0 {
				text = fmt.Sprintf("load(\"//%s.star\", z = \"x\")\nx = z\n", names[i+1])
			}
		}
		files[name+".star"] = text
	}
	return files
}

func TestEveryLimit(t *testing.T) {
	seen := map[string]bool{}
	ofStep := map[string]bool{}
	for _, f := range starlib.StepLimits {
		ofStep[f.Key] = true
	}
	for _, f := range LimitTable() {
		seen[f.Key] = true
		b, ok := breaches[f.Key]
		if !ok {
			t.Errorf("no case breaks the limit %s", f.Key)
			continue
		}
		t.Run(f.Key, func(t *testing.T) {
			limits := DefaultLimits()
			if f.Get(&limits) <= 0 {
				t.Fatal("it has no default")
			}
			f.Set(&limits, b.n)
			if got := f.Get(&limits); got != b.n {
				t.Fatalf("set to %v it is %v", b.n, got)
			}
			// What the case is not about must not end it on a busy machine.
			if f.Key != "seconds" {
				limits.Step.Time = time.Minute
			}
			b.check(t, f.Code, limits, "")
			if ofStep[f.Key] && b.lines != nil {
				usual := DefaultLimits()
				if f.Key != "seconds" {
					usual.Step.Time = time.Minute
				}
				b.check(t, f.Code, usual, fmt.Sprintf(", limits = {%q: %v}", f.Key, b.n))
			}
		})
	}
	for key := range breaches {
		if !seen[key] {
			t.Errorf("the case %s is of no limit", key)
		}
	}
	if len(seen) != len(LimitTable()) {
		t.Error("a name stands twice in the table")
	}
}

func (b breach) check(t *testing.T, code string, limits Limits, own string) {
	t.Helper()
	var e *job.Error
	switch {
	case b.load != nil:
		e = loaded(t, limits, b.load)
	case b.other != nil:
		e = b.other(t, limits)
	default:
		e = stepped(t, limits, own, b.lines)
	}
	if e == nil {
		t.Fatal("nothing was refused")
	}
	// A loaded file's findings keep their rule and name the limit in the message.
	if e.Code != code && !(b.load != nil && strings.Contains(e.Message, code)) {
		t.Errorf("code %s, want %s: %s", e.Code, code, e.Message)
	}
	for _, want := range b.says {
		if !strings.Contains(e.Message, want) {
			t.Errorf("message %q lacks %q", e.Message, want)
		}
	}
	if b.other == nil && (e.File == "" || e.Line == 0 || e.Col == 0) {
		t.Errorf("it has no place: %+v", e)
	}
}

// stepped runs a handler with the given lines.
func stepped(t *testing.T, limits Limits, own string, lines []string) *job.Error {
	t.Helper()
	src := "bp = blueprint(name = \"t\", data_stores = {\"kept\": {\"n\": 1}}" + own + ")\ndef gather(actions): actions.transition_to(\"finished\")\nbp.aggregator_for(\"gather\")(gather)\ndef start(context, actions):\n    " + strings.Join(lines, "\n    ") +
		"\nbp.handler_for(\"start\", is_start = True)(start)\n"
	p, err := blueprint.Compile("main.star", map[string]string{"main.star": src})
	if err != nil {
		t.Fatal(err)
	}
	return sandbox.Run(context.Background(), sandbox.Step{
		Blueprint: p.Blueprints[0], Job: &job.Job{ID: "j", State: "start"}, Limits: limits.Step, Host: sandbox.Host{Stores: stuckStores{}},
	}).Failure
}

// stuckStores answer nothing until they are told that nobody waits any more.
type stuckStores struct{}

func (stuckStores) Get(ctx context.Context, _, _ string) (json.RawMessage, int64, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

func (stuckStores) Near(bool) bool { return false }

func (stuckStores) Keys(context.Context, string) ([]string, error) { return nil, nil }

// slowFile reads a file that never comes.
func slowFile(_ *testing.T, limits Limits) *job.Error {
	s := &starlib.Scope{Ctx: context.Background(), Job: &job.Job{ID: "j"}, Limits: limits.Step}
	_, err := starlib.Call(s, starlib.HostCall{Name: "task_files.read", Kind: starlib.FileReads}, func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	var host *starlib.HostError
	if !errors.As(err, &host) {
		return &job.Error{Message: fmt.Sprint(err)}
	}
	return &job.Error{Code: job.CodeTransient, Message: err.Error()}
}

// loaded compiles main.star.
func loaded(t *testing.T, limits Limits, files map[string]string) *job.Error {
	t.Helper()
	guard.SetLoad(limits.Loading())
	defer guard.SetLoad(guard.DefaultLoad())
	_, err := blueprint.Compile("main.star", files)
	var bad *blueprint.LoadError
	if !errors.As(err, &bad) {
		t.Fatalf("loading gave %v", err)
	}
	f := bad.Findings[0]
	return &job.Error{Code: f.Rule, Message: f.Message, File: f.File, Line: f.Line, Col: f.Col}
}

// largeStart asks for a job, whose refusal the caller is told, and for a child, whose parent
// is told.
func largeStart(t *testing.T, limits Limits) *job.Error {
	r := newRig(t, func(c *Config) { c.Limits = limits })
	large := `{"data":{"x":"` + strings.Repeat("y", 1994) + `"}}`
	_, _, err := r.Submit(r.ctx, Request{Blueprint: "straight", InitialData: json.RawMessage(large)})
	refused(t, err, TooLarge)
	small := newRig(t, func(c *Config) {
		c.Limits = limits
		c.Limits.Step.InitialBytes = 1 << 20
	})
	id := small.submit("parent", large)
	small.cfg.Limits.Step.InitialBytes = 1 << 10
	small.settle()
	if j := small.job(id); j.Error == nil || j.Error.Code != starlib.CodeInitial {
		t.Errorf("a child with large data: %s, %v", j.Status, j.Error)
	}
	return &job.Error{Code: starlib.CodeInitial, Message: err.Error()}
}

func endless(t *testing.T, limits Limits) *job.Error {
	r := newRig(t, func(c *Config) { c.Limits = limits })
	return r.job(r.begin("circle", `{}`)).Error
}

func nested(t *testing.T, limits Limits) *job.Error {
	r := newRig(t, func(c *Config) { c.Limits = limits })
	return r.job(r.begin("parent", `{"nested": 3}`)).Error
}

// A blueprint lowers what is asked of its own jobs; it can not raise the operator's limits.
func TestBlueprintsLowerOnly(t *testing.T) {
	operator := DefaultLimits()
	for _, f := range starlib.StepLimits {
		low, high := sandbox.Limits{}, sandbox.Limits{}
		was := f.Get(&operator.Step)
		f.Set(&low, was/2)
		f.Set(&high, was*2)
		lowered, same := operator.Step.Lowered(low), operator.Step.Lowered(high)
		if got := f.Get(&lowered); got != was/2 {
			t.Errorf("%s lowered to %v is %v", f.Key, was/2, got)
		}
		if same != operator.Step {
			t.Errorf("%s was raised by a blueprint", f.Key)
		}
	}
}
