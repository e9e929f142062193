package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is for several engines on one store: which shards this one owns, and what begins
// and ends with that. An engine without nodes owns every shard, and nothing here costs it
// more than a comparison.
//
// Words: the engine that owns a shard does everything for its jobs, so that what it keeps in
// memory is right; each of its commits carries the fence number of the shard's lease. Who
// changes a job stays in its shard meanwhile, and a shard is let go when nobody stays in it
// any more. A job of another node's shard may be created here, and take what needs nothing of
// its owner's memory: without a fence, for the job's version guards it, and the owner is told.

// Nodes is what an engine asks of the node that it runs on.
type Nodes interface {
	// Current reports whether this node's leases stand by its own clock; it costs nothing.
	Current() bool
	// Leads reports whether this node does a work that there must be one of.
	Leads(work string) bool
	// Fenced says that a commit under this fence was refused: the shard was another node's since.
	Fenced(shard byte, fence int64)
	// Look tells the owner of a job that it was changed here; it returns at once, and may fail.
	Look(jobID string)
	// Cancel has the owner of a job cancel it: only there it is known what workers have.
	Cancel(ctx context.Context, id, by string) error
	// Migrate has the owner of a job move it to the newest revision of its blueprint.
	Migrate(ctx context.Context, id, by string) (*Move, error)
}

// WorkFiles is the work of removing files of ended jobs, as Nodes.Leads knows it.
const WorkFiles = "files"

// ErrElsewhere: the job belongs to another node, or is on its way there. Nothing was done.
var ErrElsewhere = errors.New("the job belongs to another node")

// lookAgain is how often an engine with nodes looks for what others have changed in its
// shards without its being told.
const lookAgain = 3 * time.Second

type phase uint8

const (
	foreign phase = iota
	opening       // what the store has is read; tasks may be handed out already
	open
	closing // nothing new begins
)

// tenure is this engine's hold on one shard.
type tenure struct {
	mu    sync.Mutex
	phase phase
	fence int64
	turn  int64 // counts the takings-up: a lease that had ended may come back under its fence
	staying
}

// staying counts who is at work in a shard.
type staying struct {
	busy int
	idle chan struct{} // not nil: closed when nobody is any more
}

// shards is what an engine owns; nil owns everything.
type shards struct {
	nodes   Nodes
	reads   store.Sharded
	tenures [job.Shards]tenure
	open    atomic.Pointer[store.ShardSet]
	counts  sync.Mutex   // one count of what is open at a time, so that the last one stands
	last    atomic.Int64 // when the rows were looked through, in milliseconds since 1970
}

func newShards(s store.Store, nodes Nodes) (*shards, error) {
	if nodes == nil {
		return nil, nil
	}
	reads, ok := s.(store.Sharded)
	if !ok {
		return nil, errors.New("engine: this store can not be shared by several nodes")
	}
	o := &shards{nodes: nodes, reads: reads}
	o.open.Store(&store.ShardSet{})
	return o, nil
}

// stay is the right to change a job while it lasts.
type stay struct {
	in    *tenure
	fence int64
	owned bool
}

// enter begins a stay; owned is false for a job of another node's shard. Whoever enters leaves.
func (e *Engine) enter(jobID string) stay {
	if e.shards == nil {
		return stay{owned: true}
	}
	g := &e.shards.tenures[job.ShardOf(jobID)]
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase != open {
		return stay{}
	}
	g.busy++
	return stay{g, g.fence, true}
}

