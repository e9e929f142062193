package killpoint

import (
	"slices"
	"testing"
)

// This file checks the list; what a kill leaves behind is tested where the points are.

func TestNamesAreUnique(t *testing.T) {
	names := slices.Sorted(slices.Values(All))
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Fatalf("a name stands twice in %v", names)
	}
	for _, name := range names {
		At(name) // not asked for: the process goes on
	}
}
