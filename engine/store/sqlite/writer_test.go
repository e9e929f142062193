package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sqlitedriver "modernc.org/sqlite"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests batches, full disks, checkpoints and that a step's cost stays flat.

var (
	ctx   = context.Background()
	start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
)

func newJob(i int) *job.Change {
	at := start.Add(time.Duration(i) * time.Millisecond)
	return &job.Change{Job: job.Job{ID: job.NewID(at, 7), Version: 1, Blueprint: "b", Status: job.Pending, Ready: true, CreatedAt: at}}
}

func step(j job.Job, status job.Status) *job.Change {
	j.Version++
	j.Status, j.Ready = status, status == job.Running
	j.Records++
	return &job.Change{
		Job: j, Base: j.Version - 1, Records: []job.Record{{N: j.Records, State: "s"}},
		StateHistory: []byte(fmt.Sprintf(`{"version":%d}`, j.Version)),
	}
}

// byHand opens a store whose writer the test drives; finish closes it.
func byHand(t *testing.T, opts Options) (*Store, *writer) {
	t.Helper()
	s, w, err := ready(filepath.Join(t.TempDir(), "o.db"), opts.withDefaults(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		go w.run()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, w
}

// commit writes the changes in one batch and gives what became of each.
func commit(t *testing.T, w *writer, changes ...*job.Change) []error {
	t.Helper()
	var batch []*write
	for _, c := range changes {
		p, err := planOf(c)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, &write{do: p.apply, done: make(chan error, 1)})
	}
	w.commit(batch)
	w.lookFolded()
	errs := make([]error, len(batch))
	for i, b := range batch {
		errs[i] = <-b.done
	}
	return errs
}

func TestAFailingStatementSpoilsOnlyItsOwnWrite(t *testing.T) {
	s, w := byHand(t, Options{})
	broken := errors.New("broken on purpose")
	batch := []*write{}
	var ids []string
	for i := range 5 {
		c := newJob(i)
		ids = append(ids, c.Job.ID)
		p, err := planOf(c)
		if err != nil {
			t.Fatal(err)
		}
		do := p.apply
		if i == 2 {
			do = func(w *writer) error { return errors.Join(p.apply(w), broken) } // fails after it has written
		}
		batch = append(batch, &write{do: do, done: make(chan error, 1)})
	}
	w.commit(batch)
	w.lookFolded()
	for i, b := range batch {
		err := <-b.done
		_, read := s.Job(ctx, ids[i])
		if i == 2 && (!errors.Is(err, broken) || !errors.Is(read, store.ErrNotFound)) {
			t.Errorf("the broken write gives %v and reads back as %v", err, read)
		}
		if i != 2 && (err != nil || read != nil) {
			t.Errorf("write %d beside the broken one gives %v and reads back as %v", i, err, read)
		}
	}
	if n, err := s.Counts(ctx); err != nil || n[job.Pending] != 4 {
		t.Errorf("counts are %v (%v), want 4 pending", n, err)
	}
}

func TestFullDisk(t *testing.T) {
	s, w := byHand(t, Options{})
	first := newJob(0)
	if err := errors.Join(commit(t, w, first)...); err != nil {
		t.Fatal(err)
	}
	pages, err := w.pragma("page_count")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.c.script(fmt.Sprintf("PRAGMA max_page_count=%d", pages+4)); err != nil {
		t.Fatal(err)
	}
	large := newJob(1)
	large.InitialData = []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	after := step(first.Job, job.Running)
	errs := commit(t, w, large, after)
	if !errors.Is(errs[0], store.ErrFull) || !strings.Contains(errs[0].Error(), "make room") {
		t.Errorf("a change too large for the disk gives %v", errs[0])
	}
	if errs[1] != nil {
		t.Errorf("a small change beside it gives %v", errs[1])
	}
	if _, err := s.Job(ctx, large.Job.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused change left a trace: %v", err)
	}
	if err := w.c.script("PRAGMA max_page_count=1000000"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(commit(t, w, large)...); err != nil { // room again
		t.Errorf("with room again: %v", err)
	}
	if n, err := s.Counts(ctx); err != nil || n[job.Pending] != 1 || n[job.Running] != 1 {
		t.Errorf("counts are %v (%v)", n, err)
	}
}

// A hand-out that a full disk refuses is written when there is room: without it the task's
// deadline is nowhere, and the store takes the task for queued.
func TestHandOutOutlastsAFullDisk(t *testing.T) {
	s, w := byHand(t, Options{})
	c := newJob(0)
	task := job.Task{JobID: c.Job.ID, N: 1, State: job.TaskQueued, Type: "echo"}
	c.Job.LastTask, c.Tasks = 1, []job.Task{task}
	if err := errors.Join(commit(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	pages, err := w.pragma("page_count")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.c.script(fmt.Sprintf("PRAGMA max_page_count=%d", pages)); err != nil {
		t.Fatal(err)
	}
	task.State, task.HandOut, task.ID = job.TaskLeased, 1, "fence"
	task.Params = []byte(`{"x":"` + strings.Repeat("x", 64<<10) + `"}`)
	s.HandOut(task)
	w.commit([]*write{<-s.queue})
	w.lookFolded()
	if row, err := s.Task(ctx, c.Job.ID, 1); err != nil || row.State != job.TaskQueued || len(w.again) != 1 {
		t.Fatalf("with a full disk the task is %+v (%v), %d writes are kept", row, err, len(w.again))
	}
	if err := w.c.script("PRAGMA max_page_count=1000000"); err != nil {
		t.Fatal(err)
	}
	w.commit(w.kept(nil))
	w.lookFolded()
	if row, err := s.Task(ctx, c.Job.ID, 1); err != nil || row.State != job.TaskLeased || row.ID != "fence" || len(w.again) != 0 {
		t.Errorf("with room again the task is %+v (%v), %d writes are kept", row, err, len(w.again))
	}
}

func TestCheckpointsKeepTheLogShort(t *testing.T) {
	const limit = 256 << 10
	s, w := byHand(t, Options{CheckpointBytes: limit})
	j := newJob(0)
	if err := errors.Join(commit(t, w, j)...); err != nil {
		t.Fatal(err)
	}
	for range 400 {
		j = step(j.Job, job.Running)
		if err := errors.Join(commit(t, w, j)...); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(s.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(limit + 2*aheadStep); info.Size() > most {
		t.Errorf("the log has %d bytes, at most %d were expected", info.Size(), most)
	}
	w.rest()
	frames, _, err := w.c.one("PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil || frames.int(1) != frames.int(2) {
		t.Errorf("after a quiet moment %d of %d pages are in the file (%v)", frames.int(2), frames.int(1), err)
	}
	recs, err := s.Records(ctx, j.Job.ID, 0, 1000)
	if err != nil || len(recs) != 400 {
		t.Errorf("%d records (%v), want 400", len(recs), err)
	}
}

// written gives the pages that went into the log since it was asked last.
func written(t *testing.T, w *writer) int {
	t.Helper()
	n, _, err := w.c.c.Status(sqlitedriver.DBStatusCacheWrite, true)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCostStaysFlat counts what a step writes, with few and with many ended jobs around it.
func TestCostStaysFlat(t *testing.T) {
	s, w := byHand(t, Options{})
	made := 0
	ended := func(n int) {
		for range n / 100 {
			var batch, ends []*job.Change
			for range 100 {
				made++
				c := newJob(made)
				batch = append(batch, c)
				ends = append(ends, step(c.Job, job.Finished))
			}
			if err := errors.Join(append(commit(t, w, batch...), commit(t, w, ends...)...)...); err != nil {
				t.Fatal(err)
			}
		}
	}
	cost := func() int {
		made++
		c := newJob(made)
		if err := errors.Join(commit(t, w, c)...); err != nil {
			t.Fatal(err)
		}
		written(t, w)
		if err := errors.Join(commit(t, w, step(c.Job, job.Running))...); err != nil {
			t.Fatal(err)
		}
		pages := written(t, w)
		if err := errors.Join(commit(t, w, step(step(c.Job, job.Running).Job, job.Finished))...); err != nil {
			t.Fatal(err)
		}
		return pages
	}
	ended(100)
	few := cost()
	ended(5000)
	many := cost()
	if many > few+1 || few < 1 {
		t.Errorf("a step writes %d pages with 100 ended jobs and %d with 5,100", few, many)
	}
	for _, index := range []string{"jobs INDEXED BY jobs_ready WHERE ready=1", "jobs INDEXED BY jobs_due WHERE due IS NOT NULL",
		"jobs INDEXED BY jobs_live WHERE ended=0", "jobs INDEXED BY jobs_bad WHERE status>=10", "parts INDEXED BY parts_open WHERE open=1"} {
		r, _, err := w.c.one("SELECT count(*) FROM " + index)
		if err != nil || r.int(0) != 0 {
			t.Errorf("%d entries for ended jobs in %s (%v)", r.int(0), index, err)
		}
	}
	if n, err := s.Counts(ctx); err != nil || n[job.Finished] != 5102 {
		t.Errorf("counts are %v (%v)", n, err)
	}
}
