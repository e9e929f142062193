package startest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/simulate"
	"orrery/starlib/border"
)

// This file is run() and world(): one job of a case, from its arguments to its report.

const runningKey = "orrery.startest.running"

// running is one case under way.
type running struct {
	suite    *suite
	ctx      context.Context
	worlds   []*simulate.World
	timeline strings.Builder // of the last job
}

func (r *running) close() {
	for _, w := range r.worlds {
		_ = w.Close() // a store in memory
	}
}

// runningOf finds the case of a builtin. While a file is loaded there is none.
func runningOf(thread *starlark.Thread, call string) (*running, error) {
	r, ok := thread.Local(runningKey).(*running)
	if !ok {
		return nil, fmt.Errorf("%s: works inside cases only, not while the file is loaded", call)
	}
	return r, nil
}

// world makes an empty store and a clock.
func (r *running) world(env map[string]string, start time.Time, noFiles bool) (*simulate.World, error) {
	if start.IsZero() {
		start = r.suite.Start
	}
	w, err := simulate.NewWorld(simulate.Options{
		Catalog: r.suite.book, Start: start, NoFiles: noFiles,
		Jitter: func() float64 { return 1 }, // so that pauses before retries are what they say
		Env: func(name string) (string, bool) {
			if v, ok := env[name]; ok {
				return v, true
			}
			if r.suite.Env == nil {
				return "", false
			}
			return r.suite.Env(name)
		},
	})
	if err == nil {
		r.worlds = append(r.worlds, w)
	}
	return w, err
}

// worldArgs are the keywords that a world has, and run() too, for its own.
type worldArgs struct {
	env     *starlark.Dict
	start   string
	noFiles bool
}

func (a *worldArgs) pairs() []any {
	return []any{"env?", &a.env, "start?", &a.start, "no_files?", &a.noFiles}
}

func (a *worldArgs) make(r *running, call string) (*simulate.World, error) {
	env, err := texts("env", a.env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	var start time.Time
	if a.start != "" {
		if start, err = time.Parse(time.RFC3339, a.start); err != nil {
			return nil, fmt.Errorf("%s: start is %q; write a date such as \"2026-01-01T00:00:00Z\"", call, a.start)
		}
	}
	return r.world(env, start, a.noFiles)
}

// texts reads a dict of texts; nil is an empty one.
func texts(what string, d *starlark.Dict) (map[string]string, error) {
	out := map[string]string{}
	if d == nil {
		return out, nil
	}
	for k, v := range d.Entries() {
		name, ok := starlark.AsString(k)
		value, isText := starlark.AsString(v)
		if !ok || !isText {
			return nil, fmt.Errorf("%s has %s: %s; names and values are text", what, k, v)
		}
		out[name] = value
	}
	return out, nil
}

// worldValue is what world() gives.
type worldValue struct {
	world *simulate.World
	run   *starlark.Builtin
}

var _ starlark.HasAttrs = (*worldValue)(nil)

func (*worldValue) String() string        { return "<world>" }
func (*worldValue) Type() string          { return "world" }
func (*worldValue) Freeze()               {}
func (*worldValue) Truth() starlark.Bool  { return true }
func (*worldValue) Hash() (uint32, error) { return 0, errors.New("unhashable: world") }
func (*worldValue) AttrNames() []string   { return []string{"now", "run"} }

// Attr gives run, and now: the simulated time as text.
func (w *worldValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "run":
		return w.run, nil
	case "now":
		return starlark.String(w.world.Now().Format(time.RFC3339)), nil
	}
	return nil, nil
}

// newWorld is world(env={}, start=None, no_files=False).
func newWorld(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, err := runningOf(thread, b.Name())
	if err != nil {
		return nil, err
	}
	var a worldArgs
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, a.pairs()...); err != nil {
		return nil, err
	}
	world, err := a.make(r, b.Name())
	if err != nil {
		return nil, err
	}
	w := &worldValue{world: world}
	w.run = starlark.NewBuiltin("run", func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var a jobArgs
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, a.pairs()...); err != nil {
			return nil, err
		}
		return r.job(thread, world, &a)
	})
	return w, nil
}

