package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/quota"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests that accepted jobs, and nothing else, use up a client's attempts.

// asAnn asks for a job of straight as a client with so many attempts.
func asAnn(attempts int64, key string) Request {
	return Request{Blueprint: "straight", Client: job.Client{ID: "ann"}, Attempts: &attempts, IdempotencyKey: key, BodyHash: "h"}
}

func (r *rig) used(client string, want int64) {
	r.t.Helper()
	if n, _, err := r.AttemptsUsed(r.ctx, client); err != nil || n != want {
		r.t.Errorf("%s has used %d attempts, %v; want %d", client, n, err, want)
	}
}

func TestAHundredAtOnceAreCountedExactly(t *testing.T) {
	r := newRig(t)
	var accepted, refusals atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, _, err := r.Submit(r.ctx, asAnn(30, ""))
			var full *quota.Exceeded
			switch {
			case err == nil:
				accepted.Add(1)
			case FaultCode(err) == QuotaExceeded && errors.As(err, &full) && full.Wait > 0:
				refusals.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if accepted.Load() != 30 || refusals.Load() != 70 {
		t.Errorf("%d accepted, %d refused, want 30 and 70", accepted.Load(), refusals.Load())
	}
	counts, err := r.Counts(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	var jobs int64
	for _, n := range counts {
		jobs += n
	}
	if jobs != 30 {
		t.Errorf("%d jobs are there, want 30", jobs)
	}
	r.used("ann", 30)
	r.reboot()
	if _, _, err := r.Submit(r.ctx, asAnn(30, "")); FaultCode(err) != QuotaExceeded {
		t.Errorf("after a restart: %v", err)
	}
	if _, _, err := r.Submit(r.ctx, asAnn(31, "")); err != nil {
		t.Errorf("with a bound that was raised: %v", err)
	}
	r.clock.Advance(31 * 24 * time.Hour)
	if _, _, err := r.Submit(r.ctx, asAnn(1, "")); err != nil {
		t.Errorf("after the turn of the month: %v", err)
	}
	r.used("ann", 1)
}

func TestARepetitionIsFree(t *testing.T) {
	r := newRig(t)
	var ids sync.Map
	var all sync.WaitGroup
	for i := range 60 { // three keys, twenty times each, all at once
		key := fmt.Sprint("k", i%3)
		all.Go(func() {
			id, _, err := r.Submit(r.ctx, asAnn(3, key))
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
			if first, _ := ids.LoadOrStore(key, id); first != id {
				t.Errorf("%s gave %s and %s", key, first, id)
			}
		})
	}
	all.Wait()
	r.used("ann", 3)
	if _, _, err := r.Submit(r.ctx, asAnn(3, "k3")); FaultCode(err) != QuotaExceeded {
		t.Errorf("a fourth key: %v", err)
	}
	if _, repeated, err := r.Submit(r.ctx, asAnn(3, "k1")); err != nil || !repeated {
		t.Errorf("a repetition when all is used up: %v, %v", repeated, err)
	}
}

func TestWhatIsNotAcceptedIsNotCounted(t *testing.T) {
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	bad := asAnn(5, "")
	bad.Blueprint = "nothing"
	if _, _, err := r.Submit(r.ctx, bad); FaultCode(err) != UnknownBlueprint {
		t.Fatal(err)
	}
	r.used("ann", 0)
	faults.Fail(faultstore.Commit, 1, faultstore.Before) // nothing was created
	if _, _, err := r.Submit(r.ctx, asAnn(5, "")); err == nil {
		t.Fatal("accepted, though nothing was written")
	}
	r.used("ann", 0)
	faults.Fail(faultstore.Commit, 1, faultstore.After) // it was created, which the engine finds out
	if _, _, err := r.Submit(r.ctx, asAnn(5, "")); err != nil {
		t.Fatal(err)
	}
	r.used("ann", 1)
	faults.Fail(faultstore.Count, 1, faultstore.Before)
	if _, _, err := r.Submit(r.ctx, asAnn(5, "")); err == nil {
		t.Fatal("accepted without a count")
	}
	r.used("ann", 1)
	if _, _, err := r.Submit(r.ctx, Request{Blueprint: "straight", Client: job.Client{ID: "ann"}}); err != nil {
		t.Fatal(err)
	}
	r.used("ann", 1) // a client without a bound is not counted
}

// lateStore loses sight of the first commits of jobs: they are told as open, can not be found, and
// are done when the test says so, as what is still on its way to a server after a partition.
type lateStore struct {
	store.Store
	late []func() error
}

type outcomeOpen struct{}

func (outcomeOpen) Error() string     { return "the way to the server broke" }
func (outcomeOpen) Unavailable() bool { return true }

func (s *lateStore) Commit(ctx context.Context, c *job.Change) error {
	if c.Base > 0 {
		return s.Store.Commit(ctx, c)
	}
	s.late = append(s.late, func() error { return s.Store.Commit(context.Background(), c) })
	return fmt.Errorf("write: %w", outcomeOpen{})
}

// An attempt is given back only when its job can not come to be any more.
func TestAnAttemptOfAJobThatComesLateIsKept(t *testing.T) {
	late := &lateStore{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = late })
	if _, _, err := r.Submit(r.ctx, asAnn(1, "")); err == nil {
		t.Fatal("accepted, though its outcome is open")
	}
	for _, arrives := range late.late {
		if err := arrives(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.Submit(r.ctx, asAnn(1, "")); FaultCode(err) != QuotaExceeded {
		t.Errorf("a second job of one attempt: %v", err)
	}
	r.used("ann", 1)
	refused := errors.New("no")
	ben := asAnn(1, "")
	ben.Client.ID, ben.Prepare = "ben", func(context.Context, string) error { return refused }
	if _, _, err := r.Submit(r.ctx, ben); !errors.Is(err, refused) {
		t.Errorf("a start that is not prepared: %v", err)
	}
	r.used("ben", 0)
}

// A result that waited for the store must not count when its task was taken back meanwhile:
// the fence of the newer hand-out is the one that counts.
func TestAResultThatComesAgainIsRefusedAfterItsTaskWasTakenBack(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{"timeout": 10}`)
	first := r.take()
	again := success(`{"late": true}`)
	again.Worker, again.Again = first.Worker, true
	refuse := func(when string) {
		t.Helper()
		if taken, err := r.Returned(r.ctx, first, again); err != nil || taken.Accepted || taken.Reason != "stale_task" {
			t.Errorf("%s: %+v, %v", when, taken, err)
		}
	}
	r.pass(11 * time.Second)
	r.is(id, job.AwaitingRetry, "start")
	refuse("while its task waits for the next try")
	r.pass(2 * time.Second)
	refuse("when its task is queued again")
	second := r.take()
	refuse("when another worker has its task")
	if taken := r.answer(second, success(`{"n": 1}`)); !taken.Accepted {
		t.Errorf("the result of the newer hand-out: %+v", taken)
	}
	r.is(id, job.Finished, "finished")
	if got := r.history(id, "late"); got != "" {
		t.Errorf("the late result left %s", got)
	}
}
