package sqlite

import (
	"errors"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"orrery/engine/job"
)

// This file lets a read fail on the disk.

// withoutFiles runs fn while this process can make no file longer than a byte.
func withoutFiles(t *testing.T, fn func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	fn()
}

// TestAReadThatFailsThroughTheWriterLosesNothing: after a failure of the disk SQLite ends the
// transaction by itself. A writer that took it for open would write the next batches at once,
// and could never bring them back from the redo log, not by a restart either.
func TestAReadThatFailsThroughTheWriterLosesNothing(t *testing.T) {
	s, w := roomy(t)
	if err := w.c.script("PRAGMA cache_size=10"); err != nil { // so that a read must put changed pages away
		t.Fatal(err)
	}
	var all []*job.Change
	for i := range 20 {
		c := newJob(1 + i)
		c.InitialData = []byte(`{"x":"` + strings.Repeat("x", 20_000) + `"}`)
		all = append(all, c)
	}
	if err := errors.Join(apply(t, w, all...)...); err != nil {
		t.Fatal(err)
	}
	if err := w.writeAll(); err != nil {
		t.Fatal(err)
	}
	var failed error
	withoutFiles(t, func() {
		other, _ := job.ParseID(newJob(0).Job.ID)
		failed = w.peek(peek{id: &other, fn: func(c *conn) error {
			_, _, err := c.one("SELECT sum(length(body)) FROM parts")
			return err
		}})
	})
	if code(failed) != ioError {
		t.Fatalf("the read gives %v, want a failure of the disk", failed)
	}
	late := newJob(100)
	if err := errors.Join(apply(t, w, late, step(all[0].Job, job.Running))...); err != nil {
		t.Errorf("a batch after it: %v", err)
	}
	if err := w.foldNow(); err != nil {
		t.Errorf("the next fold: %v", err)
	}
	for i, c := range append(all, late) {
		if _, err := s.Job(ctx, c.Job.ID); err != nil {
			t.Errorf("job %d: %v", i, err)
		}
	}
}
