package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/approval"
	"orrery/engine/blob"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/ledger"
	"orrery/engine/observe"
	"orrery/engine/quota"
	"orrery/engine/store"
	"orrery/starlib"
)

// This file holds the engine, what it is built from, and its start and stop.

// Catalog finds blueprints. *blueprint.Catalog implements it.
type Catalog interface {
	// Pin gives the newest revision of a blueprint and keeps its source in the store, so
	// that a job which starts on it can end on it.
	Pin(ctx context.Context, name string) (*blueprint.Blueprint, error)
	// AtRevision gives a blueprint as it was in a kept revision.
	AtRevision(ctx context.Context, hash, name string) (*blueprint.Blueprint, error)
}

// Config is what an engine is made of. Zero values of the optional part mean Defaults.
type Config struct {
	Store      store.Store
	Blueprints Catalog
	Dispatcher Dispatcher

	Tracer        *observe.Tracer // nil: no traces
	Clock         clock.Clock
	Log           *slog.Logger
	Env           func(name string) (string, bool) // what scripts may read; nil: nothing
	MaxRetries    int                              // JOB_MAX_RETRIES; below 0 means none
	WorkerTimeout float64                          // seconds an attempt may take; WORKER_TIMEOUT_SECONDS
	CancelGrace   time.Duration                    // CANCEL_GRACE_SECONDS
	Runners       int                              // pure steps under way at once
	Callers       int                              // steps under way at once that call stores, files, SQL or HTTP
	Limits        Limits
	Jitter        func() float64 // 0.5 to 1, for retries

	Files      blob.Store    // of jobs; nil: this server keeps none
	LocalFiles blob.Store    // local copies of them; nil: none can be made
	FilesKept  time.Duration // after a job's end; below 0: for ever

	RevisionsKept time.Duration // of blueprints, after their last use when no job needs them; below 0: for ever; least 3 h
	Databases     *Databases    // of the sql module; nil: none
	History       HistorySink   // gets a copy of all history; nil: nobody

	Webhooks  Webhooks                        // nil: webhook_url is refused
	Approvals map[string]approval.Integration // by name; nil: nobody is asked, as in `orrery run`
	PublicURL string                          // address of this server for people, without a slash at its end; "": links are left out
	Ledger    *ledger.Ledger                  // what this process is at, for the next one; nil: a step that ends the process is run again at each start
	Nodes     Nodes                           // where several engines share the store; nil: this one owns all of it
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = job.DefaultRetry.Max
	}
	if c.WorkerTimeout == 0 {
		c.WorkerTimeout = 300
	}
	if c.CancelGrace == 0 {
		c.CancelGrace = 30 * time.Second
	}
	if c.Runners == 0 {
		c.Runners = 64 // steps mostly wait for the disk; the processors bound the rest
	}
	if c.Callers == 0 {
		c.Callers = 256 // they wait for others; each costs a few KiB
	}
	if c.Limits.Streak == 0 {
		c.Limits = DefaultLimits()
	}
	if c.RevisionsKept == 0 {
		c.RevisionsKept = DefaultRevisionsKept
	}
	if c.Jitter == nil {
		c.Jitter = jitter
	}
	return c
}

// Engine runs jobs. Its methods may be called from any goroutine.
type Engine struct {
	cfg     Config
	store   store.Store
	shards  *shards      // that this engine owns; nil: all
	locks   *locks       // of jobs
	shelves shelves      // of data stores
	local   bool         // the store is part of this process
	world   starlib.Host // what all steps see alike
	submits *locks       // of jobs that are submitted with an idempotency key
	quota   *quota.Book
	mail    mail
	hot     hotList
	slow    slowList // handlers that take long
	stuck   stuckList
	late    lateList
	atWork  atWork // under their jobs' locks
	atAside atWork
	careful atomic.Bool // every step is noted
	suspect *suspects
	callers stateSet // handlers that call the outside
	loners  stateSet // of blueprints with data stores: handlers that read none
	doubts  *doubts
	outage  outage
	unread  unreadList
	ready   *readyList
	aside   *asideLane
	watch   watchers
	timers  chan struct{}           // something became due earlier than planned
	fired   map[store.Wake]struct{} // dates that the timers dealt with in their last look
	planned atomic.Int64            // when the timers wake, in milliseconds since 1970
	handed  atomic.Int64            // when the newest hand-out came, in milliseconds since 1970
	outbox  chan struct{}           // a message was posted
	copies  chan struct{}           // there is history to copy
	copier  copier                  // of the one goroutine that copies
	flights flights
	againMu sync.Mutex
	again   time.Time // when the earliest message that was put off is due
	secret  []byte    // signs approval links
	cancel  context.CancelFunc
	working sync.WaitGroup
}

var _ Desk = (*Engine)(nil)

// New puts an engine together; nothing runs before Start (or Settle).
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Blueprints == nil || cfg.Dispatcher == nil {
		return nil, errors.New("engine: Store, Blueprints and Dispatcher are needed")
	}
	e := &Engine{
		cfg: cfg.withDefaults(), store: cfg.Store, quota: quota.New(cfg.Store), local: !cfg.Store.Features().Shared, ready: newReadyList(), aside: newAsideLane(),
		locks: newLocks(), submits: newLocks(), doubts: newDoubts(), suspect: newSuspects(),
		timers: make(chan struct{}, 1), outbox: make(chan struct{}, 1), copies: make(chan struct{}, 1),
	}
	e.atWork.ledger, e.atAside.ledger = cfg.Ledger, cfg.Ledger
	e.world = worldOf(e)
	var err error
	if e.shards, err = newShards(cfg.Store, cfg.Nodes); err != nil {
		return nil, err
	}
	fresh := make([]byte, 32)
	rand.Read(fresh)
	secret, _, err := cfg.Store.Claim(context.Background(), "secret/approval", fresh, 0, e.cfg.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("keep the key that signs approval links: %w", err)
	}
	e.secret = secret
	return e, nil
}

