package job

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// This file ends waits: timers, people's decisions, children, cancels, reopening.

func (w *move) timer() error {
	j := &w.c.Job
	if j.Due == nil || j.Due.After(w.now) {
		return &Illegal{Event: "timer fired", Status: j.Status, Why: "nothing is due"}
	}
	if j.CancelAsked != nil && !j.CancelAsked.Add(w.CancelGrace).After(w.now) {
		w.settleCancel(Record{Kind: RecCancelled, Detail: fmt.Sprintf("the worker did not answer within %s", w.CancelGrace)})
		return nil
	}
	switch j.Status {
	case WaitingTimer:
		if err := w.enter(j.Wait.Into); err != nil {
			w.fail(err, Quarantined, Record{Kind: RecTimer})
			return nil
		}
		w.record(Record{Kind: RecTimer})
		return nil
	case WaitingHuman:
		w.approvalExpired()
		return nil
	}
	return &Illegal{Event: "timer fired", Status: j.Status, Why: "nothing is due"}
}

func (w *move) approvalExpired() {
	j := &w.c.Job
	err := &Error{Code: CodeApprovalTimeout, State: w.from, Message: fmt.Sprintf(
		"nobody decided until %s", Time{*j.Wait.Until})}
	rec := Record{Kind: RecTimer, Error: err, Detail: "the approval's deadline passed"}
	w.approvalEnds(ApprovalExpired, "", "")
	if target, ok := j.Wait.Transitions["timeout"]; ok {
		j.Error = err
		w.leaveFor(target, rec)
		return
	}
	w.fail(err, Failed, rec)
}

// approvalEnds tells the person who was asked that nothing is to be decided any more.
func (w *move) approvalEnds(outcome, decision, by string) {
	v := w.c.Job.Wait
	w.post(Message{Kind: MsgApprovalEnded, To: v.Integration, Body: encoded(ApprovalEnd{
		Step: v.Step, Outcome: outcome, Decision: decision, By: by, At: Time{w.now}})})
}

// Over reports whether the deadline of a wait has passed.
func (v *Wait) Over(now time.Time) bool { return v.Until != nil && !v.Until.After(now) }

func (w *move) approved(e Approved) error {
	j := &w.c.Job
	if j.Wait.Over(w.now) {
		return &Illegal{Event: "approved", Status: j.Status, Why: fmt.Sprintf("the decision was due by %s; it came at %s", Time{*j.Wait.Until}, Time{w.now})}
	}
	target, ok := j.Wait.Transitions[e.Decision]
	if !ok || e.Decision == "timeout" {
		known := slices.DeleteFunc(slices.Sorted(maps.Keys(j.Wait.Transitions)), func(k string) bool { return k == "timeout" })
		return &Illegal{Event: "approved", Status: j.Status, Why: fmt.Sprintf(
			"%q is no decision of this approval; choose one of: %s", e.Decision, strings.Join(known, ", "))}
	}
	w.approvalEnds(ApprovalDecided, e.Decision, e.By)
	w.leaveFor(target, Record{Kind: RecApproval, Step: j.Wait.Step, By: e.By, Detail: e.Decision})
	return nil
}

// subJob is what a parent finds in its state_history.
type subJob struct {
	Outcome      string          `json:"outcome"`
	JobID        string          `json:"job_id"`
	Status       Status          `json:"status"`
	StateHistory json.RawMessage `json:"state_history"`
	Error        *Error          `json:"error"`
}

