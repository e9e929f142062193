package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file tests the room that is kept for a fold: what is acknowledged must fit into it.

func textOf(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n) + `"}`) }

// many gives so many changes of new jobs.
func many(from, n int, make func(i int) *job.Change) (all []*job.Change) {
	for i := range n {
		all = append(all, make(from+i))
	}
	return all
}

// scattered is a job whose date, and parent if it has one, stand anywhere in their indexes.
func scattered(r *rand.Rand, parents bool) func(i int) *job.Change {
	const years = int64(10_000 * time.Hour)
	return func(i int) *job.Change {
		c := newJob(i)
		due := start.Add(time.Duration(r.Int64N(years)))
		c.Job.Due, c.Job.Status, c.Job.Ready = &due, job.WaitingTimer, false
		if parents {
			c.Job.Parent = &job.Ref{JobID: job.NewID(start.Add(-time.Duration(r.Int64N(years))), 7)}
		}
		return c
	}
}

func TestAFoldFitsIntoTheRoomKeptForIt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rows := 50_000
	if raceDetector {
		rows /= 5 // a tenth of the speed
	}
	long := strings.Repeat("n", 200)
	manyParts := func(i int) *job.Change {
		c := newJob(i)
		c.InitialData, c.StateHistory = textOf(2050), textOf(2050)
		c.Job.LastTask = 1
		c.Tasks = []job.Task{{JobID: c.Job.ID, N: 1, Type: "echo", State: job.TaskQueued, Queued: start, Params: textOf(1900)}}
		return c
	}
	for name, x := range map[string]struct {
		before, all []*job.Change
	}{
		"small":           {all: many(1, 1000, newJob)},
		"over half pages": {all: many(1, 400, func(i int) *job.Change { c := newJob(i); c.InitialData = textOf(2050); return c })},
		"in many parts":   {all: many(1, 300, manyParts)},
		"long names": {before: many(5000, 1, func(i int) *job.Change {
			c := newJob(i)
			c.Job.Blueprint, c.Job.Client.ID = long+"9", long+"9"
			return c
		}),
			all: many(1, 1000, func(i int) *job.Change {
				c := newJob(i)
				c.Job.Blueprint, c.Job.Client.ID = long+fmt.Sprint(i%2), long+fmt.Sprint(i%3)
				return c
			})},
		"scattered dates": {before: many(1, rows, scattered(r, false)), all: many(100_000, 300, scattered(r, false))},
		"and parents":     {before: many(1, rows/2, scattered(r, true)), all: many(100_000, 300, scattered(r, true))},
	} {
		t.Run(name, func(t *testing.T) {
			_, w := roomy(t)
			for rest := x.before; len(rest) > 0; rest = rest[min(1000, len(rest)):] {
				if err := errors.Join(commit(t, w, rest[:min(1000, len(rest))]...)...); err != nil {
					t.Fatal(err)
				}
			}
			w.log.size += 1 << 30 // so much is claimed that no batch folds
			for _, c := range x.all {
				if err := errors.Join(apply(t, w, c)...); err != nil {
					t.Fatal(err)
				}
			}
			kept := w.foldBytes() / pageBytes
			written(t, w) // from here on
			if err := w.foldNow(); err != nil {
				t.Fatal(err)
			}
			if n := int64(written(t, w)); n > kept || n == 0 {
				t.Errorf("%d pages were written, room was kept for %d", n, kept)
			}
			w.log.size = 0 // look again
		})
	}
}

