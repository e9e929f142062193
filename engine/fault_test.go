package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file lets each call that the engine makes to its store go wrong once, while a job
// passes everything that a lost or doubled write could hurt, and holds the invariants I1 to
// I8 of the kill tests afterwards.

// flaky marks the task that fails on its first try.
const flaky = "flaky"

// playMixed plays the workers and the clock until a job of mixed has ended. Faults of the
// store are met as the real callers meet them: tried again.
func playMixed(t *testing.T, r *rig, id string) {
	t.Helper()
	pending := map[string]Outcome{} // results that a worker must send again
	var tasks []job.Task
	for round := 0; ; round++ {
		if j, err := r.rows.Job(r.ctx, id); err == nil && j.Status.Terminal() && len(tasks) == 0 {
			return
		}
		if round == 100 {
			j := r.job(id)
			t.Fatalf("I1: the job stands in %q, %s, waiting for %+v", j.State, j.Status, j.Wait)
		}
		for err := r.mend(); err != nil; err = r.mend() {
			if !errors.Is(err, faultstore.ErrInjected) {
				t.Fatal(err)
			}
		}
		for {
			task, ok := r.line.take(r.Engine)
			if !ok {
				break
			}
			o := success(fmt.Sprintf(`{"t%d": %d}`, task.N, task.HandOut))
			if task.Type == flaky && task.Attempt == 1 {
				o = failure(job.CodeTransient)
			}
			o.Worker = task.Worker
			pending[task.ID] = o
			tasks = append(tasks, task)
		}
		var again []job.Task
		for _, task := range tasks {
			taken, err := r.Returned(r.ctx, task, pending[task.ID])
			switch {
			case errors.Is(err, faultstore.ErrInjected):
				again = append(again, task)
			case err != nil:
				t.Fatal(err)
			case !taken.Accepted:
				t.Errorf("the result of task %d, hand-out %d, was refused: %+v", task.N, task.HandOut, taken)
				fallthrough
			default:
				r.line.gone(task)
			}
		}
		tasks = again
	}
}

