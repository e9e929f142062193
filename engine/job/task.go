package job

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// This file applies what happens to tasks: results, failures, retries.

func (w *move) returned(e Returned) error {
	j := &w.c.Job
	if err := w.expects(e.Task); err != nil {
		return err
	}
	t := e.Task
	t.State, t.Due = TaskDone, nil
	note := note(t, e.Status, e.Emulated)
	j.Files, note.Files = noteFiles(j.Files, e.Metadata)
	rec := Record{Kind: RecTaskEnd, Task: &note}
	if j.CancelAsked != nil {
		w.c.Tasks = []Task{t}
		return w.whileCancelling(e.Others, rec)
	}
	if t.Branch && e.Status == "success" {
		w.branchDone(t, e, rec)
		return nil
	}
	if !t.Branch {
		merged, err := Merge(e.Before, e.Data)
		if err != nil { // not an object: a worker may answer a list or a text, which has no keys to merge
			merged, rec.Detail = nil, "the worker's data is no object, so nothing of it is in state_history"
		}
		if tooBig := w.keepHistory(merged, e.Before, &rec); tooBig != nil {
			w.c.Tasks = []Task{t}
			tooBig.TaskID, tooBig.Attempts = t.ID, t.Attempt
			w.fail(tooBig, Quarantined, rec)
			return nil
		}
	}
	w.c.Tasks = []Task{t}
	w.follow(t, e.Status, rec)
	return nil
}

// expects checks that the job waits for just this task.
func (w *move) expects(t Task) error {
	j := &w.c.Job
	if j.Wait == nil || t.JobID != j.ID {
		return &Illegal{Status: j.Status, Why: "the job waits for no task"}
	}
	if !t.Branch && j.Wait.Task != t.N {
		return &Illegal{Status: j.Status, Why: fmt.Sprintf("the job waits for task %d, not for task %d", j.Wait.Task, t.N)}
	}
	if t.Branch && (j.Status != WaitingParallel || j.Wait.Step != t.Step) {
		return &Illegal{Status: j.Status, Why: "the group of that task is closed"}
	}
	return nil
}

// branchDone takes one branch's success; the last one enters the aggregator.
func (w *move) branchDone(t Task, e Returned, rec Record) {
	j := &w.c.Job
	data := e.Data
	if data == nil {
		data = json.RawMessage("null")
	}
	w.c.Tasks = []Task{t}
	w.c.Results = []Result{{Group: t.Step, TaskID: t.ID, Type: t.Type, Status: e.Status, Data: data}}
	open := *j.Wait // the row that came in is not ours to change
	open.Open--
	j.Wait = &open
	if open.Open > 0 {
		open.Detail = fmt.Sprintf("%d of %d parallel tasks have not succeeded yet before %q", open.Open, open.Total, open.Into)
		j.Wait = &open
		w.record(rec)
		return
	}
	if err := w.enter(open.Into); err != nil {
		w.fail(err, Quarantined, rec)
		return
	}
	w.record(rec)
}

// follow takes the transition of a status; without one the job fails.
func (w *move) follow(t Task, status string, rec Record) {
	target, ok := t.Transitions[status]
	if !ok {
		known := slices.Sorted(maps.Keys(t.Transitions))
		w.fail(&Error{Code: CodeUnhandledStatus, TaskID: t.ID, Attempts: t.Attempt, Message: fmt.Sprintf(
			"the worker answered task %q with status %q, for which there is no transition; known: %s", t.Type, status, strings.Join(known, ", "))}, Failed, rec)
		return
	}
	w.leaveFor(target, rec)
}

// leaveFor enters a state from a wait, closing what is still open.
func (w *move) leaveFor(target string, rec Record) {
	w.c.CloseTasks = true
	if err := w.enter(target); err != nil {
		w.fail(err, Quarantined, rec)
		return
	}
	w.record(rec)
}

func note(t Task, status string, emulated bool) TaskNote {
	n := TaskNote{N: t.N, ID: t.ID, Type: t.Type, Worker: t.Worker, Attempt: t.Attempt, Status: status, Emulated: emulated}
	if !t.LeasedAt.IsZero() {
		n.LeasedAt = &Time{t.LeasedAt}
	}
	return n
}

func (w *move) taskFailed(e TaskFailed) error {
	j := &w.c.Job
	if err := w.expects(e.Task); err != nil {
		return err
	}
	t, err := e.Task, e.Err
	err.Attempts, err.TaskID, err.State = t.Attempt, t.ID, w.from
	t.LastError, t.Due = &err, nil
	note := note(t, "failure", e.Emulated)
	rec := Record{Kind: RecTaskFail, Task: &note, Error: &err}
	if j.CancelAsked != nil {
		t.State = TaskClosed
		w.c.Tasks = []Task{t}
		return w.whileCancelling(e.Others, rec)
	}
	policy := w.Retry
	if t.Retry != nil {
		policy = *t.Retry
	}
	if e.Free && !policy.Never && t.HandOut-t.Attempt < maxFree {
		t.Attempt--
		w.requeue(t, rec)
		return nil
	}
	if t.Attempt <= policy.Max && !policy.Never && policy.retries(err.Code) {
		w.tryAgain(t, policy.backoff(t.Attempt, e.Jitter), policy, rec)
		return nil
	}
	t.State = TaskClosed
	w.c.Tasks = []Task{t}
	w.giveUp(t, &err, rec)
	return nil
}

