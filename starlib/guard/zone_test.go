package guard

import (
	"testing"

	"go.starlark.net/starlark"
)

// This file counts the zones that are kept.

// A zone's file has names without end, such as Europe//Berlin: scripts must not have one kept
// for each of them, and pay for what they keep themselves.
func TestZonesAreKeptOnceEach(t *testing.T) {
	thread := new(starlark.Thread)
	if _, err := Zone(thread, "Europe/Berlin"); err != nil {
		t.Skip("this system has no files of time zones:", err)
	}
	for _, name := range []string{"Europe//Berlin", "Europe/./Berlin", "./Europe/Berlin"} {
		before := Of(thread).Used()
		z, err := Zone(thread, name)
		if err != nil {
			continue // some systems know only the one name
		}
		if _, kept := zones.Load(name); kept || z.String() == "" || Of(thread).Used() == before {
			t.Errorf("%s: kept for good %v, %d bytes charged", name, kept, Of(thread).Used()-before)
		}
	}
	if _, kept := zones.Load("Europe/Berlin"); !kept {
		t.Error("the zone itself is not kept")
	}
}
