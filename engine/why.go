package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file answers the operator's question: why is this job not moving?

// Why is the answer, dated and with what can be done.
type Why struct {
	JobID   string     `json:"job_id"`
	Status  job.Status `json:"status"`
	State   string     `json:"state"`
	Since   Time       `json:"since"`
	Until   *Time      `json:"until,omitempty"`
	Reason  string     `json:"reason"`
	Details []string   `json:"details"`
	Do      []string   `json:"do"`
}

// Explainer is what a Dispatcher may offer beside: words on why a task has no worker.
type Explainer interface {
	Explain(t job.Task) []string
}

// Why tells why a job does not move. Fault: not_found.
func (e *Engine) Why(ctx context.Context, id string) (*Why, error) {
	j, err := e.store.Job(ctx, id)
	if err != nil {
		return nil, faultFrom(err, id)
	}
	w := &Why{JobID: id, Status: j.Status, State: j.State, Since: Time(j.UpdatedAt), Details: []string{}, Do: []string{}}
	switch {
	case j.Status.Terminal():
		w.ended(j)
	case j.Ready && e.isStuck(j, w):
	case j.Wait == nil:
		w.Reason = fmt.Sprintf("a step of state %q is due and runs as soon as a runner is free", j.State)
	default:
		w.Since, w.Until, w.Reason = Time(j.Wait.Since), timePtr(j.Wait.Until), j.Wait.Detail
		err := e.explainTasks(ctx, j, w)
		if errors.Is(err, store.ErrUnreadable) {
			w.Details = append(w.Details, "its tasks can not be read: "+err.Error())
		} else if err != nil {
			return nil, err
		}
		w.advise(j)
	}
	e.isSuspect(j, w)
	w.Details = append(w.Details, e.late.of(id)...)
	w.Details = append(w.Details, e.unread.of(id)...)
	if err := w.deliveries(ctx, e, j); err != nil {
		return nil, err
	}
	if j.CancelAsked != nil {
		w.Details = append(w.Details, fmt.Sprintf("a cancel was asked for at %s; it takes effect when the worker answers, at the latest at %s",
			Time(*j.CancelAsked), Time(j.CancelAsked.Add(e.cfg.CancelGrace))))
	}
	return w, nil
}

// deliveries tells what has not reached the outside.
func (w *Why) deliveries(ctx context.Context, e *Engine, j *job.Job) error {
	if j.WebhookURL == "" && j.Status != job.WaitingHuman {
		return nil
	}
	list, err := e.outsideOf(ctx, j.ID)
	for _, d := range list {
		w.Details = append(w.Details, d.words())
		if d.State == DeliveryGivenUp {
			w.Do = append(w.Do, "orrery deliveries retry "+j.ID)
		}
	}
	return err
}

func (w *Why) ended(j *job.Job) {
	w.Reason = fmt.Sprintf("the job ended %s in state %q", j.Status, j.State)
	if j.Error != nil {
		w.Details = append(w.Details, j.Error.Code+": "+j.Error.Message)
	}
	if j.Status == job.Quarantined || j.Status == job.Failed {
		w.Do = append(w.Do, "orrery jobs history "+j.ID, "orrery jobs retry "+j.ID)
	}
}

func (w *Why) advise(j *job.Job) {
	switch j.Status {
	case job.WaitingHuman:
		for decision := range j.Wait.Transitions {
			if decision != "timeout" {
				w.Do = append(w.Do, "orrery approvals approve "+j.ID+" "+decision)
			}
		}
	case job.WaitingSubJob:
		w.Do = append(w.Do, "orrery jobs why "+j.Wait.Child)
	}
	w.Do = append(w.Do, "orrery jobs cancel "+j.ID)
	if w.Until == nil {
		w.Details = append(w.Details, "it has no deadline")
	}
}

// explainTasks tells for each open task where it is.
func (e *Engine) explainTasks(ctx context.Context, j *job.Job, w *Why) error {
	const shown = 20
	tasks, more, err := e.store.OpenTasks(ctx, j.ID, 0, shown)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		w.Details = append(w.Details, e.whereIs(t))
		if t.State == job.TaskLeased && !t.Branch {
			w.Since, w.Until = Time(t.LeasedAt), timePtr(t.Due)
			w.Reason = fmt.Sprintf("task %q is at worker %s, which has not answered yet", t.Type, t.Worker)
		}
	}
	if more {
		w.Details = append(w.Details, fmt.Sprintf("and %d more open tasks", j.Wait.Open-len(tasks))) // only branches are so many
	}
	return nil
}

func (e *Engine) whereIs(t job.Task) string {
	switch t.State {
	case job.TaskLeased:
		return fmt.Sprintf("task %d %q: at worker %s since %s (try %d)", t.N, t.Type, t.Worker, Time(t.LeasedAt), t.Attempt)
	case job.TaskRetry:
		return fmt.Sprintf("task %d %q: try %d failed with %s: %s; the next one is due at %s", t.N, t.Type, t.Attempt, t.LastError.Code, t.LastError.Message, timePtr(t.Due))
	}
	where := fmt.Sprintf("task %d %q: queued since %s", t.N, t.Type, Time(t.Queued))
	if x, ok := e.cfg.Dispatcher.(Explainer); ok {
		if words := x.Explain(t); len(words) > 0 {
			where += ": " + strings.Join(words, "; ")
		}
	}
	return where
}
