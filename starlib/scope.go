package starlib

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine/job"
	"orrery/starlib/border"
	"orrery/starlib/guard"
)

// This file holds the Scope: what one run of a handler was given and what it leaves.

// Scope is one run. engine/sandbox fills the exported fields, hangs the Scope on the thread
// and reads what was left by Finish and Leave. It belongs to one goroutine.
type Scope struct {
	Ctx     context.Context
	Job     *job.Job
	State   string
	Initial json.RawMessage // an object
	History json.RawMessage // an object
	Results []job.Result
	TooMany *LimitError // why the results are not in Results
	Chart   job.Chart
	Stores  map[string]map[string]json.RawMessage // initial values of the blueprint's stores
	Host    Host
	Limits  Limits
	Logger  *slog.Logger // the server's; nil keeps log lines in the job alone
	Retries int          // tries after the first when a retry dict names no max

	// Outside is called around every call of the Host: it stops the handler's clock, and ends
	// the given context when the run is stopped. Nil counts the time as the handler's.
	Outside func(wait func(ctx context.Context) error) error
	// Depart is called before the first call of the Host. Its error ends the run, of which
	// nothing has happened then. Nil lets every call be made at once.
	Depart func() error
	// Stopped tells that the run was stopped from outside (a limit, a shutdown).
	Stopped func() bool

	out      job.Decision
	site     site // where the first action was called
	readOnly bool // a condition looks; nothing may be changed

	initial, history, results, client, trace, failure, looked starlark.Value
	actions                                                   *actions
	stores                                                    *dataStores
	context                                                   *Context
	account                                                   *guard.Account
	now                                                       time.Time
	random                                                    *randomSource
	slept                                                     time.Duration
	printed                                                   error // the limit that a print broke
	logBytes                                                  int
	calls                                                     int  // of the Host, so far
	left                                                      bool // the places for pure steps
}

const scopeKey = "orrery.scope"

// Enter hangs the Scope on a thread and gives the script's context.
func (s *Scope) Enter(thread *starlark.Thread) *Context {
	thread.SetLocal(scopeKey, s)
	thread.Print = printLine
	s.account = guard.NewAccount(s.Limits.Guard())
	s.account.Enter(thread)
	s.context = &Context{s: s}
	return s.context
}

// Used gives the bytes of values that the run has created. Any goroutine may ask once the
// run has begun.
func (s *Scope) Used() int64 { return s.account.Used() }

// meter charges what is read from JSON; before Enter nothing is counted.
func (s *Scope) meter() border.Meter {
	if s.account == nil {
		return nil
	}
	return s.account
}

// keep charges text that the run holds until its commit.
func (s *Scope) keep(text json.RawMessage) error {
	if s.account == nil {
		return nil
	}
	return s.account.Alloc(len(text) + 256)
}

// scopeOf finds the run of a builtin. At load there is none.
func scopeOf(thread *starlark.Thread, call string) (*Scope, error) {
	s, ok := thread.Local(scopeKey).(*Scope)
	if !ok {
		return nil, fmt.Errorf("%s: works inside handlers only, not while the file is loaded", call)
	}
	return s, nil
}

// StepID names the step: the same whenever the step is run again.
func (s *Scope) StepID() string { return fmt.Sprintf("%s/%d", s.Job.ID, s.Job.Step+1) }

// outside runs a wait for the Host.
func (s *Scope) outside(wait func(context.Context) error) error {
	if s.Outside == nil {
		return wait(s.Ctx)
	}
	return s.Outside(wait)
}

// ReadOnly marks the time in which conditions are looked at: actions, stores and
// state_history cannot be changed then.
func (s *Scope) ReadOnly(on bool) { s.readOnly = on }

func (s *Scope) mayChange(call string) error {
	if s.readOnly {
		return fmt.Errorf("%s: a condition only looks; change things in the handler", call)
	}
	return nil
}

// decoded gives text as a frozen value, made at the first use.
func (s *Scope) decoded(at *starlark.Value, text json.RawMessage, where string) (starlark.Value, error) {
	if *at == nil {
		v, err := object(s.meter(), text, where)
		if err != nil {
			return nil, err
		}
		v.Freeze()
		*at = v
	}
	return *at, nil
}

// object reads an object; no text at all is an empty one.
func object(meter border.Meter, text json.RawMessage, where string) (*starlark.Dict, error) {
	v, err := border.DecodeWithin(meter, text, where)
	if err != nil {
		return nil, err
	}
	if v == starlark.None {
		return new(starlark.Dict), nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, fmt.Errorf("%s is a %s, not an object", where, v.Type())
	}
	return d, nil
}

func (s *Scope) initialData() (starlark.Value, error) {
	return s.decoded(&s.initial, s.Initial, "initial_data")
}

// stateHistory gives the dict that the handler may change; conditions get a frozen one.
func (s *Scope) stateHistory() (starlark.Value, error) {
	if s.readOnly {
		return s.decoded(&s.looked, s.History, "state_history")
	}
	if s.history == nil {
		d, err := object(s.meter(), s.History, "state_history")
		if err != nil {
			return nil, err
		}
		s.history = d
	}
	return s.history, nil
}

