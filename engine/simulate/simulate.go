// Package simulate runs jobs inside this process, without a server: `orrery run` and
// `orrery test` are built on it.
//
// Words: the outside of a job (its worker, the people who approve, the client who may
// cancel) is played by a Scenario; where it says nothing, tasks are emulated: they succeed
// with the data that Options.Emulate gives. Time is a fake clock that jumps to the next
// date something is due, so a wait of thirty days takes none.
//
// Authoritative is the engine itself, over a store in memory: what happens here is what a
// server would do with the same blueprint and the same outside. The package only decides
// in which order the outside acts: first tasks, by priority and arrival, then people, then
// the clock.
package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file holds the entry: what a simulation is given, and the runs one after another.

// Options say what is simulated. Catalog and Blueprint are needed, the rest has defaults.
type Options struct {
	Catalog     engine.Catalog
	Blueprint   string                                // name
	InitialData json.RawMessage                       // nil: the scenario's, else {}
	Scenario    *Scenario                             // nil: everything is emulated
	Stores      map[string]map[string]json.RawMessage // the blueprint's data stores with their initial values, for the report
	Env         func(name string) (string, bool)
	RealTime    bool      // waits last as long as they say
	NoFiles     bool      // as on a server whose operator turned files off
	Start       time.Time // where the fake clock begins; zero: now
	Log         *slog.Logger
	Limits      engine.Limits // zero: the defaults
	Store       store.Store   // an empty one, which the caller closes; nil: one in memory

	// Fits says why the scenario's worker may not do a task ("" when it may); nil: it may
	// do every task.
	Fits func(worker json.RawMessage, t job.Task) (why string)
	// Emulate answers tasks that no reply is scripted for; nil: success with empty data.
	Emulate func(t job.Task) engine.Outcome
	// Ask lets a person decide an approval; ok false (or nil): the first key is taken.
	Ask func(q Question) (decision string, ok bool)
	// Show gets the timeline while it happens; may be nil.
	Show func(Event)

	// Script plays the outside from Go where a scenario's data is not enough; nil: it does not.
	Script *Script
	// Jitter stretches the pauses before retries, from 0.5 to 1; nil: by chance.
	Jitter func() float64
}

// Question is an approval that the scenario says nothing about.
type Question struct {
	JobID, State, Integration, Message string
	Decisions                          []string // sorted; without "timeout" and "cancelled"
}

// Report is what a simulation leaves.
type Report struct {
	Runs   []JobReport
	Stores map[string]map[string]json.RawMessage
}

// sim is one simulation under way.
type sim struct {
	Options
	store   store.Store
	clock   clock.Clock
	fake    *clock.Fake // nil in real time
	engine  *engine.Engine
	queue   *queue
	replies *replies
	people  []Approval // decisions not taken yet

	began     time.Time // of the present run, for offsets
	cancelled bool      // the scenario's cancel was sent
	unfit     map[taskKey]unfit
	left      map[string]bool // approvals that the scenario leaves to their deadline
	files     *folder         // of the jobs
	databases *engine.Databases
	tries     map[string][]Try // by job, in the order of the queue
	served    map[string][]Try // by job, in the order of hand-out
	seen      map[tryKey]bool
	shown     map[string]int64 // job -> last record that was shown
	depths    map[string]int   // job -> how deep it is below the job that runs
	stalls    int
	pending   []pending            // results under way, the next one first
	hooks     []json.RawMessage    // what the present job's client was told
	ignored   map[string][]Ignored // by job
}

// stallLimit is how often the clock may be nudged by a millisecond without anything new.
const stallLimit = 1000

// Run simulates the scenario's jobs, one after another, and reports them. The error is
// about the simulation itself; a job that ends badly or can not go on is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	s, err := newSim(o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	report := &Report{}
	for range max(s.Scenario.Runs, 1) {
		run, err := s.run(ctx)
		if err != nil {
			return report, err
		}
		report.Runs = append(report.Runs, *run)
	}
	report.Stores, err = s.readStores(ctx)
	return report, err
}

// World runs several jobs over one store and one clock, each with its own outside.
type World struct{ s *sim }

// NewWorld makes an empty store and a clock. Of the options only those of the world count
// here: Catalog, Env, RealTime, Start, Log, Jitter, NoFiles.
func NewWorld(o Options) (*World, error) {
	s, err := newSim(o)
	if err != nil {
		return nil, err
	}
	return &World{s}, nil
}

// Run simulates one job to its end. Of the options those of the job count: Blueprint,
// InitialData, Scenario, Stores, Emulate, Ask, Fits, Show, Script.
func (w *World) Run(ctx context.Context, o Options) (*JobReport, map[string]map[string]json.RawMessage, error) {
	w.s.prepare(&o)
	o.NoFiles = w.s.NoFiles
	o.Catalog, o.Env, o.RealTime, o.Start, o.Log, o.Jitter = w.s.Catalog, w.s.Env, w.s.RealTime, w.s.Start, w.s.Log, w.s.Jitter
	w.s.Options = o
	w.s.cancelled, w.s.hooks = false, nil
	w.s.replies, w.s.people = newReplies(o.Scenario.Replies), o.Scenario.Approvals
	run, err := w.s.run(ctx)
	if err != nil {
		return nil, nil, err
	}
	stores, err := w.s.readStores(ctx)
	return run, stores, err
}

