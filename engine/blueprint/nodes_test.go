package blueprint

import (
	"context"
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests catalogs of several servers on one store.

// sharedRows says of itself that other servers use it too.
type sharedRows struct{ *memory.Store }

func (s sharedRows) Features() store.Features {
	f := s.Store.Features()
	f.Shared = true
	return f
}

// TestTwoServersOnOneStore uploads on one server: the other takes it up, finds the revision of
// jobs that began there, and keeps it for them when the upload is removed and no file has it.
func TestTwoServersOnOneStore(t *testing.T) {
	ctx := context.Background()
	rows := sharedRows{memory.New()}
	one, two := t.TempDir(), t.TempDir()
	write(t, one, "a.star", source("a", "jobs/a"))
	write(t, two, "a.star", source("a", "jobs/newer")) // the other has a newer release already
	first := openOn(t, one, rows)
	second := openOn(t, two, rows)
	looks := func(want string) { // as Watch does every few seconds
		t.Helper()
		if !second.pollUploads(ctx) || !second.reloadChanged(ctx) || names(second) != want || !second.Status().OK {
			t.Errorf("the other server has %q, want %q: %+v", names(second), want, second.Status())
		}
		if second.pollUploads(ctx) {
			t.Error("a second look finds the same again")
		}
	}

	upload(t, first, "team/up.star", source("up", "jobs/up"))
	looks("a up")
	if ups := second.Uploads(); len(ups) != 1 || ups[0].By != "ada" {
		t.Errorf("uploads on the other server: %+v", ups)
	}
	for _, name := range []string{"a", "up"} {
		began, err := first.Pin(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "up" {
			if _, err := first.RemoveUpload(ctx, "team/up.star", "ada", false); err != nil {
				t.Fatal(err)
			}
			looks("a")
		}
		goesOn, err := second.AtRevision(ctx, began.Revision, name)
		if err != nil || goesOn.Revision != began.Revision || goesOn.Endpoint != "jobs/"+name {
			t.Errorf("%s: a job of the first server would go on with %+v, %v", name, goesOn, err)
		}
	}
}
