package sandbox

import (
	"context"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/starlib"
)

// This file tests the watchdog: the largest run ends, small ones go on, garbage is no reason.

type fakeRun struct {
	used int64
	why  error
}

func (f *fakeRun) Used() int64   { return f.used }
func (f *fakeRun) end(why error) { f.why = why }

func TestWatchdogEndsTheLargest(t *testing.T) {
	small, middle, large := &fakeRun{used: 1000}, &fakeRun{used: 20 << 20}, &fakeRun{used: 30 << 20}
	rs := &runs{now: map[inFlight]struct{}{small: {}, middle: {}, large: {}}}
	heap := uint64(200)
	measure := func() uint64 { return heap }
	if _, ended := rs.look(300, measure, func() { t.Error("collected without need") }); ended != 0 {
		t.Error("ended a run below the limit")
	}
	if _, ended := rs.look(100, measure, func() { heap = 50 }); ended != 0 || large.why != nil {
		t.Error("ended a run for garbage")
	}
	heap = 200
	for i, want := range []*fakeRun{large, middle} {
		if _, ended := rs.look(100, measure, func() {}); ended != want.used || want.why == nil {
			t.Fatalf("look %d ended %d bytes, want %d", i, ended, want.used)
		}
	}
	if _, ended := rs.look(100, measure, func() {}); ended != 0 || small.why != nil {
		t.Error("ended a run that holds nothing")
	}
}

// TestWatchdogStopsARun lets the watchdog end a real run from within a call to the Host.
func TestWatchdogStopsARun(t *testing.T) {
	st := body(t, "context, actions", `x = "x" * 5000000`, `sleep(0.5)`, `for i in range(1000): pass`, `actions.transition_to("done")`)
	st.Host = testHost()
	st.Host.Sleep = func(context.Context, time.Duration) error {
		if _, ended := running.look(1, heapBytes, func() {}); ended < 5_000_000 {
			t.Errorf("the watchdog ended a run of %d bytes", ended)
		}
		return nil
	}
	d := Run(context.Background(), st)
	if d.Failure == nil || d.Failure.Code != starlib.CodeWatchdog || d.Failure.Line == 0 || d.Kind != job.NoAction {
		t.Fatalf("the run gave %+v", d.Failure)
	}
	if ok(t, body(t, "context, actions", `actions.transition_to("done")`)).Target != "done" {
		t.Error("the next run was harmed")
	}
}
