package engine

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/clock"
	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/ledger"
	"orrery/engine/ledger/ledgertest"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file starts engines with what a process before them has left in the ledger. Real
// processes that end are in killtest.

// leftBehind gives the ledger of a process that ended while it was at these steps.
func leftBehind(t *testing.T, notes ...ledger.Note) *ledger.Ledger {
	t.Helper()
	return ledgertest.Died(t, filepath.Join(t.TempDir(), "ledger"), func(l *ledger.Ledger) {
		for _, n := range notes {
			l.Begin(n)
		}
	})
}

func noteOf(id string, step int64, state string) ledger.Note {
	return ledger.Note{Kind: ledger.Step, Key: id, Step: step, State: state}
}

// after starts the rig's store again, by a process that finds such a ledger.
func (r *rig) after(l *ledger.Ledger) {
	r.t.Helper()
	cfg := r.cfg
	cfg.Ledger, cfg.Clock = l, clock.Real{}
	r.boot(cfg)
	r.run()
}

// until waits for a job to be as is says.
func (r *rig) until(id string, is func(*job.Job) bool) *job.Job {
	r.t.Helper()
	changed, stop := r.Watch(id)
	defer stop()
	for {
		j := r.job(id)
		if is(j) {
			return j
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			r.t.Fatalf("job %s is %s in %s", id, j.Status, j.State)
		}
	}
}

func isOver(j *job.Job) bool { return j.Status.Terminal() }

func endsOnce(t *testing.T, limits Limits) *job.Error {
	r := newRig(t, func(c *Config) { c.Limits = limits })
	r.alone("straight")
	id := r.submit("straight", `{}`)
	r.after(leftBehind(t, noteOf(id, 1, r.job(id).State)))
	return r.job(id).Error
}

func TestSuspectsComeThrough(t *testing.T) {
	r := newRig(t)
	r.alone("straight")
	var ids []string
	var notes []ledger.Note
	for range 5 {
		ids = append(ids, r.submit("straight", `{}`))
	}
	for _, id := range ids[:3] {
		notes = append(notes, noteOf(id, 1, "start"))
	}
	l := leftBehind(t, append(notes, noteOf("01a20b4d-3246-7000-8c35-779c7e77c5c7", 1, "start"), noteOf(ids[3], 1, "start"))...)
	r.after(l)
	for i, id := range ids {
		j := r.until(id, isOver)
		if j.Status != job.Finished || j.Ends != nil {
			t.Errorf("job %d is %s with %+v", i, j.Status, j.Ends)
		}
		records, err := r.Records(r.ctx, id, 0)
		if err != nil {
			t.Fatal(err)
		}
		counted := 0
		for _, rec := range records {
			if rec.Kind == job.RecEnded {
				counted++
			}
		}
		if want := map[bool]int{true: 1, false: 0}[i < 4]; counted != want {
			t.Errorf("job %d has %d ends in its history, want %d", i, counted, want)
		}
	}
	if left := l.Left(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// Whoever ran beside a suspect that was tried by itself is not blamed.
func TestOnlyWhoWasTriedIsBlamed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = DefaultLimits(); c.Limits.StepEnds = 1 })
	r.alone("straight")
	tried, beside := r.submit("straight", `{}`), r.submit("straight", `{}`)
	note := noteOf(tried, 1, "start")
	note.Alone = true
	r.after(leftBehind(t, noteOf(beside, 1, "start"), note))
	if j := r.until(tried, isOver); j.Status != job.Quarantined || j.Error.Code != job.CodeStepEnded {
		t.Errorf("the suspect is %s: %v", j.Status, j.Error)
	}
	if j := r.until(beside, isOver); j.Status != job.Finished {
		t.Errorf("the other is %s: %v", j.Status, j.Error)
	}
}

// A store that does not take the count now gets it later, and the step waits for that.
func TestACountThatIsRefused(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults; c.Limits = DefaultLimits(); c.Limits.StepEnds = 1 })
	r.alone("straight")
	id := r.submit("straight", `{}`)
	faults.Fail(faultstore.Commit, 1, faultstore.Before)
	r.after(leftBehind(t, noteOf(id, 1, "start")))
	if j := r.until(id, isOver); j.Status != job.Quarantined {
		t.Errorf("it is %s", j.Status)
	}
}

