package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/node"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file damages single rows of a store that two nodes share: all other jobs must go on.

func TestUnreadableRowsStopNobodyElse(t *testing.T) {
	c := newCluster(t, "a")
	a := c.places["a"]
	var ids []string
	for range 20 {
		ids = append(ids, a.submit("work", `{}`))
	}
	c.settle()
	queued, held := ids[0], ids[1]
	for {
		if task := a.take(); task.JobID == held {
			break
		} else if err := a.Lost(t.Context(), task, false, "put back"); err != nil {
			t.Fatal(err)
		}
	}
	if !c.rows.GarbleTask(queued, 1) || !c.rows.GarbleTask(held, 1) {
		t.Fatal("there are no tasks to damage")
	}
	a.dead = true
	c.clock.Advance(node.DefaultTTL)
	var log strings.Builder
	b := c.join("b")
	b.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.agree()
	if n := b.Opened().Len(); n != job.Shards {
		t.Fatalf("b took up %d shards", n)
	}
	c.settle()
	for range ids[2:] {
		task, ok := b.line.take(b.Engine)
		if !ok {
			t.Fatal("b has not all tasks that can be read")
		}
		b.answer(task, success(`{}`))
	}
	for _, id := range ids[2:] {
		b.is(id, job.Finished, "finished")
	}
	if b.Unreadable() != 2 {
		t.Errorf("b counts %d rows that it could not read", b.Unreadable())
	}
	why, err := b.Why(t.Context(), queued)
	if err != nil || !strings.Contains(strings.Join(why.Details, "\n"), store.NameOfTask(queued, 1)+" can not be read") {
		t.Errorf("why says %+v, %v", why, err)
	}
}

func TestAnUnreadableMessageStopsNoOther(t *testing.T) {
	c := newCluster(t, "a", "b")
	a := c.places["a"]
	var log strings.Builder
	a.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	a.alone("parent")
	var parents []string
	for range 2 { // what starts their children waits in the outbox
		id := a.own("parent", `{"child": "straight"}`)
		if err := a.Engine.step(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		parents = append(parents, id)
	}
	waiting, err := c.rows.MessagesOf(t.Context(), parents[0])
	if err != nil || len(waiting) != 1 || !c.rows.GarbleMessage(waiting[0].ID) {
		t.Fatalf("there is no message to damage: %+v, %v", waiting, err)
	}
	if err := a.lookAtChild(t.Context(), a.job(parents[0])); err != nil {
		t.Error(err)
	}
	a.is(parents[0], job.WaitingSubJob, "start") // its child may only not have begun
	c.settle()
	c.settle()
	a.is(parents[1], job.Finished, "finished")
	if a.Unreadable() != 1 || strings.Count(log.String(), waiting[0].ID) != 1 {
		t.Errorf("a counts %d rows that it could not read, and logs %s", a.Unreadable(), &log)
	}
}

// As many damaged messages as one look takes would else hide all others for ever.
func TestUnreadableMessagesAreAskedPast(t *testing.T) {
	c := newCluster(t, "a")
	a := c.places["a"]
	a.alone("parent")
	for range 3 {
		id := a.own("parent", `{"child": "straight"}`)
		if err := a.Engine.step(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		all, err := c.rows.MessagesOf(t.Context(), id)
		if err != nil || len(all) != 1 {
			t.Fatalf("messages %+v, %v", all, err)
		}
	}
	due, err := a.messages(t.Context(), c.clock.Now(), 10)
	if err != nil || len(due) != 3 {
		t.Fatalf("due are %+v, %v", due, err)
	}
	for _, m := range due[:2] {
		c.rows.GarbleMessage(m.ID)
	}
	if got, err := a.messages(t.Context(), c.clock.Now(), 1); err != nil || len(got) != 0 {
		t.Fatalf("the first look gives %+v, %v", got, err)
	}
	for range 2 {
		if _, err := a.messages(t.Context(), c.clock.Now(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := a.messages(t.Context(), c.clock.Now(), 1); err != nil || len(got) != 1 || got[0].ID != due[2].ID {
		t.Errorf("a later look gives %+v, %v, want %s", got, err, due[2].ID)
	}
	if err := a.Engine.pass(errors.New("away")); err == nil {
		t.Error("an error of another kind is passed over")
	}
}

func TestAnUnreadableJobIsLeftOutOfLists(t *testing.T) {
	rows := memory.New()
	r := newRig(t, func(c *Config) { c.Store, c.RevisionsKept = rows, time.Hour })
	var ids []string
	for range 3 {
		ids = append(ids, r.begin("nap", `{"seconds": 5}`))
	}
	rows.GarbleJob(ids[1])
	jobs, next, err := r.List(r.ctx, store.Query{Limit: 2})
	if err != nil || next != "" || len(jobs) != 2 || jobs[0].ID != ids[2] || jobs[1].ID != ids[0] {
		t.Errorf("the list gives %+v, %q, %v", jobs, next, err)
	}
	if live, err := r.LiveRevisions(r.ctx, "nap"); err != nil || len(live) != 1 {
		t.Errorf("live revisions are %v, %v", live, err)
	}
	if r.Unreadable() != 1 {
		t.Errorf("%d unreadable rows are counted, want 1", r.Unreadable())
	}
	// Nobody knows which revision it needs, so none is forgotten.
	old := store.Revision{Hash: "old", Main: "x.star", Created: noon}
	if err := rows.PutRevision(r.ctx, old); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(keptLeast + 2*time.Hour)
	if n, err := r.CollectRevisions(r.ctx); n != 0 || !errors.Is(err, store.ErrUnreadable) {
		t.Errorf("%d revisions were forgotten, %v", n, err)
	}
	if _, err := rows.Revision(r.ctx, "old"); err != nil {
		t.Error(err)
	}
}

// Of the deliveries of a job, those that can be read are shown and tried again.
func TestAnUnreadableDelivery(t *testing.T) {
	rows := memory.New()
	r := newRig(t, func(c *Config) { c.Store = rows })
	id := r.begin("nap", `{"seconds": 5}`)
	j := r.job(id)
	next := *j
	next.Version++
	c := &job.Change{Job: next, Base: j.Version}
	for n := range 3 {
		gone := noon
		c.Outbox = append(c.Outbox, job.Message{ID: fmt.Sprintf("%s/9/%d", id, n), JobID: id, Kind: job.MsgWebhook, Due: noon, GivenUp: &gone})
	}
	if err := rows.Commit(r.ctx, c); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Outbox { // a commit takes no message that was given up before
		if err := rows.Postpone(r.ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	rows.GarbleMessage(c.Outbox[1].ID)
	if all, err := r.GivenUp(r.ctx, "", 2); err != nil || len(all) != 2 || all[1].ID != c.Outbox[2].ID {
		t.Errorf("given up are %+v, %v", all, err)
	}
	if err := r.resumeParked(r.ctx); err != nil {
		t.Error(err)
	}
	if n, err := r.Redeliver(r.ctx, id, "ann"); n != 2 || err != nil {
		t.Errorf("%d are tried again, %v", n, err)
	}
	if r.Unreadable() != 1 {
		t.Errorf("%d unreadable rows are counted, want 1", r.Unreadable())
	}
}