// aggregation gives {task_id: {"status", "data", "task_type"}}, frozen.
func (s *Scope) aggregation() (starlark.Value, error) {
	if s.results != nil {
		return s.results, nil
	}
	if s.TooMany != nil {
		return nil, s.TooMany
	}
	all := starlark.NewDict(len(s.Results))
	for _, r := range s.Results {
		data, err := border.DecodeWithin(s.meter(), r.Data, "aggregation_results["+r.TaskID+"].data")
		if err != nil {
			return nil, err
		}
		one := starlark.NewDict(3)
		for _, kv := range []struct {
			k string
			v starlark.Value
		}{{"status", starlark.String(r.Status)}, {"data", data}, {"task_type", starlark.String(r.Type)}} {
			if err := one.SetKey(starlark.String(kv.k), kv.v); err != nil {
				return nil, err
			}
		}
		if err := all.SetKey(starlark.String(r.TaskID), one); err != nil {
			return nil, err
		}
	}
	all.Freeze()
	s.results = all
	return all, nil
}

// tracing gives the W3C trace headers, frozen.
func (s *Scope) tracing() (starlark.Value, error) {
	if s.trace == nil {
		d := starlark.NewDict(len(s.Job.Trace))
		for _, k := range []string{"traceparent", "tracestate", "baggage"} {
			if v, ok := s.Job.Trace[k]; ok {
				if err := d.SetKey(starlark.String(k), starlark.String(v)); err != nil {
					return nil, err
				}
			}
		}
		d.Freeze()
		s.trace = d
	}
	return s.trace, nil
}

// Finish checks what the handler asked for: exactly one kind of action, none in an end
// state. handler names the function for messages.
func (s *Scope) Finish(handler string, end bool) error {
	switch {
	case end && s.out.Kind != job.NoAction:
		return fmt.Errorf("%s is the handler of the end state %q and called %s (%s): an end state takes no action", handler, s.State, s.out.Kind, s.site)
	case !end && s.out.Kind == job.NoAction:
		return fmt.Errorf("the handler %s of state %q called no action: every way through it must end in one of transition_to, dispatch_task, dispatch_parallel, run_blueprint or await_human_approval", handler, s.State)
	}
	return nil
}

// Leave gives what the run leaves: the actions, state_history when it differs, writes and
// reads of stores. Log lines are in Log, also after a failure.
func (s *Scope) Leave() (job.Decision, error) {
	d := s.out
	if s.history != nil {
		text, err := s.encode(s.history, "state_history", s.Limits.HistoryBytes, job.CodeSizeLimit)
		if err != nil {
			return job.Decision{}, err
		}
		same, err := s.sameHistory(text)
		if err != nil {
			return job.Decision{}, err
		}
		if !same {
			d.StateHistory = text
		}
	}
	if s.stores != nil {
		var err error
		if d.Writes, err = s.stores.pending(); err != nil {
			return job.Decision{}, err
		}
		d.Reads = s.Reads()
	}
	return d, nil
}

// sameHistory compares with what was given, whose text may be spaced another way.
func (s *Scope) sameHistory(text json.RawMessage) (bool, error) {
	if string(text) == string(s.History) {
		return true, nil
	}
	before, err := object(nil, s.History, "state_history")
	if err != nil {
		return false, err
	}
	old, err := border.Encode(before, "state_history", 0)
	if err != nil {
		return false, err
	}
	return string(old) == string(text), nil
}

// Reads gives what the run has read of data stores so far. It counts for a run that failed
// too: it may have failed by what it read.
func (s *Scope) Reads() []job.StoreRead {
	if s.stores == nil {
		return nil
	}
	return s.stores.reads
}

// Log gives the lines written so far.
func (s *Scope) Log() []job.LogLine { return s.out.Log }

// Acts gives what the run did to the outside so far.
func (s *Scope) Acts() []job.Act { return s.out.Acts }

// Param gives the value of a handler's parameter: the fixed names first, then a key of
// state_history, then of initial_data. ok is false when nothing has the name.
func (s *Scope) Param(name string) (v starlark.Value, ok bool, err error) {
	if IsFixed(name) {
		if name == "context" {
			return s.context, true, nil
		}
		v, err = s.context.Attr(name)
		return v, err == nil, err
	}
	for _, read := range []func() (starlark.Value, error){s.stateHistory, s.initialData} {
		x, err := read()
		if err != nil {
			return nil, false, err
		}
		if v, ok, err := x.(*starlark.Dict).Get(starlark.String(name)); ok || err != nil {
			return v, ok, err
		}
	}
	return nil, false, nil
}

// KnownKeys lists the keys that a parameter could have been filled from, for messages.
func (s *Scope) KnownKeys() string {
	var parts []string
	for _, x := range []struct {
		name string
		read func() (starlark.Value, error)
	}{{"state_history", s.stateHistory}, {"initial_data", s.initialData}} {
		v, err := x.read()
		if err != nil {
			continue // the run fails with this error already
		}
		parts = append(parts, x.name+" has "+keyList(v.(*starlark.Dict)))
	}
	return strings.Join(parts, ", ")
}

func keyList(d *starlark.Dict) string {
	if d.Len() == 0 {
		return "no keys"
	}
	var names []string
	for i, k := range d.Keys() {
		if i == 20 {
			names = append(names, fmt.Sprintf("and %d more", d.Len()-i))
			break
		}
		names = append(names, guard.Show(k, 80))
	}
	return strings.Join(names, ", ")
}
