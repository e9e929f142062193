package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// This file tests the machine: every event in every status, and the moves that matter.

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// chart is a small blueprint: start -> work -> join -> done, with the usual ends.
type chart map[string]Place

func (c chart) Place(s string) (Place, bool) { p, ok := c[s]; return p, ok }
func (c chart) StartState() string           { return "start" }
func (c chart) Suggest(s string) string {
	if s == "dome" {
		return "done"
	}
	return ""
}

func machine() Machine {
	return Machine{
		Chart: chart{
			"start": {}, "work": {}, "join": {Aggregator: true}, "undo": {},
			"done":      {End: true, Status: Finished},
			"failed":    {End: true, Status: Failed},
			"cancelled": {End: true, Status: Cancelled},
		},
		CancelGrace: 30 * time.Second, Retry: DefaultRetry, MaxStreak: 1000, MaxSteps: 100_000, MaxHistory: 1 << 20,
	}
}

// born gives a job that was just accepted.
func born(t *testing.T) Job {
	t.Helper()
	c, err := machine().Next(Job{}, Created{ID: NewID(noon, 7), Blueprint: "b", Revision: "r", InitialData: json.RawMessage(`{}`)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c.Job
}

// after applies an event that must be legal.
func after(t *testing.T, j Job, e Event) *Change {
	t.Helper()
	c, err := machine().Next(j, e, noon.Add(time.Second))
	if err != nil {
		t.Fatalf("%T on a job that is %s: %v", e, j.Status, err)
	}
	check(t, j, c)
	return c
}

// check holds what every change must keep.
func check(t *testing.T, before Job, c *Change) {
	t.Helper()
	j := c.Job
	if c.Base != before.Version || j.Version != c.Base+1 {
		t.Errorf("version %d -> %d on base %d", before.Version, j.Version, c.Base)
	}
	for i, r := range c.Records {
		if r.N != before.Records+int64(i)+1 {
			t.Errorf("record %d has number %d after %d records", i, r.N, before.Records)
		}
	}
	if len(c.Records) == 0 {
		t.Error("a change without a history record")
	}
	if last := c.Records[len(c.Records)-1]; last.Status != j.Status {
		t.Errorf("history says %s, the row %s", last.Status, j.Status)
	}
	switch {
	case j.Status.Terminal():
		open := before.Wait != nil && (before.Status == WaitingParallel || before.Wait.Task > 0 && len(c.Tasks) == 0)
		if j.Ready || j.Wait != nil || j.EndedAt == nil || open && !c.CloseTasks {
			t.Errorf("an ended job is ready=%v wait=%v ended=%v close=%v", j.Ready, j.Wait, j.EndedAt, c.CloseTasks)
		}
	case j.Ready == (j.Wait != nil):
		t.Errorf("a %s job is ready=%v and waits for %v: exactly one must hold", j.Status, j.Ready, j.Wait)
	case j.Wait != nil && (j.Wait.For != j.Status || j.Wait.Since.IsZero() || j.Wait.Detail == ""):
		t.Errorf("a %s job waits without a dated reason: %+v", j.Status, j.Wait)
	}
}

func dispatched(t *testing.T, specs ...TaskSpec) (Job, []Task) {
	t.Helper()
	c := after(t, born(t), Decided{Decision: Decision{Kind: Dispatch, Tasks: specs, Handler: "h"}})
	for i := range c.Tasks {
		c.Tasks[i].State, c.Tasks[i].ID, c.Tasks[i].Attempt = TaskLeased, fmt.Sprintf("fence-%d", i+1), 1
	}
	return c.Job, c.Tasks
}

func spec(transitions map[string]string) TaskSpec {
	return TaskSpec{Type: "echo", Params: json.RawMessage(`{}`), Transitions: transitions}
}

func toDone() TaskSpec { return spec(map[string]string{"success": "done", "failure": "failed"}) }

// inStatus builds a job in each status, with its first task if it has one.
func inStatus(t *testing.T, s Status) (Job, Task) {
	t.Helper()
	wait := func(d Decision) Job { return after(t, born(t), Decided{Decision: d}).Job }
	switch s {
	case Pending:
		return born(t), Task{}
	case Running:
		return wait(Decision{Kind: Transition, Target: "work"}), Task{}
	case WaitingWorker:
		j, tasks := dispatched(t, toDone())
		return j, tasks[0]
	case AwaitingRetry:
		j, tasks := dispatched(t, toDone())
		c := after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: CodeTransient}, Jitter: 1})
		return c.Job, c.Tasks[0]
	case WaitingParallel:
		join := spec(map[string]string{"success": "join", "failure": "failed"})
		j, tasks := dispatched(t, join, join)
		return j, tasks[0]
	case WaitingHuman:
		return wait(Decision{Kind: AskApproval, Approval: &Approval{Integration: "x", Message: "?", Transitions: map[string]string{"approved": "done", "timeout": "failed"}, Timeout: 60}}), Task{}
	case WaitingSubJob:
		return wait(Decision{Kind: RunChild, Child: &ChildSpec{Blueprint: "c", Transitions: map[string]string{"success": "done"}}}), Task{}
	case WaitingTimer:
		return wait(Decision{Kind: Transition, Target: "work", After: 60}), Task{}
	}
	target := map[Status]string{Finished: "done", Failed: "failed", Cancelled: "cancelled"}[s]
	if s == Quarantined {
		return wait(Decision{Failure: &Error{Code: CodeScript, Message: "boom"}}), Task{}
	}
	j := wait(Decision{Kind: Transition, Target: target})
	return after(t, j, Decided{}).Job, Task{}
}