// checkInvariants holds I2 to I8 for an ended job of mixed.
func checkInvariants(t *testing.T, r *rig, id string) {
	t.Helper()
	j, data, err := r.rows.Load(r.ctx, id)
	if err != nil {
		t.Fatalf("I2: %v", err)
	}
	if j.Status != job.Finished {
		t.Fatalf("the job ended %s: %v", j.Status, j.Error)
	}
	var state struct {
		Visits []string `json:"visits"`
		Joined int      `json:"joined"`
	}
	if err := json.Unmarshal(data.History, &state); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(state.Visits); got != "[start fan join rest last finished]" || state.Joined != 5 {
		t.Errorf("I3, I6: visits %s, joined %d", got, state.Joined)
	}
	records, err := r.rows.Records(r.ctx, id, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	steps, children, taken := int64(0), 0, map[string]bool{}
	b := historyBuilder{job: id}
	for i := range records {
		rec := &records[i]
		if rec.N != int64(i)+1 {
			t.Errorf("I3: record %d has the number %d", i+1, rec.N)
		}
		switch rec.Kind {
		case job.RecStep:
			if steps++; rec.Step != steps {
				t.Errorf("I3: step %d where %d is due", rec.Step, steps)
			}
		case job.RecTaskEnd:
			if taken[rec.Task.ID] {
				t.Errorf("I4: two results for %s", rec.Task.ID)
			}
			taken[rec.Task.ID] = true
		case job.RecChild:
			children++
		}
		if err := b.fold(rec); err != nil {
			t.Fatal(err)
		}
	}
	if steps != 6 || children != 1 || len(taken) != 7 {
		t.Errorf("I3: %d steps (want 6); I6: resumed %d times (want 1); I4: %d results (want 7)", steps, children, len(taken))
	}
	if !bytes.Equal(sorted(t, b.history), sorted(t, data.History)) {
		t.Errorf("I8: history folds to %s, state_history is %s", b.history, data.History)
	}
	if open, _, err := r.rows.OpenTasks(r.ctx, id, 0, 1000); err != nil || len(open) != 0 {
		t.Errorf("open tasks of an ended job: %v, %v", open, err)
	}
	if queued, held := r.line.size(); queued+held != 0 {
		t.Errorf("%d tasks queued, %d at workers, after all has ended", queued, held)
	}
}

// sorted writes an object with its keys in order.
func sorted(t *testing.T, object json.RawMessage) []byte {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(object, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mixedUnder runs one job of mixed with a plan of faults, and counts its child.
func mixedUnder(t *testing.T, plan func(*faultstore.Store)) (met int) {
	t.Helper()
	faults := faultstore.New(memory.New())
	r := newRig(t, func(c *Config) { c.Store = faults })
	r.rows = faults.Store // the test's own reads do not fail
	plan(faults)
	send := func(blueprint, data string) string {
		for { // as a good client repeats a request
			id, _, err := r.Submit(r.ctx, Request{Blueprint: blueprint, InitialData: json.RawMessage(data), IdempotencyKey: blueprint})
			if err == nil {
				return id
			}
			if !errors.Is(err, faultstore.ErrInjected) {
				t.Fatal(err)
			}
		}
	}
	id := send("mixed", `{}`)
	playMixed(t, r, id)
	checkInvariants(t, r, id)
	before := r.job(id).Version
	for range 3 { // I5: nothing that is still under way may touch an ended job
		if err := r.mend(); err != nil && !errors.Is(err, faultstore.ErrInjected) {
			t.Fatal(err)
		}
	}
	if after := r.job(id).Version; after != before {
		t.Errorf("I5: version %d after the end became %d", before, after)
	}
	report := send("count", `{"report": true}`)
	for round := 0; !r.job(report).Status.Terminal() && round < 100; round++ {
		if err := r.mend(); err != nil && !errors.Is(err, faultstore.ErrInjected) {
			t.Fatal(err)
		}
	}
	if got := r.history(report, "n"); got != "1" {
		t.Errorf("I7: the child counted %s times", got)
	}
	return faults.Met()
}

var faulty = []faultstore.Method{
	faultstore.Commit, faultstore.Load, faultstore.Job, faultstore.Task, faultstore.Results, faultstore.Ready,
	faultstore.Due, faultstore.NextDue, faultstore.Messages, faultstore.Delivered, faultstore.Claim, faultstore.HandOut,
}

func TestEveryStoreCallFailsOnce(t *testing.T) {
	const enough = 40 // calls of one method; a method that is called less often ends its row
	for _, m := range faulty {
		for _, kind := range []faultstore.Kind{faultstore.Before, faultstore.After} {
			t.Run(fmt.Sprintf("%s/%s", m, kind), func(t *testing.T) {
				for n := 1; n <= enough; n++ {
					met := mixedUnder(t, func(s *faultstore.Store) { s.Fail(m, n, kind) })
					if t.Failed() {
						t.Fatalf("call %d of %s, %s", n, m, kind)
					}
					if met == 0 {
						return
					}
				}
			})
		}
	}
}

// A store behind a slow line, or on a slow disk, makes everything slower and nothing wrong,
// whichever of two calls comes back first.
func TestASlowStoreIsOnlySlow(t *testing.T) {
	for range 10 {
		mixedUnder(t, func(s *faultstore.Store) {
			s.Slow(func() time.Duration { return time.Duration(rand.IntN(3000)) * time.Microsecond })
		})
	}
}

// The look after a doubtful commit may fail too: then the doubt stays until it can be
// cleared, and a result that is sent again meanwhile is counted once.
func TestDoubtThatCanNotBeCleared(t *testing.T) {
	for n := 1; n <= 20; n++ {
		for _, kind := range []faultstore.Kind{faultstore.Before, faultstore.After} {
			met := mixedUnder(t, func(s *faultstore.Store) {
				s.Fail(faultstore.Commit, n, kind)
				s.Fail(faultstore.Records, 1, faultstore.Before)
				s.Fail(faultstore.Records, 2, faultstore.Before)
			})
			if t.Failed() {
				t.Fatalf("commit %d, %s, and two looks after it", n, kind)
			}
			if met == 0 {
				return
			}
		}
	}
}

// unsynced is a store whose syncs fail for a while, as on a disk that has lost a write.
type unsynced struct {
	store.Store
	failing atomic.Bool
}

func (u *unsynced) Sync(ctx context.Context) error {
	if u.failing.Load() {
		return errors.New("sync the log: input/output error")
	}
	return u.Store.Sync(ctx)
}

// What a failed sync left open can be read, and may be gone with the power: nobody hears that
// it was kept before a later sync has succeeded.
func TestWhatIsReadAfterAFailedSyncIsNotAcknowledged(t *testing.T) {
	faults := faultstore.New(memory.New())
	disk := &unsynced{Store: faults}
	r := newRig(t, func(c *Config) { c.Store = disk })
	r.rows = faults.Store
	disk.failing.Store(true)
	faults.Fail(faultstore.Commit, 1, faultstore.After)
	request := Request{Blueprint: "mixed", InitialData: json.RawMessage(`{}`), IdempotencyKey: "once"}
	if id, _, err := r.Submit(r.ctx, request); err == nil {
		t.Fatalf("job %s is accepted though no sync has succeeded since its commit", id)
	}
	disk.failing.Store(false)
	id, _, err := r.Submit(r.ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	playMixed(t, r, id)
	checkInvariants(t, r, id)
}

// A store that is full refuses for sure: the caller hears it, and nothing is in doubt.
func TestFullStore(t *testing.T) {
	r := newRig(t)
	full := &fullStore{Store: memory.New(), left: 1}
	cfg := r.cfg
	cfg.Store = full
	r.bps.UseStore(full)
	r.boot(cfg)
	id := r.submit("work", `{}`)
	_, _, err := r.Submit(r.ctx, Request{Blueprint: "straight"})
	refused(t, err, StoreFull)
	task := r.take()
	if _, err := r.Returned(r.ctx, task, success(`{}`)); err == nil {
		t.Error("a result that was not written counts as taken")
	}
	refused(t, r.Cancel(r.ctx, id, "ann"), StoreFull)
	full.left = 10
	if got := r.answer(task, success(`{}`)); !got.Accepted {
		t.Errorf("the repeated result: %+v", got)
	}
	r.is(id, job.Finished, "finished")
}

// fullStore takes a few commits more.
type fullStore struct {
	store.Store
	left int
}

func (f *fullStore) Commit(ctx context.Context, c *job.Change) error {
	if f.left--; f.left < 0 {
		return fmt.Errorf("commit job %s: %w", c.Job.ID, store.ErrFull)
	}
	return f.Store.Commit(ctx, c)
}

// A first commit that is in doubt and the repetition of its request may carry more or fewer
// steps, when the handler was slow in between: the one must not be taken for the other.
func TestDoubtfulFirstCommitIsNotItsRepetition(t *testing.T) {
	for name, slowFirst := range map[string]bool{"the first carried the step": false, "the second carried the step": true} {
		t.Run(name, func(t *testing.T) {
			faults := faultstore.New(memory.New())
			r := newRig(t, func(c *Config) { c.Store = faults })
			r.rows = faults.Store
			bp, err := r.Engine.cfg.Blueprints.Pin(r.ctx, "mixed")
			if err != nil {
				t.Fatal(err)
			}
			slow := func() {
				for range slowFrom {
					r.slow.saw(bp, bp.Start, time.Second)
				}
			}
			if slowFirst {
				slow()
			}
			faults.Fail(faultstore.Commit, 1, faultstore.Before)
			faults.Fail(faultstore.Records, 1, faultstore.Before)
			request := Request{Blueprint: "mixed", InitialData: json.RawMessage(`{}`), IdempotencyKey: "once"}
			if _, _, err := r.Submit(r.ctx, request); !errors.Is(err, faultstore.ErrInjected) {
				t.Fatalf("the first try: %v", err)
			}
			r.slow.states = nil
			if !slowFirst {
				slow()
			}
			id, _, err := r.Submit(r.ctx, request)
			if err != nil {
				t.Fatal(err)
			}
			playMixed(t, r, id)
			checkInvariants(t, r, id)
		})
	}
}
