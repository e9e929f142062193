package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file demands what nodes rely on of a store that they share. Leases go by the store's
// own clock, so that these tests wait for real ends, on short ones.

// RunShared puts a driver that several processes may share through the suite for that. open
// gives an empty store; the suite closes it.
func RunShared(t *testing.T, open func(t testing.TB) store.Shared) {
	for _, tt := range []struct {
		name string
		run  func(b *bed, s store.Shared)
	}{
		{"a lease has one holder, and its fence grows with each new one", leaseHolders},
		{"a lease ends by itself", leaseEnds},
		{"leases are listed by prefix with what stands beside them", leaseList},
		{"a step on an old fence is refused, and nothing is written", stepFenced},
		{"a fence that nobody holds any more is refused", yieldedFence},
		{"a hand-out on an old fence is dropped", handOutFenced},
		{"a message is not put off on an old fence", postponeFenced},
		{"reads of some shards give those only", shardReads},
		{"a pace gives its turns at once, and one more each time", paceTurns},
		{"turns that were given back are there again", paceBack},
		{"in debt there is one turn after the other", paceDebt},
		{"of many who draw at once, all together get what there is", paceTogether},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			tt.run(newBed(t, func(testing.TB) store.Store { return s }), s)
		})
	}
}

const long = time.Hour // of leases that do not end in a test

func (b *bed) hold(s store.Leases, holder string, ttl time.Duration, names ...string) []store.Lease {
	b.Helper()
	got, err := s.Hold(b.ctx, holder, json.RawMessage(`{"of":"`+holder+`"}`), ttl, names...)
	b.must(err)
	return got
}

// fenceOf gives the fence of a lease in a list, 0 when it is not there.
func fenceOf(list []store.Lease, name string) int64 {
	for _, l := range list {
		if l.Name == name {
			return l.Fence
		}
	}
	return 0
}

func leaseHolders(b *bed, s store.Shared) {
	first := b.hold(s, "a", long, "x/2", "x/1")
	if len(first) != 2 || first[0].Name != "x/1" || first[0].Fence < 1 || first[1].Fence < 1 || first[0].Left <= 0 || first[0].Left > long {
		b.Fatalf("first hold gave %+v", first)
	}
	fence := first[0].Fence
	if got := b.hold(s, "b", long, "x/1", "x/3"); len(got) != 1 || got[0].Name != "x/3" || got[0].Holder != "b" {
		b.Fatalf("a held lease was given away: %+v", got)
	}
	if got := b.hold(s, "a", long, "x/1"); fenceOf(got, "x/1") != fence || fenceOf(got, "x/2") != first[1].Fence {
		b.Fatalf("renewing one gave %+v; want both with their numbers", got)
	}
	b.must(s.Yield(b.ctx, "b", "x/1")) // not b's
	if got := b.hold(s, "b", long, "x/1"); fenceOf(got, "x/1") != 0 {
		b.Fatalf("yielding another's lease took it: %+v", got)
	}
	b.must(s.Yield(b.ctx, "a", "x/1", "never"))
	given := b.hold(s, "b", long, "x/1")
	if fenceOf(given, "x/1") <= fence {
		b.Fatalf("after a yield b has %+v, want x/1 with a fence above %d", given, fence)
	}
	fence = fenceOf(given, "x/1")
	b.must(s.Yield(b.ctx, "b", "x/1"))
	if got := b.hold(s, "b", long, "x/1"); fenceOf(got, "x/1") <= fence {
		b.Fatalf("taking what one yielded gave %+v, want a fence above %d", got, fence)
	}
	for what, err := range map[string]error{
		"no holder": second(s.Hold(b.ctx, "", nil, long, "x/9")),
		"no time":   second(s.Hold(b.ctx, "a", nil, 0, "x/9")),
		"info":      second(s.Hold(b.ctx, "a", make([]byte, 5000), long, "x/9")),
	} {
		if err == nil {
			b.Errorf("%s: nothing was refused", what)
		}
	}
}

func second(_ []store.Lease, err error) error { return err }

// until polls a condition that the passing of real time makes true.
func (b *bed) until(what string, is func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("%s did not come true", what)
		}
	}
}

