package startest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/analysis"
)

// This file tests the runner with small blueprints and test files written to a folder: what
// passes, and what a failure says.

const flow = `
flow = StateMachineBlueprint(name = "flow", api_endpoint = "flow", data_stores = {"seen": {"jobs": 0}})

def begin(context, actions):
    context.data_stores.seen.incr("jobs")
    actions.dispatch_task(task_type = "work", params = {"n": 1, "deep": {"list": [1, 2]}}, transitions = {"success": "wait", "odd": "finished"}, dispatch_timeout_seconds = 100)

def wait(actions):
    actions.transition_to("ask", after_seconds = 30 * 24 * 3600)

def ask(actions):
    actions.await_human_approval(integration = "none", message = "well?", transitions = {"yes": "finished", "no": "failed"})

flow.handler_for("begin", is_start = True)(begin)
flow.handler_for("wait")(wait)
flow.handler_for("ask")(ask)
`

// runText writes flow.star and flow_test.star and runs the cases.
func runText(t *testing.T, test string, o Options) *Result {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"flow.star": flow, "flow_test.star": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Run(t.Context(), []File{{Root: dir, Name: "flow_test.star", Shown: "flow_test.star"}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCasesThatPass(t *testing.T) {
	r := runText(t, `
def test_thirty_days():
    job = run(workers = {"work": {"x": 1}}, approvals = {"ask": "yes"})
    job.expect(
        status = "finished", path = ["begin", "wait", "ask", "finished"], took_seconds = 30 * 24 * 3600,
        stores = {"seen": {"jobs": 1}}, state_history = {"x": lambda x: x > 0}, error = None,
    )
    expect.eq(job.id, job.id)
    expect.contains(job.path, "wait")

def test_one_world():
    w = world(start = "2030-05-05T00:00:00Z")
    for n in range(1, 4):
        job = w.run(workers = {"work": reply("odd")})
        job.expect(path = ["begin", "finished"], stores = {"seen": {"jobs": n}})
    expect.true(w.now.startswith("2030-05-05"))

def test_nobody_works():
    run(workers = {"work": None}).expect(status = "failed", error = "DISPATCH_TIMEOUT", took_seconds = 100)

def test_function_and_list():
    def worker(task):
        return failure("not yet") if task.attempt < 3 else reply("odd", {"tries": task.attempt})
    run(workers = {"work": worker}).expect(status = "finished", state_history = {"tries": 3}, took_seconds = 3)

def test_unhandled_failure():
    run(workers = {"work": failure("no", code = "PERMANENT_ERROR")}).expect(status = "quarantined", state = "begin")

def test_webhook():
    job = run(workers = {"work": reply("odd", {"x": 1})}, webhook_url = "https://client.example/hook")
    job.expect(webhooks = [{"event": "job_finished", "status": "finished", "job_id": job.id, "result": {"x": 1}}])
    run(workers = {"work": failure("no", code = "PERMANENT_ERROR")}, webhook_url = "https://client.example/hook").expect(webhooks = ["job_quarantined"])
    run(workers = {"work": reply("odd")}).expect(webhooks = [])

def test_emulated():
    run(emulate = True).expect(status = "failed", state = "failed")

def rows(n, want):
    expect.eq(n * 2, want)

test_rows = table(rows, {"one": {"n": 1, "want": 2}, "two": {"n": 2, "want": 4}})

def test_fails():
    message = expect.fails(lambda: fail("boom"), match = "bo+m")
    expect.contains(message, "boom")
`, Options{})
	for _, f := range r.Files {
		if f.Fault != nil {
			t.Fatal(f.Fault.Message)
		}
		for _, c := range f.Cases {
			if c.Failure != nil {
				t.Errorf("%s: %s\n%s", c.Name, c.Failure.Message, c.Failure.Timeline)
			}
		}
	}
	if passed, _ := r.Counts(); passed != 10 {
		t.Errorf("%d passed, want 10", passed)
	}
}

// Each of these must fail, and say what is wrong in words that help.
func TestCasesThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"path":              {`run(workers = {"work": reply("odd")}).expect(path = ["begin", "wait", "finished"])`, []string{"path: (- wanted, + got)", `      "begin"`, `    - "wait"`, `      "finished"`}},
		"several at once":   {`run(workers = {"work": reply("odd")}).expect(status = "failed", state = "x")`, []string{`status: got "finished", want "failed"`, `state: got "finished", want "x"`}},
		"deep":              {`run(workers = {"work": reply("odd")}).expect(tasks = [{"params": {"n": 1, "deep": {"list": [1, 3]}}}])`, []string{"tasks[0].params.deep.list: (- wanted, + got)"}},
		"missing key":       {`run(workers = {"work": reply("odd", {"b": 1})}).expect(state_history = {"a": 1})`, []string{"state_history.a: missing, want 1; there are: b"}},
		"absent":            {`run(workers = {"work": reply("odd", {"b": 1})}).expect(absent = ["b"])`, []string{"state_history.b: is 1, and must not be there"}},
		"kind":              {`expect.eq("1", 1)`, []string{`got "1", want 1 (string, not int)`}},
		"keyword":           {`run(workers = {"work": reply("odd")}).expect(stat = 1)`, []string{"expect: there is no stat; there are: status"}},
		"not scripted":      {`run(workers = {"other": success()})`, []string{`state "begin" dispatched a task "work", for which workers has no reply; scripted are: other`}},
		"not decided":       {`run(workers = {"work": success()})`, []string{`state "ask" waits for a person`, `approvals = {"ask": DECISION}, one of: no, yes, timeout`}},
		"decided wrongly":   {`run(workers = {"work": success()}, approvals = {"ask": "maybe"})`, []string{`gives "maybe", which the state does not offer; it offers: no, yes, timeout`}},
		"replies left":      {`run(workers = {"work": [reply("odd"), success()]})`, []string{`workers["work"] lists 2 answers, and 1 were taken`}},
		"unknown blueprint": {`run(blueprint = "flw")`, []string{`there is no blueprint "flw" in the folder of this test; there are: flow`}},
		"stuck":             {`run(workers = {"work": success()}, approvals = {"ask": "timeout"}).expect(status = "finished")`, []string{`status: got "waiting_for_human", want "finished"`}},
		"did not fail":      {`expect.fails(lambda: 1)`, []string{"lambda did not fail"}},
		"not a reply":       {`run(workers = {"work": lambda task: 1})`, []string{`workers["work"] gives int; a reply is success(...)`}},
		"endless":           {"[x for x in range(1000000) for y in range(1000000)]", []string{"the case took longer than 300ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := runText(t, "def test_it():\n    "+c.body+"\n", Options{Timeout: 300 * time.Millisecond})
			if f := r.Files[0].Fault; f != nil {
				t.Fatalf("the file can not be loaded: %s", f.Message)
			}
			f := r.Files[0].Cases[0].Failure
			if f == nil {
				t.Fatal("it passes")
			}
			for _, want := range c.want {
				if !strings.Contains(f.Message, want) {
					t.Errorf("the message is\n%s\nwant in it %q", f.Message, want)
				}
			}
			if f.File != "flow_test.star" || f.Line != 2 {
				t.Errorf("the place is %s:%d, want flow_test.star:2", f.File, f.Line)
			}
		})
	}
}

// What can not be loaded fails the file, with the place.
func TestFilesThatCanNotBeLoaded(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no cases":       {"x = 1\n", "has no cases"},
		"syntax":         {"def test_x(:\n", "flow_test.star:1:13"},
		"unknown name":   {"def test_x():\n    nothing_of_that_name()\n", "undefined: nothing_of_that_name"},
		"parameters":     {"def test_x(a):\n    pass\n", "test_x = table(fn, rows)"},
		"at load":        {"job = run()\ndef test_x():\n    pass\n", "works inside cases only"},
		"empty table":    {"def f(x):\n    pass\ntest_x = table(f, {})\n", "there are no rows"},
		"load elsewhere": {"load(\"//../x.star\", \"x\")\ndef test_x():\n    pass\n", "not a plain path"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runText(t, c.text, Options{})
			f := r.Files[0].Fault
			if f == nil {
				t.Fatal("it is loaded")
			}
			if text := f.Message + f.Trace; !strings.Contains(text, c.want) {
				t.Errorf("the message is %q, want in it %q", text, c.want)
			}
			if _, failed := r.Counts(); failed != 1 {
				t.Errorf("%d failed, want 1", failed)
			}
		})
	}
}

