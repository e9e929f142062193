package job

import (
	"encoding/json"
	"fmt"
	"time"
)

// This file is the machine: Next, and the few ways in which a job moves.

// Machine changes jobs that run on one revision of a blueprint.
type Machine struct {
	Chart       Chart         // nil: states are not checked (the revision is gone)
	CancelGrace time.Duration // how long a worker may take to stop
	Retry       RetryPolicy   // for tasks that say nothing
	MaxStreak   int           // transitions in a row without a wait
	MaxSteps    int64         // steps in a job's life
	MaxHistory  int           // bytes of state_history
}

// Next gives the change that an event makes of a job at a time. It is pure. It returns
// *Illegal when the event does not fit the job; then nothing must be written.
func (m Machine) Next(j Job, e Event, now time.Time) (*Change, error) {
	w := &move{Machine: m, now: now, from: j.State, c: &Change{Job: j, Base: j.Version}}
	if _, isNew := e.(Created); isNew != (j.ID == "") {
		return nil, &Illegal{Event: string(e.event()), Status: j.Status}
	}
	if !isLegal(e.event(), j.Status) {
		return nil, &Illegal{Event: string(e.event()), Status: j.Status}
	}
	if err := w.take(e); err != nil {
		return nil, err
	}
	next := &w.c.Job
	next.Version = w.c.Base + 1
	next.UpdatedAt = now
	w.c.CloseTasks = w.c.CloseTasks && w.othersOpen(j.Wait)
	next.Due = w.due()
	if next.Ends != nil && (next.Step >= next.Ends.Step || next.Status.Terminal()) {
		next.Ends = nil // what was run has been kept, so it was not to blame
	}
	return w.c, nil
}

// othersOpen says whether tasks beside those of the change can be open: closing them costs
// a search, and most jobs have had but one.
func (w *move) othersOpen(before *Wait) bool {
	switch {
	case before == nil:
		return false
	case before.For == WaitingParallel:
		return true
	case before.Task == 0:
		return false
	}
	return len(w.c.Tasks) == 0 || w.c.Tasks[0].N != before.Task
}

func isLegal(e eventName, s Status) bool {
	if e == "created" {
		return true
	}
	for _, ok := range legal[e] {
		if ok == s {
			return true
		}
	}
	return false
}

// move is one event being applied.
type move struct {
	Machine
	now  time.Time
	from string // the state the job stood in
	c    *Change

	trace map[string]string // of what a step starts
}

func (w *move) take(e Event) error {
	switch e := e.(type) {
	case Created:
		return w.create(e)
	case Decided:
		return w.decide(e)
	case Returned:
		return w.returned(e)
	case TaskFailed:
		return w.taskFailed(e)
	case RetryDue:
		return w.retryDue(e)
	case TimerFired:
		return w.timer()
	case Approved:
		return w.approved(e)
	case ChildEnded:
		return w.childEnded(e)
	case CancelAsked:
		return w.cancelAsked(e)
	case Reopened:
		return w.reopened(e)
	case ClosedByHand:
		w.c.Job.Closed = true
		w.c.Job.Status = Failed
		w.record(Record{Kind: RecClosed, By: e.By})
		return nil
	case Migrated:
		return w.migrated(e)
	case ProcessEnded:
		return w.processEnded(e)
	case Broken:
		err := e.Err
		w.fail(&err, Quarantined, Record{Kind: RecStep})
		return nil
	}
	return fmt.Errorf("job: unknown event %T", e) // unreachable: Event is closed
}

func (w *move) create(e Created) error {
	w.c.InitialData = e.InitialData
	w.c.Job = Job{
		ID: e.ID, Blueprint: e.Blueprint, Revision: e.Revision,
		State: w.Chart.StartState(), Status: Pending, Ready: true,
		Client: e.Client, Parent: e.Parent, Depth: e.Depth, Trace: e.Trace,
		DispatchTimeout: e.DispatchTimeout, ResultTimeout: e.ResultTimeout,
		WebhookURL: e.WebhookURL, CreatedAt: w.now,
	}
	w.from = w.c.Job.State
	w.c.Records = make([]Record, 0, 2) // a step's follows, as a rule
	w.record(Record{Kind: RecCreated})
	return nil
}

