package yardstick

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// This file tests how the load without Orrery goes through a limit.

// fake notes what it is sent.
type fake struct {
	mu    sync.Mutex
	steps map[string][]Step
	full  int // the send that fails, from 1; 0: none
	sends int
}

func (f *fake) Lines() int   { return 3 }
func (f *fake) Close() error { return nil }

var errFull = errors.New("full")

func (f *fake) Send(lineNumber int, batch []Step) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sends++; f.sends == f.full {
		return errFull
	}
	for _, s := range batch {
		f.steps[s.ID] = append(f.steps[s.ID], s)
	}
	return nil
}

func TestRunKeepsEveryCommitInOrder(t *testing.T) {
	f := &fake{steps: map[string][]Step{}}
	if err := Run(t.Context(), f, 100, 3, 16); err != nil {
		t.Fatal(err)
	}
	if len(f.steps) != 100 {
		t.Fatalf("%d jobs, want 100", len(f.steps))
	}
	for id, steps := range f.steps {
		if len(steps) != 3 {
			t.Fatalf("job %s has %d commits, want 3", id, len(steps))
		}
		for n, s := range steps {
			if s.Number != n || s.Last != (n == 2) || len(s.Rows.Head) == 0 {
				t.Errorf("commit %d of job %s is %d, last %v", n, id, s.Number, s.Last)
			}
		}
	}
	if f.sends > 300 {
		t.Errorf("%d sends for 300 commits", f.sends)
	}
}

func TestRunEndsAtAFailure(t *testing.T) {
	f := &fake{steps: map[string][]Step{}, full: 5}
	if err := Run(t.Context(), f, 1000, 2, 4); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, &fake{steps: map[string][]Step{}}, 10, 2, 4); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSinceAndPlus(t *testing.T) {
	before, after := Used{Commits: 3, Bytes: 10, CPU: 5}, Used{Commits: 8, RoundTrips: 2, Bytes: 30, CPU: 9}
	if got, want := after.Since(before), (Used{Commits: 5, RoundTrips: 2, Bytes: 20, CPU: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := after.Plus(Used{Commits: 1, CPUUnseen: true}), (Used{Commits: 9, RoundTrips: 2, Bytes: 30, CPU: 9, CPUUnseen: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
