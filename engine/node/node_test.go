package node

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"runtime"
	"sync"
	"testing"
	"time"

	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests nodes on one store in virtual time; each look is made by the test.

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// holder remembers what a node was told that it has.
type holder struct {
	mu      sync.Mutex
	has     map[byte]int64
	fail    error
	gains   int
	patient bool // the last Lose had time

	slowGain func(ctx context.Context) error // what the next Gain does first, and how it ends; nil: at once, and well
	slowLose func()                          // what the next Lose that has time does first
}

func (h *holder) Gain(ctx context.Context, fences map[byte]int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.slowGain; f != nil {
		h.slowGain = nil
		h.mu.Unlock()
		err := f(ctx)
		h.mu.Lock()
		if err != nil {
			maps.DeleteFunc(h.has, func(s byte, _ int64) bool { _, of := fences[s]; return of })
			return err
		}
	}
	if h.fail != nil {
		return h.fail
	}
	h.gains++
	maps.Copy(h.has, fences)
	return nil
}

func (h *holder) Opened() (set store.ShardSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.has {
		set.Add(s)
	}
	return set
}

func (h *holder) Lose(ctx context.Context, lost store.ShardSet) {
	h.mu.Lock()
	if f := h.slowLose; f != nil && ctx.Err() == nil {
		h.slowLose = nil
		h.mu.Unlock()
		f()
		h.mu.Lock()
	}
	defer h.mu.Unlock()
	h.patient = ctx.Err() == nil
	for s := range lost.Each {
		delete(h.has, s)
	}
}

// cluster is nodes on one store; told counts who was told to look.
type cluster struct {
	t     *testing.T
	clock *clock.Fake
	rows  *leases
	told  map[string]int
}

// leases can be made to fail, as for a node that the store can not be reached from.
type leases struct {
	store.Leases
	away map[string]bool
}

var errAway = errors.New("no way to the store")

func (l *leases) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	if l.away[holder] {
		return nil, errAway
	}
	return l.Leases.Hold(ctx, holder, info, ttl, names...)
}

type member struct {
	*Node
	*holder
	c *cluster
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, clock: clock.NewFake(noon), told: map[string]int{}}
	c.rows = &leases{memory.NewShared(c.clock.Now), map[string]bool{}}
	return c
}

func (c *cluster) join(id string) *member {
	c.t.Helper()
	h := &holder{has: map[byte]int64{}}
	n, err := New(Config{ID: id, URL: "http://" + id, Leases: c.rows, Shards: h, Clock: c.clock, Work: []string{"schedules"},
		Tell: func(p Peer) { c.told[p.ID]++ }, Go: func(f func()) { f() }})
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{n, h, c}
	m.tick()
	return m
}

func (m *member) tick() {
	m.c.t.Helper()
	if err := m.Tick(m.c.t.Context()); err != nil {
		m.c.t.Fatal(err)
	}
}

// whole checks that every shard is with exactly one of the nodes, under the number of its
// lease, and that all agree on it.
func (c *cluster) whole(members ...*member) {
	c.t.Helper()
	all, err := c.rows.Held(c.t.Context(), shardPrefix)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(all) != job.Shards {
		c.t.Fatalf("%d shards are held, want all", len(all))
	}
	sum := 0
	for _, m := range members {
		sum += len(m.has)
		if !maps.Equal(m.has, m.Fences()) {
			c.t.Fatalf("%s has %v, and its node says %v", m.ID(), m.has, m.Fences())
		}
	}
	if sum != job.Shards {
		c.t.Fatalf("the nodes have %d shards together, want %d", sum, job.Shards)
	}
	for _, l := range all {
		s, _ := shardOf(l.Name)
		for _, m := range members {
			if p, ok := m.Owner(s); !ok || p.ID != l.Holder || p.Self != (p.ID == m.ID()) {
				c.t.Fatalf("%s takes %+v (%v) for the owner of shard %d, which is %s", m.ID(), p, ok, s, l.Holder)
			}
			if m.ID() == l.Holder && m.has[s] != l.Fence {
				c.t.Fatalf("%s has shard %d under %d, its lease says %d", m.ID(), s, m.has[s], l.Fence)
			}
		}
	}
}

