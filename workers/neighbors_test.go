package workers

import (
	"context"
	"testing"

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