func (s stay) leave() {
	if s.in == nil {
		return
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.in.busy--; s.in.busy == 0 && s.in.idle != nil {
		close(s.in.idle)
		s.in.idle = nil
	}
}

// whileOwned runs f if the shard is still held as it was when a change was built, and keeps
// it from being let go meanwhile. f must not wait.
func (e *Engine) whileOwned(c *job.Change, f func()) bool {
	if e.shards == nil {
		f()
		return true
	}
	g := &e.shards.tenures[job.ShardOf(c.Job.ID)]
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.Fence == 0 || g.fence != c.Fence {
		return false
	}
	f()
	return true
}

// Mine reports whether tasks of a job may be handed out here.
func (e *Engine) Mine(jobID string) bool { return e.isIn(jobID, opening, open) }

// Open reports whether all hand-outs of a job are known here.
func (e *Engine) Open(jobID string) bool { return e.isIn(jobID, open) }

// isIn reports whether a job's shard is in one of the phases, and this node's leases stand.
func (e *Engine) isIn(jobID string, phases ...phase) bool {
	if e.shards == nil {
		return true
	}
	g := &e.shards.tenures[job.ShardOf(jobID)]
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(phases, g.phase) && e.shards.nodes.Current()
}

// fenceOf gives the number that guards what is written of a job here; 0 without nodes. Of a
// shard that has just gone to another it is one that never stands.
func (e *Engine) fenceOf(jobID string) int64 {
	if e.shards == nil {
		return 0
	}
	g := &e.shards.tenures[job.ShardOf(jobID)]
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fence == 0 {
		return -1
	}
	return g.fence
}

// Gain takes shards up, each with the fence number of its lease: tasks go to the dispatcher,
// steps and dates are looked for. With an error nothing was taken up.
func (e *Engine) Gain(ctx context.Context, fences map[byte]int64) error {
	in, turns := store.ShardSet{}, map[byte]int64{}
	for s, fence := range fences {
		in.Add(s)
		g := &e.shards.tenures[s]
		g.mu.Lock()
		g.turn++
		g.phase, g.fence, turns[s] = opening, fence, g.turn
		g.mu.Unlock()
	}
	err := e.flush(ctx)
	if err == nil {
		err = e.takeUp(ctx, in)
	}
	if err != nil {
		e.drop(e.shards.since(turns))
		return err
	}
	for s, turn := range turns {
		g := &e.shards.tenures[s]
		g.mu.Lock()
		if g.phase == opening && g.turn == turn {
			g.phase = open
		}
		g.mu.Unlock()
	}
	e.shards.recount()
	e.lookThrough()
	return nil
}

// flushTime is how long what is to be written may take before shards are taken up. While the store
// can not be written, they are tried again and again, and the log says so.
const flushTime = 10 * time.Second

// flush has what was noted before written: tasks may have been handed out just before the leases
// ended, and when these come back under their old fences, the rows must say so before they are
// read, or the tasks would be handed out twice and the first results thrown away.
func (e *Engine) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.store.Sync(ctx) }() // a store may wait for its line longer than ctx
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("write the hand-outs of before: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the hand-outs of before could not be written: %w", context.Cause(ctx))
	}
}

// since gives those shards that were not taken up again since the given turns: one that was lost
// and has come back while it was being taken up is not of that taking up any more.
func (o *shards) since(turns map[byte]int64) (set store.ShardSet) {
	for s, turn := range turns {
		g := &o.tenures[s]
		g.mu.Lock()
		if g.turn == turn {
			set.Add(s)
		}
		g.mu.Unlock()
	}
	return set
}

// Lose lets shards go: nothing new begins in them, what runs may end until ctx does, and then
// memory forgets them. Workers are told nothing: the next owner has their tasks.
func (e *Engine) Lose(ctx context.Context, lost store.ShardSet) {
	for s := range lost.Each {
		g := &e.shards.tenures[s]
		g.mu.Lock()
		if g.phase != foreign {
			g.phase = closing
		}
		g.mu.Unlock()
	}
	e.shards.recount()
	if ctx.Err() == nil {
		for s := range lost.Each {
			e.shards.tenures[s].rest(ctx)
		}
		if err := e.store.Sync(ctx); err != nil { // hand-outs, so that the next owner sees them
			e.cfg.Log.Warn("what is known of shards that are given away could not be written in full", "error", err)
		}
	}
	e.drop(lost)
}

