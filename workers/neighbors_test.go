package workers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"orrery/engine"
)

// This file tests what a hub makes of other nodes; messages between real ones are tested in cli.

// nobody are neighbors that nothing reaches.
type nobody struct{}

var _ Neighbors = nobody{}

func (nobody) Unserved([]Unserved) {}
func (nobody) Stop(_, _, _ string) {}
func (nobody) Hear(context.Context, string, string, []byte) (Hearing, error) {
	return Hearing{}, engine.ErrElsewhere
}

// A worker of age A registers once, and the word of it may not reach all nodes. It was then
// taken in from its heartbeat, without what it had registered, and its row was overwritten
// (engine/clustersim, seed 16).
func TestAWorkerThatRegisteredAtAnotherNodeIsKnown(t *testing.T) {
	a := newRig(t)
	b := restart(t, a.clock, a.rows, a.desk.rows)
	a.neighbors, b.neighbors = nobody{}, nobody{}
	a.register(callA, "old", "echo", `"cost_per_skill":{"echo":0.5}`)
	b.offer(1, "echo")
	if _, err := b.Heartbeat(b.ctx, as(callA, "old"), []byte(`{"status":"idle"}`)); err != nil {
		t.Fatal(err)
	}
	if g := b.mustTake(callA, "old"); g.Type != "echo" {
		t.Errorf("it got %+v", g)
	}
	b.Sweep(b.ctx)
	again := restart(t, a.clock, a.rows, a.desk.rows)
	for _, r := range []*rig{b, again} {
		if v := r.Snapshot(); len(v) != 1 || len(v[0].Costs.PerSkill) != 1 {
			t.Errorf("it is known as %+v", v)
		}
	}
}

// asked counts how often other nodes were asked for a task; they have one each time.
type asked struct{ times int }

func (a *asked) ask(context.Context, string) ([]byte, error) {
	a.times++
	return []byte(`{"task_id":"theirs"}`), nil
}

// taken polls so often, with tasks waiting here too, and says how often another node was asked.
func (r *rig) taken(times int) int {
	r.t.Helper()
	var others asked
	for i := range times {
		if body, err := r.Poll(r.ctx, as(callA, fmt.Sprintf("w%d", i)), nil, 0, others.ask); body == nil || err != nil {
			r.t.Fatalf("poll %d: %s, %v", i, body, err)
		}
	}
	return others.times
}

func TestTasksOfThisNodeGoFirstUnlessOthersHaveWaitedLonger(t *testing.T) {
	r := newRig(t)
	r.neighbors = nobody{}
	for i := range 48 {
		r.register(callA, fmt.Sprintf("w%d", i), "echo")
		r.offer(i+1, "echo")
	}
	there := Unserved{Type: "echo", Waiting: 100}
	r.Heard("b", []Unserved{there})
	if got := r.taken(16); got != 16/turnAbroad {
		t.Errorf("of 16 polls %d went to a node whose tasks are as old, want one in %d", got, turnAbroad)
	}
	there.WaitedMS = 5000
	r.Heard("b", []Unserved{there})
	if got := r.taken(16); got != 16 {
		t.Errorf("of 16 polls %d went to a node whose tasks are five seconds older, want all", got)
	}
	there.WaitedMS, there.Rank = 0, 1
	r.Heard("b", []Unserved{there})
	if got := r.taken(8); got != 8 {
		t.Errorf("of 8 polls %d went to a node whose tasks are more urgent, want all", got)
	}
	there.Rank, there.WaitedMS = -1, 5000
	r.Heard("b", []Unserved{there})
	if got := r.taken(8); got != 1 {
		t.Errorf("of 8 polls %d went to a node whose tasks are less urgent, want one", got)
	}
}

func TestNothingHereIsAskedForElsewhere(t *testing.T) {
	r := newRig(t)
	r.neighbors = nobody{}
	r.register(callA, "w0", "echo")
	r.Heard("b", []Unserved{{Type: "echo", Waiting: 1}})
	if got := r.taken(1); got != 1 {
		t.Errorf("a poll that finds nothing here asked %d others", got)
	}
}

// A node that took a task for its worker and then says nothing has died with it, or never got
// it: the worker, of an age that lists no tasks, would not be missed before the deadline.
func TestATaskThatDoesNotArriveGoesBack(t *testing.T) {
	r := newRig(t)
	r.neighbors = nobody{}
	r.register(callA, "w", "echo")
	for n := range 4 {
		r.offer(n+1, "echo")
	}
	var ids []string
	for range 4 {
		body, id, err := r.PollOnce(r.ctx, as(callA, "w"), nil)
		if err != nil || body == nil {
			t.Fatalf("poll: %s, %v", body, err)
		}
		ids = append(ids, id)
	}
	for _, id := range ids[:3] { // the fourth was taken by a node that does not know of this
		r.Entrust(id)
	}
	r.Arrived(ids[0])
	r.Arrived("nobody's")
	r.mu.Lock()
	r.find(ids[1]).lease.confirmed = true // its worker has shown it
	r.mu.Unlock()
	r.clock.Advance(arriveTime - time.Second)
	r.Sweep(r.ctx)
	if len(r.desk.lost) != 0 {
		t.Fatalf("lost too early: %v", r.desk.lost)
	}
	r.clock.Advance(time.Second)
	r.Sweep(r.ctx)
	if len(r.desk.lost) != 1 || !strings.Contains(r.desk.lost[0], "did not say that it arrived") || r.desk.lostTasks[0].ID != ids[2] {
		t.Fatalf("lost %v, want %s", r.desk.lost, ids[2])
	}
}