// TestEveryEventInEveryStatus enumerates the table of legal moves.
func TestEveryEventInEveryStatus(t *testing.T) {
	for _, s := range Statuses {
		j, task := inStatus(t, s)
		if j.Status != s {
			t.Fatalf("built a job that is %s, not %s", j.Status, s)
		}
		childID := ""
		if j.Wait != nil {
			childID = j.Wait.Child
		}
		events := []Event{
			Created{}, Decided{Decision: Decision{Kind: Transition, Target: "work"}},
			Returned{Task: task, Status: "success"}, TaskFailed{Task: task, Err: Error{Code: CodePermanent}},
			RetryDue{Task: task}, TimerFired{}, Approved{Decision: "approved"},
			ChildEnded{End: ChildEnd{ChildID: childID, Status: Finished}},
			CancelAsked{}, Reopened{}, ClosedByHand{}, Migrated{Revision: "r2", Chart: machine().Chart}, Broken{},
		}
		for _, e := range events {
			at := noon.Add(time.Hour)
			if _, ok := e.(Approved); ok {
				at = noon.Add(2 * time.Second) // before the deadline
			}
			c, err := machine().Next(j, e, at)
			allowed := e.event() != "created" && isLegal(e.event(), s)
			var illegal *Illegal
			switch {
			case !allowed && !errors.As(err, &illegal):
				t.Errorf("%s in status %s: got %v, want it to be illegal", e.event(), s, err)
			case err == nil:
				check(t, j, c)
			case allowed && !errors.As(err, &illegal):
				t.Errorf("%s in status %s: %v", e.event(), s, err)
			case allowed && !(e.event() == "timer fired" && j.Due == nil):
				t.Errorf("%s in status %s was refused: %v", e.event(), s, err)
			}
		}
	}
}

func TestResultMergesDataAndTakesTransition(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	c := after(t, j, Returned{Task: tasks[0], Status: "success", Data: json.RawMessage(`{"b":2.0,"a":9}`), Before: json.RawMessage(`{"a":1,"z":0}`)})
	if got, want := string(c.StateHistory), `{"a":9,"z":0,"b":2.0}`; got != want {
		t.Errorf("state_history %s, want %s", got, want)
	}
	if c.Job.State != "done" || !c.Job.Ready || len(c.Records[0].Set) != 2 {
		t.Errorf("state %s ready %v set %v", c.Job.State, c.Job.Ready, c.Records[0].Set)
	}
}

