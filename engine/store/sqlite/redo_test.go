package sqlite

import (
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the redo log's form, and what the start makes of one that does not belong.

// crashed gives the path of a store whose process died with a batch in the redo log only.
func crashed(t *testing.T, changes ...*job.Change) string {
	t.Helper()
	s, w := roomy(t)
	if err := errors.Join(apply(t, w, changes...)...); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "o.db")
	for _, suffix := range []string{"", "-wal", "-redo"} {
		text, err := os.ReadFile(s.path + suffix)
		if err != nil && !(suffix == "-wal" && os.IsNotExist(err)) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// reopened gives a store that is closed at the test's end.
func reopened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestTheRedoLogIsRunAgainAfterACrash(t *testing.T) {
	c := newJob(1)
	path := crashed(t, c, step(c.Job, job.Running))
	s := reopened(t, path)
	if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 2 {
		t.Errorf("the job is %+v (%v)", j, err)
	}
	if _, err := os.Stat(path + "-redo"); !os.IsNotExist(err) {
		t.Errorf("the redo log is still there: %v", err)
	}
}

func TestARedoLogOfAnotherStoreIsRefused(t *testing.T) {
	one, other := crashed(t, newJob(1)), crashed(t, newJob(2))
	if err := os.Rename(other+"-redo", one+"-redo"); err != nil {
		t.Fatal(err)
	}
	s, err := Open(one, Options{})
	if err == nil {
		t.Error(s.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "is of another store") {
		t.Errorf("it opens with %v", err)
	}
}

func TestARedoLogWithoutItsStoreIsKept(t *testing.T) {
	path := crashed(t, newJob(1))
	if err := errors.Join(os.Remove(path), os.Remove(path+"-wal")); err != nil {
		t.Fatal(err)
	}
	s := reopened(t, path)
	if page, err := s.List(ctx, store.Query{}); err != nil || len(page.Jobs) != 0 {
		t.Errorf("a new store has %v (%v)", page.Jobs, err)
	}
	if _, err := os.Stat(path + "-redo-of-another"); err != nil {
		t.Errorf("the log of the store that is gone was not moved aside: %v", err)
	}
}

// TestAStoreOlderThanItsLogIsRefused puts a backup from before the log's beginning back.
func TestAStoreOlderThanItsLogIsRefused(t *testing.T) {
	s, w := byHand(t, Options{RedoBytes: 1})
	first := newJob(1)
	if err := errors.Join(commit(t, w, first)...); err != nil {
		t.Fatal(err)
	}
	w.rest() // all is in the file
	backup, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	w.afterBatch() // the log begins anew
	for i := range 2 {
		if err := errors.Join(apply(t, w, newJob(i+2))...); err != nil {
			t.Fatal(err)
		}
		w.afterBatch()
	}
	if err := errors.Join(apply(t, w, newJob(9))...); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(s.path + "-redo")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "o.db")
	if err := errors.Join(os.WriteFile(path, backup, 0o600), os.WriteFile(path+"-redo", log, 0o600)); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, Options{})
	if err == nil {
		t.Error(again.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "the store is older than the log") {
		t.Errorf("it opens with %v", err)
	}
}

// TestTheWriterSeesWhatIsNotFolded is the way of reads while the disk is full; the servers of
// package killtest go it.
func TestTheWriterSeesWhatIsNotFolded(t *testing.T) {
	_, w := roomy(t)
	c := newJob(1)
	if err := errors.Join(apply(t, w, c, step(c.Job, job.Running))...); err != nil {
		t.Fatal(err)
	}
	look := func() (version int64) {
		err := w.peek(peek{fn: func(c *conn) error {
			r, _, err := c.one("SELECT max(version) FROM jobs")
			version = r.int(0)
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	if v := look(); v != 2 {
		t.Errorf("the writer sees version %d, want 2", v)
	}
	if err := w.rollback(); err != nil { // as a fold that failed does
		t.Fatal(err)
	}
	if v := look(); v != 2 {
		t.Errorf("after a rollback the writer sees version %d, want 2", v)
	}
}

func FuzzReadStatements(f *testing.F) {
	var r redo
	r.start()
	if err := r.note("INSERT", []driver.Value{int64(-5), nil, "text", []byte{1, 2}}); err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{}, r.entry[entryHead:]...))
	f.Add([]byte{0, 1, 'x', 3, 2})
	f.Fuzz(func(t *testing.T, payload []byte) {
		all, _, err := readStatements(payload, nil)
		if err != nil {
			return
		}
		var again redo // what was read is written as it was, but for longer forms of the same numbers
		again.start()
		for _, st := range all {
			if err := again.note(st.text, st.args); err != nil {
				t.Fatal(err)
			}
		}
		same, _, err := readStatements(again.entry[entryHead:], nil)
		if err != nil || len(same) != len(all) {
			t.Fatalf("%d statements come back as %d (%v)", len(all), len(same), err)
		}
	})
}

// TestABatchThatOnlySQLiteHasIsCounted: when the redo log can not be written after a batch had to
// be folded at once, its callers hear of a failure, and it stands all the same.
func TestABatchThatOnlySQLiteHasIsCounted(t *testing.T) {
	s, w := roomy(t)
	w.log.size = 0 // as if there were no room ahead
	if err := w.redo.file.Close(); err != nil {
		t.Fatal(err)
	}
	c := newJob(1)
	if err := apply(t, w, c)[0]; err == nil {
		t.Fatal("a batch that the redo log does not have is told as kept")
	}
	w.redo.file, w.redo.size = nil, 0
	check := func(want int64) {
		t.Helper()
		n, err := s.Counts(ctx)
		if rows := rowsIn(t, w, "jobs"); err != nil || rows != want || n[job.Pending] != want {
			t.Errorf("%d rows, counted as %v (%v), want %d", rows, n, err, want)
		}
	}
	check(2)
	if err := commit(t, w, c)[0]; !errors.Is(err, store.ErrExists) {
		t.Errorf("the same job again: %v", err)
	}
	if err := errors.Join(commit(t, w, newJob(2))...); err != nil {
		t.Errorf("the next batch: %v", err)
	}
	check(3)
}
