package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests due dates that can not be handled.

// badNaps are jobs whose dates are due before all others and whose rows can not be read: more
// than one look at the dates takes.
func badNaps(r *rig, rows *memory.Store) {
	r.t.Helper()
	for range dueBatch + 10 {
		id := r.begin("nap", `{"seconds": 5}`)
		if !rows.GarbleJob(id) {
			r.t.Fatal("there is no job to damage")
		}
		r.hot.forget(id)
	}
}

func TestDatesThatCanNotBeHandledLeaveRoomForOthers(t *testing.T) {
	rows := memory.New()
	r := newRig(t, func(c *Config) { c.Store = rows })
	badNaps(r, rows)
	good := r.begin("nap", `{"seconds": 6}`)
	r.clock.Advance(time.Hour)
	for range 4 { // each tells of one that failed
		if err := r.Settle(r.ctx); err == nil {
			break
		}
	}
	r.is(good, job.Finished, "finished")
}

// The timers sleep until the next try of a bad date or the next good one, whichever comes first.
func TestTheTimersSleepWhileDatesWait(t *testing.T) {
	rows := memory.New()
	r := newRig(t, func(c *Config) { c.Store = rows })
	badNaps(r, rows)
	r.clock.Advance(5 * time.Second)
	for range 4 {
		if err := r.Settle(r.ctx); err == nil {
			break
		}
	}
	if nap := r.untilNext(r.ctx); nap != firstRetry {
		t.Errorf("the timers sleep for %s, want until the next try, %s", nap, firstRetry)
	}
	r.begin("nap", `{"seconds": 0.25}`)
	if nap := r.untilNext(r.ctx); nap != 250*time.Millisecond {
		t.Errorf("the timers sleep for %s, want until the next date", nap)
	}
}

func TestADateThatCanNotBeHandledWaitsLongerAndSaysSo(t *testing.T) {
	broken := &brokenJob{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = broken })
	id := r.begin("nap", `{"seconds": 5}`)
	broken.set(id)
	r.hot.forget(id)
	r.clock.Advance(5 * time.Second)
	want := firstRetry
	for range 8 {
		if err := r.Settle(r.ctx); err == nil || !strings.Contains(err.Error(), "page 7 is damaged") {
			t.Fatalf("the date is handled with %v", err)
		}
		if err := r.Settle(r.ctx); err != nil {
			t.Fatalf("the date is tried again at once: %v", err)
		}
		if nap := r.untilNext(r.ctx); nap != min(want, longestNap) {
			t.Fatalf("the timers sleep for %s, want %s", nap, want)
		}
		w, err := r.Why(r.ctx, id)
		if err != nil || !strings.Contains(strings.Join(w.Details, " "), "page 7 is damaged") {
			t.Fatalf("why says %+v, %v", w, err)
		}
		r.clock.Advance(want)
		want = min(2*want, longestRetry)
	}
	broken.set("")
	r.settle()
	r.is(id, job.Finished, "finished")
	if n := len(r.late.dates); n != 0 {
		t.Errorf("%d dates are still put off", n)
	}
}

// A store that keeps dates of jobs that have moved on does not get more than a look now and then.
func TestADateThatStandsForEverIsPutOff(t *testing.T) {
	stale := &staleDue{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = stale })
	id := r.begin("nap", `{"seconds": 5}`)
	r.pass(5 * time.Second)
	r.is(id, job.Finished, "finished")
	stale.wakes = []store.Wake{{JobID: id, At: noon.Add(5 * time.Second)}}
	if _, err := r.fireDue(r.ctx); err != nil {
		t.Fatal(err)
	}
	tries := 0
	for range 60 {
		r.clock.Advance(time.Second)
		if _, err := r.fireDue(r.ctx); err != nil {
			tries++
		}
	}
	if tries < 3 || tries > 7 {
		t.Errorf("it was tried %d times in a minute", tries)
	}
}

// staleDue gives dates that no job has.
type staleDue struct {
	store.Store
	wakes []store.Wake
}

func (s *staleDue) Due(ctx context.Context, now time.Time, limit int) ([]store.Wake, error) {
	if s.wakes == nil {
		return s.Store.Due(ctx, now, limit)
	}
	return s.wakes[:min(len(s.wakes), limit)], nil
}