func TestResultThatIsNoObjectIsNotMergedAndHistorySaysSo(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	c := after(t, j, Returned{Task: tasks[0], Status: "success", Data: json.RawMessage(`[1]`), Before: json.RawMessage(`{"a":1}`)})
	if c.Job.State != "done" || len(c.StateHistory) != 0 || !strings.Contains(c.Records[0].Detail, "no object") {
		t.Errorf("state %s, state_history %s, record %+v", c.Job.State, c.StateHistory, c.Records[0])
	}
}

func TestUnknownStatusFailsNamingTheKnown(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	c := after(t, j, Returned{Task: tasks[0], Status: "needs_review"})
	want := `the worker answered task "echo" with status "needs_review", for which there is no transition; known: failure, success`
	if c.Job.Status != Failed || c.Job.Error.Message != want {
		t.Errorf("%s: %v", c.Job.Status, c.Job.Error)
	}
}

func TestRetriesThenQuarantine(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	task := tasks[0]
	for try := 1; try <= 3; try++ {
		c := after(t, j, TaskFailed{Task: task, Err: Error{Code: "SOMETHING_NEW"}, Jitter: 0.5})
		if c.Job.Status != AwaitingRetry {
			t.Fatalf("try %d: %s", try, c.Job.Status)
		}
		wait := c.Tasks[0].Due.Sub(noon.Add(time.Second))
		if want := time.Second << (try - 1) / 2; wait != want {
			t.Errorf("wait %s before retry %d, want %s", wait, try, want)
		}
		j = after(t, c.Job, RetryDue{Task: c.Tasks[0]}).Job
		task.Attempt++
	}
	c := after(t, j, TaskFailed{Task: task, Err: Error{Code: CodeTransient, Message: "no"}, Jitter: 1})
	if c.Job.State != "failed" || c.Job.Ending != Quarantined || c.Job.Error.Attempts != 4 || c.Job.Error.State != "start" {
		t.Fatalf("%s ending %s error %+v", c.Job.State, c.Job.Ending, c.Job.Error)
	}
	if end := after(t, c.Job, Decided{}); end.Job.Status != Quarantined {
		t.Errorf("the end state's own status won: %s", end.Job.Status)
	}
}

func TestFailureCodesDecide(t *testing.T) {
	for _, k := range []struct {
		code   string
		status Status
	}{{CodePermanent, Quarantined}, {CodeSecurity, Quarantined}, {CodeInvalidInput, Failed}, {CodeIntegrity, Failed}, {CodeDispatchTimeout, Failed}, {CodeNoSuitableWorker, Failed}} {
		j, tasks := dispatched(t, spec(map[string]string{"success": "done"}))
		c := after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: k.code}, Jitter: 1})
		if c.Job.Status != k.status || c.Job.State != "start" {
			t.Errorf("%s without a failure transition: %s in %s, want %s in start", k.code, c.Job.Status, c.Job.State, k.status)
		}
	}
}

func TestFailureIntoAWorkingStateGoesOn(t *testing.T) {
	j, tasks := dispatched(t, spec(map[string]string{"success": "done", "failure": "undo"}))
	c := after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: CodePermanent, Message: "no"}, Jitter: 1})
	if c.Job.State != "undo" || c.Job.Ending != "" || c.Job.Error == nil {
		t.Errorf("%s ending %q error %v", c.Job.State, c.Job.Ending, c.Job.Error)
	}
}

