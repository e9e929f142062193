package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file kills masters under load and counts what the store forgot of what it had
// acknowledged. The load does what the engine does: whoever gets no clear answer looks whether
// its commit was done before it goes on.

// jobsUnderLoad is how many jobs the load makes, stepsOfJob how many commits of each.
const (
	jobsUnderLoad = 2000
	stepsOfJob    = 3
	clientsAtOnce = 32
)

// ledger is what the store acknowledged.
type ledger struct {
	s    *Store
	make func() *job.Change // a new job

	mu     sync.Mutex
	acked  map[string]int64 // versions, by job
	lost   []string         // what was found to be missing
	total  int              // commits acknowledged
	longer time.Duration    // the longest time between two acknowledgements
	last   time.Time
	every  int           // commits after which gate is told
	gate   chan struct{} // has room for all of them
}

func newLedger(s *Store, every int) *ledger {
	return &ledger{s: s, make: newJob, acked: map[string]int64{}, last: time.Now(), every: every, gate: make(chan struct{}, jobsUnderLoad*stepsOfJob)}
}

func (l *ledger) ack(c *job.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[c.Job.ID] = c.Job.Version
	l.total++
	l.longer = max(l.longer, time.Since(l.last))
	l.last = time.Now()
	if l.total%l.every == 0 {
		l.gate <- struct{}{}
	}
}

// found notes what version of a job the store has, 0 for none, and what that says of it.
func (l *ledger) found(id string, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if had := l.acked[id]; version < had {
		l.lost = append(l.lost, fmt.Sprintf("job %s stands at version %d, %d was acknowledged", id, version, had))
		l.acked[id] = version
	}
}

// version reads a job's version until the store answers.
func (l *ledger) version(ctx context.Context, id string) (int64, error) {
	for {
		j, err := l.s.Job(ctx, id)
		switch {
		case err == nil:
			return j.Version, nil
		case errors.Is(err, store.ErrNotFound):
			return 0, nil
		case ctx.Err() != nil:
			return 0, err
		}
	}
}

// change builds the commit that raises a job to a version.
func changeTo(first *job.Change, version int64) *job.Change {
	c := *first
	c.Base, c.Job.Version, c.Job.Records = version-1, version, version
	c.Records = slices.Clone(first.Records)
	c.Records[0].N = version
	return &c
}

// run takes one job through all its commits.
func (l *ledger) run(ctx context.Context) error {
	first := l.make()
	for at := int64(0); at < stepsOfJob; {
		c := changeTo(first, at+1)
		if err := l.s.Commit(ctx, c); err == nil {
			l.ack(c)
			at++
			continue
		} else if ctx.Err() != nil {
			return fmt.Errorf("version %d of job %s: %w", at+1, c.Job.ID, err)
		}
		stands, err := l.version(ctx, c.Job.ID)
		if err != nil {
			return err
		}
		if stands > at { // it was done
			l.ack(c)
		}
		l.found(c.Job.ID, stands)
		at = stands
	}
	return nil
}

// load makes all jobs, strikes at even parts of it, and counts at the end.
func load(t *testing.T, s *Store, strikes ...func()) *ledger {
	t.Helper()
	return newLedger(s, jobsUnderLoad*stepsOfJob/(len(strikes)+2)).load(t, strikes...)
}

