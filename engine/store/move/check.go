package move

import (
	"context"
	"fmt"
	"maps"
	"time"

	"orrery/engine/store"
)

// This file checks one store by itself.

// Check reads a whole store and compares it with what it counts by itself. faults says, a line
// each, what does not fit together; the error is that of reading.
func Check(ctx context.Context, s store.Movable, now time.Time) (sums *Sums, faults []string, err error) {
	if sums, err = SumsOf(ctx, s, now); err != nil {
		return nil, nil, err
	}
	counts, err := s.Counts(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !maps.Equal(counts, sums.Counts()) {
		faults = append(faults, fmt.Sprintf("the store counts the jobs %v, there are %v", counts, sums.Counts()))
	}
	if err := Finished(ctx, s, now); err != nil {
		faults = append(faults, err.Error())
	}
	return sums, faults, nil
}
