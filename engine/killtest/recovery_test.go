package killtest

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// This file keeps how long it took after each fault until jobs went on, and prints it.

// recoveries are times from a fault to the next commit of a job that it concerned. The times of
// all tests of a run are kept together, by what broke and which store it was on.
type recoveries struct {
	mu    sync.Mutex
	times map[[2]string][]time.Duration
}

// fromItsEnd marks faults that last as long as the test says: what counts is the time after that.
const fromItsEnd = " (from its end)"

var measured = recoveries{times: map[[2]string][]time.Duration{}}

func (r *recoveries) add(fault, store string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{fault, store}
	r.times[key] = append(r.times[key], took)
}

// tell prints one line for each fault on a store; scripts/test looks for the word at its start.
func (r *recoveries) tell(t *testing.T, store string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for key, times := range r.times {
		if key[1] != store {
			continue
		}
		slices.Sort(times)
		lines = append(lines, fmt.Sprintf("recovery: %s, %s: p50 %.1f s, max %.1f s until jobs go on (%d times)",
			key[0], key[1], times[(len(times)-1)/2].Seconds(), times[len(times)-1].Seconds(), len(times)))
	}
	slices.Sort(lines)
	for _, line := range lines {
		t.Log(line)
	}
	if len(lines) == 0 {
		t.Errorf("no recovery on %s was measured", store)
	}
}

// patience is for jobs that are still to end after the last fault. Nothing that is promised: what a
// machine needs that runs three lanes of tests at a quarter of its usual speed.
const patience = 3 * time.Minute

// longPatience is for jobs that are still to end after the last fault of a long form: thousands, on a
// machine that may be busy with other tests.
const longPatience = 8 * time.Minute

// long reports whether the long forms are to run: bigger numbers, and every fault many times.
func long() bool { return os.Getenv("ORRERY_LONG") != "" }
