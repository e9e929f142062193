package engine

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"orrery/engine/approval"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/node"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests several engines on one store, with the nodes' real leases and a clock that
// the test moves. What nodes tell each other is a call of a function.

// place is one node with its engine.
type place struct {
	*rig
	node *node.Node
	in   *cluster
	dead bool // others can not reach it
}

type cluster struct {
	t      *testing.T
	clock  *clock.Fake
	rows   memory.Shared
	places map[string]*place
	looks  int  // of owners that were told of a change
	mute   bool // what owners are told is lost
}

func newCluster(t *testing.T, ids ...string) *cluster {
	c := &cluster{t: t, clock: clock.NewFake(noon), places: map[string]*place{}}
	c.rows = memory.NewShared(c.clock.Now)
	for _, id := range ids {
		c.join(id)
	}
	return c
}

func (c *cluster) join(id string) *place { return c.joinOn(id, c.rows) }

// joinOn adds a node that has its own way to the store.
func (c *cluster) joinOn(id string, rows store.Shared) *place {
	c.t.Helper()
	p := &place{in: c}
	p.rig = newRig(c.t, func(cfg *Config) { cfg.Store, cfg.Clock, cfg.Nodes = rows, c.clock, p })
	p.clock = c.clock
	c.places[id] = p
	var err error
	p.node, err = node.New(node.Config{ID: id, Leases: rows, Shards: p.Engine, Clock: c.clock, Work: []string{WorkFiles}, Go: func(f func()) { f() }})
	if err != nil {
		c.t.Fatal(err)
	}
	c.agree()
	return p
}

// agree lets all nodes that live look until nothing moves any more.
func (c *cluster) agree() {
	c.t.Helper()
	for range 4 {
		for _, id := range c.ids() {
			if p := c.places[id]; !p.dead {
				if err := p.node.Tick(c.t.Context()); err != nil {
					c.t.Fatal(err)
				}
			}
		}
	}
}

