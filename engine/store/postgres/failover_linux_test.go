package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/postgres/pgtest"
)

// This file lets a standby take over while jobs are committed.

// both gives a STORE_URL that names two servers, in a place that is there at one of them.
func both(place string, a, b *pgtest.Server) string {
	return strings.Replace(place, a.Addr, a.Addr+","+b.Addr, 1) + "&target_session_attrs=read-write"
}

// With synchronous replication nothing that was acknowledged is lost, a fence that was given
// stands, and the store finds the new primary by itself.
func TestFailoverToASynchronousStandby(t *testing.T) {
	ctx := context.Background()
	primary := pgtest.Start(t)
	standby := primary.Standby()
	s := open(t, both(pgtest.FreshUnkept(t, primary.URL()), primary, standby), Options{})
	leases, err := s.Hold(ctx, "node", nil, time.Minute, "shard/00")
	if err != nil || len(leases) != 1 {
		t.Fatalf("%+v, %v", leases, err)
	}

	w := writeJobs(t, s)
	pgtest.Until(t, "200 jobs are in", func() bool { return w.count() >= 200 })
	primary.Crash()
	before := w.count()
	standby.Promote()
	promoted := time.Now()
	pgtest.Until(t, "jobs are taken again", func() bool { return w.count() >= before+50 })
	t.Logf("50 jobs were taken %s after the standby was promoted", time.Since(promoted).Round(time.Millisecond))
	if lost := w.lost(); lost > 0 {
		t.Errorf("%d of %d acknowledged jobs are lost", lost, len(w.acknowledged))
	}
	after, err := s.Held(ctx, "shard/")
	if err != nil || len(after) != 1 || after[0].Fence != leases[0].Fence || after[0].Holder != "node" {
		t.Errorf("the lease %+v is now %+v, %v", leases[0], after, err)
	}
}

// A primary that waits for nobody has acknowledged what its standby does not have: that much is
// lost when it dies, and what comes after it is kept. How much depends on how far the standby is.
func TestFailoverToAnAsynchronousStandby(t *testing.T) {
	for _, behind := range []bool{false, true} {
		name := map[bool]string{false: "keeps up", true: "hears nothing"}[behind]
		t.Run(name, func(t *testing.T) {
			primary := pgtest.Start(t)
			standby := primary.Follower()
			s := open(t, both(pgtest.FreshUnkept(t, primary.URL()), primary, standby), Options{})
			w := writeJobs(t, s)
			pgtest.Until(t, "400 jobs are in", func() bool { return w.count() >= 400 })
			least, unheard := 0, 0
			if behind {
				standby.Deaf()
				least = w.count()
				pgtest.Until(t, "200 more jobs are in", func() bool { return w.count() >= least+200 })
				unheard = w.count() - least
			}
			primary.Crash()
			before := w.count()
			standby.Promote()
			pgtest.Until(t, "jobs are taken again", func() bool { return w.count() >= before+50 })
			lost := w.lost()
			t.Logf("the standby %s: %d of %d acknowledged jobs are lost", name, lost, before)
			if lost < unheard {
				t.Errorf("%d jobs are lost, at least %d were acknowledged when the standby heard nothing", lost, unheard)
			}
		})
	}
}

// writing is jobs that are created by several at once, and which of them were acknowledged.
type writing struct {
	t            *testing.T
	s            *Store
	mu           sync.Mutex
	acknowledged []string
	stop         chan struct{}
	group        sync.WaitGroup
}

func writeJobs(t *testing.T, s *Store) *writing {
	w := &writing{t: t, s: s, stop: make(chan struct{})}
	for range 4 {
		w.group.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				c := newJob()
				if err := s.Commit(t.Context(), c); err == nil {
					w.mu.Lock()
					w.acknowledged = append(w.acknowledged, c.Job.ID)
					w.mu.Unlock()
				} else if !away(err) {
					t.Errorf("a commit during the failover gives %v", err)
				}
			}
		})
	}
	return w
}

func (w *writing) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// lost ends the writing, and counts what was acknowledged and is not there.
func (w *writing) lost() (n int) {
	close(w.stop)
	w.group.Wait()
	for _, id := range w.acknowledged {
		j, err := w.s.Job(w.t.Context(), id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			n++
		case err != nil || j.Status != job.Pending:
			w.t.Errorf("job %s was acknowledged: %+v, %v", id, j, err)
		}
	}
	return n
}
