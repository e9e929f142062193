package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/starlib"
)

// This file lets the steps of a blueprint with data stores follow each other without waiting
// for the disk between them.
//
// Words: a turn is the right to use the stores of one blueprint; the change of one job holds
// it from the first read (or its commit, when it only writes) until it has its place in the
// store's line. What it wrote then lies on the blueprint's shelf until it is durable, and the
// next turn reads it there. Every value gets a version of its own before it is written, and
// a change names the versions that it read: when an earlier change fails after all, the
// store refuses every later one that read its values, and their steps run again. The turn
// saves work; the versions are what makes it right.
//
// Who holds a job's lock waits for a turn for a moment only (takeSoon): a step that runs aside
// takes its turn first and its job's lock when it commits.

// turnPatience is how long a step that could as well run by itself waits for its turn: it
// holds up the answer to a request.
const turnPatience = 50 * time.Millisecond

// shelves holds the shelf of every blueprint that used one in this process.
type shelves struct {
	mu       sync.Mutex
	all      map[string]*shelf
	versions atomic.Int64
}

// shelf belongs to one blueprint.
type shelf struct {
	turn chan struct{} // holds one element while somebody has the turn

	mu      sync.Mutex
	queued  map[valueName]job.StoreWrite // not durable yet; the newest write of each key
	flights int                          // changes under way that wrote
	landed  chan struct{}                // closed when flights is 0 again
}

type valueName struct{ store, key string }

// firstVersion keeps the versions of different processes apart, and above those that a store
// gives by itself: a version must never stand for two values of a key.
func firstVersion() int64 { return 1<<62 | rand.Int64N(1<<61) }

func (s *shelves) of(name string) *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]*shelf{}
		s.versions.Store(firstVersion())
	}
	if s.all[name] == nil {
		s.all[name] = &shelf{turn: make(chan struct{}, 1), queued: map[valueName]job.StoreWrite{}}
	}
	return s.all[name]
}

// turn is what one change under construction has of the data stores. nil is one that can
// use none. Its run may read in another goroutine, and give that up; the rest belongs to one.
type turn struct {
	e         *Engine
	blueprint string
	shelf     *shelf
	own       map[valueName]job.StoreWrite // of the change's earlier steps
	passOn    func()                       // called once, at the end; may be nil

	mu    sync.Mutex
	held  bool
	over  bool
	asked bool // the handler has read
}

var _ starlib.Stores = (*turn)(nil)

// errOver says that a read came after its run was given up.
var errOver = errors.New("the step has ended")

// turnOf prepares the use of a blueprint's stores; whoever calls it calls end.
func (e *Engine) turnOf(bp *blueprint.Blueprint) *turn {
	if bp == nil || len(bp.Stores) == 0 {
		return nil
	}
	return &turn{e: e, blueprint: bp.Name, shelf: e.shelves.of(bp.Name)}
}

// take waits for the turn.
func (t *turn) take(ctx context.Context) error {
	if t.has() {
		return nil
	}
	select {
	case t.shelf.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		<-t.shelf.turn
		return errOver
	}
	t.held = true
	return nil
}

func (t *turn) has() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// takeSoon waits for the turn for a moment only, as one must who holds a job's lock; nil has
// nothing to wait for.
func (t *turn) takeSoon(ctx context.Context) bool {
	if t == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	return t.take(ctx) == nil
}

// end gives the turn back; it may be called again.
func (t *turn) end() {
	if t == nil {
		return
	}
	t.mu.Lock()
	held, over := t.held, t.over
	t.held, t.over = false, true
	t.mu.Unlock()
	if held {
		<-t.shelf.turn
	}
	if !over && t.passOn != nil {
		t.passOn()
	}
}

// Near reports that reads are answered at once: the turn is there, and the store is part of
// this process.
func (t *turn) Near(last bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = t.asked || !last
	return t.held && t.e.local
}