func (c *cluster) ids() (ids []string) {
	for id := range c.places {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// settle lets every living engine do all it can.
func (c *cluster) settle() {
	c.t.Helper()
	for range 4 {
		for _, id := range c.ids() {
			if p := c.places[id]; !p.dead {
				p.rig.settle()
			}
		}
	}
}

func (p *place) Current() bool                  { return p.node.Current() }
func (p *place) Leads(work string) bool         { return p.node.Leads(work) }
func (p *place) Fenced(shard byte, fence int64) { p.node.Fenced(shard, fence) }
func (p *place) owner(id string) *place {
	if o, ok := p.node.Owner(job.ShardOf(id)); ok && !p.in.places[o.ID].dead {
		return p.in.places[o.ID]
	}
	return nil
}

func (p *place) Look(id string) {
	if o := p.owner(id); o != nil && !p.in.mute {
		p.in.looks++
		o.Engine.Look(id)
	}
}

func (p *place) Cancel(ctx context.Context, id, by string) error {
	if o := p.owner(id); o != nil && o != p {
		return o.CancelHere(ctx, id, by)
	}
	return ErrElsewhere
}

func (p *place) Migrate(ctx context.Context, id, by string) (*Move, error) {
	if o := p.owner(id); o != nil && o != p {
		return o.MigrateHere(ctx, id, by)
	}
	return nil, ErrElsewhere
}

// at submits jobs until one belongs to the place.
func (p *place) own(blueprint, data string) string {
	p.t.Helper()
	id := p.submit(blueprint, data)
	if p.owner(id) != p {
		p.t.Fatal("a new job was put into another node's shard")
	}
	return id
}

func TestJobsStayWithTheNodeThatAcceptedThem(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	id := a.own("work", `{}`)
	other := b.own("work", `{}`)
	c.settle()
	for p, n := range map[*place]int{a: 1, b: 1} {
		if queued, _ := p.line.size(); queued != n {
			t.Fatalf("a node has %d queued tasks, want its own", queued)
		}
	}
	task := a.take()
	if task.JobID != id {
		t.Fatalf("a handed out a task of job %s", task.JobID)
	}
	if _, err := b.Returned(t.Context(), task, success(`{}`)); !errors.Is(err, ErrElsewhere) {
		t.Fatalf("b took a result of a's job: %v", err)
	}
	a.answer(task, success(`{}`))
	a.is(id, job.Finished, "finished")
	b.is(other, job.WaitingWorker, "start")
	if v, err := b.View(t.Context(), id); err != nil || v.Status != job.Finished {
		t.Errorf("b reads a's job as %+v, %v", v, err)
	}
}

func TestShardsMoveWithTheirTasks(t *testing.T) {
	c := newCluster(t, "a")
	a := c.places["a"]
	var ids []string
	for range 40 {
		ids = append(ids, a.submit("work", `{}`))
	}
	c.settle()
	given := map[string]job.Task{} // at workers
	for range 20 {
		task := a.take()
		given[task.JobID] = task
	}
	b := c.join("b")
	c.settle()
	queued, held := b.line.size()
	stayed, stayedHeld := a.line.size()
	if queued == 0 || held == 0 || queued+stayed != 20 || held+stayedHeld != 20 {
		t.Fatalf("a has %d and %d, b %d and %d tasks queued and at workers, want 20 each in all", stayed, stayedHeld, queued, held)
	}
	for _, id := range ids {
		p := a.owner(id)
		task, out := given[id]
		if !out {
			task, _ = p.line.take(p.Engine)
		}
		p.answer(task, success(`{}`))
	}
	for _, id := range ids {
		a.is(id, job.Finished, "finished")
	}
}

func TestAPausedNodesCommitsAreRefused(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	id, step := a.own("work", `{}`), ""
	c.settle()
	task := a.take()
	a.alone("straight")
	step = a.own("straight", `{}`)

	c.clock.Advance(node.DefaultTTL) // a is paused; b finds its leases ended
	a.dead = true
	c.agree()
	c.settle()
	b.is(step, job.Finished, "finished")
	records := len(b.records(step))

	a.dead = false // a goes on where it stood, before it has looked
	if a.Mine(id) {
		t.Error("a would hand tasks out")
	}
	if _, err := a.Returned(t.Context(), task, success(`{}`)); !errors.Is(err, store.ErrFenced) || !errors.Is(err, ErrElsewhere) {
		t.Fatalf("a's late result: %v", err)
	}
	if err := a.Close(t.Context(), id, "late"); FaultCode(err) != NotWaiting {
		t.Errorf("what needs no owner is told as it stands in the store: %v", err)
	}
	a.settle() // it has the ready step in memory still
	if got := len(b.records(step)); got != records {
		t.Fatalf("a's late step added %d records", got-records)
	}
	b.is(id, job.WaitingWorker, "start")
	b.answer(task, success(`{}`)) // the worker sends it to b
	b.is(id, job.Finished, "finished")

	c.agree() // a comes back as if it were new
	c.settle()
	if len(a.node.Fences()) == 0 {
		t.Error("a got no shards again")
	}
	a.own("straight", `{}`)
}

func TestAStepOnAnOldFenceIsForgotten(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	a.alone("straight")
	id := a.own("straight", `{}`)
	lost := store.ShardLease(job.ShardOf(id))
	if err := c.rows.Yield(t.Context(), "a", lost); err != nil {
		t.Fatal(err)
	}
	if _, err := c.rows.Hold(t.Context(), "b", nil, time.Hour, lost); err != nil {
		t.Fatal(err)
	}
	a.settle()
	a.is(id, job.Pending, "start")
	if _, mine := a.node.Fences()[job.ShardOf(id)]; mine || a.Mine(id) {
		t.Error("a keeps the shard")
	}
	if why, err := a.Why(t.Context(), id); err != nil || len(why.Details) > 0 {
		t.Errorf("the step is tried again at a: %+v, %v", why, err)
	}
	c.agree()
	c.settle()
	b.is(id, job.Finished, "finished")
}

func TestJobsOfOtherShardsAreCreatedHereAndRunThere(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	// all jobs of a blueprint with data stores are one node's
	first := a.submit("count", `{}`)
	owner, other := a, b
	if a.owner(first) == b {
		owner, other = b, a
	}
	c.looks = 0
	var ids []string
	for range 3 {
		ids = append(ids, other.submit("count", `{}`), owner.submit("count", `{}`))
	}
	if c.looks != 3 {
		t.Errorf("the owner was told %d times, want 3", c.looks)
	}
	c.settle()
	for _, id := range append(ids, first) {
		a.is(id, job.Finished, "finished")
	}
	if v, _, err := c.rows.Value(t.Context(), "count", "counter", "n"); err != nil || string(v) != "7" {
		t.Errorf("the counter stands at %s, %v; want 7", v, err)
	}

	// a child of that blueprint, and its parent elsewhere
	parent := other.own("parent", `{"child": "count"}`)
	c.settle()
	a.is(parent, job.Finished, "finished")
}

func TestPeopleDecideAtAnyNode(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	id := a.own("ask", `{}`)
	c.settle()
	a.is(id, job.WaitingHuman, "start")
	decisions := decisionsOf(a.job(id).Wait)
	if err := b.Decide(t.Context(), id, decisions[0], "somebody"); err != nil {
		t.Fatal(err)
	}
	c.settle()
	j := a.job(id)
	if j.State == "start" {
		t.Errorf("the job is %s in %s", j.Status, j.State)
	}
	if inMemory, _, err := a.load(t.Context(), id); err != nil || inMemory.Version != j.Version {
		t.Errorf("its owner has it in memory as it was before: %v", err)
	}
}

// What another node has changed goes on at the owner too when the word of it was lost. It did
// not, for the owner had the job in memory as it was before (engine/clustersim, seed 44).
func TestALostWordOfAChangeIsMadeGood(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	c.mute = true

	id := a.own("ask", `{}`)
	c.settle()
	a.is(id, job.WaitingHuman, "start")
	if err := b.Decide(t.Context(), id, decisionsOf(a.job(id).Wait)[0], "somebody"); err != nil {
		t.Fatal(err)
	}
	a.shards.last.Store(0) // a few seconds later
	a.lookNow()
	a.settle()
	if j := a.job(id); j.Ready || j.State == "start" {
		t.Errorf("the owner leaves the job %s in %s", j.Status, j.State)
	}
}

// A node that is paused while it asks a person finds, when it goes on, that another has asked and
// noted that: whatever became of its own try, it leaves the row alone.
func TestAPausedNodesNoteOfAQuestionIsDropped(t *testing.T) {
	for name, failure := range map[string]error{"it failed": errors.New("the line broke"), "it was sent": nil} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			a, b := c.places["a"], c.places["b"]
			asA, asB := &people{fail: func(int) error { return failure }}, &people{}
			a.cfg.Approvals = map[string]approval.Integration{"desk": asA}
			b.cfg.Approvals = map[string]approval.Integration{"desk": asB}
			asB.asked = make([]approval.Request, 10) // so that its receipts are other ones
			id := a.own("ask", `{}`)
			asA.onAsk = func(approval.Request) {
				c.clock.Advance(node.DefaultTTL) // a is paused; b finds its leases ended
				a.dead = true
				c.agree()
				b.rig.settle()
				a.dead = false
			}
			for range 4 {
				a.rig.settle()
			}
			if len(asA.asked) != 1 || len(asB.asked) != 11 {
				t.Fatalf("asked %d times by a, %d times by b", len(asA.asked), len(asB.asked)-10)
			}
			all, err := c.rows.MessagesOf(t.Context(), id)
			if err != nil || len(all) != 1 || all[0].Sent == nil || string(all[0].Receipt) != `"message 11"` {
				t.Errorf("the row is %+v, %v; want b's", all, err)
			}
			c.agree() // a comes back
			c.clock.Advance(time.Hour)
			c.agree()
			c.settle()
			if len(asA.asked)+len(asB.asked) != 12 {
				t.Errorf("asked again: %d times by a, %d times by b", len(asA.asked), len(asB.asked)-10)
			}
		})
	}
}