func (w *move) childEnded(e ChildEnded) error {
	j := &w.c.Job
	if j.Wait == nil || j.Wait.Child != e.End.ChildID {
		return &Illegal{Event: "child ended", Status: j.Status, Why: "the job does not wait for that child"}
	}
	outcome := "failure"
	if e.End.Status == Finished {
		outcome = "success"
	}
	entry, err := json.Marshal(subJob{outcome, e.End.ChildID, e.End.Status, e.End.StateHistory, e.End.Error})
	if err != nil {
		return fmt.Errorf("job: the end of child %s can not be kept: %w", e.End.ChildID, err)
	}
	rec := Record{Kind: RecChild, Detail: e.End.ChildID + " " + string(e.End.Status), Error: e.End.Error}
	merged, err := Merge(e.Before, Object([]Field{{"sub_job_" + e.End.ChildID, entry}}))
	if err != nil {
		return fmt.Errorf("job: state_history of %s: %w", j.ID, err)
	}
	if tooBig := w.keepHistory(merged, e.Before, &rec); tooBig != nil {
		w.fail(tooBig, Quarantined, rec)
		return nil
	}
	target, ok := j.Wait.Transitions[outcome]
	if outcome == "failure" {
		j.Error = w.childError(e.End)
	}
	switch {
	case ok:
		w.leaveFor(target, rec)
	case outcome == "failure":
		failure := *j.Error
		w.fail(&failure, Failed, rec)
	default:
		w.fail(&Error{Code: CodeUnhandledStatus, Message: "the sub-blueprint succeeded, but transitions has no \"success\""}, Failed, rec)
	}
	return nil
}

// childError is the child's end as its parent's error: the state is the parent's own, for
// that is where the parent goes on when a person runs it again.
func (w *move) childError(end ChildEnd) *Error {
	if end.Error == nil {
		return &Error{Code: CodePermanent, State: w.from, Message: fmt.Sprintf("sub-blueprint job %s ended %s", end.ChildID, end.Status)}
	}
	own := *end.Error
	own.State = w.from
	return &own
}

func (w *move) cancelAsked(e CancelAsked) error {
	j := &w.c.Job
	if j.CancelAsked != nil {
		return &Illegal{Event: "cancel asked", Status: j.Status, Why: "the job is being cancelled already"}
	}
	if e.AtWorkers > 0 && (j.Status == WaitingWorker || j.Status == WaitingParallel) {
		at := w.now
		j.CancelAsked = &at
		w.record(Record{Kind: RecCancelAsk, By: e.By, Detail: fmt.Sprintf("%d task(s) at workers are told to stop", e.AtWorkers)})
		return nil
	}
	w.settleCancel(Record{Kind: RecCancelled, By: e.By})
	return nil
}

// whileCancelling takes the end of a task after the request; the last one settles it.
func (w *move) whileCancelling(others int, rec Record) error {
	if others > 0 {
		w.record(rec)
		return nil
	}
	w.settleCancel(rec)
	return nil
}

// settleCancel lets a cancel take effect: "cancelled" of what the job waits for, or the end.
func (w *move) settleCancel(rec Record) {
	j := &w.c.Job
	w.c.CloseTasks = true
	target := ""
	if j.Wait != nil {
		target = j.Wait.Transitions["cancelled"]
		if j.Wait.Child != "" {
			w.post(Message{Kind: MsgChildCancel, To: j.Wait.Child})
		}
		if j.Wait.For == WaitingHuman {
			w.approvalEnds(ApprovalCancelled, "", rec.By)
		}
	}
	j.CancelAsked = nil
	if target == "" || j.Compensating {
		w.finish(Cancelled)
		w.record(rec)
		return
	}
	if w.isEnd(target) {
		j.Ending = Cancelled
	} else {
		j.Compensating = true
	}
	w.leaveFor(target, rec)
}

func (w *move) reopened(e Reopened) error {
	j := &w.c.Job
	if j.Closed {
		return &Illegal{Event: "reopened", Status: j.Status, Why: "the job was closed for good"}
	}
	target := j.State
	if j.Error != nil && j.Error.State != "" {
		target = j.Error.State
	}
	if e.Revision != "" {
		j.Revision = e.Revision
	}
	rec := Record{Kind: RecReopened, By: e.By}
	merged, err := Merge(e.Before, e.Data)
	if err != nil {
		return &Illegal{Event: "reopened", Status: j.Status, Why: "data: " + err.Error()}
	}
	if tooBig := w.keepHistory(merged, e.Before, &rec); tooBig != nil {
		return &Illegal{Event: "reopened", Status: j.Status, Why: tooBig.Message}
	}
	j.EndedAt, j.Error, j.Reason, j.Ending, j.Compensating = nil, nil, "", "", false
	if err := w.enter(target); err != nil {
		return &Illegal{Event: "reopened", Status: j.Status, Why: err.Message}
	}
	w.record(rec)
	return nil
}