// Start takes up what the store holds and begins to work in the background. With nodes there
// is nothing to do before the first shard comes: see Gain.
func (e *Engine) Start(ctx context.Context) error {
	begin := e.recover
	if e.shards != nil {
		begin = e.resumeParked
	}
	if err := begin(ctx); err != nil {
		return err
	}
	ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.startSuspects(ctx)
	for range e.cfg.Runners {
		e.goes(func() { e.runSteps(ctx) })
	}
	e.aside.isOpen.Store(true)
	for range e.cfg.Callers {
		e.goes(func() { e.runAside(ctx) })
	}
	e.goes(func() { e.runTimers(ctx) })
	e.goes(func() { e.runDoubts(ctx) })
	e.goes(func() { e.runOutbox(ctx) })
	if e.cfg.Files != nil {
		e.goes(func() { e.runSweep(ctx) })
	}
	e.goes(func() { e.runCollect(ctx) })
	if e.cfg.History != nil {
		e.goes(func() { e.runCopy(ctx) })
	}
	if e.shards != nil {
		e.goes(func() { e.runReconcile(ctx) })
	}
	return nil
}

func (e *Engine) goes(f func()) { e.working.Go(f) }

// Stop lets running steps finish and returns when all background work has ended, or with
// the context's error.
func (e *Engine) Stop(ctx context.Context) error {
	if e.cancel == nil {
		return nil
	}
	e.cancel()
	e.ready.close()
	e.aside.close()
	done := make(chan struct{})
	go func() { e.working.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("steps are still running: %w", ctx.Err())
	}
}

// recover fills the memory of engine and dispatcher from the store.
func (e *Engine) recover(ctx context.Context) error {
	if err := e.takeUp(ctx, store.AllShards()); err != nil {
		return err
	}
	if err := e.resumeParked(ctx); err != nil {
		return err
	}
	e.ready.overflow() // the list is read from the store by the first runner
	return nil
}

// takeUp fills the dispatcher with the tasks of shards, one by one: it keeps no more of them
// than it has room for.
func (e *Engine) takeUp(ctx context.Context, in store.ShardSet) error {
	scan := e.store.ScanTasks
	if e.shards != nil {
		scan = func(ctx context.Context, s job.TaskState, fn func(job.Task) bool) error {
			return e.shards.reads.ScanTasksIn(ctx, in, s, fn)
		}
	}
	atWorkers := map[string]struct{}{}
	err := scan(ctx, job.TaskLeased, func(t job.Task) bool {
		e.cfg.Dispatcher.Recover([]job.Task{t})
		atWorkers[t.JobID] = struct{}{}
		return true
	})
	if err := e.pass(err); err != nil {
		return fmt.Errorf("read the tasks at workers: %w", err)
	}
	err = scan(ctx, job.TaskQueued, func(t job.Task) bool {
		e.cfg.Dispatcher.Offer(t)
		return true
	})
	if err := e.pass(err); err != nil {
		return fmt.Errorf("read the queued tasks: %w", err)
	}
	return e.recoverCancels(ctx, slices.Sorted(maps.Keys(atWorkers)))
}

// recoverCancels tells the workers again to stop what is being cancelled, and keeps its
// queued tasks back: the program may have died before it did. A cancel that has not taken
// effect waits for a task at a worker, so only the jobs of those are looked at.
func (e *Engine) recoverCancels(ctx context.Context, atWorkers []string) error {
	for some := range slices.Chunk(atWorkers, cancelsAtOnce) {
		jobs, err := e.store.Rows(ctx, some)
		if err := e.pass(err); err != nil {
			return fmt.Errorf("read the jobs that may be being cancelled: %w", err)
		}
		for i := range jobs {
			if jobs[i].CancelAsked != nil {
				e.cfg.Dispatcher.AskCancel(jobs[i].ID)
			}
		}
	}
	return nil
}

// cancelsAtOnce is how many rows are read at once to find the jobs that are being cancelled.
const cancelsAtOnce = 200

// machine gives the rules for a job on one blueprint.
func (e *Engine) machine(bp *blueprint.Blueprint) job.Machine {
	retry := job.DefaultRetry
	retry.Max = max(0, e.cfg.MaxRetries)
	m := job.Machine{
		CancelGrace: e.cfg.CancelGrace, Retry: retry, MaxStreak: e.cfg.Limits.Streak,
		MaxSteps: e.cfg.Limits.Steps, MaxHistory: e.stepLimits(bp).HistoryBytes,
	}
	if bp != nil { // a nil *Blueprint in the interface would not be nil
		m.Chart = bp
	}
	return m
}

// chartOf loads the blueprint that a job runs on; without it (nil) states go unchecked, and
// the job's next step says what is missing.
func (e *Engine) chartOf(ctx context.Context, j *job.Job) *blueprint.Blueprint {
	bp, err := e.cfg.Blueprints.AtRevision(ctx, j.Revision, j.Blueprint)
	if err != nil {
		e.cfg.Log.Error("the revision of a job can not be loaded", "job", j.ID, "revision", j.Revision, "error", err)
		return nil
	}
	return bp
}