func TestCancelReachesTheOwner(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	id := a.own("work", `{}`)
	c.settle()
	task := a.take()
	if err := b.Engine.Cancel(t.Context(), id, "somebody"); err != nil {
		t.Fatal(err)
	}
	if !a.line.wasTold(task) {
		t.Error("the worker was not told")
	}
	a.answer(task, Outcome{Status: "cancelled"})
	a.is(id, job.Cancelled, "cancelled")

	id = a.own("work", `{}`)
	c.settle()
	a.dead = true
	if err := b.Engine.Cancel(t.Context(), id, "somebody"); FaultCode(err) != Elsewhere {
		t.Fatalf("a cancel that nobody could do: %v", err)
	}
}

func TestAllJobsAreMigratedFromAnyNode(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	ids := []string{a.own("ask", `{}`), b.own("ask", `{}`)}
	c.settle()
	for _, id := range ids {
		for _, p := range []*place{a, b} {
			if m, err := p.Engine.Migrate(t.Context(), id, false, "somebody"); err != nil || m.JobID != id || m.Outcome != MoveCurrent {
				t.Errorf("job %s: %+v, %v", id, m, err)
			}
		}
	}
}

func TestAShardIsNotGivenAwayUnderAStep(t *testing.T) {
	c := newCluster(t, "a")
	a := c.places["a"]
	id := a.own("work", `{}`)
	s := a.enter(id)
	lost := store.ShardSet{}
	lost.Add(job.ShardOf(id))
	gone := make(chan struct{})
	go func() { a.Lose(t.Context(), lost); close(gone) }()
	for a.Mine(id) { // until it has begun to close
		runtime.Gosched()
	}
	if again := a.enter(id); again.owned {
		t.Error("something new began in a shard that is given away")
	}
	select {
	case <-gone:
		t.Fatal("the shard was given away under a step")
	default:
	}
	s.leave()
	<-gone
	if queued, _ := a.line.size(); queued != 0 {
		t.Errorf("%d tasks of the shard are still here", queued)
	}
}