func TestFinishedAfterCompensationShowsNoError(t *testing.T) {
	j, tasks := dispatched(t, spec(map[string]string{"success": "done", "failure": "undo"}))
	j = after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: CodePermanent, Message: "no"}, Jitter: 1}).Job
	j = after(t, j, Decided{Decision: Decision{Kind: Transition, Target: "done"}}).Job
	if j.Error == nil {
		t.Fatal("the end state's handler would not see context.error")
	}
	if end := after(t, j, Decided{}).Job; end.Status != Finished || end.Error != nil {
		t.Errorf("%s with error %v", end.Status, end.Error)
	}
}

func TestUnconfirmedLossCostsNoTry(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	c := after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: CodeWorkerLost}, Free: true, Jitter: 1})
	if c.Tasks[0].Attempt != 0 || c.Tasks[0].State != TaskQueued || c.Job.Status != WaitingWorker {
		t.Errorf("attempt %d %s job %s", c.Tasks[0].Attempt, c.Tasks[0].State, c.Job.Status)
	}
	never := tasks[0]
	never.Retry = &RetryPolicy{Never: true}
	if c := after(t, j, TaskFailed{Task: never, Err: Error{Code: CodeWorkerLost}, Free: true, Jitter: 1}); c.Job.State != "failed" {
		t.Errorf("retry=0 was tried again: %s", c.Job.Status)
	}
}

func TestParallelJoinsOnce(t *testing.T) {
	join := spec(map[string]string{"success": "join", "failure": "failed"})
	j, tasks := dispatched(t, join, join, join)
	for i, task := range tasks {
		c := after(t, j, Returned{Task: task, Status: "success", Data: json.RawMessage(`{"n":1}`)})
		if c.StateHistory != nil || len(c.Results) != 1 || c.Results[0].Group != j.Group {
			t.Fatalf("branch %d: history %s results %+v", i, c.StateHistory, c.Results)
		}
		if last := i == len(tasks)-1; c.Job.Ready != last {
			t.Fatalf("after branch %d ready is %v", i+1, c.Job.Ready)
		}
		j = c.Job
	}
	if j.State != "join" {
		t.Errorf("in %s, want join", j.State)
	}
}

func TestParallelFailureClosesTheOthers(t *testing.T) {
	join := spec(map[string]string{"success": "join", "failure": "failed"})
	j, tasks := dispatched(t, join, join)
	c := after(t, j, TaskFailed{Task: tasks[1], Err: Error{Code: CodeInvalidInput}, Jitter: 1})
	if c.Job.State != "failed" || !c.CloseTasks {
		t.Fatalf("%s close %v", c.Job.State, c.CloseTasks)
	}
	if _, err := machine().Next(c.Job, Returned{Task: tasks[0], Status: "success"}, noon); err == nil {
		t.Error("a late branch was taken")
	}
}

func TestCancelAtAWorkerWaitsForItsAnswer(t *testing.T) {
	j, tasks := dispatched(t, spec(map[string]string{"success": "done", "cancelled": "cancelled"}))
	c := after(t, j, CancelAsked{By: "me", AtWorkers: 1})
	if c.Job.Status != WaitingWorker || c.Job.CancelAsked == nil || c.Job.Due == nil {
		t.Fatalf("%s asked %v due %v", c.Job.Status, c.Job.CancelAsked, c.Job.Due)
	}
	answered := after(t, c.Job, Returned{Task: tasks[0], Status: "success"})
	if answered.Job.State != "cancelled" || answered.Job.Ending != Cancelled {
		t.Errorf("answered: %s ending %q", answered.Job.State, answered.Job.Ending)
	}
	if _, err := machine().Next(c.Job, TimerFired{}, noon.Add(5*time.Second)); err == nil {
		t.Error("the grace ended early")
	}
	silent, err := machine().Next(c.Job, TimerFired{}, noon.Add(time.Minute))
	if err != nil || silent.Job.State != "cancelled" {
		t.Errorf("silent worker: %v %+v", err, silent)
	}
}

