package engine

import (
	"context"
	"errors"

	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file is the rest of Desk: what workers tell about tasks beside their results.

// HandedOut notes that a task went to a worker: written with the next batch.
func (e *Engine) HandedOut(t job.Task) {
	t.Fence = e.fenceOf(t.JobID)
	e.store.HandOut(t)
	killpoint.At("engine.handout-noted")
	e.handed.Store(e.cfg.Clock.Now().UnixMilli())
	e.dueAt(t.Due)
}

// AttemptSeconds is how long an attempt of the task may take.
func (e *Engine) AttemptSeconds(t job.Task) float64 {
	if t.Timeout > 0 {
		return t.Timeout
	}
	return e.cfg.WorkerTimeout
}

// Task reads a task's row.
func (e *Engine) Task(ctx context.Context, jobID string, n int) (*job.Task, error) {
	return e.store.Task(ctx, jobID, n)
}

// progressText is how much of a report's message is kept, in bytes: a job may have a thousand.
const progressText = 1 << 10

// Progress keeps a worker's report.
func (e *Engine) Progress(t job.Task, p store.Progress) {
	if len(p.Message) > progressText {
		p.Message = job.Clip(p.Message, progressText) + "…"
	}
	e.store.AddProgress(t.JobID, p)
	e.watch.changed(t.JobID)
}

// taken tells a refusal, which the worker must not repeat, from a write that failed.
func taken(t job.Task, err error) (Taken, error) {
	var illegal *job.Illegal
	switch {
	case err == nil, errors.Is(err, errTaken):
		return Taken{Accepted: true}, nil
	case errors.Is(err, store.ErrNotFound):
		return Taken{Reason: "job_not_found", Message: "there is no job " + t.JobID}, nil
	case errors.As(err, &illegal) && illegal.Status.Terminal():
		return Taken{Reason: "job_already_terminated", Message: illegal.Error()}, nil
	case errors.As(err, &illegal):
		return Taken{Reason: "stale_task", Message: illegal.Error()}, nil
	}
	return Taken{}, err
}

// Lost takes a task back from a worker that vanished.
func (e *Engine) Lost(ctx context.Context, t job.Task, confirmed bool, why string) error {
	return e.taskFails(ctx, t, job.Error{Code: job.CodeWorkerLost, Message: why}, !confirmed)
}

// Unsuitable fails a queued task that no live worker of its type may do.
func (e *Engine) Unsuitable(ctx context.Context, t job.Task, why string) error {
	return e.taskFails(ctx, t, job.Error{Code: job.CodeNoSuitableWorker, Message: why}, false)
}

// isCurrent refuses what is said of a hand-out that is not the newest any more: the task was
// handed out anew, or ended, while a result or a loss waited for the store. late lets a
// result count until its task's next try begins.
func (e *Engine) isCurrent(ctx context.Context, j *job.Job, t job.Task, late bool) error {
	row, err := e.store.Task(ctx, t.JobID, t.N)
	if err != nil {
		return err
	}
	current := row.HandOut == t.HandOut && row.ID == t.ID && (row.State == t.State || late && row.State == job.TaskRetry)
	unwritten := row.HandOut < t.HandOut && row.State == job.TaskQueued // hand-outs are written later
	if !current && !unwritten {
		return &job.Illegal{Event: "task", Status: j.Status, Why: "the task was taken back or has ended meanwhile"}
	}
	return nil
}

// taskFails ends a try from our side. A job that has moved on meanwhile is no error.
func (e *Engine) taskFails(ctx context.Context, t job.Task, reason job.Error, free bool) error {
	err := e.change(ctx, t.JobID, func(j *job.Job, _ store.Data) (job.Event, error) {
		if err := e.isCurrent(ctx, j, t, false); err != nil {
			return nil, err
		}
		return job.TaskFailed{Task: t, Err: reason, Free: free, Jitter: e.cfg.Jitter(), Others: e.cfg.Dispatcher.AtWorkers(t.JobID)}, nil
	})
	if result, err := taken(t, err); err != nil || !result.Accepted {
		return err
	}
	return nil
}
