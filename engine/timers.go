package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file looks at what has become due: waits of jobs, deadlines and retries of tasks.

const (
	dueBatch   = 256
	longestNap = 30 * time.Second // the store is looked at again then, whatever was promised
)

func jitter() float64 { return 0.5 + rand.Float64()/2 }

// runTimers fires what is due and sleeps until the next date, or until a commit brings an
// earlier one.
func (e *Engine) runTimers(ctx context.Context) {
	for ctx.Err() == nil {
		nap := longestNap
		e.planned.Store(math.MaxInt64) // until the nap is known, every new date counts
		n, err := e.fireDue(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.cfg.Log.Error("due dates could not be handled; it is tried again", "error", err)
			nap = retryStore
		case n > 0:
			continue
		default:
			nap = e.untilNext(ctx)
		}
		e.planned.Store(e.cfg.Clock.Now().Add(nap).UnixMilli())
		t := e.cfg.Clock.NewTimer(nap)
		select {
		case <-t.C():
		case <-e.timers:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// dueAt wakes the timers for a date before the one that they sleep until. Without the
// comparison each hand-out cost two reads of the store, a tenth of a job's processor time.
func (e *Engine) dueAt(at *time.Time) {
	if at != nil && at.UnixMilli() < e.planned.Load() {
		nudge(e.timers)
	}
}

func (e *Engine) untilNext(ctx context.Context) time.Duration {
	at, ok, err := e.store.NextDue(ctx)
	if err != nil {
		return retryStore
	}
	if !ok {
		return longestNap
	}
	return min(max(at.Sub(e.cfg.Clock.Now()), time.Millisecond), longestNap)
}

// fireDue handles what is due now and gives how many dates it dealt with.
func (e *Engine) fireDue(ctx context.Context) (int, error) {
	wakes, err := e.store.Due(ctx, e.cfg.Clock.Now(), dueBatch)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, w := range wakes {
		err := e.fire(ctx, w)
		var illegal *job.Illegal
		switch {
		case err == nil:
			n++
		case errors.As(err, &illegal), errors.Is(err, store.ErrNotFound):
			// the job moved on between the look and the lock: its new row has its own date
		default:
			return n, err
		}
	}
	return n, nil
}

func (e *Engine) fire(ctx context.Context, w store.Wake) error {
	if w.Task == 0 {
		return e.change(ctx, w.JobID, func(*job.Job, store.Data) (job.Event, error) { return job.TimerFired{}, nil })
	}
	t, err := e.store.Task(ctx, w.JobID, w.Task)
	if err != nil {
		return err
	}
	if t.Due == nil || t.Due.After(e.cfg.Clock.Now()) {
		return nil
	}
	var ev job.Event
	switch t.State {
	case job.TaskQueued:
		waited := e.cfg.Clock.Now().Sub(t.Queued).Round(time.Millisecond)
		ev = job.TaskFailed{Task: *t, Err: job.Error{Code: job.CodeDispatchTimeout,
			Message: "no worker took task \"" + t.Type + "\" within its dispatch timeout; it waited " + waited.String()}}
	case job.TaskLeased:
		ev = job.TaskFailed{Task: *t, Jitter: e.cfg.Jitter(), Err: job.Error{Code: job.CodeResultTimeout,
			Message: "worker " + t.Worker + " gave no result for task \"" + t.Type + "\" in time"}}
	case job.TaskRetry:
		ev = job.RetryDue{Task: *t}
	default:
		return nil
	}
	e.cfg.Dispatcher.Withdraw(t.JobID, t.N)
	return e.change(ctx, w.JobID, func(*job.Job, store.Data) (job.Event, error) {
		if failed, ok := ev.(job.TaskFailed); ok {
			failed.Others = e.cfg.Dispatcher.AtWorkers(t.JobID)
			return failed, nil
		}
		return ev, nil
	})
}