// maxFree is how many losses in a row cost a task no try. A task that kills every worker
// before it can say that it has it would else go round for ever.
const maxFree = 10

// retries says whether a policy tries again after an error code. DISPATCH_TIMEOUT and
// NO_SUITABLE_WORKER never are: no attempt was made. A TRANSIENT_ERROR in "only" stands for
// all that counts as one: deadlines of an attempt, lost workers, unknown codes.
func (p RetryPolicy) retries(code string) bool {
	passing := judge(code) == tryAgain
	if len(p.Only) > 0 && code != CodeDispatchTimeout && code != CodeNoSuitableWorker {
		return slices.Contains(p.Only, code) || passing && slices.Contains(p.Only, CodeTransient)
	}
	return passing
}

// requeue puts a task back into its queue, unless the time that it may spend there is over:
// an offer now would be a race between the next worker and the timer.
func (w *move) requeue(t Task, rec Record) {
	j := &w.c.Job
	if t.Dispatch != nil && !t.Dispatch.After(w.now) {
		w.dispatchTimeout(t, rec)
		return
	}
	t.State, t.Due = TaskQueued, t.Dispatch
	w.c.Tasks = []Task{t}
	if !t.Branch {
		w.wait(Wait{For: WaitingWorker, Task: t.N, Until: t.Due, Transitions: j.Wait.Transitions,
			Detail: fmt.Sprintf("task %q is queued for a worker again", t.Type)})
	}
	w.record(rec)
}

func (w *move) dispatchTimeout(t Task, rec Record) {
	err := Error{Code: CodeDispatchTimeout, Attempts: t.Attempt, TaskID: t.ID, State: w.from, Message: fmt.Sprintf(
		"task %q was to be with a worker by %s, %s after its dispatch, and needed another try then", t.Type, Time{*t.Dispatch}, t.Dispatch.Sub(t.Queued))}
	if rec.Kind == RecTaskFail { // the loss that needs the other try
		w.record(rec)
	}
	note := note(t, "failure", false)
	t.State, t.Due, t.LastError = TaskClosed, nil, &err
	w.c.Tasks = []Task{t}
	w.giveUp(t, &err, Record{Kind: RecTaskFail, Task: &note, Error: &err})
}

func (w *move) tryAgain(t Task, after time.Duration, p RetryPolicy, rec Record) {
	at := w.now.Add(after)
	t.State, t.Due = TaskRetry, &at
	w.c.Tasks = []Task{t}
	rec.Detail = fmt.Sprintf("try %d of %d failed; the next one begins at %s", t.Attempt, p.Max+1, Time{at})
	if !t.Branch {
		w.wait(Wait{For: AwaitingRetry, Task: t.N, Until: &at, Transitions: w.c.Job.Wait.Transitions, Detail: fmt.Sprintf(
			"try %d of %d of task %q failed with %s: %s", t.Attempt, p.Max+1, t.Type, t.LastError.Code, t.LastError.Message)})
	}
	w.record(rec)
}

// giveUp ends a task's tries: the job takes "failure" or stops where it stands.
func (w *move) giveUp(t Task, err *Error, rec Record) {
	j := &w.c.Job
	status := Quarantined
	if judge(err.Code) == invalid {
		status = Failed
	}
	if judge(err.Code) == tryAgain && t.Attempt > 1 {
		err.Message = fmt.Sprintf("%s (after %d attempts)", err.Message, t.Attempt)
	}
	target, ok := t.Transitions["failure"]
	if !ok {
		w.fail(err, status, rec)
		return
	}
	j.Error = err
	if w.isEnd(target) {
		j.Ending = status
	}
	w.leaveFor(target, rec)
}

func (w *move) retryDue(e RetryDue) error {
	if err := w.expects(e.Task); err != nil {
		return err
	}
	note := note(e.Task, "", false)
	if w.c.Job.CancelAsked != nil { // other branches are still stopping; this one need not begin
		t := e.Task
		t.State, t.Due = TaskClosed, nil
		w.c.Tasks = []Task{t}
		w.record(Record{Kind: RecTaskFail, Task: &note, Detail: "not tried again: the job is being cancelled"})
		return nil
	}
	w.requeue(e.Task, Record{Kind: RecRetry, Task: &note})
	return nil
}
