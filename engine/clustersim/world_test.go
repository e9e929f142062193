package clustersim

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file holds a world: how it is made from its seed, its storm, and its end.

const (
	patience = 2 * time.Hour // virtual, after the storm, until every job must have ended
	lookTime = time.Second   // virtual, between two looks at what is left
	// mostNodes is how many nodes a world has at most: seeds have 1, 2, 3, 1, 2, 3...
	mostNodes = 3
)

// world is everything that one seed makes.
type world struct {
	seed    uint64
	weather weather
	plans   []*plan // the last one may run those before it
	text    string
	began   time.Time     // by the world's time
	shift   time.Duration // from the bubble's time to the world's
	below   store.Store   // what is durable
	shared  store.Shared  // the same, of several nodes; nil: there is one
	lapses  bool          // the store goes back now and then
	warden  *warden       // nil as shared
	disk    store.Store   // as the nodes see it
	nodes   []*node
	parted  partition
	log     slog.Handler // nil: silent
	ledger  *ledger
	crowd   []*hand

	calm    atomic.Bool
	orders  atomic.Int64  // on their way, of people and repeated ones
	over    chan struct{} // closed: all actors end
	clients sync.WaitGroup
	actors  sync.WaitGroup

	mu       sync.Mutex
	foreseen int // jobs whose whole way was foreseen
	wrong    []string
	diary    []string
}

// worlds counts those of this process: each begins later than all before it, because job ids
// grow with time over the whole process.
var worlds int

// options change what a seed makes: for tests of the simulation itself.
type options struct {
	spoil func(store.Store) store.Store // breaks a promise of the store on purpose
	lapse bool                          // the store loses what it has acknowledged: see lapse_test.go
	nodes int                           // 0: as the seed has it
	log   slog.Handler
}

// run makes the world of a seed, lets it happen and gives what was wrong in it.
func run(t *testing.T, seed uint64, o options) (w *world) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	worlds++
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, o)
		w.happen()
	})
	return w
}

func newWorld(seed uint64, o options) *world {
	w := &world{seed: seed, over: make(chan struct{}), log: o.log, ledger: newLedger(), parted: partition{cut: map[string]int{}}}
	w.began = time.Date(2030, time.Month(1+2*worlds), 2, 12, 0, 0, 0, time.UTC)
	w.shift = time.Until(w.began)
	r := w.random("world", "", 0)
	w.weather = randomWeather(r)
	low := grow(r, "low", nil)
	middle := grow(r, "middle", low)
	w.plans = []*plan{low, middle, grow(r, "top", middle)}
	w.text = script(w.plans)
	w.lapses = o.lapse
	w.found(cmp.Or(o.nodes, 1+int(seed%mostNodes)), o.spoil)
	return w
}

// found makes the store and the nodes on it.
func (w *world) found(nodes int, spoil func(store.Store) store.Store) {
	w.below = memory.New()
	if nodes > 1 {
		s := memory.NewShared(w.now)
		w.below, w.shared = s, s
	}
	if w.disk = w.below; spoil != nil {
		w.disk = spoil(w.below)
	}
	if w.shared != nil {
		w.warden = &warden{Store: w.disk, w: w, leases: w.shared, newest: map[byte]int64{}}
		w.disk = w.warden
	}
	for i := range nodes {
		w.nodes = append(w.nodes, newNode(w, "node-"+string(rune('a'+i))))
	}
}

// named gives a node by its name, or nil.
func (w *world) named(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// random gives a source of its own for a part of the world, so that parts do not depend on
// the order in which they draw.
func (w *world) random(part, name string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s/%d", part, name, n)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func (w *world) now() time.Time { return time.Now().Add(w.shift) }

// wait lets virtual time pass.
func (w *world) wait(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// pause waits, and reports false when the world is over.
func (w *world) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-w.over:
		return false
	}
}

func (w *world) isCalm() bool { return w.calm.Load() }

// fault notes that something is wrong.
func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lapses && !strings.HasPrefix(format, "I1: %s") {
		return // who was told of something that was undone is right to wonder
	}
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// note writes into the diary, which is shown for a seed that failed.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Truncate(time.Millisecond)
	w.diary = append(w.diary, fmt.Sprintf("%10s  %s", at, fmt.Sprintf(format, args...)))
}

// happen is the life of a world.
func (w *world) happen() {
	r := w.random("happen", "", 0)
	for _, n := range w.nodes {
		n.boot()
	}
	w.hire(r)
	w.send(r)
	w.actors.Go(w.people)
	w.storm(r)
	if w.lapses { // no node starts after this one, which would read all tasks again
		w.lapse(r)
	}
	w.calm.Store(true)
	w.note("calm")
	for _, n := range w.nodes {
		n.spare()
	}
	w.parted.heal()
	w.settle()
	w.checkShared()
	close(w.over)
	for _, n := range w.nodes {
		n.retire()
	}
	w.actors.Wait()
	if w.lapses {
		w.checkStanding()
	} else {
		w.check()
	}
}

