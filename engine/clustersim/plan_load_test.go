package clustersim

import (
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"orrery/engine/blueprint"
)

// This file holds that every plan is a blueprint that loads.

func TestPlansLoad(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		low := grow(r, "low", nil)
		text := script([]*plan{low, grow(r, "top", low)})
		bps, err := blueprint.LoadFS(t.Context(), fstest.MapFS{"plan.star": {Data: []byte(text)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bad := bps.Status().Errors(); len(bad) > 0 {
			t.Fatalf("seed %d: %v\n%s", seed, bad, text)
		}
	}
}
