package sandbox

import (
	"context"
	"errors"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/starlib"
)

// This file tests that what ends a run ends it within one builtin too, of which the
// interpreter's own cancelling knows nothing.

// endless is one step that goes on for hours when nothing stops it: no limit of steps or
// memory holds it up.
func endless(t *testing.T, lines ...string) Step {
	st := body(t, "context, actions", append(lines, `x = set([tuple(range(100000))] * 1000000)`, `actions.transition_to("done")`)...)
	st.Limits = DefaultLimits()
	st.Limits.Steps, st.Limits.MemoryBytes, st.Limits.Time = 1<<60, 1<<40, time.Hour
	st.Host = testHost()
	return st
}

func TestTimeEndsABuiltin(t *testing.T) {
	st := endless(t)
	st.Limits.Time = 50 * time.Millisecond
	if e := bad(t, st, "works at most 50ms"); e.Code != starlib.CodeTime || e.Line == 0 {
		t.Errorf("it ended with %s in line %d", e.Code, e.Line)
	}
}

func TestCatchDoesNotSurviveABuiltin(t *testing.T) {
	st := endless(t, `catch(lambda: set([tuple(range(100000))] * 1000000))`)
	st.Limits.Time = 50 * time.Millisecond
	if e := bad(t, st, "works at most 50ms"); e.Code != starlib.CodeTime {
		t.Errorf("it ended with %s", e.Code)
	}
}

func TestShutdownEndsABuiltin(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	st := endless(t, `sleep(0.1)`)
	st.Host.Sleep = func(context.Context, time.Duration) error { // the builtin comes next
		time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("the server stops")) })
		return nil
	}
	d := Run(ctx, st)
	if d.Failure == nil || d.Failure.Code != job.CodeTransient {
		t.Errorf("it ended with %+v", d.Failure)
	}
}

func TestWatchdogEndsABuiltin(t *testing.T) {
	st := endless(t, `y = "y" * 5000000`, `sleep(0.1)`)
	st.Host.Sleep = func(context.Context, time.Duration) error {
		time.AfterFunc(20*time.Millisecond, func() { running.look(1, heapBytes, func() {}) })
		return nil
	}
	d := Run(context.Background(), st)
	if d.Failure == nil || d.Failure.Code != starlib.CodeWatchdog || d.Failure.Line == 0 {
		t.Errorf("it ended with %+v", d.Failure)
	}
}