// storm strikes nodes for a while.
func (w *world) storm(r *rand.Rand) {
	end := time.Now().Add(time.Duration(40+r.IntN(120)) * time.Second)
	for {
		w.wait(time.Duration(r.ExpFloat64() * float64(w.weather.crash)))
		if !time.Now().Before(end) {
			return
		}
		if w.lapses && r.IntN(3) == 0 {
			w.lapse(r)
			continue
		}
		w.strike(r, w.nodes[r.IntN(len(w.nodes))])
	}
}

// strike does one thing to a node; one that ended comes back by itself.
func (w *world) strike(r *rand.Rand, n *node) {
	s, blows := n.up(), 10
	if w.shared != nil {
		blows = 14
	}
	switch what := r.IntN(blows); {
	case s == nil:
	case what >= 12:
		w.part(r, n)
	case what >= 10:
		w.stop(r, n, s)
	case s.link.isPaused() && what >= 3: // a stopped process can only be killed
	case what < 3:
		n.die("by a blow")
	case what < 6: // in the middle of what it does
		s.link.dieAt(1+r.IntN(30), r.IntN(2) == 0)
	case what < 7:
		n.retire()
	case what < 9:
		away := time.Duration(r.ExpFloat64() * float64(3*time.Second))
		w.note("%s is cut from the store for %s", n.name, away)
		s.link.setCut(true)
		w.wait(away)
		s.link.setCut(false)
	default:
		n.jump(r.Int64N(60_000) - 30_000)
		w.note("the clock of %s jumps", n.name)
	}
}

// stop stops a process for a while, as a machine that swaps or is moved does: its calls of the
// store and its messages go on after that, late.
func (w *world) stop(r *rand.Rand, n *node, s *server) {
	away := time.Duration(1+r.IntN(30)) * time.Second // leases last 10 s
	w.note("%s stands still for %s", n.name, away)
	s.link.setPaused(true)
	w.actors.Go(func() {
		w.pause(away)
		s.link.setPaused(false)
	})
}

// part cuts the way between a node and another for a while; both reach the store.
func (w *world) part(r *rand.Rand, n *node) {
	other, away := w.any(r), time.Duration(r.IntN(30))*time.Second
	if other == n {
		return
	}
	w.note("%s and %s do not reach each other for %s", n.name, other.name, away)
	w.parted.set(n.name, other.name, 1)
	w.actors.Go(func() {
		w.pause(away)
		w.parted.set(n.name, other.name, -1)
	})
}

// settle waits until all that was accepted has ended and all is told, or says what has not.
func (w *world) settle() {
	w.clients.Wait()
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		if w.left() == "" {
			return
		}
		w.wait(lookTime)
	}
	w.fault("I1: %s after the storm there is still %s", patience, w.left())
	w.noteOwners()
}

// noteOwners writes into the diary who is to work on what is left.
func (w *world) noteOwners() {
	page, err := w.below.List(context.Background(), store.Query{Limit: 1000})
	if err != nil || w.shared == nil {
		return
	}
	for i := range page.Jobs {
		j := &page.Jobs[i]
		if j.Status.Terminal() {
			continue
		}
		for _, n := range w.nodes {
			s := n.up()
			if s == nil {
				continue
			}
			owner, _ := s.peers.Owner(j.ID)
			stats := s.hub.Stats()
			w.note("%s (%s): %s takes %s for its owner, its engine works on it: %v, in its hub are %d queued, %d leased",
				short(j.ID), j.Status, n.name, owner.ID, s.engine.Mine(j.ID), stats.Queued, stats.Leased)
		}
	}
}

// print sums up a world in one number: equal worlds have equal prints. Ids are left out, for
// they hold the time, and each world of a process has a time of its own.
func (w *world) print() uint64 {
	all, err := w.read()
	if err != nil {
		return 0
	}
	h := fnv.New64a()
	for _, id := range sortedKeys(all) {
		f := all[id]
		fmt.Fprintln(h, f.key, f.job.Blueprint, f.job.Status)
		for _, r := range f.records {
			fmt.Fprintln(h, r.At.Sub(w.began), r.Kind, r.State, r.Next, r.Status)
			if r.Task != nil {
				fmt.Fprintln(h, r.Task.N, r.Task.Worker, r.Task.Attempt)
			}
		}
	}
	return h.Sum64()
}
