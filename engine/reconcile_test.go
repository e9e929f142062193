package engine

import (
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file lets the store go back to an earlier moment, as a failover does to a copy that had not
// received everything: memory is ahead of the rows then, and must follow them.

// look lets a node compare its memory with the store, and mend what still differs afterwards.
func (p *place) look(r *reconciler) {
	p.t.Helper()
	for range 2 {
		p.in.clock.Advance(lookAgain)
		if err := p.reconcile(p.ctx, r); err != nil {
			p.t.Fatal(err)
		}
	}
	p.in.settle()
}

// known begins rounds: the node has seen who keeps the store.
func (p *place) known() *reconciler {
	p.t.Helper()
	r := new(reconciler)
	if err := p.reconcile(p.ctx, r); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// stands holds that a job does not move by itself, whatever time passes.
func (p *place) stands(id string, status job.Status) {
	p.t.Helper()
	for range 5 {
		p.in.clock.Advance(time.Minute)
		p.in.agree()
		p.in.settle()
	}
	if j := p.job(id); j.Status != status {
		p.t.Fatalf("the job is %s: the test shows nothing", j.Status)
	}
}

// finish answers whatever is queued until nothing is.
func (p *place) finish() (answered int) {
	p.t.Helper()
	for {
		t, ok := p.line.take(p.Engine)
		if !ok {
			return answered
		}
		if taken := p.answer(t, success(`{}`)); !taken.Accepted {
			p.t.Fatalf("the result of task %d was refused: %+v", t.N, taken)
		}
		answered++
	}
}

// Two of five branches end, and the store forgets it: they are done again, and only they.
func TestAJobGoesOnThatTheStoreTookBack(t *testing.T) {
	for _, at := range []string{"queued", "at workers", "one of each"} {
		t.Run(at, func(t *testing.T) {
			c := newCluster(t, "a")
			p := c.places["a"]
			r := p.known()
			id := p.own("group", `{"branches": 5}`)
			c.settle()
			for range 3 {
				p.answer(p.take(), success(`{}`))
			}
			var out []job.Task
			for n := map[string]int{"at workers": 2, "one of each": 1}[at]; n > 0; n-- {
				out = append(out, p.take())
			}
			moment := c.rows.Moment()
			for _, task := range out {
				p.answer(task, success(`{}`))
			}
			p.finish()
			p.is(id, job.Finished, "finished")
			c.rows.GoBack(moment)
			if len(out) == 0 { // what is at workers has a date
				p.stands(id, job.WaitingParallel)
			}
			p.look(r)
			if n := p.finish(); n != 2 {
				t.Errorf("%d tasks were done again, want the 2 that were undone", n)
			}
			p.is(id, job.Finished, "finished")
		})
	}
}

// A task that the store has not got any more, and one of a job that is gone, leave the queue.
func TestTasksThatTheStoreTookBackLeaveTheQueue(t *testing.T) {
	c := newCluster(t, "a")
	p := c.places["a"]
	r := p.known()
	id := p.own("work", `{}`)
	c.settle()
	moment := c.rows.Moment()
	p.answer(p.take(), Outcome{Status: "other"}) // on to its second task
	p.own("work", `{}`)
	c.settle()
	if queued, _ := p.line.size(); queued != 2 {
		t.Fatalf("%d tasks are queued", queued)
	}
	c.rows.GoBack(moment)
	p.look(r)
	if queued, held := p.line.size(); queued != 1 || held != 0 {
		t.Fatalf("%d tasks are queued and %d at workers, want the first one alone", queued, held)
	}
	if task := p.take(); task.JobID != id || task.N != 1 {
		t.Fatalf("task %d of job %s is queued", task.N, task.JobID)
	}
}

// The store names a hand-out that was lost and given to another since: the other's result counts.
func TestAnOldHandOutThatCameBackGivesWay(t *testing.T) {
	c := newCluster(t, "a")
	p := c.places["a"]
	r := p.known()
	id := p.own("group", `{"branches": 1}`)
	c.settle()
	first := p.take()
	moment := c.rows.Moment()
	if err := p.Lost(p.ctx, first, false, "as scripted"); err != nil {
		t.Fatal(err)
	}
	c.settle()
	second := p.take()
	c.rows.GoBack(moment)
	for range 1 + int(roundTime/lookAgain)/2 { // the note of the second one is brought in the next round
		p.look(r)
	}
	if row, err := p.rows.Task(p.ctx, id, 1); err != nil || row.ID != second.ID || row.Due == nil {
		t.Fatalf("the row names %q (%v), want the hand-out that stands, %s", row.ID, err, second.ID)
	}
	if taken := p.answer(second, success(`{}`)); !taken.Accepted {
		t.Fatalf("refused: %+v", taken)
	}
	p.is(id, job.Finished, "finished")
}

// Without the note of a hand-out the task has no deadline.
func TestTheNoteOfAHandOutIsWrittenAgain(t *testing.T) {
	c := newCluster(t, "a")
	p := c.places["a"]
	r := p.known()
	id := p.own("work", `{"timeout": 60, "retry": 0}`)
	c.settle()
	moment := c.rows.Moment()
	p.take()
	c.rows.GoBack(moment)
	p.look(r)
	row, err := p.rows.Task(p.ctx, id, 1)
	if err != nil || row.State != job.TaskLeased || row.Due == nil {
		t.Fatalf("the row is %+v, %v", row, err)
	}
	c.clock.Advance(time.Minute)
	c.agree()
	c.settle()
	if j := p.job(id); j.Error == nil || j.Error.Code != job.CodeResultTimeout {
		t.Errorf("the job is %s with %v, want its deadline", j.Status, j.Error)
	}
}

// Two changes may have the same version, before and after: memory is read again.
func TestAVersionThatWasGivenTwiceIsNotTakenForTheOther(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	r := a.known()
	id := a.own("ask", `{}`)
	c.settle()
	moment := c.rows.Moment()
	asked := a.job(id)
	if err := a.Decide(t.Context(), id, "no", "ann"); err != nil {
		t.Fatal(err)
	}
	c.rows.GoBack(moment)
	c.mute = true
	if err := b.Decide(t.Context(), id, "yes", "bob"); err != nil {
		t.Fatal(err)
	}
	if j := a.job(id); j.Version <= asked.Version {
		t.Fatal("nothing was decided")
	}
	a.look(r)
	if a.hot.has(id) {
		if hot, _, err := a.load(t.Context(), id); err != nil || hot.Version != a.job(id).Version || hot.State != a.job(id).State {
			t.Errorf("memory has the job in %q, the store in %q", hot.State, a.job(id).State)
		}
	}
}

// A revision that jobs run on must be found by other nodes, whatever the store went back to.
func TestRevisionsAreKeptAgain(t *testing.T) {
	c := newCluster(t, "a")
	p := c.places["a"]
	r := p.known()
	moment := c.rows.Moment()
	id := p.own("work", `{}`)
	revision := p.job(id).Revision
	c.rows.GoBack(moment)
	if _, err := p.rows.Revision(p.ctx, revision); err == nil {
		t.Fatal("the revision is there: the test shows nothing")
	}
	p.look(r)
	if _, err := p.rows.Revision(p.ctx, revision); err != nil {
		t.Error(err)
	}
}

// The store took back what was done about a message, and crossed it out afterwards.
func TestAParentHearsOfAChildThatTheStoreTookBack(t *testing.T) {
	for _, what := range []string{"its start", "its end"} {
		t.Run(what, func(t *testing.T) {
			c := newCluster(t, "a")
			p := c.places["a"]
			r := p.known()
			id := p.own("parent", `{"child": "work", "repair": true}`)
			if what == "its end" {
				c.settle()
				task := p.take()
				if taken, err := p.Returned(p.ctx, task, success(`{}`)); err != nil || !taken.Accepted {
					t.Fatalf("%+v, %v", taken, err)
				}
				p.line.gone(task)
			}
			moment := c.rows.Moment()
			posted, err := p.rows.Messages(p.ctx, c.clock.Now(), 10)
			if err != nil || len(posted) != 1 {
				t.Fatalf("%d messages are due, %v", len(posted), err)
			}
			c.settle()
			c.rows.GoBack(moment)
			if err := p.rows.Delivered(p.ctx, posted[0].ID); err != nil { // it was on its way
				t.Fatal(err)
			}
			p.stands(id, job.WaitingSubJob)
			p.look(r)
			p.look(r)
			p.is(id, job.Finished, "finished")
			why := map[string]string{"its start": `"` + job.CodeTransient + `"`}[what]
			if got := p.history(id, "why"); got != why {
				t.Errorf("the parent went on because of %s, want %s", got, why)
			}
		})
	}
}

// What differs because it is on its way is left alone, and so is what agrees.
func TestWhatMovesIsNotMended(t *testing.T) {
	c := newCluster(t, "a")
	p := c.places["a"]
	for range 3 {
		p.own("work", `{}`)
	}
	c.settle()
	held := p.take()
	differ, rows, err := p.compare(p.ctx, store.AllShards())
	if err != nil || rows != 3 || len(differ) != 0 {
		t.Fatalf("of %d rows %v differ, %v", rows, differ, err)
	}
	p.line.Withdraw(held.JobID, held.N) // as while a loss is on its way to the store
	differ, _, err = p.compare(p.ctx, store.AllShards())
	if err != nil || len(differ) != 1 {
		t.Fatalf("%v differ, %v", differ, err)
	}
	if err := p.Lost(p.ctx, held, false, "as scripted"); err != nil {
		t.Fatal(err)
	}
	before := p.job(held.JobID).Version
	for ref, seen := range differ {
		if _, err := p.mendTask(p.ctx, new(reconciler), ref, seen); err != nil {
			t.Fatal(err)
		}
	}
	if j := p.job(held.JobID); j.Version != before {
		t.Errorf("the job was changed from version %d to %d", before, j.Version)
	}
	if queued, _ := p.line.size(); queued != 3 {
		t.Errorf("%d tasks are queued, want 3", queued)
	}
}

// A round is bounded: no shard twice in it, and no more rows a second than the time allows.
func TestARoundTakesItsTime(t *testing.T) {
	c := newCluster(t, "a")
	p := c.places["a"]
	var r reconciler
	var all store.ShardSet
	for range int(roundTime / lookAgain) {
		for shard := range p.nextLook(&r).Each {
			if all.Has(shard) && shard >= 13 { // the last look has begun the next round
				t.Fatalf("shard %02x is looked at twice", shard)
			}
			all.Add(shard)
		}
	}
	if all != store.AllShards() {
		t.Errorf("a round has %d shards", all.Len())
	}
	r.debt = 4000
	for n, want := range []int{0, 0, 13} {
		if got := p.nextLook(&r).Len(); got != want {
			t.Errorf("look %d after 4,000 rows is at %d shards, want %d", n, got, want)
		}
	}
}
