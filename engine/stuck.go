package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is for steps that can not be kept: the store refuses the write, or the row can
// not be read. Each is tried again, after longer and longer waits, and `why` shows the dated
// reason: a single damaged job must neither disappear nor fill the log.

const (
	firstRetry   = time.Second
	longestRetry = time.Minute
)

// stuckStep is a step whose last try failed.
type stuckStep struct {
	since, next time.Time
	tries       int
	err         string
}

type stuckList struct {
	n    atomic.Int64 // entries, so that looking costs nothing when there are none
	mu   sync.Mutex
	jobs map[string]stuckStep
}

// failed counts a failure of a job's step and gives the wait until the next try.
func (l *stuckList) failed(id string, err error, now time.Time) (wait time.Duration, tries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, again := l.jobs[id]
	if !again {
		if l.jobs == nil {
			l.jobs = map[string]stuckStep{}
		}
		s.since = now
	}
	wait = s.failed(err, now)
	l.jobs[id] = s
	l.n.Store(int64(len(l.jobs)))
	return wait, s.tries
}

// failed counts a failure and gives the wait until the next try: always the shortest one
// while the whole store is out of order, for then all are stuck and none is to blame.
func (s *stuckStep) failed(err error, now time.Time) (wait time.Duration) {
	wait = firstRetry
	if !isPassing(err) {
		wait = min(firstRetry<<min(s.tries, 10), longestRetry)
	}
	s.tries++
	s.err, s.next = err.Error(), now.Add(wait)
	return wait
}

func (l *stuckList) ended(id string) {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, id)
	l.n.Store(int64(len(l.jobs)))
}

// drop forgets the jobs of shards: their steps are for others to keep.
func (l *stuckList) drop(lost store.ShardSet) {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.jobs, func(id string, _ stuckStep) bool { return lost.Has(job.ShardOf(id)) })
	l.n.Store(int64(len(l.jobs)))
}

func (l *stuckList) of(id string) (s stuckStep, ok bool) {
	if l.n.Load() == 0 {
		return s, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok = l.jobs[id]
	return s, ok
}

// retryStep runs a step again in a while.
func (e *Engine) retryStep(ctx context.Context, id string, err error) {
	if errors.Is(err, ErrElsewhere) { // its owner runs it
		e.stuck.ended(id)
		return
	}
	wait, tries := e.stuck.failed(id, err, e.cfg.Clock.Now())
	if tries&(tries-1) == 0 { // the 1st, 2nd, 4th, 8th ... time
		e.cfg.Log.Error("a step could not be kept; it is tried again", "job", id, "in", wait, "tries", tries, "error", err)
	}
	e.laterBy(ctx, wait, func() {
		if !e.ready.push(id) { // the store tells of it again, unless it was settled elsewhere
			e.stuck.ended(id)
		}
	})
}

// isStuck tells of a step that could not be kept.
func (e *Engine) isStuck(j *job.Job, w *Why) bool {
	s, ok := e.stuck.of(j.ID)
	if !ok {
		return false
	}
	w.Since, w.Until = Time(s.since), timePtr(&s.next)
	w.Reason = fmt.Sprintf("the step of state %q could not be kept, %d times so far; it is tried again", w.State, s.tries)
	w.Details = append(w.Details, s.err)
	w.Do = append(w.Do, "look at the store's disk and the server's log", "orrery jobs cancel "+w.JobID)
	return true
}
