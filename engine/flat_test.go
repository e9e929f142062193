package engine

import (
	"fmt"
	"maps"
	"testing"
	"testing/fstest"

	"orrery/engine/blueprint"
	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/store/memory"
)

// This file counts what a job costs the engine, alone and among many: calls of the store and
// allocations must not grow with queued jobs, ended jobs or blueprints. The pages that a step
// writes are counted in store/sqlite, the workers that a dispatch looks at in workers.

// crowd is what stands around the job that is measured.
type crowd struct{ queued, ended, blueprints int }

// flatRig is a rig with a crowd in it, and its store, which counts calls.
func flatRig(t *testing.T, c crowd) (*rig, *faultstore.Store) {
	t.Helper()
	counted := faultstore.New(memory.New())
	files := fstest.MapFS{"life.star": {Data: []byte(lifeScript)}}
	for i := range c.blueprints {
		files[fmt.Sprintf("other%d.star", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "other = blueprint(name = \"other_%d\")\n\ndef start(context, actions):\n    actions.transition_to(\"finished\")\n\nother.handler_for(\"start\", is_start = True)(start)\n", i)}
	}
	r := newRig(t, func(cfg *Config) {
		bps, err := blueprint.LoadFS(t.Context(), files, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bad := bps.Status().Errors(); len(bad) > 0 {
			t.Fatal(bad)
		}
		cfg.Store, cfg.Blueprints = counted, bps
	})
	for range c.ended {
		r.wholeJob()
	}
	for range c.queued {
		r.begin("work", `{}`)
	}
	return r, counted
}

// wholeJob takes one job from its creation to its end, past the others in line.
func (r *rig) wholeJob() {
	r.t.Helper()
	others := r.line.queued
	r.line.queued = nil
	id := r.begin("work", `{}`)
	r.answer(r.take(), success(`{}`))
	r.line.queued = others
	if j := r.job(id); j.Status != job.Finished {
		r.t.Fatalf("the job is %s", j.Status)
	}
}

func TestAJobCostsTheSameInACrowd(t *testing.T) {
	type cost struct {
		calls  map[faultstore.Method]int
		allocs float64
	}
	measure := func(c crowd) cost {
		r, counted := flatRig(t, c)
		r.wholeJob() // what is done once is done
		before := counted.Calls()
		r.wholeJob()
		calls := counted.Calls()
		for m, n := range before {
			calls[m] -= n
		}
		return cost{calls, testing.AllocsPerRun(50, r.wholeJob)}
	}
	alone, among := measure(crowd{}), measure(crowd{queued: 2000, ended: 2000, blueprints: 200})
	if !maps.Equal(alone.calls, among.calls) || alone.calls[faultstore.Commit] != 2 {
		t.Errorf("a job calls the store %v alone and %v among 2,000 queued and 2,000 ended jobs; want 2 commits and the same", alone.calls, among.calls)
	}
	if among.allocs > 1.1*alone.allocs {
		t.Errorf("a job allocates %.0f times alone and %.0f times in a crowd", alone.allocs, among.allocs)
	}
	t.Logf("alone %v, %.0f allocations; in a crowd %.0f", alone.calls, alone.allocs, among.allocs)
}
