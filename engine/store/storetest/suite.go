// Package storetest is the one conformance suite that every store driver passes, with its
// benchmarks: what it does not demand, the engine must not rely on.
//
// Words: a bed is a fresh store with a clock of its own and the means to make jobs; a mod
// changes a Change before it is committed.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds the entry point and the means to make changes.

// Run puts a driver through the suite. open gives an empty store; the suite closes it.
func Run(t *testing.T, open func(t testing.TB) store.Store) {
	for _, part := range []struct {
		name  string
		tests []test
	}{
		{"commit", commitTests},
		{"history", historyTests},
		{"tasks", taskTests},
		{"hand-out", handOutTests},
		{"progress", progressTests},
		{"values", valueTests},
		{"outbox", outboxTests},
		{"wakes", wakeTests},
		{"list", listTests},
		{"keys", keyTests},
		{"counters", countTests},
		{"beside", besideTests},
		{"life", lifeTests},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, tt := range part.tests {
				t.Run(tt.name, func(t *testing.T) { tt.run(newBed(t, open)) })
			}
		})
	}
}

type test struct {
	name string
	run  func(b *bed)
}

// epoch is when every bed's clock starts.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)

type bed struct {
	testing.TB
	store.Store
	ctx context.Context
	now time.Time // a millisecond later for every job made
}

func newBed(t testing.TB, open func(t testing.TB) store.Store) *bed {
	s := open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return &bed{TB: t, Store: s, ctx: context.Background(), now: epoch}
}

type mod func(c *job.Change)

// fresh proposes a new job, ready for its first step.
func (b *bed) fresh(mods ...mod) *job.Change {
	b.now = b.now.Add(time.Millisecond)
	return freshAt(b.now, mods...)
}

func freshAt(at time.Time, mods ...mod) *job.Change {
	c := &job.Change{
		Job: job.Job{
			ID: job.NewID(at, job.NewShard()), Version: 1, Blueprint: "orders", Revision: "r1", State: "start",
			Status: job.Pending, Ready: true, Records: 1, Client: job.Client{ID: "ada"}, CreatedAt: at, UpdatedAt: at,
		},
		InitialData: []byte(`{"order":7}`),
		Records:     []job.Record{{N: 1, At: job.Time{Time: at}, Kind: job.RecCreated, State: "start", Status: job.Pending}},
	}
	for _, m := range mods {
		m(c)
	}
	return c
}

// next proposes a step of a job: running, with one record.
func next(j job.Job, mods ...mod) *job.Change {
	j.Version++
	j.Step++
	j.Records++
	j.Status = job.Running
	c := &job.Change{Job: j, Base: j.Version - 1}
	c.Records = []job.Record{{N: j.Records, At: job.Time{Time: j.UpdatedAt}, Kind: job.RecStep, Step: j.Step, State: j.State, Status: j.Status}}
	for _, m := range mods {
		m(c)
	}
	return c
}

// create commits a new job and gives its row.
func (b *bed) create(mods ...mod) job.Job {
	b.Helper()
	c := b.fresh(mods...)
	b.must(b.Commit(b.ctx, c))
	return c.Job
}

// step commits a step of j and gives the new row.
func (b *bed) step(j job.Job, mods ...mod) job.Job {
	b.Helper()
	c := next(j, mods...)
	b.must(b.Commit(b.ctx, c))
	return c.Job
}

func status(s job.Status, ready bool) mod {
	return func(c *job.Change) { c.Job.Status, c.Job.Ready = s, ready }
}

func due(at *time.Time) mod { return func(c *job.Change) { c.Job.Due = at } }

// tasks adds queued tasks with the next numbers.
func tasks(n int, mods ...func(t *job.Task)) mod {
	return func(c *job.Change) {
		for range n {
			c.Job.LastTask++
			t := job.Task{
				JobID: c.Job.ID, N: c.Job.LastTask, State: job.TaskQueued, Step: c.Job.Step, JobState: c.Job.State,
				Type: "pack", Params: []byte(`{"box":1}`), Transitions: map[string]string{"success": "end"}, Queued: c.Job.UpdatedAt,
			}
			for _, m := range mods {
				m(&t)
			}
			c.Tasks = append(c.Tasks, t)
		}
	}
}

// handedOut is the task after its next hand-out.
func handedOut(t job.Task, at time.Time) job.Task {
	t.State, t.HandOut, t.Attempt, t.Worker, t.LeasedAt = job.TaskLeased, t.HandOut+1, t.Attempt+1, "w1", at
	t.ID = fmt.Sprintf("fence-%d-%d", t.N, t.HandOut)
	return t
}

func write(name, key, value string) mod {
	return func(c *job.Change) {
		w := job.StoreWrite{Store: name, Key: key}
		if value != "" {
			w.Value = []byte(value)
		}
		c.Writes = append(c.Writes, w)
	}
}

func read(name, key string, version int64) mod {
	return func(c *job.Change) {
		c.Reads = append(c.Reads, job.StoreRead{Store: name, Key: key, Version: version})
	}
}

func message(id string, at time.Time) mod {
	return func(c *job.Change) {
		c.Outbox = append(c.Outbox, job.Message{ID: id, JobID: c.Job.ID, Kind: job.MsgWebhook, To: "http://x/" + id, Body: []byte(`{"a":1}`), Due: at})
	}
}

func ptr[T any](v T) *T { return &v }

// at is a date some seconds after the epoch.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected error: %v", err)
	}
}

// want demands a certain error.
func (b *bed) want(err, is error) {
	b.Helper()
	if !errors.Is(err, is) {
		b.Fatalf("error is %v, want %v", err, is)
	}
}

// same compares by the text that both would be stored as.
func (b *bed) same(what string, got, want any) {
	b.Helper()
	g, err := store.Encode(got)
	b.must(err)
	w, err := store.Encode(want)
	b.must(err)
	if g != w {
		b.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}
