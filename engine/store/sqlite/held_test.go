package sqlite

import (
	"errors"
	"fmt"
	"testing"

	"orrery/engine/job"
)

// This file tests that hand-outs are held back, and that none is lost or out of order.

// dispatched makes a job with one queued task.
func dispatched(i int) *job.Change {
	c := newJob(i)
	c.Job.LastTask = 1
	c.Tasks = []job.Task{{JobID: c.Job.ID, N: 1, State: job.TaskQueued, Params: []byte("{}")}}
	return c
}

func given(t job.Task) job.Task {
	t.HandOut++
	t.State, t.ID, t.Worker = job.TaskLeased, fmt.Sprint("fence-", t.HandOut), "w"
	return t
}

// taken takes what is in line as the writer would, and commits it.
func taken(t *testing.T, s *Store, w *writer) (writes int) {
	t.Helper()
	batch := w.gather(nil, <-s.queue)
	if len(batch) > 0 {
		w.commit(batch)
		w.lookFolded()
	}
	return len(batch)
}

// queued puts a commit in line without waiting for it.
func queued(t *testing.T, s *Store, c *job.Change) chan error {
	t.Helper()
	p, err := planOf(c)
	if err != nil {
		t.Fatal(err)
	}
	x := &write{do: p.apply, done: make(chan error, 1)}
	if err := s.enqueue(ctx, x); err != nil {
		t.Fatal(err)
	}
	return x.done
}

func TestAQuickResultReplacesItsHandOut(t *testing.T) {
	s, w := byHand(t, Options{})
	c := dispatched(1)
	if errs := commit(t, w, c); errs[0] != nil {
		t.Fatal(errs[0])
	}
	out := given(c.Tasks[0])
	s.HandOut(out)
	if n := taken(t, s, w); n != 0 {
		t.Fatalf("a hand-out alone made a batch of %d", n)
	}
	result := step(c.Job, job.Running)
	done := out
	done.State = job.TaskDone
	result.Tasks = []job.Task{done}
	ended := queued(t, s, result)
	if n := taken(t, s, w); n != 1 {
		t.Fatalf("the result was written with %d others", n-1)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	id, _ := job.ParseID(c.Job.ID)
	if _, any := w.held.Wait(); any || len(w.held.Of(id)) != 0 {
		t.Error("the hand-out is still held")
	}
	got, err := s.Task(ctx, c.Job.ID, 1)
	if err != nil || got.State != job.TaskDone || got.HandOut != 1 {
		t.Errorf("the task is %+v (%v)", got, err)
	}
}

func TestAHandOutAfterARetryIsKept(t *testing.T) {
	s, w := byHand(t, Options{})
	c := dispatched(1)
	if errs := commit(t, w, c); errs[0] != nil {
		t.Fatal(errs[0])
	}
	first := given(c.Tasks[0])
	s.HandOut(first)
	again := first
	again.State = job.TaskQueued
	retry := step(c.Job, job.WaitingWorker)
	retry.Tasks = []job.Task{again}
	retried := queued(t, s, retry)
	s.HandOut(given(again)) // in the same batch as the retry, but after it
	taken(t, s, w)
	if err := <-retried; err != nil {
		t.Fatal(err)
	}
	if batch := w.held.Due(nil, true); len(batch) != 1 {
		t.Fatalf("%d hand-outs are held, want the second one", len(batch))
	} else {
		w.commit(batch)
		w.lookFolded()
	}
	got, err := s.Task(ctx, c.Job.ID, 1)
	if err != nil || got.State != job.TaskLeased || got.HandOut != 2 {
		t.Errorf("the task is %+v (%v), want its second hand-out", got, err)
	}
}

func TestAFailedCommitSpendsNoHandOut(t *testing.T) {
	s, w := byHand(t, Options{})
	c := dispatched(1)
	if errs := commit(t, w, c); errs[0] != nil {
		t.Fatal(errs[0])
	}
	out := given(c.Tasks[0])
	s.HandOut(out)
	taken(t, s, w)
	result := step(c.Job, job.Running)
	result.Tasks = []job.Task{out}
	p, err := planOf(result)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken on purpose")
	x := &write{nth: w.nth + 1, done: make(chan error, 1), do: func(w *writer) error { return errors.Join(p.apply(w), broken) }}
	w.commit([]*write{x})
	w.lookFolded()
	if err := <-x.done; !errors.Is(err, broken) {
		t.Fatalf("the broken commit gives %v", err)
	}
	synced := make(chan error, 1)
	go func() { synced <- s.Sync(ctx) }()
	taken(t, s, w)
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	got, err := s.Task(ctx, c.Job.ID, 1)
	if err != nil || got.State != job.TaskLeased || got.ID != out.ID {
		t.Errorf("after Sync the task is %+v (%v), want it leased", got, err)
	}
}