func TestOnlyOneNodeRemovesFiles(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.places["a"], c.places["b"]
	if !a.leads(WorkFiles) || b.leads(WorkFiles) {
		t.Error("the work of removing files is not one node's")
	}
	one := newRig(t)
	if !one.leads(WorkFiles) || !one.Mine(job.NewID(noon, 3)) || !one.enter(job.NewID(noon, 3)).owned {
		t.Error("an engine without nodes does not own everything")
	}
}

// slowScan is a store whose reads of tasks fail, after something else has happened.
type slowScan struct {
	memory.Shared
	meanwhile func()
}

func (s *slowScan) ScanTasksIn(ctx context.Context, in store.ShardSet, state job.TaskState, fn func(job.Task) bool) error {
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
		return errors.New("the store is slow, and fails")
	}
	return s.Shared.ScanTasksIn(ctx, in, state, fn)
}

func TestAFailedTakingUpLeavesALaterOneAlone(t *testing.T) {
	t.Run("under another fence", func(t *testing.T) { failLate(t, 3) })
	t.Run("under the same fence", func(t *testing.T) { failLate(t, 1) }) // the lease had ended, and nobody took it
}

// failLate has a taking up under fence 1 fail after a later one.
func failLate(t *testing.T, later int64) {
	c := newCluster(t)
	rows := &slowScan{Shared: c.rows}
	p := &place{in: c}
	p.rig = newRig(t, func(cfg *Config) { cfg.Store, cfg.Clock, cfg.Nodes = rows, c.clock, p })
	lost := store.ShardSet{}
	lost.Add(7)
	rows.meanwhile = func() { // the shard goes to another node and comes back
		now, cancel := context.WithCancel(t.Context())
		cancel()
		p.Lose(now, lost)
		if err := p.Gain(t.Context(), map[byte]int64{7: later}); err != nil {
			t.Error(err)
		}
	}
	if err := p.Gain(t.Context(), map[byte]int64{7: 1, 8: 1}); err == nil {
		t.Fatal("shards were taken up from a store that fails")
	}
	if g := &p.shards.tenures[7]; g.phase != open || g.fence != later || !p.Opened().Has(7) {
		t.Errorf("the shard that was taken up later is in phase %d under fence %d", g.phase, g.fence)
	}
	if g := &p.shards.tenures[8]; g.phase != foreign {
		t.Errorf("the shard that was not taken up is in phase %d", g.phase)
	}
}

// lateNotes is a way to the store on which hand-outs wait until somebody has them written, and
// which can be cut.
type lateNotes struct {
	memory.Shared
	noted []job.Task
	cut   bool
}

func (s *lateNotes) HandOut(t job.Task) { s.noted = append(s.noted, t) }

func (s *lateNotes) Sync(ctx context.Context) error {
	if s.cut {
		return errors.New("the store is away")
	}
	for _, t := range s.noted {
		s.Shared.HandOut(t)
	}
	s.noted = nil
	return s.Shared.Sync(ctx)
}

func (s *lateNotes) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	if s.cut {
		return nil, errors.New("the store is away")
	}
	return s.Shared.Hold(ctx, holder, info, ttl, names...)
}

// What was handed out at the beginning of an outage that is longer than the leases is at its worker
// still when these come back.
func TestAHandOutOutlivesTheLeases(t *testing.T) {
	c := newCluster(t)
	rows := &lateNotes{Shared: c.rows}
	a := c.joinOn("a", rows)
	id := a.own("work", `{}`)
	c.settle()
	before := a.node.Fences()[job.ShardOf(id)]
	rows.cut = true
	task, ok := a.line.take(a.Engine)
	if !ok {
		t.Fatal("no task is queued")
	}
	c.clock.Advance(node.DefaultTTL)
	if err := a.node.Tick(t.Context()); err == nil || a.Opened().Len() > 0 {
		t.Fatalf("a keeps %d shards without the store: %v", a.Opened().Len(), err)
	}
	rows.cut = false
	c.agree()
	if now := a.node.Fences()[job.ShardOf(id)]; now != before {
		t.Fatalf("the shard is back under fence %d, it was %d: this test is about one number", now, before)
	}
	if queued, held := a.line.size(); queued != 0 || held != 1 {
		t.Errorf("%d tasks are queued and %d at workers: it is offered again", queued, held)
	}
	if taken := a.answer(task, success(`{}`)); !taken.Accepted {
		t.Errorf("the worker's result does not count: %+v", taken)
	}
	a.is(id, job.Finished, "finished")
}

func TestASharedStoreIsNeeded(t *testing.T) {
	if _, err := New(Config{Store: struct{ store.Store }{memory.New()}, Blueprints: newRig(t).bps, Dispatcher: newLine(), Nodes: &place{}}); err == nil {
		t.Error("nodes on a store that can not be shared")
	}
}