func TestWhyOfASuspect(t *testing.T) {
	r := newRig(t)
	r.alone("straight")
	id := r.submit("straight", `{}`)
	err := r.change(r.ctx, id, func(j *job.Job, _ store.Data) (job.Event, error) {
		return r.processEnd(r.ctx, j, noteOf(id, 1, "start")), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	why, err := r.Why(r.ctx, id)
	if err != nil || !strings.Contains(strings.Join(why.Details, "\n"), "ended 1 of 3 times while step 1 ran") {
		t.Errorf("%v, %+v", err, why)
	}
}

// Steps are noted when they take long, and all of them after a process that did not end in order.
func TestWhatIsNoted(t *testing.T) {
	for name, unclean := range map[string]bool{"long": false, "careful": true} {
		t.Run(name, func(t *testing.T) {
			l := leftBehind(t)
			if !unclean {
				l = nil
				var err error
				if l, err = ledger.Open(filepath.Join(t.TempDir(), "ledger")); err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			}
			var r *rig
			r = newRig(t, func(c *Config) {
				c.Ledger, c.Clock = l, clock.Real{}
				c.Env = func(string) (string, bool) {
					for r.atWork.n.Load() == 0 && !unclean && r.ctx.Err() == nil { // it lasts until it is noted as long
						runtime.Gosched()
					}
					return fmt.Sprint(r.atWork.n.Load()), true
				}
			})
			r.run()
			id := r.submit("asks_env", `{}`)
			r.until(id, isOver)
			_, data, err := r.rows.Load(r.ctx, id)
			if err != nil || string(data.History) != `{"noted":"1"}` {
				t.Errorf("while it ran: %s (%v)", data.History, err)
			}
			if n := r.stillNoted(id); n != 0 {
				t.Errorf("%d are noted after its end", n)
			}
		})
	}
}

// stillNoted gives how many steps are noted when nothing of a job runs any more.
func (r *rig) stillNoted(ids ...string) int64 {
	for _, id := range ids {
		r.locks.of(id)()
	}
	for r.atAside.n.Load() != 0 && r.ctx.Err() == nil { // these need no lock
		runtime.Gosched()
	}
	return r.atWork.n.Load() + r.atAside.n.Load()
}

// A job that is due may be named to several runners: one waits for the lock of the other, which
// has noted its step.
func TestNotesEndWithTheirSteps(t *testing.T) {
	l := leftBehind(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Ledger, c.Store = l, memory.New() })
		r.careful.Store(true)
		r.alone("straight")
		id := r.submit("straight", `{}`)
		bp, err := r.bps.Pin(r.ctx, "straight")
		if err != nil {
			t.Fatal(err)
		}
		unlock := r.locks.of(id)
		r.atWork.step(bp, r.job(id), false)
		stepped := make(chan error)
		go func() { stepped <- r.step(r.ctx, id) }()
		synctest.Wait()
		r.atWork.ended(id)
		unlock()
		if err := <-stepped; err != nil {
			t.Fatal(err)
		}
		if n := r.stillNoted(id); n != 0 {
			t.Errorf("%d steps are noted when both have ended", n)
		}
	})
}

// A node that comes back counts the end in the job's row before it owns any job, so whoever takes
// the job over knows it.
func TestAnEndIsCountedForOtherNodes(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	a.alone("straight")
	id := a.own("straight", `{}`)
	a.dead = true
	back := c.join("a-again")
	back.cfg.Ledger = leftBehind(t, noteOf(id, 1, "start"))
	back.blameAll(back.ctx)
	if j := b.job(id); j.Ends == nil || j.Ends.Count != 1 || len(back.cfg.Ledger.Left()) != 0 {
		t.Fatalf("after the end it is %+v", j)
	}
	b.suspect.isOpen.Store(true) // as in an engine that was started: it is kept for the end
	back.suspect.isOpen.Store(true)
	c.clock.Advance(time.Minute) // the leases of the dead one end
	c.agree()
	c.settle()
	if j := b.job(id); j.Status.Terminal() || b.suspect.n.Load()+back.suspect.n.Load() != 1 {
		t.Fatalf("it is %s, and not kept for the end by its new owner", j.Status)
	}
}
