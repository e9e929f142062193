package storetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests tasks: written with their job, handed out, and their progress.

var taskTests = []test{
	{"inserted and replaced with the job", tasksUpsert},
	{"CloseTasks spares those of the change", closeOthers},
	{"scanned by state over all jobs", scanned},
}

var handOutTests = []test{
	{"a queued task goes to a worker", handOutPlain},
	{"a hand-out that is not the next is dropped", handOutOutOfTurn},
	{"a hand-out of a task no longer queued is dropped", handOutTooLate},
	{"a result after its hand-out finds it written", handOutThenResult},
}

var progressTests = []test{
	{"kept in order, the newest of each task", progressCapped},
	{"progress of a job is bounded", progressOfJob},
}

func tasksUpsert(b *bed) {
	c := b.fresh(tasks(3, func(t *job.Task) {
		t.MaxCost, t.Resources, t.Retry = ptr(1.5), json.RawMessage(`{"gpu":{"vram_gb":8}}`), &job.RetryPolicy{Max: 2, Only: []string{"X"}}
		t.Dispatch, t.Due, t.Trace = ptr(at(60)), ptr(at(60)), map[string]string{"a": "b"}
	}))
	b.must(b.Commit(b.ctx, c))
	open, _, err := b.OpenTasks(b.ctx, c.Job.ID, 0, 1000)
	b.must(err)
	b.same("open tasks", open, c.Tasks)

	done := c.Tasks[1]
	done.State, done.Due, done.LastError = job.TaskDone, nil, &job.Error{Code: "E", Message: "once"}
	b.step(c.Job, func(c *job.Change) { c.Tasks = []job.Task{done} })
	got, err := b.Task(b.ctx, c.Job.ID, 2)
	b.must(err)
	b.same("replaced task", got, done)
	open, _, err = b.OpenTasks(b.ctx, c.Job.ID, 0, 1000)
	b.must(err)
	b.same("open tasks", open, []job.Task{c.Tasks[0], c.Tasks[2]})
}

func closeOthers(b *bed) {
	j := b.create(tasks(5, func(t *job.Task) { t.Due = ptr(at(5)) }))
	bystander := b.create(tasks(1))
	var old []job.Task
	for n := 1; n <= 5; n++ {
		t, err := b.Task(b.ctx, j.ID, n)
		b.must(err)
		old = append(old, *t)
	}
	done, kept := old[1], old[3]
	done.State, done.Due, kept.Worker = job.TaskDone, nil, "still wanted"
	j = b.step(j, func(c *job.Change) { c.Tasks, c.CloseTasks = []job.Task{done}, false })
	b.step(j, tasks(1), func(c *job.Change) { c.Tasks, c.CloseTasks = append(c.Tasks, kept), true })
	want := []job.TaskState{job.TaskClosed, job.TaskDone, job.TaskClosed, job.TaskQueued, job.TaskClosed, job.TaskQueued}
	for i, w := range want {
		t, err := b.Task(b.ctx, j.ID, i+1)
		b.must(err)
		if t.State != w {
			b.Errorf("task %d is %s, want %s", i+1, t.State, w)
		}
		if w == job.TaskClosed && t.Due != nil {
			b.Errorf("closed task %d is still due at %v", i+1, t.Due)
		}
	}
	wakes, err := b.Due(b.ctx, at(100), 10)
	b.must(err)
	b.same("due", wakes, []store.Wake{{JobID: j.ID, Task: 4, At: at(5)}})
	open, _, err := b.OpenTasks(b.ctx, bystander.ID, 0, 1000)
	b.must(err)
	if len(open) != 1 {
		b.Fatalf("another job's task was closed too")
	}
}

func scanned(b *bed) {
	want := map[job.TaskState][]string{}
	for i, state := range []job.TaskState{job.TaskQueued, job.TaskLeased, job.TaskRetry, job.TaskDone, job.TaskClosed, job.TaskQueued} {
		j := b.create(tasks(2, func(t *job.Task) { t.State, t.ID = state, fmt.Sprint(i) }))
		want[state] = append(want[state], j.ID+"/1", j.ID+"/2")
	}
	for state, ids := range want {
		var got []string
		b.must(b.ScanTasks(b.ctx, state, func(t job.Task) bool {
			if t.State != state {
				b.Errorf("a scan for %s gave a task that is %s", state, t.State)
			}
			if _, err := b.Task(b.ctx, t.JobID, t.N); err != nil { // the store may be used meanwhile
				b.Errorf("read within a scan: %v", err)
			}
			got = append(got, fmt.Sprintf("%s/%d", t.JobID, t.N))
			return true
		}))
		slices.Sort(got)
		slices.Sort(ids)
		b.same("tasks "+string(state), got, ids)
	}
	calls := 0
	b.must(b.ScanTasks(b.ctx, job.TaskQueued, func(job.Task) bool { calls++; return false }))
	if calls != 1 {
		b.Fatalf("the scan went on after false: %d calls", calls)
	}
}

// settle waits until everything that nobody waited for is written.
func (b *bed) settle() { b.Helper(); b.must(b.Sync(b.ctx)) }

func handOutPlain(b *bed) {
	j := b.create(tasks(2))
	t, err := b.Task(b.ctx, j.ID, 1)
	b.must(err)
	out := handedOut(*t, at(1))
	out.Due = ptr(at(30))
	b.HandOut(out)
	b.settle()
	got, err := b.Task(b.ctx, j.ID, 1)
	b.must(err)
	b.same("handed out", got, out)
	wakes, err := b.Due(b.ctx, at(30), 9)
	b.must(err)
	b.same("due", wakes, []store.Wake{{JobID: j.ID, Task: 1, At: at(30)}})
	row, err := b.Job(b.ctx, j.ID)
	b.must(err)
	b.same("the job's row stays", row, j)
	b.HandOut(handedOut(job.Task{JobID: job.NewID(epoch, 1), N: 1}, epoch)) // of no job at all
	b.settle()
}