// runOne is run(...): one job in a world of its own.
func runOne(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, err := runningOf(thread, b.Name())
	if err != nil {
		return nil, err
	}
	var a jobArgs
	var w worldArgs
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, append(a.pairs(), w.pairs()...)...); err != nil {
		return nil, err
	}
	world, err := w.make(r, b.Name())
	if err != nil {
		return nil, err
	}
	return r.job(thread, world, &a)
}

// jobArgs are the keywords of one job.
type jobArgs struct {
	data                                  starlark.Value
	blueprint, webhook, cancelDuring      string
	workers, approvals, client, worker    *starlark.Dict
	files                                 *starlark.Dict
	cancelAfter, dispatchTime, resultTime starlark.Value
	emulate                               bool
}

func (a *jobArgs) pairs() []any {
	return []any{"data?", &a.data, "blueprint?", &a.blueprint, "workers?", &a.workers, "approvals?", &a.approvals,
		"client?", &a.client, "worker?", &a.worker, "files?", &a.files, "emulate?", &a.emulate, "cancel_during?", &a.cancelDuring,
		"cancel_after_seconds?", &a.cancelAfter, "webhook_url?", &a.webhook, "dispatch_timeout?", &a.dispatchTime, "result_timeout?", &a.resultTime}
}

// job runs one job and gives it as a value.
func (r *running) job(thread *starlark.Thread, world *simulate.World, a *jobArgs) (starlark.Value, error) {
	bp, err := r.suite.book.choose(a.blueprint)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	o := simulate.Options{Blueprint: bp.Name, Stores: bp.Stores, Fits: r.suite.Fits, Emulate: r.suite.Emulate}
	if err := a.fill(&o); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	script := &script{thread: thread, args: a, used: map[string]int{}}
	o.Script.Answer, o.Script.Absent, o.Script.Decide = script.answer, script.absent, script.decide
	if a.emulate {
		o.Script.Answer = func(t job.Task) (simulate.Answer, error) {
			if script.scripted(t.Type) {
				return script.answer(t)
			}
			out := engine.Outcome{Status: "success", Data: json.RawMessage(`{}`)}
			if o.Emulate != nil {
				out = o.Emulate(t)
			}
			out.Emulated = true
			return simulate.Answer{Outcome: out}, nil
		}
	}
	r.timeline.Reset()
	o.Show = simulate.Printer(&r.timeline)
	report, stores, err := world.Run(r.ctx, o)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := script.check(); err != nil && report.Stuck == "" {
		return nil, fmt.Errorf("run: %w", err)
	}
	r.suite.covered.take(r.suite.file.Root, r.suite.book, report)
	return newJob(r, report, stores)
}

// fill puts the arguments that are data into the options.
func (a *jobArgs) fill(o *simulate.Options) (err error) {
	o.Scenario = &simulate.Scenario{}
	o.Script = &simulate.Script{WebhookURL: a.webhook}
	if a.data != nil && a.data != starlark.None {
		if _, ok := a.data.(*starlark.Dict); !ok {
			return fmt.Errorf("data is %s; it must be a dict", a.data.Type())
		}
		if o.InitialData, err = border.Encode(a.data, "data", 0); err != nil {
			return err
		}
	}
	if a.worker != nil {
		if o.Scenario.Worker, err = border.Encode(a.worker, "worker", 0); err != nil {
			return err
		}
	}
	if a.client != nil {
		raw, err := border.Encode(a.client, "client", 0)
		if err != nil {
			return err
		}
		if o.Scenario.Client, err = readClient(raw); err != nil {
			return err
		}
	}
	if o.Scenario.Files, err = texts("files", a.files); err != nil {
		return err
	}
	if a.cancelDuring != "" {
		o.Scenario.Cancel = &simulate.Cancel{TaskType: a.cancelDuring}
	}
	if o.Script.CancelAfter, err = seconds("run", "cancel_after_seconds", a.cancelAfter); err != nil {
		return err
	}
	for _, x := range []struct {
		name string
		v    starlark.Value
		to   *float64
	}{{"dispatch_timeout", a.dispatchTime, &o.Script.DispatchTimeout}, {"result_timeout", a.resultTime, &o.Script.ResultTimeout}} {
		d, err := seconds("run", x.name, x.v)
		if err != nil {
			return err
		}
		*x.to = d.Seconds()
	}
	return nil
}
