package engine

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/anystore"
)

// This file puts an engine together for a test: a store (in memory, unless the run is about another), a clock that stands
// still, a line of tasks, the blueprints of testdata.

//go:embed testdata/life.star
var lifeScript string

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

type rig struct {
	*Engine
	t     *testing.T
	ctx   context.Context
	rows  store.Store // as the engine sees it
	clock *clock.Fake
	line  *line
	bps   *blueprint.Catalog
}

// newRig builds an engine that was not started; mods change what it is made of.
func newRig(t *testing.T, mods ...func(*Config)) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	bps, err := blueprint.LoadFS(ctx, fstest.MapFS{"life.star": {Data: []byte(lifeScript)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bad := bps.Status().Errors(); len(bad) > 0 {
		t.Fatalf("testdata/life.star: %v", bad)
	}
	r := &rig{t: t, ctx: ctx, clock: clock.NewFake(noon), bps: bps}
	cfg := Config{Store: anystore.New(t), Blueprints: bps, Clock: r.clock, Jitter: func() float64 { return 1 }, Runners: 4}
	for _, mod := range mods {
		mod(&cfg)
	}
	bps.UseStore(cfg.Store)
	bps.UseClock(r.clock)
	r.boot(cfg)
	return r
}

// boot makes an engine with a dispatcher of its own on the rig's store.
func (r *rig) boot(cfg Config) {
	r.t.Helper()
	r.line, r.rows = newLine(), cfg.Store
	cfg.Dispatcher = r.line
	e, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Engine = e
}

// reboot is a crash: the memory is lost, the rows stay.
func (r *rig) reboot() {
	r.t.Helper()
	r.boot(r.cfg)
	if err := r.recover(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// run starts the background work for the rest of the test.
func (r *rig) run() {
	r.t.Helper()
	if err := r.Start(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
}

func (r *rig) settle() {
	r.t.Helper()
	if err := r.Settle(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// pass moves the clock and settles.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	r.clock.Advance(d)
	r.settle()
}

// mend lets everything that the engine tries again in a second be tried, and settles.
func (r *rig) mend() error {
	r.t.Helper()
	done := make(chan struct{})
	go func() { r.working.Wait(); close(done) }()
	for {
		r.clock.Advance(retryStore)
		select {
		case <-done:
			return r.Settle(r.ctx)
		case <-time.After(time.Millisecond): // one of them has only begun to wait
		}
	}
}

// submit accepts a job without running it.
func (r *rig) submit(blueprint, data string) string {
	r.t.Helper()
	id, _, err := r.Submit(r.ctx, Request{Blueprint: blueprint, InitialData: json.RawMessage(data)})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// alone keeps the first step of a blueprint's jobs out of the commit that accepts them.
func (r *rig) alone(blueprint string) {
	r.t.Helper()
	bp, err := r.bps.Pin(r.ctx, blueprint)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, s := range bp.States {
		if s.Start {
			for range slowMost {
				r.slow.saw(bp, name, time.Second)
			}
		}
	}
}

// begin accepts a job and runs it until it waits.
func (r *rig) begin(blueprint, data string) string {
	r.t.Helper()
	id := r.submit(blueprint, data)
	r.settle()
	return id
}

// take hands out the next task.
func (r *rig) take() job.Task {
	r.t.Helper()
	t, ok := r.line.take(r.Engine)
	if !ok {
		r.t.Fatal("no task is queued")
	}
	if err := r.rows.Sync(r.ctx); err != nil { // the clock may jump: a hand-out that is not written yet was never made
		r.t.Fatal(err)
	}
	return t
}

// answer brings a result and gives what became of it.
func (r *rig) answer(t job.Task, o Outcome) Taken {
	r.t.Helper()
	o.Worker = t.Worker
	taken, err := r.Returned(r.ctx, t, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.line.gone(t)
	r.settle()
	return taken
}

func success(data string) Outcome {
	return Outcome{Status: "success", Data: json.RawMessage(data)}
}

func failure(code string) Outcome {
	return Outcome{Status: "failure", Error: &job.Error{Code: code, Message: "as scripted"}}
}

func (r *rig) job(id string) *job.Job {
	r.t.Helper()
	j, err := r.rows.Job(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return j
}

// is holds a job's status and state.
func (r *rig) is(id string, status job.Status, state string) *job.Job {
	r.t.Helper()
	j := r.job(id)
	if j.Status != status || j.State != state {
		r.t.Fatalf("job is %s in %q (error %v), want %s in %q", j.Status, j.State, j.Error, status, state)
	}
	return j
}

// history gives a key of state_history as text, "" when absent.
func (r *rig) history(id, key string) string {
	r.t.Helper()
	_, data, err := r.rows.Load(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	fields, err := job.Fields(data.History)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range fields {
		if f.Key == key {
			return string(f.Value)
		}
	}
	return ""
}

// events gives a job's history.
func (r *rig) events(id string) (all []HistoryEvent, err error) {
	err = r.History(r.ctx, id, func(some []HistoryEvent) error { all = append(all, some...); return nil })
	return all, err
}

func (r *rig) records(id string) []job.Record {
	r.t.Helper()
	all, err := r.Records(r.ctx, id, 0) // no test makes more than a page of them and looks here
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// kinds gives the kinds of a job's records, in order.
func (r *rig) kinds(id string) []job.RecordKind {
	r.t.Helper()
	var out []job.RecordKind
	for _, rec := range r.records(id) {
		out = append(out, rec.Kind)
	}
	return out
}

// refused holds the stable code of an error.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if FaultCode(err) != code {
		t.Fatalf("error %v has the code %q, want %q", err, FaultCode(err), code)
	}
}

// waitFor blocks until a job has a status, told by a watcher.
func (r *rig) waitFor(id string, want job.Status) {
	r.t.Helper()
	changed, stop := r.Watch(id)
	defer stop()
	for {
		j, err := r.rows.Job(r.ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			r.t.Fatal(err)
		}
		if err == nil && j.Status == want {
			return
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			r.t.Fatal(fmt.Errorf("job %s never became %s: %w", id, want, r.ctx.Err()))
		}
	}
}
