package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the store as a whole: sizes, many committers, the end.

var lifeTests = []test{
	{"large values", largeValues},
	{"text of all kinds", oddText},
	{"a context that has ended", endedContext},
	{"many committers on many jobs", manyCommitters},
	{"many committers on one counter lose nothing", oneCounter},
	{"one failing among many harms nobody", failingAmongMany},
	{"closed", closed},
	{"closed while committing", closedWhileCommitting},
}

func largeValues(b *bed) {
	big := json.RawMessage(`{"x":"` + strings.Repeat("0123456789abcdef", 1<<18) + `"}`) // 4 MiB
	j := b.create(func(c *job.Change) { c.InitialData, c.StateHistory = big, big })
	j = b.step(j, write("s", "k", string(big)), tasks(1, func(t *job.Task) { t.Params = big }),
		func(c *job.Change) { c.Results = []job.Result{{Group: 1, TaskID: "t", Data: big}} })
	_, d, err := b.Load(b.ctx, j.ID)
	b.must(err)
	task, err := b.Task(b.ctx, j.ID, 1)
	b.must(err)
	results, _, err := b.Results(b.ctx, j.ID, 1, "", 1000)
	b.must(err)
	v, _ := b.value("s", "k")
	for i, got := range []string{string(d.Initial), string(d.History), string(task.Params), string(results[0].Data), v} {
		if got != string(big) {
			b.Errorf("value %d came back with %d bytes, want %d the same", i, len(got), len(big))
		}
	}
}

func oddText(b *bed) {
	for _, s := range []string{"ñandú 🦉 \U0010ffff", "nul \x00 inside", "quote ' \" ; -- DROP", "line\u2028sep\r\n\t", strings.Repeat("é", 5000)} {
		j := b.create(func(c *job.Change) { c.Job.Blueprint, c.Job.Client.ID, c.Job.State = s, s, s })
		b.step(j, write(s, s, strconv.Quote("v")))
		got, err := b.Job(b.ctx, j.ID)
		b.must(err)
		if got.Blueprint != s || got.State != s || got.Client.ID != s {
			b.Errorf("%q came back as %q, %q, %q", s, got.Blueprint, got.State, got.Client.ID)
		}
		keys, err := b.ValueKeys(b.ctx, s, s)
		b.must(err)
		if len(keys) != 1 || keys[0] != s {
			b.Errorf("the key %q came back as %q", s, keys)
		}
		b.same("list by name", b.list(store.Query{Blueprint: s, Client: s}), []string{j.ID})
		if v, ok := b.claim(s, s, 0, epoch); !ok || v != s {
			b.Errorf("the claim %q came back as %q, %v", s, v, ok)
		}
	}
}

func endedContext(b *bed) {
	ctx, cancel := context.WithCancel(b.ctx)
	j := b.create()
	cancel()
	b.want(b.Commit(ctx, next(j)), context.Canceled)
	_, err := b.Job(ctx, j.ID)
	b.want(err, context.Canceled)
	_, err = b.List(ctx, store.Query{})
	b.want(err, context.Canceled)
	_, _, err = b.Claim(ctx, "k", nil, 0, epoch)
	b.want(err, context.Canceled)
	got, err := b.Job(b.ctx, j.ID)
	b.must(err)
	b.same("untouched", got, j)
	_, claimed := b.claim("k", "v", 0, epoch)
	if !claimed {
		b.Fatal("a claim with an ended context was kept")
	}
}