func handOutOutOfTurn(b *bed) {
	j := b.create(tasks(1))
	t, err := b.Task(b.ctx, j.ID, 1)
	b.must(err)
	ahead := *t
	ahead.HandOut = 1
	b.HandOut(handedOut(ahead, at(1)))
	first := handedOut(*t, at(1))
	b.HandOut(first)
	twice := first
	twice.Worker = "w2"
	b.HandOut(twice)
	b.settle()
	got, err := b.Task(b.ctx, j.ID, 1)
	b.must(err)
	b.same("only the next hand-out counts", got, first)
}

func handOutTooLate(b *bed) {
	c := b.fresh(tasks(2))
	b.must(b.Commit(b.ctx, c))
	one := c.Tasks[0]
	done := one
	done.State = job.TaskDone
	j := b.step(c.Job, func(c *job.Change) { c.Tasks = []job.Task{done} })
	b.HandOut(handedOut(one, at(1)))
	b.settle()
	got, err := b.Task(b.ctx, j.ID, 1)
	b.must(err)
	b.same("a done task stays", got, done)
	b.step(j, status(job.Cancelled, false), func(c *job.Change) { c.CloseTasks = true })
	b.HandOut(handedOut(c.Tasks[1], at(1)))
	b.settle()
	got, err = b.Task(b.ctx, j.ID, 2)
	b.must(err)
	if got.State != job.TaskClosed || got.HandOut != 0 {
		b.Fatalf("a closed task was handed out: %+v", got)
	}
}

func handOutThenResult(b *bed) {
	for range 50 {
		c := b.fresh(tasks(1))
		b.must(b.Commit(b.ctx, c))
		out := handedOut(c.Tasks[0], at(1))
		b.HandOut(out)
		done := out
		done.State = job.TaskDone
		b.step(c.Job, func(c *job.Change) { c.Tasks = []job.Task{done} })
		got, err := b.Task(b.ctx, c.Job.ID, 1)
		b.must(err)
		b.same("task", got, done)
		again := done
		again.State = job.TaskQueued // a retry: the count of hand-outs goes on
		b.step(next(c.Job).Job, func(c *job.Change) { c.Tasks = []job.Task{again} })
		b.HandOut(handedOut(again, at(2)))
		b.settle()
		got, err = b.Task(b.ctx, c.Job.ID, 1)
		b.must(err)
		if got.State != job.TaskLeased || got.HandOut != 2 {
			b.Fatalf("the second hand-out is missing: %+v", got)
		}
	}
}

// progressOfJob holds that a job keeps so much progress and no more, however many tasks it has, and
// that another job's is left alone.
func progressOfJob(b *bed) {
	const all = store.JobProgressKept + 250
	j, other := b.create(tasks(2)), b.create(tasks(1))
	b.AddProgress(other.ID, store.Progress{Timestamp: job.Time{Time: at(0)}, TaskID: "t"})
	for i := range all {
		b.AddProgress(j.ID, store.Progress{Progress: float64(i), Timestamp: job.Time{Time: at(i)}, TaskID: fmt.Sprint("task-", i%37)})
	}
	b.settle()
	got, err := b.Store.Progress(b.ctx, j.ID)
	b.must(err)
	if len(got) > store.JobProgressKept || len(got) < store.ProgressLeft {
		b.Fatalf("%d entries of the job are kept, want from %d to %d", len(got), store.ProgressLeft, store.JobProgressKept)
	}
	for i, p := range got {
		if want := all - len(got) + i; p.Progress != float64(want) {
			b.Fatalf("entry %d of those kept is number %v, want %d: the newest are kept, in order", i, p.Progress, want)
		}
	}
	got, err = b.Store.Progress(b.ctx, other.ID)
	b.must(err)
	b.same("another job's entries", len(got), 1)
}

func progressCapped(b *bed) {
	j := b.create(tasks(2))
	for i := range store.ProgressKept + 20 {
		b.AddProgress(j.ID, store.Progress{Progress: float64(i), Message: "½", Timestamp: job.Time{Time: at(i)}, TaskID: "long"})
		if i < 3 {
			b.AddProgress(j.ID, store.Progress{Progress: float64(i), Timestamp: job.Time{Time: at(i)}, TaskID: "short"})
		}
	}
	b.AddProgress(job.NewID(epoch, 1), store.Progress{TaskID: "of no job"})
	b.AddProgress("nonsense", store.Progress{TaskID: "of no job"})
	b.settle()
	got, err := b.Store.Progress(b.ctx, j.ID)
	b.must(err)
	seen := map[string]int{}
	last := map[string]float64{"long": -1, "short": -1}
	for _, p := range got {
		if p.Progress <= last[p.TaskID] {
			b.Fatalf("progress of %s goes back from %v to %v", p.TaskID, last[p.TaskID], p.Progress)
		}
		last[p.TaskID] = p.Progress
		seen[p.TaskID]++
	}
	if seen["long"] != store.ProgressKept || seen["short"] != 3 || last["long"] != store.ProgressKept+19 {
		b.Fatalf("kept %v, newest %v", seen, last)
	}
	want := store.Progress{Progress: store.ProgressKept + 19, Message: "½", Timestamp: job.Time{Time: at(store.ProgressKept + 19)}, TaskID: "long"}
	b.same("the newest", got[len(got)-1], want)
}
