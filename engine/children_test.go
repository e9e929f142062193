package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/store/memory"
)

// This file tests sub-blueprints: start, end, cancel, and messages that come twice.

func TestChildSucceeds(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"child": "nap", "data": {"seconds": 5}}`)
	j := r.is(id, job.WaitingSubJob, "start")
	child := r.is(j.Wait.Child, job.WaitingTimer, "start")
	if child.Parent == nil || child.Parent.JobID != id || child.Depth != 1 || child.Revision != j.Revision {
		t.Errorf("the child is %+v", child)
	}
	r.pass(seconds(5))
	r.is(id, job.Finished, "finished")
	got := r.history(id, "sub_job_"+child.ID)
	if !strings.Contains(got, `"outcome":"success"`) || !strings.Contains(got, `"status":"finished"`) {
		t.Errorf("state_history has %s", got)
	}
}

func TestChildFails(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"child": "broken"}`)
	if j := r.is(id, job.Failed, "start"); j.Error.Code != job.CodeScript {
		t.Errorf("the parent's error is %v", j.Error)
	}
	id = r.begin("parent", `{"child": "broken", "repair": true}`)
	r.is(id, job.Finished, "finished")
	if got := r.history(id, "why"); got != `"SCRIPT_ERROR"` {
		t.Errorf("context.error.code was %s", got)
	}
}

func TestChildOfUnknownBlueprint(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"child": "nobody"}`)
	if j := r.is(id, job.Failed, "start"); j.Error.Code != job.CodeUnknownBlueprint || !strings.Contains(j.Error.Message, "nobody") {
		t.Errorf("the parent's error is %v", j.Error)
	}
}

func TestChildrenTooDeep(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"nested": 9}`) // 10 levels of children below
	r.is(id, job.Finished, "finished")
	id = r.begin("parent", `{"nested": 10}`)
	if j := r.is(id, job.Failed, "start"); j.Error.Code != job.CodeSubJobDepth {
		t.Errorf("the parent's error is %v", j.Error)
	}
}

func TestCancelReachesTheChild(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"child": "work"}`)
	child := r.job(id).Wait.Child
	task := r.take()
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(id, job.Cancelled, "start")
	if j := r.is(child, job.WaitingWorker, "start"); j.CancelAsked == nil {
		t.Error("the child was not asked")
	}
	r.answer(task, Outcome{Status: "cancelled"})
	r.is(child, job.Cancelled, "cancelled")
}

// A message that is delivered twice must change nothing the second time.
func TestMessagesComeTwice(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	settle := func() {
		for r.Settle(r.ctx) != nil {
		}
	}
	faults.Fail(faultstore.Delivered, 1, faultstore.Before) // the start
	id := r.submit("parent", `{"child": "nap", "data": {"seconds": 5}}`)
	settle()
	if kids, err := r.rows.Children(r.ctx, id); err != nil || len(kids) != 1 {
		t.Fatalf("children %v, %v", kids, err)
	}
	faults.Fail(faultstore.Delivered, 1, faultstore.Before) // the end
	r.clock.Advance(seconds(5))
	settle()
	r.is(id, job.Finished, "finished")
	ended := 0
	for _, k := range r.kinds(id) {
		if k == job.RecChild {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("the parent was resumed %d times", ended)
	}
}

// The second cancel of a job ends its compensation; a cancel that is only delivered twice
// must not.
func TestCancelOfAChildComesTwice(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	id := r.begin("parent", `{"child": "work", "data": {"undo_works": true}}`)
	child := r.job(id).Wait.Child
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	faults.Fail(faultstore.Delivered, 1, faultstore.Before)
	for r.Settle(r.ctx) != nil {
	}
	if faults.Met() != 1 {
		t.Fatal("the message was not delivered twice")
	}
	r.is(child, job.WaitingWorker, "undo")
	r.answer(r.take(), success(`{}`))
	r.is(child, job.Finished, "finished")
}

// A child whose parent was cancelled before it started must not run on, also when the
// program dies after the child's first commit.
func TestChildOfACancelledParent(t *testing.T) {
	for _, dies := range []bool{false, true} {
		faults := faultstore.New(memory.New())
		r := newRig(t, func(c *Config) { c.Store = faults })
		id := r.submit("parent", `{"child": "nap"}`)
		m, err := r.rows.Messages(r.ctx, r.clock.Now(), 1)
		if err != nil || len(m) != 1 {
			t.Fatal(m, err)
		}
		if err := r.Cancel(r.ctx, id, "ann"); err != nil {
			t.Fatal(err)
		}
		stop, err := r.rows.Messages(r.ctx, r.clock.Now(), 2)
		if err != nil || len(stop) != 2 {
			t.Fatal(stop, err)
		}
		if err := r.rows.Delivered(r.ctx, stop[1].ID); err != nil { // it came first, and found no child
			t.Fatal(err)
		}
		if dies {
			faults.Fail(faultstore.Job, 1, faultstore.Before) // the look at the parent
			if err := r.deliver(r.ctx, m[0]); err == nil {
				t.Error("a child without a waiting parent was left alone")
			}
			r.reboot()
		}
		r.settle()
		r.is(m[0].To, job.Cancelled, "start")
	}
}

func TestChildOfAParentThatIsGone(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"child": "nap", "data": {"seconds": 5}}`)
	child := r.job(id).Wait.Child
	if err := r.Cancel(r.ctx, id, "ann"); err != nil { // the child is not told: its message is lost below
		t.Fatal(err)
	}
	m, err := r.rows.Messages(r.ctx, r.clock.Now(), 10)
	if err != nil || len(m) != 1 {
		t.Fatal(m, err)
	}
	if err := r.rows.Delivered(r.ctx, m[0].ID); err != nil {
		t.Fatal(err)
	}
	before := len(r.records(id))
	r.pass(seconds(5))
	r.is(child, job.Finished, "finished")
	r.is(id, job.Cancelled, "start")
	if len(r.records(id)) != before {
		t.Error("an ended parent took its child's end")
	}
	if left, err := r.rows.Messages(r.ctx, r.clock.Now().Add(time.Hour), 10); err != nil || len(left) != 0 {
		t.Errorf("messages that nobody can take stay: %v, %v", left, err)
	}
}