func TestANodeThatJoinsTakesItsShare(t *testing.T) {
	c := newCluster(t)
	a := c.join("a")
	c.whole(a)
	b := c.join("b")
	if c.told["a"] == 0 {
		t.Fatal("a was not told that b has come")
	}
	if len(b.has) != 0 {
		t.Fatalf("b has %d shards that are a's", len(b.has))
	}
	c.told["b"] = 0
	a.tick() // gives away what b is to have
	if c.told["b"] == 0 || !a.patient {
		t.Fatalf("b was told %d times, running steps were let end: %v", c.told["b"], a.patient)
	}
	b.tick()
	a.tick()
	c.whole(a, b)
	if n := len(b.has); n < job.Shards/4 || n > job.Shards*3/4 {
		t.Errorf("b has %d of %d shards", n, job.Shards)
	}
	before := maps.Clone(b.has)
	d := c.join("d")
	for range 2 {
		a.tick()
		b.tick()
		d.tick()
	}
	a.tick()
	c.whole(a, b, d)
	for s := range b.has {
		if before[s] == 0 {
			t.Errorf("shard %d went from a to b when d came: only what d is to have moves", s)
		}
	}
	if !a.Leads("schedules") || b.Leads("schedules") || d.Leads("schedules") {
		t.Error("the schedules are not a's alone")
	}
	if all := b.All(); len(all) != 3 || all[1].Shards != len(b.has) || all[1].URL != "http://b" || len(all[0].Work) != 1 {
		t.Errorf("the nodes are %+v", all)
	}
}

func TestANodeThatLeavesHandsOverAtOnce(t *testing.T) {
	c := newCluster(t)
	a, b := c.join("a"), c.join("b")
	a.tick()
	b.tick()
	c.told["b"] = 0
	if err := a.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(a.has) != 0 || !a.patient || c.told["b"] == 0 || a.Current() {
		t.Fatalf("a has %d shards, steps could end %v, b told %d times", len(a.has), a.patient, c.told["b"])
	}
	b.tick() // no time has passed
	b.tick()
	c.whole(b)
	if !b.Leads("schedules") {
		t.Error("the schedules have no leader")
	}
	a.tick() // does nothing any more
	if len(a.has) != 0 {
		t.Error("a node that has left came back")
	}
}

func TestANodeThatDiesIsReplacedWhenItsLeasesEnd(t *testing.T) {
	c := newCluster(t)
	a, b := c.join("a"), c.join("b")
	a.tick()
	b.tick()
	a.tick()
	mine := len(b.has)
	c.clock.Advance(DefaultTTL - time.Millisecond) // a is dead; its leases are not
	b.tick()
	if len(b.has) != mine {
		t.Fatalf("b took a's shards before their leases ended")
	}
	c.clock.Advance(time.Millisecond)
	b.tick()
	b.tick()
	c.whole(b)

	// It was not dead but paused: it goes on with what it had, which the fences refuse.
	var late byte
	for late = range a.has {
		break
	}
	if a.Current() {
		t.Error("a takes its leases for good")
	}
	if b.has[late] <= a.has[late] {
		t.Errorf("the fence of shard %d did not grow: %d after %d", late, b.has[late], a.has[late])
	}
	a.Fenced(late, a.has[late]) // a commit was refused
	if _, has := a.has[late]; has {
		t.Error("a kept a shard of which it was told that it is not its own")
	}
	a.tick()
	if len(a.has) != 0 || a.patient {
		t.Fatalf("a kept %d shards that are b's; it waited for running steps: %v", len(a.has), a.patient)
	}
	for range 2 { // and comes back as if it were new
		b.tick()
		a.tick()
	}
	b.tick()
	c.whole(a, b)

	for again, fence := range a.has { // a commit from before comes last of all
		a.Fenced(again, fence-1)
		if a.has[again] != fence {
			t.Errorf("a dropped shard %d, which it has under fence %d, for a commit under %d", again, fence, fence-1)
		}
		break
	}
	c.whole(a, b)
}

func TestANodeWithoutItsStoreLetsGoInTime(t *testing.T) {
	c := newCluster(t)
	a := c.join("a")
	c.rows.away["a"] = true
	c.clock.Advance(DefaultTTL - time.Millisecond)
	if err := a.Tick(t.Context()); !errors.Is(err, errAway) || len(a.has) != job.Shards || !a.Leads("schedules") {
		t.Fatalf("within its leases: %v, %d shards", err, len(a.has))
	}
	c.clock.Advance(time.Millisecond)
	if err := a.Tick(t.Context()); !errors.Is(err, errAway) || len(a.has) != 0 || a.Leads("schedules") {
		t.Fatalf("after its leases: %v, %d shards", err, len(a.has))
	}
	if _, ok := a.Owner(7); ok {
		t.Error("a shard has an owner")
	}
	c.rows.away["a"] = false
	a.tick()
	c.whole(a)
}

