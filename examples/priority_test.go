package examples

// This file tests recipe 7 with a thousand queued tasks: the order among them, and that with
// aging nobody waits for ever.

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"orrery/workers"
)

const thousand = 1000

// A thousand jobs with fractions as priorities come in at random: the worker gets the highest
// first, and equal ones in the order of their arrival.
func TestAThousandTasksInOrder(t *testing.T) {
	b := newBench(t, "07-task-priority/any_priority.star", "computation")
	random := rand.New(rand.NewPCG(7, 7))
	type waiting struct {
		n        int
		priority float64
	}
	var want []waiting
	for n := range thousand {
		one := waiting{n, float64(random.IntN(9)) * 0.25}
		want = append(want, one)
		b.start("any_priority", fmt.Sprintf(`{"n": %d, "priority": %g}`, one.n, one.priority))
		b.clock.Advance(time.Millisecond) // the order of arrival is known to the millisecond
	}
	slices.SortStableFunc(want, func(a, b waiting) int { return cmp.Compare(b.priority, a.priority) })
	for i, w := range want {
		got := b.take()
		if got.Params["n"] != float64(w.n) {
			t.Fatalf("place %d: the worker got job %v, want %d of priority %g", i, got.Params["n"], w.n, w.priority)
		}
		b.give(got, `"data": {}`)
	}
}

// crowd queues one patient job among urgent ones, of which one comes whenever one is done, and
// gives how many were served before the patient one; thousand means that it was not.
func crowd(t *testing.T, aging time.Duration) (before int) {
	b := newBenchWith(t, "07-task-priority/any_priority.star", "computation", workers.Config{Aging: aging})
	const queue = 50
	b.start("any_priority", `{"n": -1, "priority": 0}`)
	for n := range queue {
		b.start("any_priority", fmt.Sprintf(`{"n": %d, "priority": 10}`, n))
	}
	for served := range thousand {
		got := b.take()
		b.give(got, `"data": {}`)
		if got.Params["n"] == -1.0 {
			return served
		}
		b.clock.Advance(time.Second) // the worker needs a second for each, and as often one comes
		b.start("any_priority", fmt.Sprintf(`{"n": %d, "priority": 10}`, queue+served))
	}
	return thousand
}

func TestAgingServesThePatient(t *testing.T) {
	if got := crowd(t, 0); got != thousand {
		t.Errorf("without aging the patient job was served after %d urgent ones; priorities are to stand as they are", got)
	}
	// It is ten priorities behind and gains one in 30 s: after 300 s it overtakes those that
	// come, and is served when the 50 that came before that are done.
	got := crowd(t, 30*time.Second)
	t.Logf("with aging the patient job was served after %d urgent ones", got)
	if got < 300 || got > 351 {
		t.Errorf("with aging the patient job was served after %d urgent ones, want 300 to 351", got)
	}
}