func leaseEnds(b *bed, s store.Shared) {
	fence := fenceOf(b.hold(s, "a", 60*time.Millisecond, "y"), "y")
	b.until("b gets the ended lease", func() bool { return fenceOf(b.hold(s, "b", long, "y"), "y") > fence })
	if got := b.hold(s, "a", long, "y"); len(got) != 0 {
		b.Fatalf("a has %+v again", got)
	}
	fence = fenceOf(b.hold(s, "c", 20*time.Millisecond, "z"), "z")
	b.until("z ends", func() bool { got, err := s.Held(b.ctx, "z"); b.must(err); return len(got) == 0 })
	if got := b.hold(s, "c", long, "z"); fenceOf(got, "z") != fence {
		b.Fatalf("renewing what ended and nobody took gave %+v, want fence %d", got, fence)
	}
}

func leaseList(b *bed, s store.Shared) {
	b.hold(s, "a", long, "node/a", "nodes")
	b.hold(s, "b", long, "node/b")
	got, err := s.Held(b.ctx, "node/")
	b.must(err)
	if len(got) != 2 || got[0].Name != "node/a" || got[1].Holder != "b" {
		b.Fatalf("held: %+v", got)
	}
	var info struct{ Of string }
	if err := json.Unmarshal(got[1].Info, &info); err != nil || info.Of != "b" {
		b.Fatalf("info %s: %v", got[1].Info, err)
	}
}

func fence(n int64) mod { return func(c *job.Change) { c.Fence = n } }

func stepFenced(b *bed, s store.Shared) {
	j := b.create()
	name := store.ShardLease(job.ShardOf(j.ID))
	first := fenceOf(b.hold(s, "a", long, name), name)
	j = b.step(j, fence(first))
	b.must(s.Yield(b.ctx, "a", name))
	second := fenceOf(b.hold(s, "b", long, name), name)
	late := next(j, fence(first), tasks(1), write("stock", "k", "1"), message("late", epoch))
	b.want(s.Commit(b.ctx, late), store.ErrFenced)
	got, err := s.Job(b.ctx, j.ID)
	b.must(err)
	b.same("the job", got, &j)
	open, _, err := s.OpenTasks(b.ctx, j.ID, 0, 1000)
	b.must(err)
	if len(open) != 0 {
		b.Fatalf("the refused step left tasks: %+v", open)
	}
	b.want(s.Commit(b.ctx, b.fresh(func(c *job.Change) { c.Fence = 99 })), store.ErrFenced)
	j = b.step(j, fence(second))
	b.want(s.Commit(b.ctx, late), store.ErrFenced) // and not that the job has changed
	b.step(j)                                      // an event from outside carries no fence
}

func handOutFenced(b *bed, s store.Shared) {
	j := b.create(tasks(3))
	name := store.ShardLease(job.ShardOf(j.ID))
	first := fenceOf(b.hold(s, "a", long, name), name)
	all, _, err := s.OpenTasks(b.ctx, j.ID, 0, 1000)
	b.must(err)
	out := func(n int, fence int64) job.Task {
		t := handedOut(all[n-1], at(n))
		t.Fence = fence
		return t
	}
	s.HandOut(out(1, first))
	b.must(s.Sync(b.ctx))
	b.must(s.Yield(b.ctx, "a", name))
	second := fenceOf(b.hold(s, "b", long, name), name)
	s.HandOut(out(2, first)) // late
	s.HandOut(out(3, second))
	b.must(s.Sync(b.ctx))
	for n, want := range map[int]job.TaskState{1: job.TaskLeased, 2: job.TaskQueued, 3: job.TaskLeased} {
		t, err := s.Task(b.ctx, j.ID, n)
		b.must(err)
		if t.State != want || t.Fence != 0 {
			b.Fatalf("task %d is %s (fence %d), want %s", n, t.State, t.Fence, want)
		}
	}
	s.HandOut(out(2, second)) // as the new owner does it
	b.must(s.Sync(b.ctx))
	if t, err := s.Task(b.ctx, j.ID, 2); err != nil || t.State != job.TaskLeased {
		b.Fatalf("the new owner's hand-out: %+v, %v", t, err)
	}
}