func TestSecondCancelEndsACompensation(t *testing.T) {
	j, _ := dispatched(t, spec(map[string]string{"success": "done", "cancelled": "undo"}))
	c := after(t, j, CancelAsked{})
	if c.Job.State != "undo" || !c.Job.Ready {
		t.Fatalf("first cancel: %s %s", c.Job.State, c.Job.Status)
	}
	if c = after(t, c.Job, CancelAsked{}); c.Job.Status != Cancelled {
		t.Errorf("second cancel: %s", c.Job.Status)
	}
}

func TestApproval(t *testing.T) {
	j, _ := inStatus(t, WaitingHuman)
	if _, err := machine().Next(j, Approved{Decision: "maybe"}, noon); err == nil || err.Error() != `"maybe" is no decision of this approval; choose one of: approved` {
		t.Errorf("a foreign decision: %v", err)
	}
	if c := after(t, j, Approved{Decision: "approved", By: "ana"}); c.Job.State != "done" || c.Records[0].By != "ana" {
		t.Errorf("approved: %s %+v", c.Job.State, c.Records[0])
	}
	late, err := machine().Next(j, TimerFired{}, noon.Add(time.Hour))
	if err != nil || late.Job.State != "failed" || late.Job.Error.Code != CodeApprovalTimeout {
		t.Errorf("deadline: %v", err)
	}
}

func TestChildTellsItsParent(t *testing.T) {
	j, _ := inStatus(t, WaitingSubJob)
	id := j.Wait.Child
	c := after(t, j, ChildEnded{End: ChildEnd{ChildID: id, Status: Finished, StateHistory: json.RawMessage(`{"x":1}`)}})
	want := `{"sub_job_` + id + `":{"outcome":"success","job_id":"` + id + `","status":"finished","state_history":{"x":1},"error":null}}`
	if string(c.StateHistory) != want {
		t.Errorf("state_history %s, want %s", c.StateHistory, want)
	}
	if _, err := machine().Next(c.Job, ChildEnded{End: ChildEnd{ChildID: id}}, noon); err == nil {
		t.Error("the parent was resumed twice")
	}
}

func TestCirclesAreStopped(t *testing.T) {
	m := machine()
	m.MaxStreak = 5
	j := born(t)
	for range 5 {
		c, err := m.Next(j, Decided{Decision: Decision{Kind: Transition, Target: "work"}}, noon)
		if err != nil || c.Job.Status != Running {
			t.Fatalf("%v %s", err, c.Job.Status)
		}
		j = c.Job
	}
	c, err := m.Next(j, Decided{Decision: Decision{Kind: Transition, Target: "work"}}, noon)
	if err != nil || c.Job.Status != Quarantined || c.Job.Error.Code != CodeTransitionLimit {
		t.Errorf("%v %s %v", err, c.Job.Status, c.Job.Error)
	}
}

func TestBadDecisionsChangeNothingElse(t *testing.T) {
	for name, d := range map[string]Decision{
		"unknown state":   {Kind: Transition, Target: "dome"},
		"aggregator":      {Kind: Transition, Target: "join"},
		"no action":       {Handler: "h"},
		"mixed targets":   {Kind: Dispatch, Tasks: []TaskSpec{spec(map[string]string{"success": "join"}), toDone()}},
		"not aggregator":  {Kind: Dispatch, Tasks: []TaskSpec{toDone(), toDone()}},
		"large history":   {Kind: Transition, Target: "work", StateHistory: json.RawMessage(`{"x":"` + string(make([]byte, 2<<20)) + `"}`)},
		"history no JSON": {Kind: Transition, Target: "work", StateHistory: json.RawMessage(`[1]`)},
	} {
		d.Writes = []StoreWrite{{Store: "s", Key: "k"}}
		if d.StateHistory == nil {
			d.StateHistory = json.RawMessage(`{"changed":true}`)
		}
		c := after(t, born(t), Decided{Decision: d})
		if c.Job.Status != Quarantined || c.Job.State != "start" || c.StateHistory != nil || c.Writes != nil || c.Tasks != nil || c.Records[0].Set != nil {
			t.Errorf("%s: %s in %s, history %s writes %v tasks %v", name, c.Job.Status, c.Job.State, c.StateHistory, c.Writes, c.Tasks)
		}
	}
}