// The analysis knows the very names that test files have.
func TestNamesAreThoseOfTheAnalysis(t *testing.T) {
	got := names().Keys()
	slices.Sort(got)
	if want := analysis.TestNames(); !slices.Equal(got, want) {
		t.Errorf("names %q, the analysis has %q", got, want)
	}
}

func TestMatch(t *testing.T) {
	r := runText(t, "def test_a():\n    pass\n\ndef test_b():\n    fail(\"no\")\n", Options{Match: regexp.MustCompile("_a$")})
	if passed, failed := r.Counts(); passed != 1 || failed != 0 {
		t.Errorf("%d passed, %d failed; want 1 and 0", passed, failed)
	}
}

func TestCoverage(t *testing.T) {
	r := runText(t, "def test_a():\n    run(workers = {\"work\": reply(\"odd\")})\n", Options{})
	if len(r.Coverage) != 1 {
		t.Fatalf("%d blueprints covered, want 1", len(r.Coverage))
	}
	var b strings.Builder
	if err := CoverageText(&b, r.Coverage); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 of 5 states, 1 of 5 transitions", "not entered: ask", "not taken:   begin -> wait [success]", "not taken:   ask -> failed [no]"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text is\n%s\nwant in it %q", b.String(), want)
		}
	}
	if strings.Contains(b.String(), "begin -> finished") {
		t.Errorf("begin -> finished was taken:\n%s", b.String())
	}
}

