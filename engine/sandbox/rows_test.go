package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/starlib"
)

// This file tests what a step may leave in the job's row, which lists read by the thousand:
// words are cut and say so, names are refused.

func TestWordsInTheRowAreCut(t *testing.T) {
	long := `"` + "é" + `" * 50000` // 100,000 bytes
	d := ok(t, body(t, "context, actions", `actions.transition_to("done", error_message = `+long+`)`))
	m := ok(t, body(t, "context, actions", `actions.await_human_approval(integration = "x", message = `+long+`, transitions = {"ok": "done"})`))
	for what, text := range map[string]string{"error_message": d.ErrorMessage, "message": m.Approval.Message} {
		if len(text) > job.MaxText+100 || !strings.HasSuffix(text, "é… (100000 bytes in all)") {
			t.Errorf("%s has %d bytes and ends in %q", what, len(text), text[len(text)-40:])
		}
	}
	short := ok(t, body(t, "context, actions", `actions.transition_to("done", error_message = "x" * `+fmt.Sprint(job.MaxText)+`)`))
	if len(short.ErrorMessage) != job.MaxText {
		t.Errorf("a text of %d bytes has %d", job.MaxText, len(short.ErrorMessage))
	}
}

func TestFailWithInTheRowIsCut(t *testing.T) {
	e := bad(t, body(t, "context, actions", `fail_with("k" * 100000, "why", details = {"x": "y" * 100000})`), "why")
	row, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if len(row) > 64<<10 || !strings.Contains(string(row), "left out: 100008 bytes") || !strings.Contains(string(row), "kkk…") {
		t.Errorf("the error has %d bytes as JSON: %.600s", len(row), row)
	}
	small := bad(t, body(t, "context, actions", `fail_with("kind", "why", details = {"x": 1})`), "kind: why")
	if row, err = json.Marshal(small.Details); err != nil || string(row) != `{"details":{"x":1},"kind":"kind"}` {
		t.Errorf("details %s, %v", row, err)
	}
}

func TestCatchGivesDetailsWhole(t *testing.T) {
	d := ok(t, body(t, "context, actions", `def f(): fail_with("k" * 1000, "why", details = "y" * 100000)`, `r = catch(f)`,
		`actions.transition_to("done", error_message = "%d %d" % (len(r.error.kind), len(r.error.details)))`))
	if d.ErrorMessage != "1000 100000" {
		t.Errorf("caught %s", d.ErrorMessage)
	}
}

func TestTraceIsCut(t *testing.T) {
	name := strings.Repeat("f", 100_000) // a function's name, and a line as long
	e := bad(t, body(t, "context, actions", "def "+name+"(): fail('here')", "x = 1; "+strings.Repeat("y = 2; ", 20_000)+name+"()"), "here")
	if len(e.Trace) > 32<<10 || !strings.HasSuffix(e.Trace, "^") || !strings.Contains(e.Trace, "…") {
		t.Errorf("the backtrace has %d bytes", len(e.Trace))
	}
	lines := strings.Split(e.Trace, "\n")
	line, mark := lines[len(lines)-2], lines[len(lines)-1]
	if at := strings.Index(mark, "^"); !strings.HasPrefix(line[at:], "('here')") || len(line) > 500 {
		t.Errorf("the mark is at %d of a line of %d bytes", at, len(line))
	}
}

func TestNamesInRowsAreBounded(t *testing.T) {
	at, over := strings.Repeat("n", starlib.MaxName), strings.Repeat("n", starlib.MaxName+1)
	for _, call := range []string{
		`actions.dispatch_task("NAME", transitions = {"success": "done"})`,
		`actions.dispatch_task("t", transitions = {"success": "done", "NAME": "done"})`,
		`actions.dispatch_task("t", transitions = {"success": "done"}, retry = {"only": ["NAME"]})`,
		`actions.dispatch_parallel(tasks = [{"type": "NAME"}], aggregate_into = "gather")`,
		`actions.run_blueprint("NAME", transitions = {"success": "done"})`,
		`actions.await_human_approval(integration = "NAME", transitions = {"ok": "done"})`,
		`actions.await_human_approval(integration = "x", transitions = {"NAME": "done"})`,
	} {
		ok(t, body(t, "context, actions", strings.ReplaceAll(call, "NAME", at)))
		e := bad(t, body(t, "context, actions", strings.ReplaceAll(call, "NAME", over)), "at most 256 bytes, and this one has 257")
		if e.Code != starlib.CodeName || e.File != "main.star" || e.Line == 0 || e.Col == 0 {
			t.Errorf("%.60s: %+v", call, e)
		}
	}
}

func TestOutcomesAreBounded(t *testing.T) {
	for entries, code := range map[int]string{99: "", 100: starlib.CodeOutcomes} { // and success
		src := fmt.Sprintf(`t = {"success": "done"} | {"k%%d" %% i: "done" for i in range(%d)}`, entries)
		st := body(t, "context, actions", src, `actions.dispatch_task("x", transitions = t)`)
		if code == "" {
			if d := ok(t, st); len(d.Tasks[0].Transitions) != 100 {
				t.Errorf("%d transitions", len(d.Tasks[0].Transitions))
			}
		} else if e := bad(t, st, "transitions has at most 100 entries"); e.Code != code || e.Line == 0 {
			t.Errorf("%+v", e)
		}
	}
	for codes, code := range map[int]string{100: "", 101: starlib.CodeRetryCodes} {
		st := body(t, "context, actions", fmt.Sprintf(`actions.dispatch_task("x", transitions = {"success": "done"}, retry = {"only": ["C"] * %d})`, codes))
		if code == "" {
			ok(t, st)
		} else if e := bad(t, st, "retry only has at most 100 entries"); e.Code != code || e.Line == 0 {
			t.Errorf("%+v", e)
		}
	}
}

func TestEmptyLinesOfLogCount(t *testing.T) {
	lines := DefaultLimits().LogBytes / 16
	ok(t, body(t, "context, actions", fmt.Sprintf("for i in range(%d): print('')", lines), `actions.transition_to("done")`))
	if e := bad(t, body(t, "context, actions", fmt.Sprintf("for i in range(%d): print('')", lines+1)), "a line counts as 16 at least"); e.Code != starlib.CodeLog {
		t.Errorf("%+v", e)
	}
}
