package sandbox

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"orrery/engine/blueprint"
)

// This file tests when a run asks for its data stores: the first time it does, other jobs
// begin to wait for it.

// noting is fakeStores that notes every read among what else happens.
type noting struct {
	fakeStores
	order *[]string
}

func (n noting) Get(ctx context.Context, store, key string) (json.RawMessage, int64, error) {
	*n.order = append(*n.order, key)
	return n.fakeStores.Get(ctx, store, key)
}

func TestIncrWithoutResultReadsLast(t *testing.T) {
	p, err := blueprint.Compile("s.star", map[string]string{"s.star": `
bp = blueprint(name = "t", data_stores = {"cache": {"n": 1}})
def start(context, actions):
    context.data_stores.cache.incr("n")
    env.get("a slow call to elsewhere")
    context.data_stores.cache.set("unread", 1)
    actions.transition_to("done")
bp.handler_for("start", is_start = True)(start)
def done(context): pass
bp.handler_for("done", is_end = True)(done)
`})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	st := step(p.Blueprints[0], "start")
	st.Host = testHost()
	st.Host.Stores = noting{fakeStores{}, &order}
	st.Host.Env = func(name string) (string, bool) { order = append(order, name); return "", false }
	d := Run(context.Background(), st)
	if d.Failure != nil {
		t.Fatal(d.Failure)
	}
	if want := []string{"a slow call to elsewhere", "n"}; !slices.Equal(order, want) {
		t.Errorf("asked for %q, want %q", order, want)
	}
	if len(d.Reads) != 1 || d.Reads[0].Key != "n" || len(d.Writes) != 2 || string(d.Writes[1].Value) != "2" {
		t.Errorf("reads %v, writes %v", d.Reads, d.Writes)
	}
}

// What a run has read counts also when it fails: it may have failed by it.
func TestReadsOfAFailedRun(t *testing.T) {
	p, err := blueprint.Compile("s.star", map[string]string{"s.star": `
bp = blueprint(name = "t", data_stores = {"cache": {}})
def start(context, actions):
    if context.data_stores.cache.get("number") > 9:
        fail("too many")
    actions.transition_to("finished")
bp.handler_for("start", is_start = True)(start)
`})
	if err != nil {
		t.Fatal(err)
	}
	st := step(p.Blueprints[0], "start")
	st.Host = testHost()
	d := Run(context.Background(), st)
	if d.Failure == nil || len(d.Reads) != 1 || d.Reads[0].Version != 7 || len(d.Writes) != 0 {
		t.Errorf("failure %v, reads %v, writes %v", d.Failure, d.Reads, d.Writes)
	}
}
