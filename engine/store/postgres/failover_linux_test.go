package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/faultproxy"
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

// A name can lead to a server that takes no writes: to the old primary, which came back as a
// standby, until the name is set anew. Then the store must find the new one by itself, and not
// keep what it got meanwhile. prefer-standby is a URL that takes such a connection.
func TestANameThatLeadsToAStandby(t *testing.T) {
	primary := pgtest.Start(t)
	standby := primary.Follower()
	for _, setting := range []string{"", "&target_session_attrs=prefer-standby"} {
		t.Run(setting, func(t *testing.T) {
			ctx := context.Background()
			name, err := faultproxy.Start(primary.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer name.Close()
			place := pgtest.FreshUnkept(t, primary.URL())
			s := open(t, pgtest.With(place, name.Addr())+setting, Options{Writers: 1})
			kept := newJob()
			if err := s.Commit(ctx, kept); err != nil {
				t.Fatal(err)
			}
			pgtest.Until(t, "the standby has the job", func() bool {
				return pgtest.TryExec(pgtest.With(place, standby.Addr), "SELECT 1/count(*) FROM heads") == nil
			})
			name.Lead(standby.Addr)
			name.Cut()
			pgtest.Until(t, "the server is told to take no writes", func() bool {
				err := s.Commit(ctx, newJob())
				if !away(err) {
					t.Fatalf("a commit at a standby gives %v", err)
				}
				return strings.Contains(err.Error(), "no server was found that takes writes")
			})
			if _, _, err := s.Claim(ctx, "k", nil, time.Minute, time.Now()); !away(err) {
				t.Errorf("a claim at a standby gives %v", err)
			}
			if _, err := s.Job(ctx, kept.Job.ID); setting == "" && !away(err) {
				t.Errorf("a read comes from the standby, which may be behind: %v", err)
			}

			name.Lead(primary.Addr) // what is connected stays
			pgtest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
			pgtest.Until(t, "claims work again", func() bool {
				_, _, err := s.Claim(ctx, "k", nil, time.Minute, time.Now())
				return err == nil
			})
			if _, err := s.Job(ctx, kept.Job.ID); err != nil {
				t.Errorf("a read after that: %v", err)
			}
		})
	}
}

// Of several servers the one that takes writes is found, whatever their order is and without a
// word of it in the URL; when there is none, that is said.
func TestSeveralServersWithoutASetting(t *testing.T) {
	ctx := context.Background()
	primary := pgtest.Start(t)
	standby := primary.Follower()
	place := pgtest.FreshUnkept(t, primary.URL())
	s := open(t, pgtest.With(place, standby.Addr+","+primary.Addr), Options{})
	if err := s.Commit(ctx, newJob()); err != nil {
		t.Errorf("a commit: %v", err)
	}
	lone := pgtest.With(place, standby.Addr)
	if _, err := Open(ctx, lone, Options{}); err == nil || !strings.Contains(err.Error(), "name the primary") {
		t.Errorf("opening a standby gives %v", err)
	}
	if found := Inspect(ctx, lone); len(found) != 1 || found[0].Verdict != store.BadVerdict || !strings.Contains(found[0].Saw, "name the primary") {
		t.Errorf("doctor finds %+v", found)
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