func (l *ledger) load(t *testing.T, strikes ...func()) *ledger {
	t.Helper()
	s := l.s
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	todo := make(chan struct{}, jobsUnderLoad)
	for range jobsUnderLoad {
		todo <- struct{}{}
	}
	close(todo)
	began := time.Now()
	var clients sync.WaitGroup
	for range clientsAtOnce {
		clients.Go(func() {
			for range todo {
				if err := l.run(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, strike := range strikes {
		select {
		case <-l.gate:
			strike()
		case <-ctx.Done():
			t.Fatal("the load did not get on")
		}
	}
	clients.Wait()
	took := time.Since(began)
	for id := range l.acked {
		stands, err := l.version(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		l.found(id, stands)
		if stands == 0 {
			continue // lost
		}
		records, err := s.Records(ctx, id, 0, 2*stepsOfJob)
		if err != nil || int64(len(records)) != stands {
			t.Errorf("job %s stands at version %d with %d records: %v", id, stands, len(records), err)
		}
	}
	t.Logf("%d commits in %s; the longest time without one %s; %d acknowledged commits lost", l.total, took.Round(time.Millisecond), l.longer.Round(time.Millisecond), len(l.lost))
	return l
}

// forms are the two of each test: with and without waiting for replicas.
func forms(t *testing.T, run func(t *testing.T, settings []string) *ledger) {
	t.Run("wait=1", func(t *testing.T) {
		if l := run(t, []string{fresh(), "wait=1"}); len(l.lost) > 0 {
			t.Errorf("%d acknowledged commits are lost, the first: %s", len(l.lost), l.lost[0])
		}
	})
	t.Run("wait=0", func(t *testing.T) { run(t, []string{fresh()}) })
}

func TestSentinelMasterKilledUnderLoad(t *testing.T) {
	t.Parallel() // it waits for time-outs, mostly
	forms(t, func(t *testing.T, settings []string) *ledger {
		set := redistest.StartSentinel(t)
		s := open(t, set.URL(settings...))
		master := set.Master()
		l := load(t, s, master.Kill)
		if now := set.Master(); now == master {
			t.Errorf("%s is still the master", now.Addr)
		}
		return l
	})
}

func TestClusterMasterKilledUnderLoad(t *testing.T) {
	t.Parallel() // it waits for time-outs, mostly
	cluster := redistest.StartCluster(t)
	forms(t, func(t *testing.T, settings []string) *ledger {
		redistest.Until(t, "the cluster is whole", cluster.Whole)
		s := open(t, cluster.URL(settings...))
		master := cluster.MasterOf(s.keys.shard(0))
		return load(t, s, func() {
			master.Kill()
			redistest.Until(t, "its replica takes over", func() bool { return cluster.MasterOf(s.keys.shard(0)) != master })
			master.Begin() // as whatever watches processes would; with wait=1 its slots need it as a replica
		})
	})
}

// A failover while the replicas are behind is what replication that nobody waits for can lose.
// The replicas are stopped, so that what the master sends fills the buffers of the connections
// and then stays in the master's memory, where it dies with it.
func TestReplicasBehindAtAFailover(t *testing.T) {
	t.Parallel() // it waits for time-outs, mostly

	const each, atOnce = 64 << 10, 40 // bytes of a job, jobs
	forms(t, func(t *testing.T, settings []string) *ledger {
		set := redistest.StartSentinel(t)
		s := open(t, set.URL(settings...))
		master, replicas := set.Master(), set.Replicas()
		for _, r := range replicas {
			r.Pause()
		}
		l := newLedger(s, 1)
		jobs := int64(atOnce)
		if s.target.wait == 0 {
			jobs *= 16
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var all sync.WaitGroup
		var refused, unread atomic.Int64
		for range jobs {
			all.Go(func() {
				c := newJob()
				c.InitialData = []byte(`{"text":"` + strings.Repeat("x", each) + `"}`)
				err := s.Commit(ctx, c)
				if err == nil {
					l.ack(c)
					return
				}
				refused.Add(1)
				if _, err := s.Job(ctx, c.Job.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
					unread.Add(1) // nobody may believe what the master alone has
				}
			})
		}
		all.Wait()
		if s.target.wait > 0 && (refused.Load() != jobs || unread.Load() != jobs) {
			t.Errorf("of %d commits that no replica had %d were refused, and %d could not be read", jobs, refused.Load(), unread.Load())
		}
		master.Kill()
		for _, r := range replicas {
			r.Continue()
		}
		redistest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
		for id := range l.acked {
			stands, err := l.version(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			l.found(id, stands)
		}
		t.Logf("of %d commits %d were acknowledged, %d of those are lost", jobs, l.total, len(l.lost))
		if s.target.wait == 0 && len(l.lost) == 0 {
			t.Error("nothing was lost: the replicas were not behind, so the test shows nothing")
		}
		return l
	})
}

// Replicas that come back end the doubt: what was refused, and is there, can be read and gone
// on from.
func TestReplicasComeBack(t *testing.T) {
	t.Parallel() // it waits for time-outs, mostly
	ctx := context.Background()
	set := redistest.StartSentinel(t, "--appendfsync", "no")
	s := open(t, set.URL(fresh(), "wait=2"))
	c := newJob()
	replicas := set.Replicas()
	replicas[0].Pause()
	err := s.Commit(ctx, c)
	if err == nil || !passing(err) || !strings.Contains(err.Error(), "1 replicas have it") {
		t.Errorf("a commit that one of two replicas has gives %v", err)
	}
	replicas[0].Continue()
	redistest.Until(t, "the job can be read", func() bool { _, err := s.Job(ctx, c.Job.ID); return err == nil })
	if err := s.Commit(ctx, changeTo(c, 2)); err != nil {
		t.Error(err)
	}
	if len(s.doubt.tags) > 0 {
		t.Errorf("still in doubt: %v", s.doubt.tags)
	}
}

// A master that has not got the newest holder of a lease gives a higher fence number all the
// same: who held the lost one is refused.
func TestFencesAfterALostLease(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := redistest.Start(t)
	s := open(t, server.URL(fresh()))
	c := newJob()
	name := store.ShardLease(job.ShardOf(c.Job.ID))
	shard := s.keys.of(c.Job.ID)
	hold := func(holder string) int64 {
		t.Helper()
		list, err := s.Hold(ctx, holder, nil, time.Minute, name)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s holds %v, %v", holder, list, err)
		}
		return list[0].Fence
	}
	hold("a")
	if err := s.Yield(ctx, "a", name); err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	defer client.Close()
	before, err := client.Dump(ctx, shard+":lease").Result()
	if err != nil {
		t.Fatal(err)
	}
	lost := hold("b")
	if err := client.RestoreReplace(ctx, shard+":lease", 0, before).Err(); err != nil { // as the new master knows it
		t.Fatal(err)
	}
	redistest.Until(t, "a failover takes more than a millisecond", func() bool {
		now, err := client.Time(ctx).Result()
		return err == nil && now.UnixMilli() > lost
	})
	newest := hold("c")
	if newest <= lost {
		t.Errorf("the fence %d comes after %d", newest, lost)
	}
	c.Fence = lost
	if err := s.Commit(ctx, c); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a commit on the lost lease gives %v", err)
	}
	c.Fence = newest
	if err := s.Commit(ctx, c); err != nil {
		t.Error(err)
	}
}

// Slots that move to another master hold up what is in them, and no script is done by half
// because some of its keys are here and others there.
func TestSlotsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	for wait, moves := range map[string]int{"wait=0": 4, "wait=1": 2} {
		t.Run(wait, func(t *testing.T) {
			s := open(t, cluster.URL(fresh(), wait))
			l := newLedger(s, jobsUnderLoad*stepsOfJob/(moves+2))
			l.make = func() *job.Change { // all in one shard
				c := newJob()
				c.Job.ID = job.NewID(c.Job.CreatedAt, 0)
				return c
			}
			l.load(t, repeated(moves, func() { cluster.MoveSlot(s.keys.shard(0)) })...)
			if len(l.lost) > 0 {
				t.Errorf("lost: %s", l.lost[0])
			}
			ctx := context.Background()
			if n, err := s.Counts(ctx); err != nil || n[job.Pending] != jobsUnderLoad {
				t.Errorf("%v are counted of %d jobs, %v", n, jobsUnderLoad, err)
			}
			if ready, err := s.Ready(ctx, "", 2*jobsUnderLoad); err != nil || len(ready) != jobsUnderLoad {
				t.Errorf("%d are ready of %d jobs, %v", len(ready), jobsUnderLoad, err)
			}
		})
	}
}
