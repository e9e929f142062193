package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests that steps which wait for the outside hold nothing that others need.

// gate is a store whose reads by scripts wait until it is opened.
type gate struct {
	store.Store
	came   chan string // who waits
	opened chan struct{}
}

func newGate() *gate {
	return &gate{Store: memory.New(), came: make(chan string, 100), opened: make(chan struct{})}
}

// Features says that the store is elsewhere: so reads of data stores are calls too.
func (g *gate) Features() store.Features { return store.Features{Name: "gate", Shared: true} }

func (g *gate) wait(ctx context.Context, who string) error {
	g.came <- who
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Value waits for every store but the counter of "count", so that one can go on.
func (g *gate) Value(ctx context.Context, blueprint, name, key string) (json.RawMessage, int64, error) {
	if blueprint == "stored" {
		if err := g.wait(ctx, blueprint); err != nil {
			return nil, 0, err
		}
	}
	return g.Store.Value(ctx, blueprint, name, key)
}

// Job waits when a script asks for the job of which nobody else knows.
func (g *gate) Job(ctx context.Context, id string) (*job.Job, error) {
	if strings.HasPrefix(id, "gated") {
		if err := g.wait(ctx, id); err != nil {
			return nil, err
		}
	}
	return g.Store.Job(ctx, id)
}

func (g *gate) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	if strings.HasPrefix(id, "gated") {
		if err := g.wait(ctx, id); err != nil {
			return nil, store.Data{}, err
		}
	}
	return g.Store.Load(ctx, id)
}

func gatedRig(t *testing.T, runners, callers int) (*rig, *gate) {
	g := newGate()
	r := newRig(t, func(c *Config) { c.Store, c.Runners, c.Callers = g, runners, callers })
	r.run()
	return r, g
}

// Ten steps wait for the outside, with places for two of each kind: pure steps go on, a
// start is answered, and all ten end when the outside answers.
func TestCallsTakeNoPlaceOfPureSteps(t *testing.T) {
	r, g := gatedRig(t, 2, 2)
	var waiting []string
	for i := range 10 {
		waiting = append(waiting, r.submit("outside", fmt.Sprintf(`{"read": "gated-%d"}`, i))) // returns though nothing can be read
	}
	for range 2 {
		<-g.came
	}
	for range 20 {
		r.waitFor(r.submit("straight", `{}`), job.Finished)
	}
	for _, id := range waiting {
		r.is(id, job.Pending, "start")
	}
	close(g.opened)
	for _, id := range waiting {
		r.waitFor(id, job.Finished)
	}
	// The handler's state is known now: such a step does not begin in a pure place.
	bp, err := r.bps.Pin(r.ctx, "outside")
	if err != nil || !r.callers.has(bp, "start") || r.callers.has(bp, "pure") {
		t.Errorf("which states call the outside was not learned: %v", err)
	}
}

// A step waits for the outside without its job's lock: a cancel is taken at once, and what
// the step decided later is refused.
func TestCancelWhileAStepCallsOutside(t *testing.T) {
	r, g := gatedRig(t, 2, 2)
	id := r.submit("outside", `{"read": "gated"}`)
	<-g.came
	if err := r.Cancel(r.ctx, id, "test"); err != nil {
		t.Fatal(err)
	}
	r.waitFor(id, job.Cancelled)
	close(g.opened)
	r.waitFor(r.submit("outside", `{"read": "gated"}`), job.Finished)
	r.is(id, job.Cancelled, "start")
	if kinds := r.kinds(id); slices.Contains(kinds, job.RecStep) {
		t.Errorf("the step was kept after the cancel: %v", kinds)
	}
}

// Steps of a blueprint with data stores go one after another; those in line hold no place,
// so that with two places another blueprint's steps go on.
func TestStepsInLineHoldNothing(t *testing.T) {
	r, g := gatedRig(t, 1, 2)
	var stored []string
	for range 6 {
		stored = append(stored, r.submit("stored", `{}`))
	}
	<-g.came
	for range 5 {
		r.waitFor(r.submit("count", `{}`), job.Finished)
	}
	if n := len(g.came); n != 0 {
		t.Errorf("%d more steps of one blueprint with stores began", n)
	}
	close(g.opened)
	for _, id := range stored {
		r.waitFor(id, job.Finished)
	}
	if v, _, err := g.Value(r.ctx, "stored", "kept", "n"); err != nil || string(v) != "6" {
		t.Errorf("the counter says %s (%v), want 6", v, err)
	}
}

// A step that only adds to a data store does not keep others from it while it waits for the
// outside.
func TestIncrAloneKeepsNobodyWaiting(t *testing.T) {
	r, g := gatedRig(t, 1, 4)
	r.waitFor(r.submit("tally", `{"read": "open"}`), job.Finished) // it reads nothing: that is learned
	var all []string
	for i := range 3 {
		all = append(all, r.submit("tally", fmt.Sprintf(`{"read": "gated-%d"}`, i)))
	}
	for range 3 {
		<-g.came // all three wait outside at once
	}
	close(g.opened)
	for _, id := range all {
		r.waitFor(id, job.Finished)
	}
	if v, _, err := g.Value(r.ctx, "tally", "kept", "n"); err != nil || string(v) != "4" {
		t.Errorf("the counter says %s (%v), want 4", v, err)
	}
}

func TestAsideLane(t *testing.T) {
	l := newAsideLane()
	take := func(want string) {
		t.Helper()
		if id, ok := l.pop(false); id != want || ok != (want != "") {
			t.Fatalf("pop gives %q, want %q", id, want)
		}
	}
	for _, id := range []string{"a", "b", "a", "c"} {
		l.push(id)
	}
	take("a")
	for range 2 { // again after a conflict
		if !l.enter("bp", "a") {
			t.Error("the first may not begin")
		}
	}
	l.push("a") // due again while it runs: after its end
	take("b")
	if l.enter("bp", "b") {
		t.Error("two steps of one blueprint with stores at once")
	}
	l.push("b") // in line already
	take("c")
	if !l.enter("other", "c") {
		t.Error("another blueprint must wait")
	}
	take("")
	l.done("a")
	take("b")
	if !l.enter("bp", "b") {
		t.Error("the next in line may not begin")
	}
	take("a")
	if l.enter("bp", "a") {
		t.Error("one overtook the line")
	}
	l.done("c")
	l.done("b")
	take("a")
	l.done("a")
	take("")
	if len(l.known)+len(l.lines)+len(l.first) != 0 {
		t.Errorf("something is left: %v %v %v", l.known, l.lines, l.first)
	}
	for i := range maxReady + 3 {
		l.push(fmt.Sprint(i))
	}
	if l.drained() {
		t.Error("a full lane is said to have room")
	}
	for range maxReady {
		id, _ := l.pop(false)
		l.done(id)
	}
	if !l.drained() {
		t.Error("what did not fit was forgotten")
	}
	if l.drained() {
		t.Error("what did not fit is asked for without end")
	}
}
