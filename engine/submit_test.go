package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/engine/blueprint"
	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/store/memory"
)

// This file tests how a job is accepted.

// Steps that follow at once are part of the commit that accepts the job: a reader never
// sees it in between.
func TestSubmitCarriesTheFirstSteps(t *testing.T) {
	r := newRig(t)
	id := r.submit("straight", `{"a": 1}`)
	j := r.is(id, job.Finished, "finished")
	if j.Version != 1 || j.Step != 3 {
		t.Errorf("version %d after %d steps, want 1 after 3", j.Version, j.Step)
	}
	if got := r.history(id, "visits"); got != `["start","middle"]` {
		t.Errorf("visits are %s", got)
	}
	id = r.submit("count", `{}`) // also with a data store, as long as nobody else uses it
	if j := r.is(id, job.Finished, "finished"); j.Version != 1 {
		t.Errorf("counting took %d commits, want 1", j.Version)
	}
	r.alone("straight")
	r.is(r.submit("straight", `{}`), job.Pending, "start") // slow ones are not waited for
}

func TestSubmitRepeated(t *testing.T) {
	printed := &counter{}
	r := newRig(t, func(c *Config) { c.Log = slog.New(printed) })
	ask := func(client, key, hash string) (string, bool, error) {
		return r.Submit(r.ctx, Request{Blueprint: "straight", IdempotencyKey: key, BodyHash: hash, Client: job.Client{ID: client}})
	}
	before := printed.n
	first, repeated, err := ask("a", "k", "h1")
	if err != nil || repeated {
		t.Fatal(repeated, err)
	}
	r.settle()
	again, repeated, err := ask("a", "k", "h1")
	if err != nil || !repeated || again != first {
		t.Errorf("the repetition gives %s %v %v, want %s", again, repeated, err, first)
	}
	if runs := printed.n - before; runs != 1 {
		t.Errorf("the first step ran %d times: a repetition runs nothing", runs)
	}
	_, _, err = ask("a", "k", "h2")
	refused(t, err, IdempotencyMismatch)
	if !strings.Contains(err.Error(), first) {
		t.Errorf("%q does not name the job of the first request", err)
	}
	other, repeated, err := ask("b", "k", "h2")
	if err != nil || repeated || other == first {
		t.Errorf("another client's key is its own: %s %v %v", other, repeated, err)
	}
	r.clock.Advance(idempotencyKept + 1)
	late, repeated, err := ask("a", "k", "h2")
	if err != nil || repeated || late == first {
		t.Errorf("after a day the key is free: %s %v %v", late, repeated, err)
	}
}

// counter counts what the step of straight prints.
type counter struct {
	slog.Handler
	n int
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "the first step runs") {
		c.n++
	}
	return nil
}

// A crash between the claim of the key and the job's commit must lead the repetition to the
// same id, and to a job.
func TestSubmitAfterCrashBetweenClaimAndCreate(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	ask := func() (string, bool, error) {
		return r.Submit(r.ctx, Request{Blueprint: "straight", IdempotencyKey: "k", BodyHash: "h"})
	}
	faults.Fail(faultstore.Commit, 1, faultstore.Before)
	claimed, _, err := ask()
	if err == nil {
		t.Fatal("the job was accepted although nothing was written")
	}
	r.reboot()
	id, repeated, err := ask()
	if err != nil || !repeated || id != claimed {
		t.Fatalf("the repetition gives %s %v %v, want the id %s", id, repeated, err, claimed)
	}
	r.settle()
	r.is(id, job.Finished, "finished")
}

func TestSubmitRefuses(t *testing.T) {
	r := newRig(t)
	_, _, err := r.Submit(r.ctx, Request{Blueprint: "straigth"})
	refused(t, err, UnknownBlueprint)
	if !strings.Contains(err.Error(), "straight") {
		t.Errorf("%q suggests nothing", err)
	}
	_, _, err = r.Submit(r.ctx, Request{Blueprint: "straight", InitialData: json.RawMessage(`{"x":"` + strings.Repeat("y", 1<<20) + `"}`)})
	refused(t, err, TooLarge)
	_, _, err = r.Submit(r.ctx, Request{Blueprint: "straight", WebhookURL: "https://example.org/hook"})
	refused(t, err, BadRequest)
	if counts, err := r.Counts(r.ctx); err != nil || len(counts) != 0 {
		t.Errorf("refused requests left %v, %v", counts, err)
	}
}

// Jobs of a blueprint with data stores share one shard, so that a step and its writes can
// be one commit in every store.
func TestShardFollowsDataStores(t *testing.T) {
	r := newRig(t)
	want := job.ShardByName("count")
	for range 5 {
		if got := job.ShardOf(r.submit("count", `{}`)); got != want {
			t.Errorf("a job of count is in shard %d, want %d", got, want)
		}
	}
	id := r.begin("parent", `{"child": "count"}`)
	if kids, err := r.rows.Children(r.ctx, id); err != nil || len(kids) != 1 || job.ShardOf(kids[0]) != want {
		t.Errorf("the child %v is not in shard %d (%v)", kids, want, err)
	}
}

// A job ends on the revision it began with, also when the directory has moved on.
func TestJobKeepsItsRevision(t *testing.T) {
	r := newRig(t)
	id := r.begin("nap", `{"seconds": 10}`)
	newer := newRig(t).bps // the same files; without them only the store has the text
	newer.UseStore(r.rows)
	cfg := r.cfg
	cfg.Blueprints = newer
	r.boot(cfg)
	r.pass(seconds(10))
	r.is(id, job.Finished, "finished")
}

func TestRevisionGone(t *testing.T) {
	r := newRig(t)
	id := r.begin("nap", `{"seconds": 10}`)
	empty, err := blueprint.LoadFS(r.ctx, fstest.MapFS{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	cfg.Blueprints = empty // no store to read older revisions from
	r.boot(cfg)
	r.pass(seconds(10))
	j := r.job(id)
	if j.Status != job.Quarantined || j.Error.Code != job.CodeUnknownBlueprint {
		t.Errorf("the job is %s with %v", j.Status, j.Error)
	}
}
