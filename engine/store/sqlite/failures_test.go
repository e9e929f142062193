package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests what is told and seen when a part of a batch, a log or a sync fails.

var errOnPurpose = errors.New("broken on purpose")

// waited is a write that somebody waits for.
func waited(do func(w *writer) error) *write { return &write{do: do, done: make(chan error, 1)} }

// creation is a write of a new job.
func creation(t *testing.T, c *job.Change) *write {
	t.Helper()
	p, err := planOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return waited(p.apply)
}

// TestAWriteBesideAFailedOneIsRead: the failed one takes the batch out of SQLite again, and who
// asks then must not miss what was acknowledged.
func TestAWriteBesideAFailedOneIsRead(t *testing.T) {
	s, w := roomy(t)
	c := newJob(1)
	good, bad := creation(t, c), waited(func(*writer) error { return errOnPurpose })
	w.commit([]*write{good, bad})
	if told, failed := <-good.done, <-bad.done; told != nil || !errors.Is(failed, errOnPurpose) {
		t.Fatalf("they give %v and %v", told, failed)
	}
	if key, _ := job.ParseID(c.Job.ID); !s.syncer.hides(key) || s.syncer.unseen() == nil {
		t.Error("readers look for the job in SQLite, which does not have it")
	}
	w.afterBatch()
	if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 1 {
		t.Errorf("after the batch it is %+v (%v)", j, err)
	}
}

