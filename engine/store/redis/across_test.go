package redis

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file tests commits of two shards: what a crash between their acts leaves, and several
// processes at once. One server that is taken for a Cluster is enough for that.

// acrossStore opens a store that takes its server for a Cluster.
func acrossStore(t *testing.T, url string) *Store {
	s := open(t, url)
	s.cluster = true
	return s
}

// writing is a new job outside its blueprint's shard that sets the key "k" of the data store "s".
func writing(value string, readVersion int64) *job.Change {
	c := newJob()
	for job.ShardOf(c.Job.ID) == job.ShardByName(c.Job.Blueprint) {
		c = newJob()
	}
	c.Reads = []job.StoreRead{{Store: "s", Key: "k", Version: readVersion}}
	c.Writes = []job.StoreWrite{{Store: "s", Key: "k", Value: []byte(value)}}
	return c
}

// acts gives the arguments of a change's acts.
func acts(t *testing.T, s *Store, c *job.Change) *crossing {
	t.Helper()
	x, _, err := s.commitOf(c)
	if err != nil {
		t.Fatal(err)
	}
	if x.Data.across == nil {
		t.Fatal("the change is in one shard")
	}
	return x.Data.across
}

func (s *Store) mustAnswer(t *testing.T, want string, sc *script, key string, args []any) {
	t.Helper()
	if got, err := s.answer(context.Background(), sc, key, args); err != nil || got != want {
		t.Fatalf("answered %q, %v; want %q", got, err, want)
	}
}

func (s *Store) mustValue(t *testing.T, want string) int64 {
	t.Helper()
	v, version, err := s.Value(context.Background(), "b", "s", "k")
	if err != nil || string(v) != want {
		t.Fatalf("the value is %q, %v; want %q", v, err, want)
	}
	return version
}

func TestCrashBeforeTheCommitOfTwoShards(t *testing.T) {
	ctx := context.Background()
	s := acrossStore(t, redistest.Start(t).URL(fresh()))
	late := acts(t, s, writing("1", 0))
	for range 2 { // sent twice, kept once
		s.mustAnswer(t, "", prepareScript, late.home, late.prepare)
	}
	if err := s.Commit(ctx, writing("2", 0)); err != nil { // meets what is kept
		t.Fatal(err)
	}
	s.mustAnswer(t, "void", commitScript, late.shard, late.commit)
	s.mustAnswer(t, "over", prepareScript, late.home, late.prepare)
	version := s.mustValue(t, "2")

	late = acts(t, s, writing("3", version))
	s.mustAnswer(t, "", prepareScript, late.home, late.prepare)
	s.mustValue(t, "2") // a read settles as well
	s.mustAnswer(t, "void", commitScript, late.shard, late.commit)
	if err := s.Commit(ctx, writing("4", 0)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a stale read gives %v", err)
	}
	s.mustValue(t, "2")
}

func TestCrashAfterTheCommitOfTwoShards(t *testing.T) {
	ctx := context.Background()
	s := acrossStore(t, redistest.Start(t).URL(fresh()))
	c := writing("1", 0)
	x := acts(t, s, c)
	s.mustAnswer(t, "", prepareScript, x.home, x.prepare)
	for range 2 {
		s.mustAnswer(t, "", commitScript, x.shard, x.commit)
	}
	// A step of a job that is in the data stores' shard meets what is kept.
	inside := newJob()
	for job.ShardOf(inside.Job.ID) != job.ShardByName(inside.Job.Blueprint) {
		inside.Job.ID = job.NewID(inside.Job.CreatedAt, job.ShardByName(inside.Job.Blueprint))
	}
	inside.Reads = []job.StoreRead{{Store: "s", Key: "k"}}
	if err := s.Commit(ctx, inside); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit that has not seen the value gives %v", err)
	}
	s.mustValue(t, "1")
	if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 1 {
		t.Errorf("the job: %+v, %v", j, err)
	}
	keys, err := s.client.Keys(ctx, s.keys.prefix+":*:fate:*").Result()
	if err != nil || len(keys) != 0 {
		t.Errorf("left: %v, %v", keys, err)
	}
}

// Two processes count in one data store from jobs all over the shards.
func TestProcessesCountAcrossShards(t *testing.T) {
	const each, clients = 20, 4
	ctx := context.Background()
	url := redistest.Start(t).URL(fresh())
	var all sync.WaitGroup
	for range 2 {
		s := acrossStore(t, url)
		for range clients {
			all.Go(func() {
				for done := 0; done < each; {
					v, version, err := s.Value(ctx, "b", "s", "k")
					if err == nil {
						n, _ := strconv.Atoi(string(v)) // absent is 0
						err = s.Commit(ctx, writing(strconv.Itoa(n+1), version))
					}
					var away *unavailable
					switch {
					case err == nil:
						done++
					case !errors.Is(err, store.ErrConflict) && !errors.As(err, &away):
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	s := acrossStore(t, url)
	s.mustValue(t, strconv.Itoa(2*clients*each))
	if n, err := s.Counts(ctx); err != nil || n[job.Pending] != 2*clients*each {
		t.Errorf("%d jobs, %v; a refused commit left one", n[job.Pending], err)
	}
}