// Now tells the simulated time.
func (w *World) Now() time.Time { return w.s.clock.Now() }

// Close forgets the store and the files.
func (w *World) Close() error { return w.s.close() }

// close forgets all that the simulation kept.
func (s *sim) close() error {
	err := s.databases.Close()
	if s.Store == nil { // else it is the caller's
		err = errors.Join(err, s.store.Close())
	}
	s.files.remove()
	return err
}

// prepare fills in what the options leave out.
func (*sim) prepare(o *Options) {
	if o.Scenario == nil {
		o.Scenario = &Scenario{}
	}
	if o.Emulate == nil {
		o.Emulate = func(job.Task) engine.Outcome {
			return engine.Outcome{Status: "success", Data: json.RawMessage(`{}`), Emulated: true}
		}
	}
	if o.Show == nil {
		o.Show = func(Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func newSim(o Options) (*sim, error) {
	var s *sim
	s.prepare(&o)
	s = &sim{
		Options: o, queue: newQueue(), ignored: map[string][]Ignored{},
		replies: newReplies(o.Scenario.Replies), people: o.Scenario.Approvals,
		unfit: map[taskKey]unfit{}, left: map[string]bool{},
		tries: map[string][]Try{}, served: map[string][]Try{}, seen: map[tryKey]bool{}, shown: map[string]int64{}, depths: map[string]int{},
	}
	if o.RealTime {
		s.clock = clock.Real{}
	} else {
		if o.Start.IsZero() {
			o.Start = time.Now()
		}
		s.fake = clock.NewFake(o.Start)
		s.clock = jumping{s.fake}
	}
	if s.store = o.Store; s.store == nil {
		s.store = memory.New()
	}
	var err error
	if s.files, err = newFolder(); err != nil {
		return nil, err
	}
	cfg := engine.Config{
		Store: s.store, Blueprints: o.Catalog, Dispatcher: s.queue,
		Clock: s.clock, Log: o.Log, Env: o.Env, Jitter: o.Jitter, Webhooks: (*mailbox)(s), Limits: o.Limits,
	}
	s.databases = engine.NewDatabases(nil, s.files.database)
	cfg.Databases = s.databases
	if !o.NoFiles {
		cfg.Files, cfg.LocalFiles = s.files.kept, s.files.local
	}
	s.engine, err = engine.New(cfg)
	if err != nil {
		err = errors.Join(err, s.close())
	}
	return s, err
}

// jumping is a fake clock whose timers fire at once and move it to their date: nobody else
// would, while a handler sleeps.
type jumping struct{ *clock.Fake }

var _ clock.Clock = jumping{}

// NewTimer moves the clock and gives a timer that has fired.
func (j jumping) NewTimer(d time.Duration) clock.Timer {
	if d > 0 {
		j.Advance(d)
	}
	return j.Fake.NewTimer(0)
}

// run simulates one job to its end.
func (s *sim) run(ctx context.Context) (*JobReport, error) {
	s.began = s.clock.Now()
	id, _, err := s.engine.Submit(ctx, s.request())
	if err != nil {
		return nil, fmt.Errorf("the job can not start: %w", err)
	}
	stuck, err := s.drive(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := s.reportJob(ctx, id, stuck)
	if err != nil {
		return nil, err
	}
	r.Files, err = s.files.texts(ctx, id)
	return r, err
}

func (s *sim) request() engine.Request {
	r := engine.Request{Blueprint: s.Blueprint, InitialData: s.InitialData, Client: job.Client{ID: "run"}, Prepare: s.putFiles}
	if r.InitialData == nil {
		r.InitialData = s.Scenario.InitialData
	}
	if r.InitialData == nil {
		r.InitialData = json.RawMessage(`{}`)
	}
	if c := s.Scenario.Client; c != nil {
		r.Client.Plan, r.Client.Params = c.Plan, c.Params
	}
	if s.Script != nil {
		r.DispatchTimeout, r.ResultTimeout, r.WebhookURL = s.Script.DispatchTimeout, s.Script.ResultTimeout, s.Script.WebhookURL
	}
	return r
}

// readStores gives the data stores as handlers would read them after the last run.
func (s *sim) readStores(ctx context.Context) (map[string]map[string]json.RawMessage, error) {
	out := map[string]map[string]json.RawMessage{}
	for name, initial := range s.Stores {
		out[name] = map[string]json.RawMessage{}
		for after, more := "", true; more; more = after != "" {
			entries, next, err := s.engine.StoreEntries(ctx, s.Blueprint, name, initial, after, storePage)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				out[name][e.Key] = e.Value
			}
			after = next
		}
	}
	return out, nil
}

// storePage is the number of values that are read at once.
const storePage = 1000