// A change that closes thousands of tasks needs room for all of them.
func TestAChangeOfManyRowsIsCountedByThem(t *testing.T) {
	const tasks = 5000
	_, w := roomy(t)
	c := newJob(1)
	c.Job.LastTask = tasks
	for n := range tasks {
		c.Tasks = append(c.Tasks, job.Task{JobID: c.Job.ID, N: n + 1, Type: "echo", State: job.TaskQueued, Queued: start, Params: textOf(200)})
	}
	if err := errors.Join(commit(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	w.log.size += 1 << 30
	end := step(c.Job, job.Failed)
	end.CloseTasks = true
	if err := errors.Join(apply(t, w, end)...); err != nil {
		t.Fatal(err)
	}
	kept := w.foldBytes() / pageBytes
	written(t, w)
	if err := w.foldNow(); err != nil {
		t.Fatal(err)
	}
	if n := int64(written(t, w)); n > kept || n < 100 {
		t.Errorf("%d pages were written, room was kept for %d", n, kept)
	}
	w.log.size = 0
}

// After a batch that was tried again write by write, the room in the log is what it is.
func TestRoomIsMeasuredAfterEachFold(t *testing.T) {
	_, w := roomy(t)
	add := func(i int) *write {
		c := newJob(i)
		c.InitialData = textOf(100 << 10)
		p, err := planOf(c)
		if err != nil {
			t.Fatal(err)
		}
		return &write{do: p.apply, done: make(chan error, 1), size: p.size}
	}
	n := 0
	for room := w.log.ahead(); w.foldBytes()+60*pageBytes < room && n < 30; {
		n++
		w.commit([]*write{add(n)})
	}
	var batch []*write
	for range 4 {
		n++
		batch = append(batch, add(n))
	}
	broken := &write{do: func(*writer) error { return errors.New("broken") }, done: make(chan error, 1)}
	w.commit(append(batch, broken, add(n+1)))
	claimed := w.log.ahead()
	if err := w.log.count(); err != nil {
		t.Fatal(err)
	}
	if claimed > w.log.ahead() {
		t.Errorf("%d bytes are claimed, there are %d", claimed, w.log.ahead())
	}
}

// Jobs that are read one by one are written one by one, and leave the line of those in memory.
func TestJobsThatWereReadLeaveTheLine(t *testing.T) {
	_, w := roomy(t)
	for i := range 100 {
		c := newJob(i + 1)
		if err := errors.Join(apply(t, w, c)...); err != nil {
			t.Fatal(err)
		}
		id, _ := job.ParseID(c.Job.ID)
		if err := w.peek(peek{id: &id, fn: func(*conn) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		w.afterBatch()
		w.lookFolded()
		if len(w.fresh.line) > 0 {
			t.Fatalf("%d jobs stay in line after %d were read and folded", len(w.fresh.line), i+1)
		}
	}
}

func TestATaskThatComesTwiceInAChangeIsItsLast(t *testing.T) {
	s, w := roomy(t)
	c := newJob(1)
	c.Job.LastTask = 2
	at := func(n int, kind string) job.Task {
		return job.Task{JobID: c.Job.ID, N: n, Type: kind, State: job.TaskQueued, Queued: start}
	}
	c.Tasks = []job.Task{at(1, "early"), at(2, "other"), at(1, "late")}
	if err := errors.Join(apply(t, w, c)...); err != nil {
		t.Fatal(err)
	}
	if err := w.foldNow(); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{1: "late", 2: "other"} {
		if row, err := s.Task(ctx, c.Job.ID, n); err != nil || row.Type != want {
			t.Errorf("task %d is %+v (%v), want %q", n, row, err, want)
		}
	}
}

// The logs are bounded by the disk, so that a small one is not full of them.
func TestLogsTakeAShareOfTheDiskOnly(t *testing.T) {
	for disk, want := range map[int64]int64{0: 32 << 20, 1 << 20: 2 << 20, 64 << 20: 8 << 20, 1 << 40: 32 << 20} {
		if got := logBytes(disk); got != want {
			t.Errorf("on a disk of %d bytes a log may have %d, want %d", disk, got, want)
		}
	}
	const disk = 24 << 20
	s, w := byHand(t, Options{CheckpointBytes: logBytes(disk), RedoBytes: logBytes(disk)})
	most := int64(0)
	for i := range 60 {
		batch := many(1+100*i, 100, func(i int) *job.Change { c := newJob(i); c.InitialData = textOf(2000); return c })
		if err := errors.Join(apply(t, w, batch...)...); err != nil {
			t.Fatal(err)
		}
		w.afterBatch()
		both := int64(0)
		for _, kind := range []string{"-wal", "-redo"} {
			info, err := os.Stat(s.path + kind)
			if err != nil {
				t.Fatal(err)
			}
			both += info.Size()
		}
		most = max(most, both)
	}
	if most > disk/2 || most < 2<<20 {
		t.Errorf("the logs took %d KiB of a disk of %d", most>>10, disk>>10)
	}
}
