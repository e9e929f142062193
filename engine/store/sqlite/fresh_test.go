package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests jobs that stay in memory for a moment, and the rows of one job.

// apply commits changes in one batch and leaves it to the caller when they are folded.
func apply(t *testing.T, w *writer, changes ...*job.Change) []error {
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
	errs := make([]error, len(batch))
	for i, b := range batch {
		errs[i] = <-b.done
	}
	return errs
}

// roomy is byHand with room kept in SQLite's log, as after the first fold of any store:
// without it, batches go into SQLite before they are acknowledged.
func roomy(t *testing.T) (*Store, *writer) {
	t.Helper()
	s, w := byHand(t, Options{})
	if err := errors.Join(commit(t, w, newJob(0))...); err != nil {
		t.Fatal(err)
	}
	return s, w
}

// rowsIn counts what SQLite has, not folded batches included.
func rowsIn(t *testing.T, w *writer, table string) int64 {
	t.Helper()
	n, ok, err := w.c.one("SELECT count(*) FROM " + table)
	if err != nil || !ok {
		t.Fatal(err)
	}
	return n.int(0)
}

func TestAJobOfShortTasksIsWrittenOnce(t *testing.T) {
	s, w := roomy(t)
	before := rowsIn(t, w, "jobs")
	c := newJob(1)
	c.InitialData = []byte(`{"a":1}`)
	second := step(c.Job, job.Running)
	third := step(second.Job, job.Finished)
	for i, x := range []*job.Change{c, second, third} {
		if n := rowsIn(t, w, "jobs") - before; n != 0 {
			t.Fatalf("%d rows of jobs are in SQLite before anybody wants to see them", n)
		}
		if err := errors.Join(apply(t, w, x)...); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if w.settleFresh(); rowsIn(t, w, "jobs") != before || len(w.fresh.jobs) != 1 {
		t.Fatalf("after it has ended alone, %d rows are in SQLite and %d jobs in memory", rowsIn(t, w, "jobs")-before, len(w.fresh.jobs))
	}
	w.lookFolded()
	if rowsIn(t, w, "jobs") != before+1 || len(w.fresh.line) != 0 {
		t.Fatalf("after a fold, %d rows are in SQLite and %d jobs in memory", rowsIn(t, w, "jobs")-before, len(w.fresh.line))
	}
	if n := rowsIn(t, w, "parts"); n != 1 {
		t.Errorf("it has %d rows beside its own, want one for all records", n)
	}
	j, d, err := s.Load(ctx, c.Job.ID)
	if err != nil || j.Version != 3 || string(d.Initial) != `{"a":1}` || string(d.History) != `{"version":3}` {
		t.Errorf("it loads as version %d with %s and %s (%v)", j.Version, d.Initial, d.History, err)
	}
	if recs, err := s.Records(ctx, c.Job.ID, 1, 10); err != nil || len(recs) != 1 || recs[0].N != 2 {
		t.Errorf("records after the first are %v (%v)", recs, err)
	}
	if n, err := s.Counts(ctx); err != nil || n[job.Finished] != 1 || n[job.Pending]+n[job.Running] != 1 {
		t.Errorf("counts are %v (%v)", n, err)
	}
	all := rowsIn(t, w, "numbers WHERE k=9 AND n=1")
	if all != 1 {
		t.Error("the file does not count the job that has ended")
	}
}

// endsAtOnce is a job with a task that ends with its second change; text is its initial data.
func endsAtOnce(i int, text string) (first, last *job.Change) {
	first = newJob(i)
	first.InitialData = []byte(text)
	first.Job.LastTask = 1
	first.Tasks = []job.Task{{JobID: first.Job.ID, N: 1, Type: "echo", State: job.TaskQueued, Queued: start}}
	last = step(first.Job, job.Finished)
	last.Tasks = []job.Task{{JobID: first.Job.ID, N: 1, ID: "x", Type: "echo", State: job.TaskDone, HandOut: 1, Attempt: 1, Queued: start}}
	last.Results = []job.Result{{Group: 1, TaskID: "x", Data: []byte(`{"i":1}`)}}
	return first, last
}

func TestEndedJobsAreWrittenTogether(t *testing.T) {
	const jobs = 2*chunkJobs + 3
	s, w := roomy(t)
	before := rowsIn(t, w, "jobs")
	var ids, texts []string
	var lasts []*job.Change
	for i := range jobs {
		text := fmt.Sprintf(`{"i":%d,"fill":"%s"}`, i, strings.Repeat("x", i%3*inlineMost))
		first, last := endsAtOnce(i+1, text)
		if err := errors.Join(apply(t, w, first)...); err != nil {
			t.Fatal(err)
		}
		ids, texts, lasts = append(ids, first.Job.ID), append(texts, text), append(lasts, last)
	}
	w.lengthen()
	if w.settleFresh(); rowsIn(t, w, "jobs") != before {
		t.Fatal("jobs under way are in SQLite")
	}
	if err := errors.Join(apply(t, w, lasts...)...); err != nil {
		t.Fatal(err)
	}
	if w.settleFresh(); rowsIn(t, w, "jobs") != before+2*chunkJobs || len(w.fresh.jobs) != 3 {
		t.Errorf("%d jobs are in SQLite and %d in memory, want full statements only", rowsIn(t, w, "jobs")-before, len(w.fresh.jobs))
	}
	w.lookFolded()
	for i, id := range ids {
		j, d, err := s.Load(ctx, id)
		if err != nil || j.Status != job.Finished || j.Version != 2 || string(d.Initial) != texts[i] || string(d.History) != `{"version":2}` {
			t.Errorf("job %d loads as %+v with %.40s and %s (%v)", i, j, d.Initial, d.History, err)
		}
		if row, err := s.Task(ctx, id, 1); err != nil || row.State != job.TaskDone || row.ID != "x" {
			t.Errorf("its task is %+v (%v)", row, err)
		}
		if recs, err := s.Records(ctx, id, 0, 10); err != nil || len(recs) != 1 {
			t.Errorf("its records are %v (%v)", recs, err)
		}
		if got, _, err := s.Results(ctx, id, 1, "", 10); err != nil || len(got) != 1 || got[0].TaskID != "x" {
			t.Errorf("its results are %v (%v)", got, err)
		}
	}
}

func TestAFreshJobIsGuardedLikeAnyOther(t *testing.T) {
	s, w := roomy(t)
	c := newJob(1)
	if err := errors.Join(apply(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	next := step(c.Job, job.Running)
	late := step(next.Job, job.Failed) // on a version that is not there yet
	errs := apply(t, w, c, late, next, next)
	if !errors.Is(errs[0], store.ErrExists) || !errors.Is(errs[1], store.ErrConflict) || errs[2] != nil || !errors.Is(errs[3], store.ErrConflict) {
		t.Errorf("made again, changed too early, changed, changed twice: %v", errs)
	}
	w.lookFolded()
	if err := commit(t, w, c)[0]; !errors.Is(err, store.ErrExists) {
		t.Errorf("made again after the fold: %v", err)
	}
	if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 2 {
		t.Errorf("the job is %+v (%v)", j, err)
	}
}

// TestAFailedBatchLosesNoFreshJob makes SQLite forget what it was told but not yet to keep.
func TestAFailedBatchLosesNoFreshJob(t *testing.T) {
	s, w := roomy(t)
	old, c := newJob(1), newJob(2)
	if err := errors.Join(commit(t, w, old)...); err != nil {
		t.Fatal(err)
	}
	older := step(old.Job, job.Running)
	older.Outbox = []job.Message{{ID: old.Job.ID + "/1", JobID: old.Job.ID, Kind: job.MsgWebhook, Due: start}}
	if err := errors.Join(apply(t, w, c, older)...); err != nil { // one stays in memory, one does not
		t.Fatal(err)
	}
	broken := errors.New("broken on purpose")
	bad := &write{do: func(*writer) error { return broken }, done: make(chan error, 1)}
	w.commit([]*write{bad})
	if err := <-bad.done; !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if len(w.fresh.jobs) != 0 || !w.fold.lost {
		t.Fatalf("after a rollback %d jobs are in memory, and what was lost is said to be %v", len(w.fresh.jobs), w.fold.lost)
	}
	if err := errors.Join(apply(t, w, step(c.Job, job.Running))...); err != nil {
		t.Fatal(err)
	}
	w.lookFolded()
	for _, id := range []string{old.Job.ID, c.Job.ID} {
		if j, err := s.Job(ctx, id); err != nil || j.Version != 2 || j.Status != job.Running {
			t.Errorf("job %s is %+v (%v)", id, j, err)
		}
	}
	if m, err := s.MessagesOf(ctx, old.Job.ID); err != nil || len(m) != 1 {
		t.Errorf("messages are %v (%v)", m, err)
	}
	if n, err := s.Counts(ctx); err != nil || n[job.Running] != 2 || n[job.Pending] != 1 {
		t.Errorf("counts are %v (%v)", n, err)
	}
}

func TestDataMoveOutOfTheRowAndBack(t *testing.T) {
	s := reopened(t, filepath.Join(t.TempDir(), "o.db"))
	c := newJob(1)
	c.InitialData = []byte(`{"long":"` + strings.Repeat("i", 2*inlineMost) + `"}`)
	if err := s.Commit(ctx, c); err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{10, inlineMost, 3 * inlineMost, 20, 2 * inlineMost} {
		want := fmt.Sprintf(`{"n":"%s"}`, strings.Repeat("h", n))
		c = step(c.Job, job.Running)
		c.StateHistory = []byte(want)
		if err := s.Commit(ctx, c); err != nil {
			t.Fatal(err)
		}
		_, d, err := s.Load(ctx, c.Job.ID)
		if err != nil || string(d.History) != want || len(d.Initial) < inlineMost {
			t.Errorf("change %d loads %d bytes of state_history, want %d, and %d of initial data (%v)", i, len(d.History), len(want), len(d.Initial), err)
		}
		var exported store.Data
		err = s.Export(ctx, func(r store.Row) error {
			if j, ok := r.(store.JobRow); ok {
				exported = j.Data
			}
			return nil
		})
		if err != nil || string(exported.History) != want || string(exported.Initial) != string(d.Initial) {
			t.Errorf("change %d exports %d and %d bytes (%v)", i, len(exported.History), len(exported.Initial), err)
		}
	}
}

func TestRowsComeBackFromTheLogAsTheyWere(t *testing.T) {
	c := step(newJob(1).Job, job.WaitingWorker)
	c.Job.Parent = &job.Ref{JobID: newJob(2).Job.ID}
	c.Job.Client.ID, c.Job.LastTask, c.CloseTasks = "someone", 2, true
	due := start
	c.Tasks = []job.Task{{JobID: c.Job.ID, N: 1, State: job.TaskDone}, {JobID: c.Job.ID, N: 2, State: job.TaskQueued, Due: &due, HandOut: 3}}
	c.Results = []job.Result{{Group: 4, TaskID: "t"}}
	p, err := planOf(c)
	if err != nil {
		t.Fatal(err)
	}
	var r redo
	r.start()
	if err := p.rows.note(&r, 77); err != nil {
		t.Fatal(err)
	}
	r.seal()
	all, _, err := readStatements(r.entry[entryHead:], nil)
	if err != nil || len(all) != 1 || all[0].text != rowsText {
		t.Fatalf("the log reads as %v (%v)", all, err)
	}
	seq, back, err := rowsOf(all[0].args)
	if err != nil || seq != 77 || !reflect.DeepEqual(*back, p.rows) {
		t.Errorf("they come back as\n%+v of job %d (%v), and were\n%+v", *back, seq, err, p.rows)
	}
	for n := range all[0].args {
		if n < fixedArgs+6*len(c.Tasks) {
			if _, _, err := rowsOf(all[0].args[:n]); err == nil {
				t.Errorf("%d of %d arguments are taken for rows", n, len(all[0].args))
			}
		}
	}
}

// TestAReadOfOneJobLeavesTheOthersInMemory: only what it asks for must be in SQLite.
func TestAReadOfOneJobLeavesTheOthersInMemory(t *testing.T) {
	s, w := roomy(t)
	old, c := newJob(1), newJob(2)
	if err := errors.Join(commit(t, w, old)...); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(apply(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	if j, err := s.Job(ctx, old.Job.ID); err != nil || j.Version != 1 { // nobody folds meanwhile
		t.Errorf("the job before reads as %+v (%v)", j, err)
	}
	if len(w.fresh.jobs) != 1 {
		t.Errorf("%d jobs are in memory, want 1", len(w.fresh.jobs))
	}
	key, _ := job.ParseID(c.Job.ID)
	if absent, _ := job.ParseID(newJob(3).Job.ID); !s.syncer.hides(key) || s.syncer.hides(absent) {
		t.Error("readers see the fresh job in SQLite, or look for one that is nowhere through the writer")
	}
	read := make(chan error, 1)
	go func() {
		j, err := s.Job(ctx, c.Job.ID)
		if err == nil && j.Version != 1 {
			err = fmt.Errorf("it has version %d", j.Version)
		}
		read <- err
	}()
	second := newJob(4)
	if err := errors.Join(apply(t, w, second)...); err != nil {
		t.Fatal(err)
	}
	p := <-s.peeks
	p.done <- w.peek(p)
	if err := <-read; err != nil {
		t.Errorf("the fresh job reads: %v", err)
	}
	if len(w.fresh.jobs) != 1 {
		t.Errorf("%d jobs are in memory, want the one that nobody read", len(w.fresh.jobs))
	}
	if err := errors.Join(apply(t, w, step(old.Job, job.Running))...); err != nil {
		t.Fatal(err)
	}
	if key, _ = job.ParseID(old.Job.ID); !s.syncer.hides(key) {
		t.Error("a read of a job that has changed since the fold does not see the change")
	}
	w.lookFolded()
	if s.syncer.hides(key) || len(w.fresh.jobs) != 0 {
		t.Error("after the fold readers still go through the writer")
	}
}

// TestAHandOutLeavesAFreshJobInMemory: a task that takes its time costs no row either.
func TestAHandOutLeavesAFreshJobInMemory(t *testing.T) {
	s, w := roomy(t)
	c := dispatched(1)
	if err := errors.Join(apply(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	task := given(c.Tasks[0])
	for range 2 { // the second one is not the next hand-out
		s.HandOut(task)
		out := <-s.queue
		w.commit([]*write{out})
	}
	if len(w.fresh.jobs) != 1 || rowsIn(t, w, "parts") != 0 {
		t.Errorf("%d jobs are in memory and %d rows in SQLite, want 1 and 0", len(w.fresh.jobs), rowsIn(t, w, "parts"))
	}
	check := func(when string) {
		w.lookFolded()
		tasks, _, err := s.OpenTasks(ctx, c.Job.ID, 0, 1000)
		if err != nil || len(tasks) != 1 || tasks[0].ID != task.ID || tasks[0].State != job.TaskLeased {
			t.Errorf("%s the task is %+v (%v)", when, tasks, err)
		}
	}
	if err := w.rollback(); err != nil { // the redo log must have the hand-out as well
		t.Fatal(err)
	}
	check("brought back from the log,")
}

// TestANewJobIsNotLookedFor: only an id as old as what was forgotten needs a look at the file.
func TestANewJobIsNotLookedFor(t *testing.T) {
	_, w := roomy(t)
	first, second := newJob(1), newJob(2)
	if err := errors.Join(commit(t, w, second)...); err != nil {
		t.Fatal(err)
	}
	w.known.forget()
	old, _ := job.ParseID(first.Job.ID)
	same, _ := job.ParseID(second.Job.ID)
	next, _ := job.ParseID(newJob(3).Job.ID)
	if w.known.above(old) || w.known.above(same) || !w.known.above(next) {
		t.Errorf("above the newest: %v before it, %v itself, %v after it", w.known.above(old), w.known.above(same), w.known.above(next))
	}
	if err := commit(t, w, second)[0]; !errors.Is(err, store.ErrExists) {
		t.Errorf("a job of the file made again: %v", err)
	}
	if err := commit(t, w, first)[0]; err != nil {
		t.Errorf("a job with an older id than the newest: %v", err)
	}
	for i := range 2*generation + 2 { // the first of them are forgotten one by one
		w.known.put([16]byte{0: 0xff, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}, known{})
	}
	if last := [16]byte{0: 0xff, 14: (generation - 2) >> 8, 15: (generation - 2) & 0xff}; w.known.floor != last {
		t.Errorf("the floor is %x, want %x, the last that was forgotten beside the job above", w.known.floor, last)
	}
}
