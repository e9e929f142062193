package sandbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file bounds a run from outside: its own time, its steps, and the caller's context.

// LongRun is after how long a run is no usual one any more: its Watcher is told. Usual ones
// take a hundredth of that, so that they cost nothing.
const LongRun = 5 * time.Millisecond

// Watcher is told of runs that take long while they do.
type Watcher interface {
	// Long is called once of a run, from another goroutine, and has returned before the run does.
	Long(bp *blueprint.Blueprint, j *job.Job)
}

// watch stops a thread when its time is used up. The time that the handler waits for the
// Host is not its own. Only the handler's goroutine calls outside and stop.
type watch struct {
	ctx    context.Context
	thread *starlark.Thread
	spent  *guard.Account // its own stop ends a loop inside of one builtin
	limits starlib.Limits
	cancel func() bool // of the context's watch

	mu    sync.Mutex
	err   error                   // why the thread was stopped
	call  context.CancelCauseFunc // of the call of the Host under way, else nil
	left  time.Duration           // of its own time, at since
	since time.Time
	timer *time.Timer // first for LongRun where somebody wants to know, then for the time
	tell  *run        // whose Watcher is still to be told; nil: nobody
	ended bool
}

// start watches a run whose thread has its account already.
func (w *watch) start(r *run) {
	thread, limits := &r.thread, r.scope.Limits
	w.ctx, w.thread, w.spent, w.limits, w.left, w.since = r.scope.Ctx, thread, guard.Of(thread), limits, limits.Time, time.Now()
	first := limits.Time
	if r.watcher != nil && first > LongRun {
		first, w.tell = LongRun, r
	}
	w.mu.Lock() // the timer may be quicker than its assignment
	w.timer = time.AfterFunc(first, w.tick)
	w.mu.Unlock()
	if w.ctx.Done() != nil {
		w.cancel = context.AfterFunc(w.ctx, func() { w.end(&interrupted{context.Cause(w.ctx)}) })
	}
	thread.SetMaxExecutionSteps(limits.Steps)
	thread.OnMaxSteps = func(*starlark.Thread) {
		w.end(&starlib.LimitError{Code: starlib.CodeSteps, Text: fmt.Sprintf("a handler runs at most %d Starlark steps, and this one has used them up", limits.Steps)})
	}
}

// interrupted tells that the caller ended the run, not the script.
type interrupted struct{ cause error }

func (e *interrupted) Error() string { return "the step was interrupted: " + e.cause.Error() }
func (e *interrupted) Unwrap() error { return e.cause }

// tick tells of a long run, or ends one whose time is over.
func (w *watch) tick() {
	w.mu.Lock()
	left, told := w.left-time.Since(w.since), w.tell == nil
	switch {
	case w.ended:
	case !told:
		w.tell.watcher.Long(w.tell.blueprint, w.tell.scope.Job) // under the lock: stop waits for it
		w.tell = nil
		if w.call == nil {
			w.timer.Reset(left)
		}
	case w.call == nil && left <= 0:
		w.mu.Unlock()
		w.late()
		return
	}
	w.mu.Unlock()
}

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
	w.left -= time.Since(w.since)
	if w.tell == nil { // else it goes on: a wait may be long too
		w.timer.Stop()
	}
	w.mu.Unlock()
	err := wait(ctx)
	w.mu.Lock()
	w.call = nil
	w.since = time.Now()
	if w.tell == nil {
		w.timer.Reset(max(w.left, 0))
	}
	w.mu.Unlock()
	return err
}

func (w *watch) stop() {
	w.mu.Lock()
	w.ended = true
	w.timer.Stop()
	w.mu.Unlock()
	if w.cancel != nil {
		w.cancel()
	}
}
