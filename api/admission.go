package api

import (
	"context"
	"sync/atomic"
	"time"

	"orrery/engine/job"
)

// This file bounds what is in work at once, so that too much is refused and not piled up.

const (
	lookEvery   = 100 * time.Millisecond // at the backlog
	backlogHold = time.Second            // a start waits so long for it to shrink
)

// gate counts what is in work and refuses what would be too much.
type gate struct {
	most    int64
	now     atomic.Int64
	refused atomic.Uint64
}

// enter takes n places, or none when there are not so many.
func (g *gate) enter(n int64) bool {
	if g.now.Add(n) <= g.most {
		return true
	}
	g.now.Add(-n)
	g.refused.Add(1)
	return false
}

func (g *gate) leave(n int64) { g.now.Add(-n) }

// backlog is how many jobs have a step to run. Jobs that wait for a worker, a person or a
// time do not count: they cost nothing until then.
type backlog struct {
	most   int64
	seen   atomic.Int64
	looked atomic.Int64 // when, in milliseconds
	on     atomic.Bool  // somebody looks; it takes seconds with a store that does not answer
}

// admitCreate lets a start of a job in; leave must be called when it is done. With too large
// a backlog it is held for a moment, which slows down those who wait for their answers, and
// refused when that did not help.
func (s *Server) admitCreate(ctx context.Context) (leave func(), err error) {
	if !s.creates.enter(1) {
		return nil, overloaded(LimitCreates, "jobs are being started", s.creates.most)
	}
	leave = func() { s.creates.leave(1) }
	for end := s.clock.Now().Add(backlogHold); s.waitingSteps(ctx) >= s.backlog.most; {
		if !s.clock.Now().Before(end) || s.held.Err() != nil {
			leave()
			s.creates.refused.Add(1)
			return nil, overloaded(LimitBacklog, "jobs wait for their next step", s.backlog.most)
		}
		s.holdBack(lookEvery)
	}
	return leave, nil
}

// waitingSteps gives the backlog as it was a moment ago; one request at a time looks, and none
// while the store is away: a start that is refused then must not wait for what it is refused for.
func (s *Server) waitingSteps(ctx context.Context) int64 {
	now := s.clock.Now().UnixMilli()
	if now-s.backlog.looked.Load() < lookEvery.Milliseconds() || s.jobs.Away() || !s.backlog.on.CompareAndSwap(false, true) {
		return s.backlog.seen.Load()
	}
	defer s.backlog.on.Store(false)
	s.backlog.looked.Store(now)
	counts, err := s.jobs.Counts(ctx)
	if err != nil { // a store that can not be read will say so to the start itself
		s.log.Debug("the backlog could not be counted", "error", err)
		return s.backlog.seen.Load()
	}
	s.backlog.seen.Store(counts[job.Pending] + counts[job.Running])
	return s.backlog.seen.Load()
}