// record appends to the history; the job's status and state are as they stand after it.
func (w *move) record(r Record) {
	j := &w.c.Job
	j.Records++
	r.N, r.At, r.State, r.Status = j.Records, Time{w.now}, w.from, j.Status
	if j.State != w.from {
		r.Next = j.State
	}
	w.c.Records = append(w.c.Records, r)
}

// enter makes a step due in the given state. It gives an error for a state that the
// blueprint lacks, in words for the person who reads the job's page.
func (w *move) enter(state string) *Error {
	j := &w.c.Job
	if w.Chart != nil {
		if _, ok := w.Chart.Place(state); !ok {
			return &Error{Code: CodeScript, State: w.from,
				Message: fmt.Sprintf("there is no state %q in blueprint %q%s", state, j.Blueprint, didYouMean(w.Chart.Suggest(state)))}
		}
	}
	j.State, j.Status, j.Ready, j.Wait = state, Running, true, nil
	j.Recent = append(j.Recent[max(0, len(j.Recent)-9):len(j.Recent):len(j.Recent)], state)
	return nil
}

func didYouMean(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", s)
}

// wait lets the job stand still for one dated reason.
func (w *move) wait(v Wait) {
	j := &w.c.Job
	v.Since, v.Step = w.now, j.Step
	j.Status, j.Ready, j.Wait, j.Streak = v.For, false, &v, 0
}

// finish ends the job and tells its parent and its client.
func (w *move) finish(s Status) {
	j := &w.c.Job
	at := w.now
	j.Status, j.Ready, j.Wait, j.EndedAt = s, false, nil, &at
	j.Ending, j.CancelAsked, j.Streak, j.Recent = "", nil, 0, nil
	w.c.CloseTasks = true
	if j.Parent != nil {
		w.post(Message{Kind: MsgChildEnded, To: j.Parent.JobID})
	}
	if j.WebhookURL != "" {
		n := WebhookNote{Event: "job_" + string(s), Status: s, Error: j.Reason, Record: j.Records + 1}
		if n.Error == "" && j.Error != nil {
			n.Error = j.Error.Message
		}
		w.post(Message{Kind: MsgWebhook, To: j.WebhookURL, Body: encoded(n)})
	}
}

// encoded gives the JSON of a message's body, which holds texts and numbers only.
func encoded(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

// fail ends the job where it stands with an error, and records it.
func (w *move) fail(err *Error, s Status, r Record) {
	if err.State == "" {
		err.State = w.from
	}
	w.c.Job.Error = err
	w.finish(s)
	r.Error = err
	w.record(r)
}

// post adds a row to the outbox; its id follows from the job's place in its history, which
// no two events share.
func (w *move) post(m Message) {
	m.JobID, m.Due = w.c.Job.ID, w.now
	m.ID = fmt.Sprintf("%s/%d/%d", m.JobID, w.c.Job.Records, len(w.c.Outbox))
	w.c.Outbox = append(w.c.Outbox, m)
}

// due is the earlier of the wait's end and the end of a cancel's grace.
func (w *move) due() *time.Time {
	j := &w.c.Job
	var due *time.Time
	if j.Wait != nil && j.Status != WaitingWorker && j.Status != AwaitingRetry {
		due = j.Wait.Until // the dates of a single task stand in the task's own row
	}
	if j.CancelAsked != nil {
		if end := j.CancelAsked.Add(w.CancelGrace); due == nil || end.Before(*due) {
			due = &end
		}
	}
	return due
}

func (w *move) isEnd(state string) bool {
	if w.Chart == nil {
		return false
	}
	p, ok := w.Chart.Place(state)
	return ok && p.End
}
