package postgres

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
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

	var mu sync.Mutex
	var acknowledged []string
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := newJob()
				if err := s.Commit(ctx, c); err == nil {
					mu.Lock()
					acknowledged = append(acknowledged, c.Job.ID)
					mu.Unlock()
				} else if !away(err) {
					t.Errorf("a commit during the failover gives %v", err)
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) }
	pgtest.Until(t, "200 jobs are in", func() bool { return count() >= 200 })
	primary.Crash()
	before := count()
	standby.Promote()
	promoted := time.Now()
	pgtest.Until(t, "jobs are taken again", func() bool { return count() >= before+50 })
	t.Logf("50 jobs were taken %s after the standby was promoted", time.Since(promoted).Round(time.Millisecond))
	close(stop)
	writing.Wait()

	for _, id := range acknowledged {
		if j, err := s.Job(ctx, id); err != nil || j.Status != job.Pending {
			t.Errorf("job %s was acknowledged: %+v, %v", id, j, err)
		}
	}
	after, err := s.Held(ctx, "shard/")
	if err != nil || len(after) != 1 || after[0].Fence != leases[0].Fence || after[0].Holder != "node" {
		t.Errorf("the lease %+v is now %+v, %v", leases[0], after, err)
	}
}
