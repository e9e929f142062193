package redis

import (
	"context"
	"errors"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file tests servers that go away and come back.

func newJob() *job.Change {
	now := time.Now().UTC()
	return &job.Change{
		Job: job.Job{ID: job.NewID(now, job.NewShard()), Version: 1, Blueprint: "b", State: "start", Status: job.Pending,
			Ready: true, Records: 1, CreatedAt: now, UpdatedAt: now},
		Records: []job.Record{{N: 1, At: job.Time{Time: now}, Kind: job.RecCreated, State: "start", Status: job.Pending}},
	}
}

func TestServerKilledAndStartedAgain(t *testing.T) {
	ctx := context.Background()
	server := redistest.Start(t)
	s := open(t, server.URL(fresh()))
	kept := newJob()
	if err := s.Commit(ctx, kept); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	var away interface{ Unavailable() bool }
	if err := s.Commit(ctx, newJob()); !errors.As(err, &away) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit without a server gives %v", err)
	}
	if _, err := s.Job(ctx, kept.Job.ID); !errors.As(err, &away) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a read without a server gives %v", err)
	}
	server.Begin()
	redistest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
	if j, err := s.Job(ctx, kept.Job.ID); err != nil || j.Version != 1 {
		t.Errorf("after the restart: %+v, %v", j, err)
	}
}

func TestScriptsForgotten(t *testing.T) {
	ctx := context.Background()
	server := redistest.Start(t)
	s := open(t, server.URL(fresh()))
	c := server.Client()
	defer c.Close()
	for range 3 {
		if err := c.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(ctx, newJob()); err != nil {
			t.Errorf("a commit after the scripts were forgotten: %v", err)
		}
	}
}

// A commit that is sent twice is done once, and both sendings are told so.
func TestCommitSentTwice(t *testing.T) {
	ctx := context.Background()
	server := redistest.Start(t)
	s := open(t, server.URL(fresh()))
	c := newJob()
	shard := s.keys.of(c.Job.ID)
	p, err := planOf(c, s.token(), shard)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		reply, err := s.call(ctx, commitScript, shard, p.args...)
		if err != nil || s.refusal(c, reply) != nil {
			t.Fatalf("%v, %v", reply, err)
		}
	}
	if err := s.Commit(ctx, c); !errors.Is(err, store.ErrExists) {
		t.Errorf("the same job by another commit gives %v", err)
	}
	records, err := s.Records(ctx, c.Job.ID, 0, 10)
	if err != nil || len(records) != 1 {
		t.Errorf("%d records, %v", len(records), err)
	}
}
