package workers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"orrery/engine/job"
)

// This file tests how entries are found, and counts what a queued task takes in memory.

// mostPerTask bounds the bytes that the hub holds of one queued task whose row it does not
// keep, its job's id included. It was 294 with a map of all tasks beside that of jobs, and was
// measured as 219.
const mostPerTask = 260

func TestAQueuedTaskTakesLittleMemory(t *testing.T) {
	r := newRig(t)
	live := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	offer := func(from, n int) {
		for i := range n {
			r.Offer(job.Task{JobID: fmt.Sprintf("0196a000-0000-7000-8000-%012d", from+i), N: 1, State: job.TaskQueued, Type: "echo",
				Params: json.RawMessage(`{"k":1}`), Queued: r.clock.Now()})
		}
	}
	offer(0, 10_000) // their rows fill what is kept of rows
	if rows := r.kept; rows > queueBudget || rows < queueBudget*9/10 {
		t.Fatalf("%d bytes of rows are kept, want about %d", rows, queueBudget)
	}
	before := live()
	const many = 90_000
	offer(10_000, many)
	each := (live() - before) / many
	t.Logf("%d bytes a queued task", each)
	if each > mostPerTask {
		t.Errorf("a queued task takes %d bytes, want at most %d", each, mostPerTask)
	}
	for i := range 10_000 + many {
		r.Withdraw(fmt.Sprintf("0196a000-0000-7000-8000-%012d", i), 0)
	}
	if r.kept != 0 || r.known != 0 || len(r.byJob) != 0 {
		t.Errorf("after all were withdrawn, %d entries of %d jobs and %d bytes of rows are left", r.known, len(r.byJob), r.kept)
	}
}

// Small and large jobs, with tasks that come and go in any order, against a plain list.
func TestEntriesAreFoundByJobAndNumber(t *testing.T) {
	r := newRig(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[string]map[int]bool{"one": {}, "few": {}, "many": {}}
	sizes := map[string]int{"one": 1, "few": walked, "many": 5 * walked}
	names := []string{"one", "few", "many"}
	for range 5000 {
		id := names[rnd.IntN(len(names))]
		n := 1 + rnd.IntN(sizes[id])
		if rnd.IntN(40) == 0 {
			r.Withdraw(id, 0)
			clear(want[id])
		} else if rnd.IntN(2) == 0 {
			r.Withdraw(id, n)
			delete(want[id], n)
		} else { // also of one that is there: it takes its place
			r.Offer(job.Task{JobID: id, N: n, State: job.TaskQueued, Type: "echo", Queued: r.clock.Now()})
			want[id][n] = true
		}
		total := 0
		for id, numbers := range want {
			var got []int
			for _, e := range r.ofJob(id) {
				got = append(got, e.key.n)
				if r.entry(id, e.key.n) != e {
					t.Fatalf("task %d of %s is not found", e.key.n, id)
				}
			}
			if !slices.IsSorted(got) || len(got) != len(numbers) || r.entry(id, 1000) != nil {
				t.Fatalf("%s has tasks %v, want %v", id, got, numbers)
			}
			total += len(numbers)
		}
		if r.Stats().Queued != total {
			t.Fatalf("%d are queued, want %d", r.Stats().Queued, total)
		}
	}
}
