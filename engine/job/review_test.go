package job

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// This file tests moves at the edges: deadlines passed elsewhere, losses without end, a
// child's error, dates as people see them.

// A try that becomes due after the dispatch deadline must not be offered: whether a worker
// or the timer came first would decide what becomes of the job.
func TestRetryAfterTheDispatchDeadline(t *testing.T) {
	s := toDone()
	s.DispatchTimeout = 10
	j, tasks := dispatched(t, s)
	c := after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: CodeTransient}, Jitter: 1})
	late, err := machine().Next(c.Job, RetryDue{Task: c.Tasks[0]}, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	check(t, c.Job, late)
	if late.Job.State != "failed" || late.Job.Ending != Failed || late.Job.Error.Code != CodeDispatchTimeout || late.Tasks[0].State != TaskClosed {
		t.Errorf("%s %s ending %s error %v task %s", late.Job.Status, late.Job.State, late.Job.Ending, late.Job.Error, late.Tasks[0].State)
	}
	lost, err := machine().Next(j, TaskFailed{Task: tasks[0], Err: Error{Code: CodeWorkerLost}, Free: true}, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if lost.Job.State != "failed" || len(lost.Records) != 2 || lost.Records[0].Error.Code != CodeWorkerLost {
		t.Errorf("after a loss: %s %s records %+v", lost.Job.Status, lost.Job.State, lost.Records)
	}
}

func TestLossesWithoutEndCostTries(t *testing.T) {
	j, tasks := dispatched(t, spec(map[string]string{"success": "done"}))
	task := tasks[0]
	task.Attempt = 0
	for n := 1; ; n++ {
		if n > 40 {
			t.Fatal("a task that kills its workers goes round for ever")
		}
		task.State, task.HandOut, task.Attempt = TaskLeased, task.HandOut+1, task.Attempt+1
		c := after(t, j, TaskFailed{Task: task, Err: Error{Code: CodeWorkerLost, Message: "vanished"}, Free: true, Jitter: 1})
		if n <= maxFree && c.Job.Status != WaitingWorker {
			t.Fatalf("loss %d cost a try: %s", n, c.Job.Status)
		}
		if c.Job.Status == Quarantined {
			if want := maxFree + 4; n != want {
				t.Errorf("given up after %d hand-outs, want %d", n, want)
			}
			return
		}
		if j, task = c.Job, c.Tasks[0]; task.State == TaskRetry {
			c = after(t, j, RetryDue{Task: task})
			j, task = c.Job, c.Tasks[0]
		}
	}
}

// A result that came first must not be followed by a failure of the same try.
func TestFailureOfATryThatHasFailed(t *testing.T) {
	j, task := inStatus(t, AwaitingRetry)
	if _, err := machine().Next(j, TaskFailed{Task: task, Err: Error{Code: CodeWorkerLost}}, noon); err == nil {
		t.Error("a try failed twice")
	}
}

func TestParentIsReopenedInItsOwnState(t *testing.T) {
	c := after(t, born(t), Decided{Decision: Decision{Kind: RunChild, Child: &ChildSpec{Blueprint: "c", Transitions: map[string]string{"success": "done"}}}})
	end := ChildEnd{ChildID: c.Job.Wait.Child, Step: 1, Status: Quarantined, StateHistory: json.RawMessage(`{}`),
		Error: &Error{Code: CodeScript, Message: "boom", State: "a state of the child"}}
	failed := after(t, c.Job, ChildEnded{End: end, Before: json.RawMessage(`{}`)})
	if e := failed.Job.Error; e == nil || e.State != "start" || e.Code != CodeScript || e.Message != "boom" {
		t.Fatalf("the parent's error is %+v", e)
	}
	if again := after(t, failed.Job, Reopened{By: "ana"}); again.Job.State != "start" || !again.Job.Ready {
		t.Errorf("run again in %q, %s", again.Job.State, again.Job.Status)
	}
}

func TestDatesHaveThreeDecimals(t *testing.T) {
	at := Time{time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.FixedZone("", 3600))}
	text, err := json.Marshal(Record{At: at})
	if err != nil || !strings.Contains(string(text), `"at":"2026-01-02T02:04:05.500Z"`) || at.String() != "2026-01-02T02:04:05.500Z" {
		t.Errorf("%s %v", text, err)
	}
	var back Record
	if err := json.Unmarshal(text, &back); err != nil || !back.At.Equal(at.Time) {
		t.Errorf("%v %v", back.At, err)
	}
}

func TestOnlyTheseCodesAreTriedAgain(t *testing.T) {
	for _, k := range []struct {
		only, code string
		again      bool
	}{
		{CodeTransient, CodeTransient, true}, {CodeTransient, CodeResultTimeout, true}, {CodeTransient, CodeWorkerLost, true},
		{CodeTransient, "X", true}, {CodeTransient, CodePermanent, false}, {"X", "X", true}, {"X", CodeTransient, false},
		{"X", CodeResultTimeout, false}, {CodePermanent, CodePermanent, true}, {CodeDispatchTimeout, CodeDispatchTimeout, false},
	} {
		j, tasks := dispatched(t, toDone())
		tasks[0].Retry = &RetryPolicy{Max: 3, Initial: 1, Factor: 2, Cap: 60, Only: []string{k.only}}
		c := after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: k.code}, Jitter: 1})
		if got := c.Job.Status == AwaitingRetry; got != k.again {
			t.Errorf("only %s and %s: tried again %v, want %v", k.only, k.code, got, k.again)
		}
	}
}
