package clustersim

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"orrery/engine/store/memory"
)

// This file lets the store of several nodes lose what it has acknowledged, as a failover does to a
// copy that had not received everything. What was lost is lost; but all that is left goes on: I1
// holds, and what the rows say is whole.

// lapse undoes all that was written in a few seconds.
func (w *world) lapse(r *rand.Rand) {
	s := w.shared.(memory.Shared)
	moment := s.Moment()
	w.wait(time.Duration(r.Int64N(int64(4 * time.Second))))
	s.GoBack(moment)
	w.note("the store went back")
}

// checkStanding holds what must be true of every job that is left.
func (w *world) checkStanding() {
	all, err := w.read()
	if err != nil {
		w.fault("I1: %s", err)
		return
	}
	for _, id := range sortedKeys(all) {
		f := all[id]
		folded := map[string]json.RawMessage{}
		for i := range f.records {
			rec := &f.records[i]
			if rec.N != int64(i+1) {
				w.fault("I1: %s: I3: record %d where %d is due", id, rec.N, i+1)
			}
			maps.Copy(folded, rec.Set)
			for _, key := range rec.Unset {
				delete(folded, key)
			}
		}
		if !f.job.Status.Terminal() {
			w.fault("I1: %s is %s in state %q", id, f.job.Status, f.job.State)
		}
		if f.job.Records != int64(len(f.records)) || !sameObject(folded, f.history) {
			w.fault("I1: %s: I8: its %d records fold to %v, its row has %d, its state_history is %s", id, len(f.records), folded, f.job.Records, f.data.History)
		}
	}
}

func TestAStoreThatGoesBack(t *testing.T) {
	for seed := range uint64(lapseSeeds) {
		w := run(t, seed, options{nodes: mostNodes, lapse: true})
		for _, problem := range w.wrong {
			t.Errorf("world %d: %s", seed, problem)
		}
		if t.Failed() {
			for _, line := range w.diary {
				t.Log(line)
			}
			return
		}
	}
}
