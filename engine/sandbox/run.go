package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/starlib"
)

// This file holds the order of a run: choose the handler, fill its parameters, call it,
// check what it asked for.

// Limits bounds one run; Host is what the engine lends to it.
type (
	Limits = starlib.Limits
	Host   = starlib.Host
)

// DefaultLimits are those of design/contract.md.
func DefaultLimits() Limits { return starlib.DefaultLimits() }

// Step is what one run needs. Nothing in it is changed.
type Step struct {
	Blueprint *blueprint.Blueprint
	State     string // "": the job's
	Job       *job.Job
	Initial   json.RawMessage     // an object; nil is an empty one
	History   json.RawMessage     // state_history, an object; nil is an empty one
	Results   []job.Result        // of the last parallel group; for aggregators
	TooMany   *starlib.LimitError // why they are not in Results; a handler that reads them fails with it
	Host      Host
	Now       time.Time    // what time.now() gives; zero: Host.Now
	Limits    Limits       // zero: DefaultLimits
	Logger    *slog.Logger // where log lines go beside the job's; nil: nowhere
	Pure      bool         // the step has a place for pure steps: its first call of the Host ends it, see Departed
	Watcher   Watcher      // is told when the run takes long; may be nil
	Retries   int          // tries after the first where a retry dict names none; 0: the usual
}

// Departed reports whether a run that was Pure ended because its handler was about to call
// the Host. Nothing has happened; the step is to be run again, where it may wait.
func Departed(failure *job.Error) bool { return failure != nil && failure.Code == codeDeparted }

const codeDeparted = "DEPARTED" // never leaves the engine

type departed struct{}

func (departed) Error() string { return "the step calls the outside, and has no place for that here" }

// Run runs the step's handler. With Decision.Failure set the step changed nothing; its code
// is job.CodeTransient when a read failed in passing, or ctx ended, and the step should be
// run again. The caller must not retry when its own ctx ended: ask ctx.Err() first.
func Run(ctx context.Context, st Step) (d job.Decision) {
	began := time.Now()
	if st.State == "" {
		st.State = st.Job.State
	}
	if now := st.Now; !now.IsZero() {
		st.Host.Now = func() time.Time { return now }
	}
	if st.Limits == (Limits{}) {
		st.Limits = DefaultLimits()
	}
	st.Limits = st.Limits.Lowered(st.Blueprint.Limits)
	r := &run{blueprint: st.Blueprint, pure: st.Pure, watcher: st.Watcher, scope: starlib.Scope{
		Ctx: ctx, Job: st.Job, State: st.State, Initial: st.Initial, History: st.History, Results: st.Results, TooMany: st.TooMany,
		Chart: st.Blueprint, Stores: st.Blueprint.Stores, Host: st.Host, Limits: st.Limits, Logger: st.Logger, Retries: st.Retries,
	}}
	out, err := r.do()
	if err != nil {
		out = job.Decision{Failure: r.failure(err), Reads: r.scope.Reads()}
	}
	out.Log, out.Acts, out.Handler, out.Duration = r.scope.Log(), r.scope.Acts(), r.name, time.Since(began)
	return out
}

// run is one run under way. It is one piece of memory: a server makes several thousand a second.
type run struct {
	blueprint *blueprint.Blueprint
	pure      bool
	watcher   Watcher
	scope     starlib.Scope
	thread    starlark.Thread
	watch     watch // its thread is nil before it begins
	handler   *blueprint.Handler
	name      string
}

// misuse is an error that belongs to a handler as a whole, so its place is the function's.
type misuse struct {
	err error
	h   *blueprint.Handler
	at  *blueprint.Param // or to one of its parameters
}

func (m *misuse) Error() string { return m.err.Error() }
func (m *misuse) Unwrap() error { return m.err }

// do returns through recover, so that a panic of the interpreter is an error like others.
func (r *run) do() (d job.Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			d, err = job.Decision{}, fmt.Errorf("the interpreter failed: %v", p)
		}
	}()
	state, ok := r.blueprint.States[r.scope.State]
	if !ok {
		return d, fmt.Errorf("the blueprint %q has no state %q in this revision", r.blueprint.Name, r.scope.State)
	}
	if state.Supplied {
		return d, nil
	}
	r.thread.Name = r.scope.Job.ID
	context := r.scope.Enter(&r.thread)
	r.watch.start(r)
	defer r.watch.stop()
	r.scope.Outside, r.scope.Stopped = r.watch.outside, r.watch.stopped
	if r.pure {
		r.scope.Depart = func() error {
			r.watch.end(departed{}) // catch() must not go on after it
			return departed{}
		}
	}
	running.add(r)
	defer running.remove(r)

	if r.handler, err = r.choose(state, context); err != nil {
		return d, err
	}
	r.name = r.handler.Name
	args, kwargs, err := r.fill(r.handler)
	if err != nil {
		return d, err
	}
	killpoint.Named("step", state.Name)
	if _, err := starlark.Call(&r.thread, r.handler.Fn, args, kwargs); err != nil {
		return d, err
	}
	// A run that was stopped in its last call has still broken the limit.
	if err := errors.Join(r.watch.fault(), r.scope.PrintFault()); err != nil {
		return d, err
	}
	if err := r.scope.Finish(r.handler.Name, state.End); err != nil {
		return d, &misuse{err: err, h: r.handler}
	}
	if d, err = r.scope.Leave(); err != nil {
		return d, &misuse{err: err, h: r.handler}
	}
	return d, nil
}

// fill finds a value for every parameter by its name.
func (r *run) fill(h *blueprint.Handler) (starlark.Tuple, []starlark.Tuple, error) {
	args := make(starlark.Tuple, 0, len(h.Params))
	var kwargs []starlark.Tuple
	for i := range h.Params {
		p := &h.Params[i]
		v, ok, err := r.scope.Param(p.Name)
		if err != nil {
			return nil, nil, &misuse{err: err, h: h, at: p}
		}
		if !ok {
			if v = p.Default; v == nil {
				err := fmt.Errorf("the handler %s wants %q, and nothing has that name: %s", h.Name, p.Name, r.scope.KnownKeys())
				return nil, nil, &misuse{err: err, h: h, at: p}
			}
		}
		if p.KeywordOnly {
			kwargs = append(kwargs, starlark.Tuple{starlark.String(p.Name), v})
		} else {
			args = append(args, v)
		}
	}
	return args, kwargs, nil
}
