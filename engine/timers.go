package engine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file looks at what has become due: waits of jobs, deadlines and retries of tasks.

const (
	dueBatch   = 256
	longestNap = 30 * time.Second // the store is looked at again then, whatever was promised
	writtenBy  = 10 * time.Second // a store has written a hand-out by then, which it does after the rest
)

func jitter() float64 { return 0.5 + rand.Float64()/2 }

// runTimers fires what is due and sleeps until the next date, or until a commit brings an
// earlier one.
func (e *Engine) runTimers(ctx context.Context) {
	for ctx.Err() == nil {
		var nap time.Duration
		e.lookNow()
		e.planned.Store(math.MaxInt64) // until the nap is known, every new date counts
		var n int
		var failed error
		wakes, err := e.dueNow(ctx)
		if err == nil {
			n, failed = e.fireAll(ctx, wakes)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.cfg.Log.Error("due dates could not be read; it is tried again", "error", err)
			nap = retryStore
		case n == 0 && failed != nil && (isPassing(failed) || e.late.len() >= lateMost): // all wait for the store
			e.cfg.Log.Error("due dates could not be handled; it is tried again", "error", failed)
			nap = retryStore
		case n > 0 || failed != nil: // those that failed are put off, so this ends
			continue
		default:
			nap = e.untilNext(ctx)
		}
		e.planned.Store(e.cfg.Clock.Now().Add(nap).UnixMilli())
		e.nap(ctx, e.timers, nap)
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
	longest := e.longest()
	if e.cfg.Clock.Now().Sub(time.UnixMilli(e.handed.Load())) < writtenBy {
		longest = retryStore // dates of the newest hand-outs may not be in the store yet, which writes them later
	}
	at, ok, err := e.nextTurn(ctx, longest)
	if err != nil {
		return retryStore
	}
	if !ok {
		return longest
	}
	return min(max(at.Sub(e.cfg.Clock.Now()), time.Millisecond), longest)
}

// nextTurn gives the earliest date, past ones included, of which those that are put off count as
// of their next tries.
func (e *Engine) nextTurn(ctx context.Context, longest time.Duration) (at time.Time, ok bool, err error) {
	late := e.late.len()
	if late == 0 {
		return e.nextDue(ctx)
	}
	due, err := e.dueBy(ctx, e.cfg.Clock.Now().Add(longest), late+1) // one of them is not late, if there is one
	if err != nil || len(due) == 0 {
		return at, false, err
	}
	return e.late.turns(due)[0].next, true, nil
}

// fireDue handles what is due now and gives how many dates it dealt with. A date that can
// not be handled is put off and does not keep the others waiting; the first such error is
// returned.
func (e *Engine) fireDue(ctx context.Context) (n int, failed error) {
	wakes, err := e.dueNow(ctx)
	if err != nil {
		return 0, err
	}
	return e.fireAll(ctx, wakes)
}

// dueNow gives the dates whose turn has come, those that wait longest first. The look takes
// in all that are put off, so that it reaches beyond them.
func (e *Engine) dueNow(ctx context.Context) ([]store.Wake, error) {
	now := e.cfg.Clock.Now()
	due, err := e.dueBy(ctx, now, dueBatch+e.late.len())
	if err != nil {
		return nil, err
	}
	turns := e.late.turns(due)
	e.late.keep(turns)
	var wakes []store.Wake
	for _, t := range turns[:min(len(turns), dueBatch)] {
		if !t.next.After(now) {
			wakes = append(wakes, t.wake)
		}
	}
	return wakes, nil
}

// fireAll handles dates. One that was dealt with a moment ago and stands again is put off, too:
// the store did not keep what it acknowledged, and asking again at once would never end.
func (e *Engine) fireAll(ctx context.Context, wakes []store.Wake) (n int, failed error) {
	before := e.fired
	e.fired = make(map[store.Wake]struct{}, len(wakes))
	for _, w := range wakes {
		err := e.fire(ctx, w)
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		moved := isPast(err)
		if err == nil || moved {
			e.fired[w] = struct{}{}
			if _, again := before[w]; again || moved && e.late.has(w) {
				err, moved = fmt.Errorf("its date %s stands, though it was dealt with or the job has moved on", w.At.Format(time.RFC3339)), false
			}
		}
		switch {
		case err == nil:
			killpoint.At("engine.timer-kept")
			n++
		case moved:
		default:
			e.putOff(w, err)
			if failed == nil {
				failed = fmt.Errorf("job %s, task %d: %w", w.JobID, w.Task, err)
			}
		}
	}
	return n, failed
}

func (e *Engine) fire(ctx context.Context, w store.Wake) error {
	return e.change(ctx, w.JobID, func(j *job.Job, _ store.Data) (job.Event, error) {
		killpoint.At("engine.timer-due")
		if w.Task == 0 {
			return job.TimerFired{}, nil
		}
		t, err := e.store.Task(ctx, w.JobID, w.Task) // under the job's lock: its result may have come meanwhile
		if err != nil {
			return nil, err
		}
		return e.taskDue(j, t)
	})
}

// taskDue says what the date of a task means, or that it means nothing any more.
func (e *Engine) taskDue(j *job.Job, t *job.Task) (job.Event, error) {
	now := e.cfg.Clock.Now()
	if !t.State.Open() || t.Due == nil || t.Due.After(now) {
		return nil, &job.Illegal{Event: "timer fired", Status: j.Status, Why: "the task is not due any more"}
	}
	e.cfg.Dispatcher.Withdraw(t.JobID, t.N)
	if t.State == job.TaskRetry {
		return job.RetryDue{Task: *t}, nil
	}
	failed := job.TaskFailed{Task: *t, Jitter: e.cfg.Jitter(), Others: e.cfg.Dispatcher.AtWorkers(t.JobID)}
	if t.State == job.TaskQueued {
		failed.Err = job.Error{Code: job.CodeDispatchTimeout, Message: fmt.Sprintf(
			"no worker took task %q within its dispatch timeout; it waited %s", t.Type, now.Sub(t.Queued).Round(time.Millisecond))}
	} else {
		failed.Err = job.Error{Code: job.CodeResultTimeout, Message: fmt.Sprintf(
			"worker %s gave no result for task %q in time", t.Worker, t.Type)}
	}
	return failed, nil
}
