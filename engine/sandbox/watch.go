package sandbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file bounds a run from outside: its own time, its steps, and the caller's context.

// watch stops a thread when its time is used up. The time that the handler waits for the
// Host is not its own. Only the handler's goroutine calls outside and stop.
type watch struct {
	ctx    context.Context
	thread *starlark.Thread
	spent  *guard.Account // its own stop ends a loop inside of one builtin
	limits starlib.Limits
	left   time.Duration
	since  time.Time
	timer  *time.Timer
	cancel func() bool // of the context's watch

	mu   sync.Mutex
	err  error                   // why the thread was stopped
	call context.CancelCauseFunc // of the call of the Host under way, else nil
}

// startWatch watches a thread that has its account already.
func startWatch(ctx context.Context, thread *starlark.Thread, limits starlib.Limits) *watch {
	w := &watch{ctx: ctx, thread: thread, spent: guard.Of(thread), limits: limits, left: limits.Time, since: time.Now()}
	w.timer = time.AfterFunc(limits.Time, w.late)
	if ctx.Done() != nil {
		w.cancel = context.AfterFunc(ctx, func() { w.end(&interrupted{context.Cause(ctx)}) })
	}
	thread.SetMaxExecutionSteps(limits.Steps)
	thread.OnMaxSteps = func(*starlark.Thread) {
		w.end(&starlib.LimitError{Code: starlib.CodeSteps, Text: fmt.Sprintf("a handler runs at most %d Starlark steps, and this one has used them up", limits.Steps)})
	}
	return w
}

// interrupted tells that the caller ended the run, not the script.
type interrupted struct{ cause error }

func (e *interrupted) Error() string { return "the step was interrupted: " + e.cause.Error() }
func (e *interrupted) Unwrap() error { return e.cause }

func (w *watch) late() {
	w.end(&starlib.LimitError{Code: starlib.CodeTime, Text: fmt.Sprintf("a handler works at most %s, and this one has used them up", w.limits.Time)})
}

func (w *watch) end(why error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = why
	}
	if w.call != nil {
		w.call(why)
	}
	w.mu.Unlock()
	w.spent.Stop(why)
	w.thread.Cancel(why.Error())
}

func (w *watch) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *watch) stopped() bool { return w.fault() != nil }

// outside stops the handler's clock while it waits. What ends the run ends the wait.
func (w *watch) outside(wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return w.err
	}
	w.call = cancel
	w.mu.Unlock()
	w.timer.Stop()
	w.left -= time.Since(w.since)
	err := wait(ctx)
	w.since = time.Now()
	w.timer.Reset(max(w.left, 0))
	w.mu.Lock()
	w.call = nil
	w.mu.Unlock()
	return err
}

func (w *watch) stop() {
	w.timer.Stop()
	if w.cancel != nil {
		w.cancel()
	}
}
