package engine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests that the jobs kept in memory are bounded by what they take, not by their number.

// waitingJob is a job of the usual kind, which waits for a worker.
func waitingJob(text string) (*job.Job, store.Data) {
	id, now := job.NewID(time.Now(), 0), time.Now()
	return &job.Job{
		ID: id, Version: 2, Blueprint: "b", State: "begin", Status: job.WaitingWorker, CreatedAt: now, UpdatedAt: now, Client: job.Client{ID: "c"},
		Wait:   &job.Wait{For: job.WaitingWorker, Since: now, Detail: fmt.Sprintf("task %q, waiting for a worker", strings.Repeat("e", 8)), Task: 1, Transitions: map[string]string{}},
		Recent: []string{"begin"},
	}, store.Data{Initial: []byte(text), History: []byte(`{}`)}
}

// TestHotJobsAreCountedRightly measures in a process of its own: what other tests have left
// behind is freed at any time, and would be taken for memory of these jobs.
func TestHotJobsAreCountedRightly(t *testing.T) {
	const alone = "ORRERY_TEST_HOT_ALONE"
	if os.Getenv(alone) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), alone+"=1")
		if said, err := c.CombinedOutput(); err != nil || !bytes.Contains(said, []byte("--- PASS: "+t.Name())) {
			t.Errorf("%v\n%s", err, said)
		}
		return
	}
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	l := &hotList{}
	before := live()
	for range 8000 {
		l.keep(waitingJob(`{"input": "hello"}`))
	}
	took := int(live()) - int(before)
	if took > l.bytes*5/4 || took < l.bytes/2 {
		t.Errorf("8,000 jobs take %d bytes, counted as %d: %d of a job, besides its data", took, l.bytes, took/8000)
	}
	runtime.KeepAlive(l)
}

func TestHotJobsAreBoundedByTheirBytes(t *testing.T) {
	for _, size := range []int{10, 1000, hotBytes - 10} {
		l := &hotList{}
		var last string
		for range 2*hotMost/(size+hotFixed) + 10 {
			j, d := waitingJob(strings.Repeat("x", size))
			l.keep(j, d)
			last = j.ID
			if l.bytes > hotMost {
				t.Fatalf("%d bytes are counted with data of %d, the limit is %d", l.bytes, size, hotMost)
			}
		}
		if most := hotMost / (size + hotFixed); len(l.jobs) > most || len(l.jobs) < most*9/10 {
			t.Errorf("%d jobs with data of %d bytes are kept, want about %d", len(l.jobs), size, most)
		}
		if !l.has(last) {
			t.Error("the newest is not kept")
		}
		for id := range l.jobs {
			l.forget(id)
		}
		l.forget("none")
		if l.bytes != 0 {
			t.Errorf("%d bytes are counted of no job", l.bytes)
		}
	}
}

func TestAHotJobThatChangesIsCountedOnce(t *testing.T) {
	l := &hotList{}
	j, d := waitingJob("x")
	l.keep(j, d)
	once := l.bytes
	next := *j
	next.Version++
	l.keep(&next, d)
	if l.bytes != once || l.jobs[j.ID].job.Version != next.Version {
		t.Errorf("%d bytes in version %d, want %d", l.bytes, l.jobs[j.ID].job.Version, once)
	}
	if l.keep(j, d); l.jobs[j.ID].job.Version != next.Version || l.bytes != once {
		t.Error("an older version took the place of a newer one")
	}
	next.Version, next.Status = next.Version+1, job.Finished
	if l.keep(&next, d); len(l.jobs) != 0 || l.bytes != 0 {
		t.Errorf("after its end %d jobs with %d bytes are kept", len(l.jobs), l.bytes)
	}
}
