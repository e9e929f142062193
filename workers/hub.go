package workers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/workers/protocol"
)

// This file holds the Hub itself: what it is made of and how it is put together.

// Limits of the hub.
const (
	DefaultTTL      = 45 * time.Second   // a worker not heard of for this long loses its leases
	MaxHold         = 30 * time.Second   // of a poll
	resultHold      = 20 * time.Second   // a result waits this long for a full store
	graceDispatch   = 5 * time.Second    // a task is this old before "no suitable worker"
	sweepEvery      = time.Second        // how often leases and queues are looked through
	saveSeenEvery   = time.Hour          // how old the stored "last seen" may get
	forgetAfter     = 7 * 24 * time.Hour // a worker unseen for this long leaves the registry
	keepTaskBytes   = 16 << 10           // tasks with larger params are read again when needed
	queueBudget     = 8 << 20            // bytes of queued rows kept in memory; beyond it only keys
	resultsOnTheWay = 2                  // TTLs for which the result of a task that is no longer listed may be on its way
	acceptedKept    = 8192               // newest accepted fences, to answer repetitions
)

// Records is the part of the store that keeps the registry (store.Workers).
type Records interface {
	PutWorker(ctx context.Context, id string, body json.RawMessage, seen time.Time) error
	AllWorkers(ctx context.Context) (map[string]json.RawMessage, error)
	DeleteWorker(ctx context.Context, id string) error
}

// Config is what a Hub is made from. Clock and Records are needed.
type Config struct {
	Clock       clock.Clock
	Records     Records
	Log         *slog.Logger
	TTL         time.Duration     // 0: DefaultTTL
	SharedToken string            // GLOBAL_WORKER_TOKEN; "": individual tokens only
	Tokens      map[string]Digest // worker id -> individual token (workers.toml)
	Aging       time.Duration     // a waiting task gains a whole priority in this time; 0: priorities stand as they are
	Limits      Limits
	TaskSecret  string        // signs tasks (ORCHESTRATOR_SECRET_KEY); "": unsigned
	Neighbors   Neighbors     // the other nodes of the store; nil: there are none
	Secret      []byte        // signs the tokens that workers are given, the same at all nodes; nil: one of this process
	Arrive      time.Duration // how long another node has to say that a task has gone to its worker; 0: 10 s
	Keys        Keys          // remembers which of them were used up; nil: this process does
}

// Limits bounds what workers say; zero fields take the default.
type Limits struct {
	Data     int // bytes of a result's data; 1 MiB. With more the task has failed
	Details  int // bytes of an error's details, longer ones are left out; 64 KiB
	Progress int // reports a second and task, more are dropped; 10
}

// Names of the limits, as the operator sets them (cli/config).
const (
	LimitData     = "result_kib"
	LimitDetails  = "error_details_kib"
	LimitProgress = "progress_per_second"
)

// DefaultLimits are what stands when the operator says nothing.
func DefaultLimits() Limits { return Limits{Data: 1 << 20, Details: 64 << 10, Progress: 10} }

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	return Limits{Data: cmp.Or(l.Data, d.Data), Details: cmp.Or(l.Details, d.Details), Progress: cmp.Or(l.Progress, d.Progress)}
}

// Hub is the registry, the queues and the leases of one node. Make it with New, give it the
// engine with Attach, then let Run drive it.
type Hub struct {
	clock   clock.Clock
	records Records
	log     *slog.Logger
	ttl     time.Duration
	aging   time.Duration
	secret  string
	limits  Limits
	desk    engine.Desk
	started time.Time
	done    chan struct{} // closed by Close: releases polls
	closing sync.Once
	news    chan struct{} // a task was queued that no real worker may come for
	auth    *tokens
	saving  sync.Mutex // one registry write at a time, so that the newest stays

	mu          sync.Mutex
	workers     map[string]*worker
	skilled     map[string]map[*worker]struct{} // task type -> registered workers that have it
	served      map[string]bool                 // types that a real worker ever took a task of
	kinds       map[string]*ability
	said        int              // bytes that the workers say about themselves: see room.go
	gone        []string         // forgotten to make room; their rows are still to be removed
	byJob       map[string]*load // what the hub has of each job
	known       int              // entries
	queues      map[string]*queue
	benches     map[string]*bench
	kept        int // bytes of queued rows in memory
	leased      int
	servedDirty bool   // served has a type that the store does not know yet
	turn        uint64 // grows with each hand-out; orders workers by when they were last served
	looked      uint64 // seats looked at by all dispatches so far
	accepted    fences
	links       map[*Link]struct{}

	neighbors Neighbors
	abroad    abroad
	arrive    time.Duration // see entrust.go
}

var _ engine.Dispatcher = (*Hub)(nil)

// New makes a Hub and reads the registry from the store.
func New(ctx context.Context, cfg Config) (*Hub, error) {
	h := &Hub{
		clock: cfg.Clock, records: cfg.Records, log: cfg.Log, ttl: cfg.TTL, aging: cfg.Aging, secret: cfg.TaskSecret, limits: cfg.Limits.orDefault(),
		started: cfg.Clock.Now(), done: make(chan struct{}), news: make(chan struct{}, 1),
		auth:    newTokens(&cfg),
		workers: map[string]*worker{}, skilled: map[string]map[*worker]struct{}{}, served: map[string]bool{},
		kinds: map[string]*ability{}, byJob: map[string]*load{},
		queues: map[string]*queue{}, benches: map[string]*bench{}, links: map[*Link]struct{}{},
		neighbors: cfg.Neighbors, abroad: newAbroad(), arrive: cmp.Or(cfg.Arrive, arriveTime),
	}
	if h.ttl <= 0 {
		h.ttl = DefaultTTL
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	rows, err := cfg.Records.AllWorkers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the registry of workers: %w", err)
	}
	h.load(rows)
	return h, nil
}

// Attach gives the hub its desk. It must happen before any task or worker comes.
func (h *Hub) Attach(desk engine.Desk) { h.desk = desk }

// Close releases all polls (they answer 204) and closes all connections. Results are taken
// as before, so that workers can finish.
func (h *Hub) Close() {
	h.closing.Do(func() { close(h.done) })
	h.mu.Lock()
	open := make([]*Link, 0, len(h.links))
	for l := range h.links {
		open = append(open, l)
	}
	h.mu.Unlock()
	for _, l := range open {
		l.shut(1001, "the server is shutting down")
	}
}

// Caller is who a request says it comes from.
type Caller struct {
	WorkerID string       // from the path or the header X-Worker-ID; may be ""
	Token    string       // X-Worker-Token
	Age      protocol.Age // protocol.DetectAge of the headers (and body, for a registration)
	Version  string       // X-RXON-Version, echoed in replies
	// Certificate is the common name of the client's certificate, where one was given and
	// verified. It proves the worker of that name, and no other.
	Certificate string
}

// Stats are a few counts for metrics.
type Stats struct {
	Workers, Polling, Queued, Leased, Links int
	Looked                                  uint64 // seats looked at by all dispatches so far
}

// Stats counts what the hub holds now; only workers seen within the TTL count.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{Queued: h.known - h.leased, Leased: h.leased, Links: len(h.links), Looked: h.looked}
	now := h.clock.Now()
	for _, w := range h.workers {
		if w.known && h.live(w, now) {
			s.Workers++
		}
		if w.poll != nil {
			s.Polling++
		}
	}
	return s
}