func TestAShardThatCanNotBeTakenUpIsTriedAgain(t *testing.T) {
	c := newCluster(t)
	a := c.join("a")
	b := &member{c: c, holder: &holder{has: map[byte]int64{}, fail: errAway}}
	var err error
	b.Node, err = New(Config{ID: "b", Leases: c.rows, Shards: b.holder, Clock: c.clock, Go: func(f func()) { f() }})
	if err != nil {
		t.Fatal(err)
	}
	b.tick()
	a.tick()
	b.tick()
	if len(b.has) != 0 || len(b.Fences()) != 0 {
		t.Fatal("b has shards that it could not take up")
	}
	b.fail = nil
	b.tick()
	a.tick()
	c.whole(a, b)
}

func TestRunLooksWhenTold(t *testing.T) {
	c := newCluster(t)
	h := &holder{has: map[byte]int64{}}
	n, err := New(Config{ID: "a", Leases: c.rows, Shards: h, Clock: c.clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { n.Run(ctx); close(ended) }()
	for known := n.Changed(); len(n.Fences()) < job.Shards; known = n.Changed() {
		if len(n.Fences()) < job.Shards {
			<-known
		}
	}
	if _, err := c.rows.Hold(ctx, "b", []byte(`{}`), time.Hour, nodePrefix+"b"); err != nil {
		t.Fatal(err)
	}
	n.Look() // no time passes
	for known := n.Changed(); len(n.Peers()) == 0; known = n.Changed() {
		if len(n.Peers()) == 0 {
			<-known
		}
	}
	cancel()
	<-ended
	n.Wait()
}

func TestWantedIsEvenAndStable(t *testing.T) {
	count := func(ids ...string) map[string]int {
		out := map[string]int{}
		for _, id := range wanted(ids) {
			out[id]++
		}
		return out
	}
	for id, n := range count("host-1-a3f", "host-2-77b", "host-3-0c1") {
		if n < 50 || n > 125 {
			t.Errorf("%s is to have %d of %d shards", id, n, job.Shards)
		}
	}
	two, three := wanted([]string{"x", "y"}), wanted([]string{"y", "z", "x"})
	for s := range two {
		if three[s] != "z" && three[s] != two[s] {
			t.Errorf("shard %d goes from %s to %s because z came", s, two[s], three[s])
		}
	}
	if none := count(); none[""] != job.Shards {
		t.Errorf("without nodes: %v", none)
	}
}

// jumping is a clock that somebody sets: it tells another time, and its timers go on.
type jumping struct {
	*clock.Fake
	by time.Duration
}

func (j *jumping) Now() time.Time { return j.Fake.Now().Add(j.by) }

// Leases go by the store's clock. A node whose own is set back would take its leases for good long
// after they ended; one whose clock is set ahead stands still until it has asked again.
func TestANodeWhoseClockIsSet(t *testing.T) {
	c := newCluster(t)
	h, set := &holder{has: map[byte]int64{}}, &jumping{Fake: c.clock}
	n, err := New(Config{ID: "a", Leases: c.rows, Shards: h, Clock: set, Work: []string{"schedules"}, Go: func(f func()) { f() }})
	if err != nil {
		t.Fatal(err)
	}
	a := &member{n, h, c}
	a.tick()
	b := c.join("b")
	for range 3 {
		a.tick()
		b.tick()
	}
	c.whole(a, b)
	before := maps.Clone(a.has)

	set.by = 5 * time.Minute
	if a.Current() {
		t.Error("its leases have ended by its own clock, and it does not ask")
	}
	a.tick()
	b.tick()
	if !a.Current() || !maps.Equal(a.has, before) || len(a.Peers()) != 1 || len(b.Peers()) != 1 {
		t.Errorf("after a jump ahead it has %d shards, %d before, and knows %v", len(a.has), len(before), a.Peers())
	}
	c.whole(a, b)

	set.by = -5 * time.Minute
	c.rows.away["a"] = true
	c.clock.Advance(DefaultTTL)
	for end := time.After(10 * time.Second); a.Current(); runtime.Gosched() { // a timer's end is taken in beside this
		select {
		case <-end:
			t.Fatal("it takes leases for good that have ended")
		default:
		}
	}
	if err := a.Tick(t.Context()); !errors.Is(err, errAway) || len(a.has) != 0 || a.Leads("schedules") {
		t.Fatalf("after a jump back, without the store: %v, %d shards", err, len(a.has))
	}
	c.rows.away["a"] = false
	for range 3 {
		b.tick()
		a.tick()
	}
	c.whole(a, b)
	if !a.Current() {
		t.Error("it did not join anew")
	}
}