// postponeFenced: what a past owner notes of a message late must not replace what the new owner
// noted; one batch may hold good notes beside it.
func postponeFenced(b *bed, s store.Shared) {
	j := b.create()
	j = b.step(j, message(j.ID+"/2/0", epoch), message(j.ID+"/2/1", epoch))
	name := store.ShardLease(job.ShardOf(j.ID))
	first := fenceOf(b.hold(s, "a", long, name), name)
	note := func(n int, fence int64, what string) job.Message {
		return job.Message{ID: fmt.Sprintf("%s/2/%d", j.ID, n), JobID: j.ID, Kind: job.MsgWebhook, Due: at(9), Error: what, Fence: fence}
	}
	b.must(s.Postpone(b.ctx, note(0, first, "a tried")))
	b.must(s.Yield(b.ctx, "a", name))
	b.want(s.Postpone(b.ctx, note(0, first, "nobody has it")), store.ErrFenced)
	second := fenceOf(b.hold(s, "b", long, name), name)
	sent := note(0, second, "b sent it")
	sent.Sent = ptr(at(3))
	b.must(s.Postpone(b.ctx, sent))
	b.want(s.Postpone(b.ctx, note(0, first, "late")), store.ErrFenced)
	b.want(s.Postpone(b.ctx, note(0, second+1, "never given")), store.ErrFenced)
	var late, good error
	var both sync.WaitGroup
	both.Go(func() { late = s.Postpone(b.ctx, note(0, first, "late")) })
	both.Go(func() { good = s.Postpone(b.ctx, note(1, second, "b tried")) })
	both.Wait()
	b.want(late, store.ErrFenced)
	b.must(good)
	all, err := s.MessagesOf(b.ctx, j.ID)
	b.must(err)
	if len(all) != 2 || all[0].Error != "b sent it" || all[0].Sent == nil || all[0].Fence != 0 || all[1].Error != "b tried" {
		b.Fatalf("after the late notes: %+v", all)
	}
	b.must(s.Postpone(b.ctx, note(0, 0, "a person tries it again"))) // no owner's note carries no fence
}

func yieldedFence(b *bed, s store.Shared) {
	j := b.create()
	name := store.ShardLease(job.ShardOf(j.ID))
	given := fenceOf(b.hold(s, "a", long, name), name)
	b.must(s.Yield(b.ctx, "a", name))
	b.want(s.Commit(b.ctx, next(j, fence(given))), store.ErrFenced)
}

func shardReads(b *bed, s store.Shared) {
	var in, out store.ShardSet
	mine, theirs := b.create(tasks(2), due(ptr(at(5))), message("m1", at(1))), job.Job{}
	in.Add(job.ShardOf(mine.ID))
	for theirs.ID == "" || in.Has(job.ShardOf(theirs.ID)) {
		theirs = b.create(tasks(1), due(ptr(at(3))), message("m2/"+b.now.String(), at(1)))
	}
	out.Add(job.ShardOf(theirs.ID))
	ids, err := s.ReadyIn(b.ctx, in, "", 10)
	b.must(err)
	wakes, err := s.DueIn(b.ctx, in, at(9), 10)
	b.must(err)
	next, ok, err := s.NextDueIn(b.ctx, in)
	b.must(err)
	letters, err := s.MessagesIn(b.ctx, in, at(9), 10)
	b.must(err)
	var scanned []job.Task
	b.must(s.ScanTasksIn(b.ctx, in, job.TaskQueued, func(t job.Task) bool { scanned = append(scanned, t); return true }))
	for _, id := range ids {
		if !in.Has(job.ShardOf(id)) {
			b.Errorf("ready job %s is of another shard", id)
		}
	}
	if len(ids) == 0 || len(wakes) == 0 || len(letters) == 0 || len(scanned) < 2 || !ok || !next.Equal(at(5)) {
		b.Fatalf("reads of a shard gave %v, %v, %v, %d tasks, next %v %v", ids, wakes, letters, len(scanned), next, ok)
	}
	for _, w := range wakes {
		if !in.Has(job.ShardOf(w.JobID)) {
			b.Errorf("wake of job %s is of another shard", w.JobID)
		}
	}
	for _, m := range letters {
		if !in.Has(job.ShardOf(m.JobID)) {
			b.Errorf("message of job %s is of another shard", m.JobID)
		}
	}
	if _, ok, err := s.NextDueIn(b.ctx, store.ShardSet{}); ok || err != nil {
		b.Errorf("no shard has a date: %v, %v", ok, err)
	}
	if next, ok, err := s.NextDueIn(b.ctx, out); !ok || err != nil || !next.Equal(at(3)) {
		b.Errorf("the other shard's date is %v, %v, %v; want %v", next, ok, err, at(3))
	}
	if !errors.Is(s.ScanTasksIn(cancelled(), in, job.TaskQueued, func(job.Task) bool { return true }), context.Canceled) {
		b.Errorf("a cancelled scan went on")
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
