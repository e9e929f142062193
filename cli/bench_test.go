package cli

import (
	"strings"
	"testing"
)

// This file tests what `orrery bench` refuses before it measures anything.

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--shape nothing", "choose one of"},
		{"--jobs=-1", "above 0"},
		{"--store sqlite:x.db --url http://127.0.0.1:1", "does not go with --url"},
		{"--store sqlite:x.db --shape aged", "does not go with"},
		{"--store postgres://u:hush@h:x/d", "is not of the form postgres://"},
	} {
		got := orrery(t, append([]string{"bench"}, strings.Fields(c.args)...)...)
		if got.code != 2 || !strings.Contains(got.err, c.want) || strings.Contains(got.err, "hush") {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
}