func TestReopenRunsTheFailedStateAgain(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	j = after(t, j, TaskFailed{Task: tasks[0], Err: Error{Code: CodePermanent}, Jitter: 1}).Job
	j = after(t, j, Decided{}).Job
	c := after(t, j, Reopened{By: "op", Data: json.RawMessage(`{"fixed":true}`)})
	if c.Job.State != "start" || !c.Job.Ready || c.Job.Error != nil || c.Job.EndedAt != nil || string(c.StateHistory) != `{"fixed":true}` {
		t.Errorf("%s ready %v error %v history %s", c.Job.State, c.Job.Ready, c.Job.Error, c.StateHistory)
	}
	closed := after(t, j, ClosedByHand{By: "op"}).Job
	if _, err := machine().Next(closed, Reopened{}, noon); err == nil {
		t.Error("a closed job was reopened")
	}
}

func TestTimeoutsOfATask(t *testing.T) {
	s := toDone()
	s.Timeout, s.ResultTimeout, s.DispatchTimeout = 60, 20, 5
	c := after(t, born(t), Decided{Decision: Decision{Kind: Dispatch, Tasks: []TaskSpec{s}}})
	if task := c.Tasks[0]; task.Timeout != 20 || task.Due == nil || task.Due.Sub(task.Queued) != 5*time.Second {
		t.Errorf("timeout %v due %v", task.Timeout, task.Due)
	}
}

func TestIDs(t *testing.T) {
	a, b := NewID(noon, 0xab), NewID(noon.Add(time.Millisecond), 0xab)
	if a >= b || ShardOf(a) != 0xab || len(a) != 36 {
		t.Errorf("%s %s shard %x", a, b, ShardOf(a))
	}
	x, again := DerivedID(noon, 1, "x"), DerivedID(noon, 1, "x")
	if x != again || x == DerivedID(noon, 1, "y") {
		t.Error("derived ids do not follow their cause")
	}
	last := ""
	for i := range 10_000 { // more than fit into a millisecond
		next := NewID(noon, byte(i))
		if next <= last {
			t.Fatalf("id %s does not sort after the one before it, %s", next, last)
		}
		last = next
	}
	for _, bad := range []string{"", "x", a[:35], a + "0", "../../../../etc/passwd-------------x", "ABCDEF00-0000-7000-8000-000000000000"} {
		if _, ok := ParseID(bad); ok {
			t.Errorf("%q passed for an id", bad)
		}
	}
}

// A branch that is to be tried again and one that ends its group share a commit: the first
// must be closed with the others, though the change itself has its row.
func TestThenClosesTasksOfTheEarlierChange(t *testing.T) {
	due := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	first := &Change{Tasks: []Task{{N: 1, State: TaskRetry, Due: &due}, {N: 2, State: TaskDone}}}
	joined := first.Then(&Change{Tasks: []Task{{N: 3, State: TaskClosed}}, CloseTasks: true})
	if got := joined.Tasks[0]; got.State != TaskClosed || got.Due != nil || joined.Tasks[1].State != TaskDone {
		t.Errorf("tasks %+v", joined.Tasks)
	}
	if first.Tasks[0].State != TaskRetry {
		t.Error("the change that was joined was changed")
	}
	after := joined.Then(&Change{Tasks: []Task{{N: 4, State: TaskQueued}}})
	if !after.CloseTasks || after.Tasks[3].State != TaskQueued {
		t.Errorf("a task dispatched after the close: %+v", after.Tasks[3])
	}
}
