package storetest

import (
	"slices"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests how the engine finds what must be looked at.

var wakeTests = []test{
	{"ready jobs, page by page", readyPages},
	{"due dates of jobs and open tasks", dueDates},
	{"the next date", nextDate},
}

func readyPages(b *bed) {
	var want []string
	for i := range 25 {
		j := b.create()
		switch i % 5 {
		case 3:
			b.step(j, status(job.WaitingWorker, false))
		case 4:
			b.step(j, status(job.Finished, true)) // ended: never, whatever the flag says
		default:
			want = append(want, j.ID)
		}
	}
	var got []string
	after := ""
	for {
		page, err := b.Ready(b.ctx, after, 4)
		b.must(err)
		if len(page) > 4 {
			b.Fatalf("a page of %d, asked for 4", len(page))
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1]
	}
	b.same("ready, oldest first", got, want)

	j, err := b.Job(b.ctx, want[0])
	b.must(err)
	waiting := b.step(*j, status(job.WaitingTimer, false))
	page, err := b.Ready(b.ctx, "", 1)
	b.must(err)
	b.same("after it began to wait", page, want[1:2])
	b.step(waiting, status(job.Running, true))
	page, err = b.Ready(b.ctx, "", 1)
	b.must(err)
	b.same("ready again", page, want[:1])
}

func dueDates(b *bed) {
	timer := b.create(due(ptr(at(3))))
	ended := b.create(due(ptr(at(1))), tasks(1))
	b.step(ended, status(job.Cancelled, false), func(c *job.Change) { c.CloseTasks = true }) // its date is still set
	busy := b.create(tasks(3, func(t *job.Task) {
		t.Due = ptr(at(6 - t.N))
		if t.N == 2 {
			t.State = job.TaskDone
		}
	}))
	all := []store.Wake{{JobID: timer.ID, At: at(3)}, {JobID: busy.ID, Task: 3, At: at(3)}, {JobID: busy.ID, Task: 1, At: at(5)}}
	b.wakes(100, 10, all)
	b.wakes(5, 2, all[:2])
	b.wakes(3, 10, all[:2])
	b.wakes(2, 10, nil)
	if got, _ := b.Due(b.ctx, at(3).Add(-time.Millisecond), 10); len(got) != 0 {
		b.Fatalf("due a millisecond early: %v", got)
	}
	timer = b.step(timer, due(ptr(at(20))))
	b.wakes(19, 10, all[1:])
	b.step(timer, due(nil))
	b.wakes(100, 10, all[1:])
}

// wakes compares what is due; the order among equal dates is free.
func (b *bed) wakes(seconds, limit int, want []store.Wake) {
	b.Helper()
	got, err := b.Due(b.ctx, at(seconds), limit)
	b.must(err)
	if !slices.IsSortedFunc(got, func(a, b store.Wake) int { return a.At.Compare(b.At) }) {
		b.Fatalf("due dates are not in order: %v", got)
	}
	order := func(a, b store.Wake) int { return 2*a.At.Compare(b.At) + min(1, max(-1, a.Task-b.Task)) }
	want = slices.Clone(want)
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	b.same("due", append([]store.Wake{}, got...), append([]store.Wake{}, want...))
}

func nextDate(b *bed) {
	if _, ok, err := b.NextDue(b.ctx); ok || err != nil {
		b.Fatalf("a date in an empty store (%v)", err)
	}
	check := func(seconds int) {
		b.Helper()
		got, ok, err := b.NextDue(b.ctx)
		b.must(err)
		if !ok || !got.Equal(at(seconds)) {
			b.Fatalf("next date %v (%v), want %v", got, ok, at(seconds))
		}
	}
	j := b.create(due(ptr(at(50))))
	check(50)
	k := b.create(tasks(1, func(t *job.Task) { t.Due = ptr(at(20)) }))
	check(20)
	b.step(j, due(ptr(at(10))))
	check(10)
	b.step(k, status(job.Failed, false), func(c *job.Change) { c.CloseTasks = true })
	check(10)
}