// wasRead reports whether the handler has read, or tried to.
func (t *turn) wasRead() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}

// Get gives a key's value and version as the change's earlier steps, the changes in line
// before it, or the store has it.
func (t *turn) Get(ctx context.Context, name, key string) (json.RawMessage, int64, error) {
	if err := t.take(ctx); err != nil {
		return nil, 0, err
	}
	at := valueName{name, key}
	w, ok := t.own[at]
	if !ok {
		w, ok = t.shelf.find(at)
	}
	switch {
	case !ok:
		return t.e.store.Value(ctx, t.blueprint, name, key)
	case w.Value == nil: // deleted: as absent as if it had never been
		return nil, 0, nil
	}
	return w.Value, w.Version, nil
}

// Keys gives the kept keys in order. No version guards a list of keys, so it waits until all
// that is in line is durable.
func (t *turn) Keys(ctx context.Context, name string) ([]string, error) {
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	select {
	case <-t.shelf.quiet():
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	kept, err := t.e.store.ValueKeys(ctx, t.blueprint, name)
	if err != nil || len(t.own) == 0 {
		return kept, err
	}
	there := make(map[string]bool, len(kept))
	for _, key := range kept {
		there[key] = true
	}
	for at, w := range t.own {
		if at.store == name {
			there[at.key] = w.Value != nil
		}
	}
	maps.DeleteFunc(there, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(there)), nil
}

// noted remembers what a step wrote for the next step of the same change.
func (t *turn) noted(writes []job.StoreWrite) {
	if t == nil || len(writes) == 0 {
		return
	}
	if t.own == nil {
		t.own = map[valueName]job.StoreWrite{}
	}
	for _, w := range writes {
		t.own[valueName{w.Store, w.Key}] = w
	}
}

// put commits a change that a turn was prepared for. The turn ends when the change has its
// place in line, with a store that can tell that, else when it is durable.
func (e *Engine) put(ctx context.Context, c *job.Change, t *turn) error {
	if len(c.Writes) == 0 {
		if len(c.Reads) == 0 {
			t.end()
		}
		return e.queue(ctx, c, t.end)
	}
	if !t.takeSoon(ctx) { // what only writes takes it now, so that the shelf has the order of the line
		return fmt.Errorf("job %s: the data stores of %s are in use: %w", c.Job.ID, t.blueprint, store.ErrConflict)
	}
	for i := range c.Writes {
		c.Writes[i].Version = t.e.shelves.versions.Add(1)
	}
	onShelf := false
	err := e.queue(ctx, c, func() {
		t.shelf.put(c.Writes)
		onShelf = true
		t.end()
	})
	if onShelf {
		t.shelf.take(c.Writes)
	}
	return err
}

// queue commits a change and calls queued as soon as it has its place in line.
func (e *Engine) queue(ctx context.Context, c *job.Change, queued func()) error {
	if q, ok := e.store.(store.Queuer); ok {
		return q.CommitQueued(ctx, c, queued)
	}
	return e.store.Commit(ctx, c)
}

func (s *shelf) find(at valueName) (w job.StoreWrite, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok = s.queued[at]
	return w, ok
}

// put lays down what a change in line writes.
func (s *shelf) put(writes []job.StoreWrite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights++; s.flights == 1 {
		s.landed = make(chan struct{})
	}
	for _, w := range writes {
		s.queued[valueName{w.Store, w.Key}] = w
	}
}

// take removes what a change wrote, whether it became durable or not: the store knows.
func (s *shelf) take(writes []job.StoreWrite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range writes {
		at := valueName{w.Store, w.Key}
		if s.queued[at].Version == w.Version { // else a later change wrote it again
			delete(s.queued, at)
		}
	}
	if s.flights--; s.flights == 0 {
		close(s.landed)
	}
}

// quiet gives a channel that is closed when nothing is in line any more.
func (s *shelf) quiet() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights == 0 {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return s.landed
}