// crowd runs fn n times at once.
func crowd(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func manyCommitters(b *bed) {
	const crowdSize, jobs, steps = 16, 4, 5
	b.must(crowd(crowdSize, func(i int) error {
		for n := range jobs {
			c := freshAt(at(i*100 + n))
			for range steps {
				if err := b.Commit(b.ctx, c); err != nil {
					return err
				}
				tasked := next(c.Job, tasks(1), func(c *job.Change) { c.CloseTasks = true })
				b.HandOut(handedOut(job.Task{JobID: c.Job.ID, N: c.Job.LastTask, Type: "pack", Params: []byte("{}")}, epoch))
				if _, _, err := b.Load(b.ctx, c.Job.ID); err != nil {
					return fmt.Errorf("read what was just committed: %w", err)
				}
				c = tasked
			}
		}
		return nil
	}))
	n, err := b.Counts(b.ctx)
	b.must(err)
	b.same("counts", n, map[job.Status]int64{job.Running: crowdSize * jobs})
	for _, id := range b.list(store.Query{}) {
		recs, err := b.Records(b.ctx, id, 0, 100)
		b.must(err)
		open, _, err := b.OpenTasks(b.ctx, id, 0, 1000)
		b.must(err)
		if len(recs) != steps || len(open) != 1 {
			b.Fatalf("job %s has %d records and %d open tasks, want %d and 1", id, len(recs), len(open), steps)
		}
	}
}

func oneCounter(b *bed) {
	const crowdSize, each = 8, 10
	conflicts := make([]int, crowdSize)
	b.must(crowd(crowdSize, func(i int) error {
		j := freshAt(at(i))
		if err := b.Commit(b.ctx, j); err != nil {
			return err
		}
		row := j.Job
		for done := 0; done < each; {
			v, version, err := b.Value(b.ctx, "orders", "s", "n")
			if err != nil {
				return err
			}
			n, _ := strconv.Atoi(string(v)) // "" is 0
			c := next(row, read("s", "n", version), write("s", "n", strconv.Itoa(n+1)))
			switch err := b.Commit(b.ctx, c); {
			case err == nil:
				row = c.Job
				done++
			case errors.Is(err, store.ErrConflict):
				conflicts[i]++
			default:
				return err
			}
		}
		return nil
	}))
	if v, _ := b.value("s", "n"); v != strconv.Itoa(crowdSize*each) {
		b.Fatalf("the counter is %s after %d increments (conflicts: %v)", v, crowdSize*each, conflicts)
	}
}

func failingAmongMany(b *bed) {
	j := b.create()
	outcome := make([]error, 40)
	b.must(crowd(len(outcome), func(i int) error {
		switch i % 4 {
		case 0: // one of these wins
			outcome[i] = b.Commit(b.ctx, next(j, write("s", fmt.Sprint(i), "1")))
		case 1:
			c := freshAt(at(i), write("s", fmt.Sprint(i), "1"))
			c.Job.ID = j.ID
			outcome[i] = b.Commit(b.ctx, c)
		case 2:
			outcome[i] = b.Commit(b.ctx, freshAt(at(i), read("s", "none", 9), write("s", fmt.Sprint(i), "1")))
		default:
			return b.Commit(b.ctx, freshAt(at(i), write("s", fmt.Sprint(i), "1")))
		}
		return nil
	}))
	won := 0
	for i, err := range outcome {
		switch {
		case i%4 == 0 && err == nil:
			won++
		case i%4 == 0 || i%4 == 2:
			b.want(err, store.ErrConflict)
		case i%4 == 1:
			b.want(err, store.ErrExists)
		}
	}
	keys, err := b.ValueKeys(b.ctx, "orders", "s")
	b.must(err)
	if won != 1 || len(keys) != 11 {
		b.Fatalf("%d of the ten rivals won, %d values were written; want 1 and 11", won, len(keys))
	}
	n, err := b.Counts(b.ctx)
	b.must(err)
	b.same("counts", n, map[job.Status]int64{job.Running: 1, job.Pending: 10})
}

func closed(b *bed) {
	j := b.create(tasks(1))
	b.must(b.Close())
	b.want(b.Commit(b.ctx, next(j)), store.ErrClosed)
	_, err := b.Job(b.ctx, j.ID)
	b.want(err, store.ErrClosed)
	_, err = b.List(b.ctx, store.Query{})
	b.want(err, store.ErrClosed)
	_, _, err = b.Claim(b.ctx, "k", nil, 0, epoch)
	b.want(err, store.ErrClosed)
	b.want(b.Delivered(b.ctx, "m"), store.ErrClosed)
	b.want(b.ScanTasks(b.ctx, job.TaskQueued, func(job.Task) bool { return true }), store.ErrClosed)
	b.HandOut(handedOut(job.Task{JobID: j.ID, N: 1}, epoch)) // dropped, without harm
	b.AddProgress(j.ID, store.Progress{})
	b.must(b.Close())
}

func closedWhileCommitting(b *bed) {
	began := make(chan struct{}, 8)
	stop := make(chan error, 1)
	go func() {
		for range 8 {
			<-began
		}
		stop <- b.Close()
	}()
	b.must(crowd(8, func(i int) error {
		for n := 0; ; n++ {
			err := b.Commit(b.ctx, freshAt(at(i)))
			if n == 0 {
				began <- struct{}{}
			}
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}))
	b.must(<-stop)
}