// rest waits until nobody stays in the shard.
func (g *tenure) rest(ctx context.Context) {
	g.mu.Lock()
	if g.busy == 0 {
		g.mu.Unlock()
		return
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// drop forgets shards. After it no change that was begun before has any effect in memory.
func (e *Engine) drop(lost store.ShardSet) {
	for s := range lost.Each {
		g := &e.shards.tenures[s]
		g.mu.Lock()
		g.phase, g.fence = foreign, 0
		g.mu.Unlock()
	}
	e.shards.recount()
	e.cfg.Dispatcher.Drop(lost)
	e.hot.drop(lost)
	e.ready.drop(lost)
	e.stuck.drop(lost)
}

// recount brings the set of open shards up to date.
func (o *shards) recount() {
	o.counts.Lock()
	defer o.counts.Unlock()
	set := store.ShardSet{}
	for s := range o.tenures {
		g := &o.tenures[s]
		g.mu.Lock()
		if g.phase == open {
			set.Add(byte(s))
		}
		g.mu.Unlock()
	}
	o.open.Store(&set)
}

// Opened gives the shards that were taken up and not let go of.
func (e *Engine) Opened() store.ShardSet {
	if e.shards == nil {
		return store.AllShards()
	}
	return *e.shards.open.Load()
}

// Look takes notice of a job that another node has changed.
func (e *Engine) Look(jobID string) {
	e.watch.changed(jobID)
	if !e.Mine(jobID) {
		return
	}
	e.hot.forget(jobID)
	e.ready.push(jobID)
	nudge(e.timers)
	nudge(e.outbox)
	nudge(e.copies)
}

// lookThrough looks for all that is due in the shards.
func (e *Engine) lookThrough() {
	e.ready.overflow()
	nudge(e.timers)
	nudge(e.outbox)
	nudge(e.copies)
}

// busyList is a list of ready jobs so long that it is not filled up just to find a few more.
const busyList = 1000

// lookNow looks for ready jobs that nobody has told of, every few seconds.
func (e *Engine) lookNow() {
	if e.shards == nil {
		return
	}
	now := e.cfg.Clock.Now().UnixMilli()
	if now-e.shards.last.Load() >= lookAgain.Milliseconds() && e.ready.len() < busyList {
		e.shards.last.Store(now)
		e.ready.overflow()
	}
}

// longest is the longest time until the store is looked at again.
func (e *Engine) longest() time.Duration {
	if e.shards == nil {
		return longestNap
	}
	return lookAgain
}

// refused says of a commit's error what it means for the shard.
func (e *Engine) refused(c *job.Change, err error) error {
	if e.shards == nil || !errors.Is(err, store.ErrFenced) {
		return err
	}
	e.shards.nodes.Fenced(job.ShardOf(c.Job.ID), c.Fence)
	return errors.Join(ErrElsewhere, err)
}

// shardFor is where a new job of a blueprint goes: the one shard of a blueprint with data
// stores, else one that this engine owns.
func (e *Engine) shardFor(bp *blueprint.Blueprint) byte {
	if len(bp.Stores) > 0 {
		return job.ShardByName(bp.Name)
	}
	return e.newShard()
}

func (e *Engine) newShard() byte {
	if e.shards == nil {
		return job.NewShard()
	}
	set := e.shards.open.Load()
	if n := set.Len(); n > 0 {
		skip := drawn(n)
		for s := range set.Each {
			if skip == 0 {
				return s
			}
			skip--
		}
	}
	return job.NewShard() // its owner is told
}

// drawn picks a number below n, from where ids come too: a simulation has that source in hand.
func drawn(n int) int {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24 and later)
	return int(binary.LittleEndian.Uint64(b[:]) % uint64(n))
}

// leads reports whether a work that there must be one of is this engine's.
func (e *Engine) leads(work string) bool { return e.shards == nil || e.shards.nodes.Leads(work) }

// The reads of what is due, over the shards that are owned.

func (e *Engine) readyIDs(ctx context.Context, after string) ([]string, error) {
	if e.shards == nil {
		return e.store.Ready(ctx, after, maxReady)
	}
	return e.shards.reads.ReadyIn(ctx, *e.shards.open.Load(), after, maxReady)
}

func (e *Engine) dueBy(ctx context.Context, at time.Time, limit int) ([]store.Wake, error) {
	if e.shards == nil {
		return e.store.Due(ctx, at, limit)
	}
	return e.shards.reads.DueIn(ctx, *e.shards.open.Load(), at, limit)
}

func (e *Engine) nextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	if e.shards == nil {
		return e.store.NextDue(ctx)
	}
	return e.shards.reads.NextDueIn(ctx, *e.shards.open.Load())
}

func (e *Engine) messages(ctx context.Context, by time.Time, limit int) ([]job.Message, error) {
	limit += e.unread.due()
	var all []job.Message
	var err error
	if e.shards == nil {
		all, err = e.store.Messages(ctx, by, limit)
	} else {
		all, err = e.shards.reads.MessagesIn(ctx, *e.shards.open.Load(), by, limit)
	}
	return all, e.passMessages(err)
}
