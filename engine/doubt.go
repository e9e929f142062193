package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is for commits of which nobody knows whether they were done: the connection or
// the disk failed between the write and the answer. The job's history tells: a change that
// was done left all its records there, under numbers that no other change can have; only two
// tries of a first commit can begin alike and differ in how far they went.

const lookTimeout = 5 * time.Second

// isDoubtful tells a failure that leaves the outcome open from those that promise that
// nothing was written.
func isDoubtful(err error) bool {
	for _, sure := range []error{store.ErrConflict, store.ErrExists, store.ErrFull, store.ErrClosed, store.ErrFenced, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, sure) {
			return false
		}
	}
	return err != nil
}

// wasDone looks whether a change is in the store, to stay: what is read there may be what a
// failed sync left open, and only a sync that succeeds after it says that it is not lost.
func (e *Engine) wasDone(ctx context.Context, c *job.Change) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	done, err := e.isThere(ctx, c)
	if err != nil || !done {
		return false, err
	}
	if err := e.store.Sync(ctx); err != nil {
		return false, fmt.Errorf("make what was found durable: %w", err)
	}
	return true, nil
}

// isThere looks for the records of a change.
func (e *Engine) isThere(ctx context.Context, c *job.Change) (bool, error) {
	first := c.Records[0].N // every change has one
	var kept []job.Record
	err := e.eachRecord(ctx, c.Job.ID, first-1, func(r *job.Record) (bool, error) {
		kept = append(kept, *r)
		return len(kept) <= len(c.Records), nil
	})
	if FaultCode(err) == NotFound {
		return false, nil
	}
	if err != nil || len(kept) < len(c.Records) {
		return false, err
	}
	for i := range c.Records {
		want, err := store.Encode(&c.Records[i])
		if err != nil {
			return false, err
		}
		if got, err := store.Encode(&kept[i]); err != nil || got != want {
			return false, err
		}
	}
	if len(kept) == len(c.Records) {
		return true, nil
	}
	// more records: later changes, or another first commit of the same job that went further
	j, err := e.store.Job(ctx, c.Job.ID)
	return err == nil && j.Version > c.Job.Version, err
}

// doubtful finds out what became of a commit that failed with err, and gives nil when it was
// done. What can not be found out now is looked at before the job's next change.
func (e *Engine) doubtful(ctx context.Context, c *job.Change, err error) error {
	done, look := e.wasDone(ctx, c)
	if look != nil {
		if isAway(look) || errors.Is(look, context.DeadlineExceeded) { // the time limit is that of the look
			e.outage.began(e.cfg.Clock.Now())
		}
		e.doubts.add(c)
		return err
	}
	e.outage.ended()
	if done {
		return nil
	}
	return err
}

// clear settles what is in doubt about a job; the caller holds its lock.
func (e *Engine) clear(ctx context.Context, id string) error {
	c, open := e.doubts.of(id)
	if !open {
		return nil
	}
	var err error
	if c == nil {
		err = e.takeUpJob(ctx, id)
	} else {
		var done bool
		if done, err = e.wasDone(ctx, c); done {
			e.tell(c)
		}
	}
	if err != nil {
		return fmt.Errorf("find out whether the last commit was done: %w", err)
	}
	e.outage.ended()
	e.doubts.end(id, e.cfg.Clock.Now())
	return nil
}

// takeUpJob starts what follows from a first commit that may have been done, or another one of
// the same job: what stands in the store decides. The caller holds the job's lock.
func (e *Engine) takeUpJob(ctx context.Context, id string) error {
	s := e.enter(id)
	defer s.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	j, err := e.store.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c := &job.Change{Job: *j, Fence: s.fence}
	err = e.eachOpen(ctx, id, func(t *job.Task) error {
		if _, held := e.cfg.Dispatcher.Has(id, t.N); !held && j.CancelAsked == nil {
			c.Tasks = append(c.Tasks, *t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.tell(c)
	nudge(e.outbox)
	nudge(e.copies)
	return nil
}

// runDoubts settles what is in doubt as soon as the store can be read, until ctx ends. The list
// of ready jobs would not do: it leaves out what the store is sure to know, and of a job that
// was never created the store knows nothing.
func (e *Engine) runDoubts(ctx context.Context) {
	for ctx.Err() == nil {
		nap, open := e.doubts.fade(e.cfg.Clock.Now())
		changed := e.doubts.changed
		if open {
			changed = nil // however many come, a round is made every second
		}
		t := e.cfg.Clock.NewTimer(nap)
		select {
		case <-t.C():
			e.settleDoubts(ctx)
		case <-changed:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// looksMissed ends a round: while a part of a shared store is away others may be there, and
// while all of it is away each look may take a while.
const looksMissed = 4

// settleDoubts looks at each job in doubt once, and gives how many are not any more.
func (e *Engine) settleDoubts(ctx context.Context) (settled int) {
	var away store.ShardSet
	for _, id := range e.doubts.round() {
		if away.Has(job.ShardOf(id)) {
			continue
		}
		err := e.settleDoubt(ctx, id)
		if e.doubts.looked(id, err) {
			e.cfg.Log.Error("a job's last change can not be looked up; it is tried again", "job", id, "error", err)
		}
		if err == nil {
			settled++
			continue
		}
		if isAway(err) || errors.Is(err, context.DeadlineExceeded) {
			away.Add(job.ShardOf(id))
		}
		if away.Len() >= looksMissed || ctx.Err() != nil {
			break
		}
	}
	return settled
}

func (e *Engine) settleDoubt(ctx context.Context, id string) error {
	defer e.locks.of(id)()
	return e.clear(ctx, id)
}

// errTaken says that a result is in the store already.
var errTaken = errors.New("the result was taken before")

// isTaken gives errTaken for a result that a doubtful commit has kept: a branch's result
// would else be counted again, a failure cost two tries. A result that comes again is refused
// when its task was taken back while it waited for the store. Others of jobs without doubts
// are not looked at.
func (e *Engine) isTaken(ctx context.Context, j *job.Job, t job.Task, o Outcome) error {
	if !o.Again && !e.doubts.ever(t.JobID) {
		return nil
	}
	row, err := e.store.Task(ctx, t.JobID, t.N)
	if err != nil {
		return err
	}
	failed := o.Status == "failure"
	ended := row.ID == t.ID && (row.State == job.TaskRetry || row.State == job.TaskQueued) // this try, as a failure
	switch {
	case failed && (ended || row.HandOut > t.HandOut), row.ID == t.ID && row.State == job.TaskDone:
		return errTaken
	case ended && t.Branch: // it may count until the next try begins: see isCurrent
		return nil
	case ended, row.HandOut > t.HandOut:
		return &job.Illegal{Event: "returned", Status: j.Status, Why: "the task was taken back, or given to a worker again"}
	}
	return nil
}