// flakyCatalog can not read older revisions for a while.
type flakyCatalog struct {
	Catalog
	err  error
	left int
}

func (f *flakyCatalog) AtRevision(ctx context.Context, hash, name string) (*blueprint.Blueprint, error) {
	if name == "count" && f.left > 0 {
		f.left--
		return nil, f.err
	}
	return f.Catalog.AtRevision(ctx, hash, name)
}

// Pin has lost the file meanwhile: only the parent's revision has the child.
func (f *flakyCatalog) Pin(ctx context.Context, name string) (*blueprint.Blueprint, error) {
	if name == "count" {
		return nil, blueprint.ErrUnknown
	}
	return f.Catalog.Pin(ctx, name)
}

// A store that can not be read just now is no reason to run a child on another revision, or
// in another shard, than its parent's.
func TestChildWaitsForItsRevision(t *testing.T) {
	flaky := &flakyCatalog{err: errors.New("the disk is away"), left: 2}
	r := newRig(t, func(c *Config) { flaky.Catalog = c.Blueprints; c.Blueprints = flaky })
	id := r.begin("parent", `{"child": "count"}`)
	for range 5 {
		if err := r.mend(); err != nil {
			t.Fatal(err)
		}
	}
	r.is(id, job.Finished, "finished")
	kids, err := r.rows.Children(r.ctx, id)
	if err != nil || len(kids) != 1 || job.ShardOf(kids[0]) != job.ShardByName("count") {
		t.Errorf("children %v (%v): not in the shard of their data store", kids, err)
	}
	if flaky.left != 0 {
		t.Error("the revision was not asked for")
	}
}

// A child whose revision can not be compiled any more fails; its parent hears of it.
func TestChildThatCanNotBeLoaded(t *testing.T) {
	flaky := &flakyCatalog{err: &blueprint.LoadError{File: "life.star"}, left: 1 << 30}
	r := newRig(t, func(c *Config) { flaky.Catalog = c.Blueprints; c.Blueprints = flaky })
	id := r.begin("parent", `{"child": "count"}`)
	r.pass(time.Hour)
	if j := r.job(id); j.Status != job.Failed || j.Error.Code != job.CodeUnknownBlueprint {
		t.Errorf("the parent is %s (%v)", j.Status, j.Error)
	}
}
