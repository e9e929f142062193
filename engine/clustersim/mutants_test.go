package clustersim

import (
	"context"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file shows that the checks can fail: stores that break one promise each must be found out.

// mutantSeeds is in how many worlds a broken promise must show at the latest.
const mutantSeeds = 12

// spoilt is a store that breaks a promise.
type spoilt struct {
	store.Store

	mu     sync.Mutex
	n      int
	commit func(s *spoilt, ctx context.Context, c *job.Change, n int) error
	claim  func(value []byte) []byte // what a claim is told instead of what stands
	count  bool                      // takes every attempt
	idle   bool                      // does not find queued tasks after a start
}

func (s *spoilt) Commit(ctx context.Context, c *job.Change) error {
	if s.commit == nil {
		return s.Store.Commit(ctx, c)
	}
	s.mu.Lock()
	s.n++
	n := s.n
	s.mu.Unlock()
	return s.commit(s, ctx, c, n)
}

func (s *spoilt) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) ([]byte, bool, error) {
	stands, claimed, err := s.Store.Claim(ctx, key, value, ttl, now)
	if s.claim != nil && err == nil {
		return s.claim(value), true, nil
	}
	return stands, claimed, err
}

func (s *spoilt) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (int64, bool, error) {
	if s.count {
		most = 1 << 40
	}
	return s.Store.Count(ctx, key, by, most, until, now)
}

func (s *spoilt) ScanTasks(ctx context.Context, state job.TaskState, fn func(job.Task) bool) error {
	if s.idle && state == job.TaskQueued {
		return nil
	}
	return s.Store.ScanTasks(ctx, state, fn)
}

// changed commits a copy of a change that something was done to.
func changed(every int, f func(c *job.Change)) func(*spoilt, context.Context, *job.Change, int) error {
	return func(s *spoilt, ctx context.Context, c *job.Change, n int) error {
		own := *c
		if n%every == 0 {
			f(&own)
		}
		return s.Store.Commit(ctx, &own)
	}
}

var mutants = map[string]*spoilt{
	"a commit is acknowledged and not done": {commit: func(s *spoilt, ctx context.Context, c *job.Change, n int) error {
		if n%25 == 0 {
			return nil
		}
		return s.Store.Commit(ctx, c)
	}},
	"a commit is done twice under two versions": {commit: func(s *spoilt, ctx context.Context, c *job.Change, n int) error {
		err := s.Store.Commit(ctx, c)
		if n%25 == 0 && err == nil {
			again := *c
			again.Base, again.Job.Version, again.Outbox = c.Job.Version, c.Job.Version+1, nil
			err = s.Store.Commit(ctx, &again)
		}
		return err
	}},
	"state_history is not kept":             {commit: changed(25, func(c *job.Change) { c.StateHistory = nil })},
	"a history record is lost":              {commit: changed(25, func(c *job.Change) { c.Records = c.Records[:len(c.Records)-1] })},
	"messages are lost":                     {commit: changed(2, func(c *job.Change) { c.Outbox = nil })},
	"tasks stay open after their job's end": {commit: changed(1, func(c *job.Change) { c.CloseTasks = false })},
	"writes to data stores are lost":        {commit: changed(10, func(c *job.Change) { c.Writes = nil })},
	"an idempotency key binds nothing":      {claim: func(value []byte) []byte { return value }},
	"attempts are not bounded":              {count: true},
	"queued tasks are not found again":      {idle: true},
}

// notWatched leaves out, under the race detector, what tests the model and not the product.
func notWatched(t *testing.T) {
	if raceDetector {
		t.Skip("worlds with a broken store test the model; scripts/test runs them without the race detector")
	}
}

// A store that does not look at fences: only worlds of several nodes can tell.
func TestAStoreWithoutFencesIsFound(t *testing.T) {
	notWatched(t)
	for seed := range uint64(mutantSeeds) {
		w := run(t, seed, options{nodes: mostNodes, spoil: func(below store.Store) store.Store {
			return &spoilt{Store: below, commit: changed(1, func(c *job.Change) { c.Fence = 0 })}
		}})
		if len(w.wrong) > 0 {
			t.Logf("found in world %d: %s", seed, w.wrong[0])
			return
		}
	}
	t.Errorf("%d worlds saw nothing", mutantSeeds)
}

func TestMutantsAreFound(t *testing.T) {
	notWatched(t)
	for _, name := range sortedKeys(mutants) {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(mutantSeeds) {
				m := &spoilt{commit: mutants[name].commit, claim: mutants[name].claim, count: mutants[name].count, idle: mutants[name].idle}
				w := run(t, seed, options{nodes: 1, spoil: func(below store.Store) store.Store { m.Store = below; return m }})
				if len(w.wrong) > 0 {
					t.Logf("found in world %d: %s", seed, w.wrong[0])
					return
				}
			}
			t.Errorf("%d worlds saw nothing", mutantSeeds)
		})
	}
}
