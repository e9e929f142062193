package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is for commits of which nobody knows whether they were done: the connection or
// the disk failed between the write and the answer. The job's history tells: a change that
// was done left all its records there, under numbers that no other change can have; only two
// tries of a first commit can begin alike and differ in how far they went.

const lookTimeout = 5 * time.Second

// doubts keeps what could not even be looked up, by job. It is read and written under the
// job's lock, except for a job's first commit.
type doubts struct {
	mu   sync.Mutex
	open map[string]doubt
	jobs map[string]struct{} // that ever had one in this process
}

type doubt struct {
	change *job.Change
	before store.Data
}

func (d *doubts) add(c *job.Change, before store.Data) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open, d.jobs = map[string]doubt{}, map[string]struct{}{}
	}
	d.jobs[c.Job.ID] = struct{}{}
	if _, there := d.open[c.Job.ID]; !there { // a repeated first commit: the older one may have been done
		d.open[c.Job.ID] = doubt{c, before}
	}
}

func (d *doubts) of(id string) (x doubt, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x, ok = d.open[id]
	return x, ok
}

func (d *doubts) end(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, id)
}

func (d *doubts) ever(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.jobs[id]
	return ok
}

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

// wasDone looks whether a change is in the store.
func (e *Engine) wasDone(ctx context.Context, c *job.Change) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	first := c.Records[0].N // every change has one
	kept, err := e.store.Records(ctx, c.Job.ID, first-1, len(c.Records)+1)
	if errors.Is(err, store.ErrNotFound) {
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
func (e *Engine) doubtful(ctx context.Context, c *job.Change, before store.Data, err error) error {
	done, look := e.wasDone(ctx, c)
	if done {
		return nil
	}
	if look != nil {
		e.doubts.add(c, before)
		e.ready.push(c.Job.ID) // a runner clears it, and tries again until it can
	}
	return err
}

// clear settles what is in doubt about a job; the caller holds its lock.
func (e *Engine) clear(ctx context.Context, id string) error {
	d, ok := e.doubts.of(id)
	if !ok {
		return nil
	}
	done, err := e.wasDone(ctx, d.change)
	if err != nil {
		return fmt.Errorf("find out whether the last commit was done: %w", err)
	}
	e.doubts.end(id)
	if done {
		e.follow(d.change, d.before)
	}
	return nil
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
