package engine

import (
	"testing"

	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/store/memory"
)

// This file tests a new engine on the rows of an old one: what a crash leaves behind.

func TestRestartTakesUpEverything(t *testing.T) {
	r := newRig(t)
	r.alone("straight")
	fresh := r.submit("straight", `{}`)
	queued := r.submit("work", `{"n": 1}`)
	held := r.submit("work", `{"n": 2}`)
	r.line.queued[0], r.line.queued[1] = r.line.queued[1], r.line.queued[0]
	task := r.take()
	if task.JobID != held {
		t.Fatal("the test takes the wrong task")
	}
	parent := r.submit("parent", `{"child": "straight"}`) // the child's start is in the outbox
	nap := r.submit("nap", `{"seconds": 5}`)
	r.reboot()
	if queued, held := r.line.size(); queued != 1 || held != 1 {
		t.Fatalf("%d queued and %d at workers after the restart, want one of each", queued, held)
	}
	r.settle()
	r.is(fresh, job.Finished, "finished")
	r.is(parent, job.Finished, "finished")
	if got := r.answer(task, success(`{}`)); !got.Accepted {
		t.Errorf("the result of a task handed out before the crash: %+v", got)
	}
	r.answer(r.take(), success(`{}`))
	r.pass(seconds(5))
	for _, id := range []string{queued, held, nap} {
		r.is(id, job.Finished, "finished")
	}
}

// A hand-out that was not written is made again; the first one's result does not count then.
func TestRestartAfterALostHandOut(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	id := r.begin("work", `{}`)
	faults.Fail(faultstore.HandOut, 1, faultstore.Before)
	r.take()
	r.reboot()
	again := r.take()
	if again.HandOut != 1 || again.Attempt != 1 {
		t.Errorf("hand-out %d, attempt %d: what was lost did not happen", again.HandOut, again.Attempt)
	}
	r.answer(again, success(`{}`))
	r.is(id, job.Finished, "finished")
}

// A cancel that was accepted before a crash holds after it: the workers are told again, and
// nothing more of the job is handed out.
func TestRestartWhileBeingCancelled(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{}`)
	task := r.take()
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	r.reboot()
	if queued, held := r.line.size(); queued != 0 || held != 1 {
		t.Errorf("%d branches queued and %d at workers, want 0 and 1", queued, held)
	}
	if !r.line.wasTold(task) {
		t.Error("the worker is not told to stop")
	}
	r.answer(task, Outcome{Status: "cancelled"})
	r.is(id, job.Cancelled, "start")
}

func TestRestartWithTheStoreAway(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	r.begin("nap", `{}`)
	faults.Fail(faultstore.ScanTasks, 1, faultstore.Before)
	if err := r.Start(r.ctx); err == nil {
		t.Error("an engine that could not read its rows said that it started")
	}
	if err := r.Stop(r.ctx); err != nil {
		t.Errorf("stopping what did not start: %v", err)
	}
}

// The rows of jobs with tasks at workers are read many at once when shards are taken up, and one
// that can not be read keeps nobody from being told.
func TestRestartReadsJobsManyAtOnce(t *testing.T) {
	rows := memory.New()
	faults := faultstore.New(rows)
	r := newRig(t, func(c *Config) { c.Store = faults })
	id := r.begin("group", `{}`)
	task := r.take()
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	var others []string
	for range 3 * cancelsAtOnce {
		others = append(others, r.submit("work", `{}`))
		r.take()
	}
	rows.GarbleJob(others[cancelsAtOnce])
	before := faults.Calls()
	r.reboot()
	after := faults.Calls()
	if one, many := after[faultstore.Job]-before[faultstore.Job], after[faultstore.Rows]-before[faultstore.Rows]; one > 0 || many != 4 {
		t.Errorf("%d rows were read one by one, and %d times many at once, want 0 and 4", one, many)
	}
	if !r.line.wasTold(task) {
		t.Error("the worker is not told to stop")
	}
	if r.Unreadable() != 1 {
		t.Errorf("%d unreadable rows are counted, want 1", r.Unreadable())
	}
	faults.Fail(faultstore.Rows, 2, faultstore.Before)
	r.boot(r.cfg)
	if err := r.recover(r.ctx); err == nil {
		t.Error("jobs that could not be read for another reason were passed over")
	}
}