// Both forms for machines are well formed and carry the failure.
func TestFormats(t *testing.T) {
	r := runText(t, "def test_good():\n    print(\"hello\")\n\ndef test_bad():\n    expect.eq(1, 2, \"because\")\n", Options{})
	var b bytes.Buffer
	if err := JSON(&b, r, r.Coverage); err != nil {
		t.Fatal(err)
	}
	var got jsonResult
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Passed != 1 || got.Failed != 1 || got.Files[0].Cases[0].Output[0] != "hello" || got.Files[0].Cases[1].Error.Line != 5 {
		t.Errorf("JSON says %+v", got)
	}
	b.Reset()
	if err := JUnit(&b, r); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(b.Bytes(), &suites); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if suites.Tests != 2 || suites.Failures != 1 || suites.Suites[0].Cases[1].Failure.Message != "because: not equal" {
		t.Errorf("JUnit says\n%s", b.String())
	}
}

// BenchmarkCase is what one case costs beside reading its files: a job with a task, a wait of
// thirty days and an approval, in a world of its own.
func BenchmarkCase(b *testing.B) {
	dir := b.TempDir()
	test := `
def one(n):
    run(workers = {"work": {"x": n}}, approvals = {"ask": "yes"}).expect(status = "finished", path = ["begin", "wait", "ask", "finished"], took_seconds = 30 * 24 * 3600)

test_many = table(one, {"row %d" % n: {"n": n} for n in range(1000)})
`
	for name, text := range map[string]string{"flow.star": flow, "flow_test.star": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	cases := 0
	b.ResetTimer()
	for b.Loop() {
		r, err := Run(b.Context(), []File{{Root: dir, Name: "flow_test.star", Shown: "flow_test.star"}}, Options{})
		if err != nil {
			b.Fatal(err)
		}
		passed, failed := r.Counts()
		if passed != 1000 || failed != 0 {
			b.Fatalf("%d passed, %d failed", passed, failed)
		}
		cases += passed
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(cases), "us/case")
}