// fullLog lets the redo log meet a full disk, with no room ahead in SQLite's log, so that
// batches are folded before they are in the redo log.
func fullLog(t *testing.T, w *writer) (end func()) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this system has no device that is always full: %v", err)
	}
	was := w.redo.file
	w.log.size, w.redo.file = 0, full
	return func() {
		w.redo.file = was
		if err := full.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestABatchThatOnlySQLiteHasIsNotTriedAgain: its writes stand, so a second try would do them
// twice, and the answer that nothing was written would be wrong.
func TestABatchThatOnlySQLiteHasIsNotTriedAgain(t *testing.T) {
	s, w := roomy(t)
	end := fullLog(t, w)
	c, done := newJob(1), 0
	batch := []*write{creation(t, c), waited(func(w *writer) error {
		done++
		_, err := w.exec("INSERT INTO progress(job, task_id, f, body) VALUES(1, 't', 1, '{}')")
		return err
	})}
	w.commit(batch)
	for i, b := range batch {
		err := <-b.done
		for _, sure := range []error{store.ErrFull, store.ErrExists, store.ErrConflict} {
			if errors.Is(err, sure) {
				t.Errorf("write %d stands, and says that nothing was written: %v", i, err)
			}
		}
		if !passing(err) {
			t.Errorf("write %d gives %v, want a failure of the disk", i, err)
		}
	}
	if rows := rowsIn(t, w, "progress"); done != 1 || rows != 1 {
		t.Errorf("a write was tried %d times and stands %d times", done, rows)
	}
	end()
	if err := errors.Join(commit(t, w, step(c.Job, job.Running))...); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 2 {
		t.Errorf("the job is %+v (%v)", j, err)
	}
}

// TestAFullDiskRefusesABatchSoon: each write that fails takes along what is not folded yet.
func TestAFullDiskRefusesABatchSoon(t *testing.T) {
	_, w := roomy(t)
	if err := errors.Join(apply(t, w, newJob(1), newJob(2))...); err != nil {
		t.Fatal(err)
	}
	tries := 0
	full := func(*writer) error { tries++; return fmt.Errorf("%w on purpose", store.ErrFull) }
	var batch []*write
	for range 50 {
		batch = append(batch, waited(full))
	}
	w.commit(batch)
	for i, b := range batch {
		if err := <-b.done; !errors.Is(err, store.ErrFull) {
			t.Errorf("write %d gives %v", i, err)
		}
	}
	if tries != 1+triedWhenFull { // the first of the batch, and those by themselves
		t.Errorf("%d tries", tries)
	}
	if w.fold.lost || w.fold.owed != 0 {
		t.Errorf("%d entries of the redo log are run again by the next batch", w.fold.owed)
	}
}

// TestNobodySeesABatchThatIsNotInTheLog: a batch that is folded before it is in the redo log can
// be read before anybody syncs it.
func TestNobodySeesABatchThatIsNotInTheLog(t *testing.T) {
	s, w := roomy(t)
	w.log.size = 0 // no room ahead: each write is folded at once
	c := newJob(1)
	var seen error
	batch := []*write{creation(t, c), waited(func(*writer) error { return errOnPurpose }), waited(func(*writer) error {
		soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, seen = s.Job(soon, c.Job.ID)
		return nil
	})}
	w.commit(batch)
	if !errors.Is(seen, context.DeadlineExceeded) {
		t.Errorf("while it is in SQLite alone a read gives %v, want it to wait", seen)
	}
	if err := <-batch[0].done; err != nil {
		t.Fatal(err)
	}
	w.lookFolded()
	if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 1 {
		t.Errorf("then it is %+v (%v)", j, err)
	}
}

// TestAFullPageIsDurable: a page that ends before the rows do was read like any other.
func TestAFullPageIsDurable(t *testing.T) {
	s, begun, end := slowDisk(t)
	c := newJob(1)
	for _, key := range []string{"a", "b"} {
		c.Writes = append(c.Writes, job.StoreWrite{Store: "s", Key: key, Value: []byte("1")})
	}
	kept, read := make(chan error, 1), make(chan error, 1)
	go func() { kept <- s.Commit(ctx, c) }()
	<-begun
	go func() {
		page, more, err := s.ValuePage(ctx, "b", "s", "", 1)
		if err == nil && (len(page) != 1 || !more) {
			err = fmt.Errorf("it gives %v, and more: %v", page, more)
		}
		read <- err
	}()
	for waits(s) == 0 {
		select {
		case err := <-read:
			t.Fatalf("a page was read before the sync of what is on it (%v)", err)
		default:
		}
	}
	end <- nil
	if err := errors.Join(<-kept, <-read); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestTheLogsNameIsSyncedUntilItIs: one failure must not end it.
func TestTheLogsNameIsSyncedUntilItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	if err := os.WriteFile(path+"-redo", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	y := newSyncer(&Store{path: path})
	tries := 0
	y.syncDir = func(string) error {
		if tries++; tries == 1 {
			return errOnPurpose
		}
		return nil
	}
	first, second, third := y.syncLog(), y.syncLog(), y.syncLog()
	if !errors.Is(first, errOnPurpose) || second != nil || third != nil || tries != 2 {
		t.Errorf("the name was synced %d times: %v, %v, %v", tries, first, second, third)
	}
	if err := y.file.Close(); err != nil {
		t.Error(err)
	}
}

// TestAFailedSyncOfSQLitesLogIsNotForgotten: the next sync of it would say nothing of what the
// system dropped, so the redo log must stay until the store's own file has all.
func TestAFailedSyncOfSQLitesLogIsNotForgotten(t *testing.T) {
	s, w := byHand(t, Options{RedoBytes: 1})
	w.log.sync = func(*os.File) error { w.log.sync = syncData; return errOnPurpose }
	c := newJob(1)
	if err := errors.Join(apply(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	inFile := func() bool {
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "o.db")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = reopened(t, path).Job(ctx, c.Job.ID)
		return err == nil
	}
	if w.renew(); w.redo.at == redoHeader {
		t.Error("the redo log began anew though the sync of SQLite's log had failed")
	}
	if w.renew(); w.redo.at != redoHeader || !inFile() {
		t.Errorf("after the failed sync the redo log begins anew: %v; the file has what was in it: %v", w.redo.at == redoHeader, inFile())
	}
}
