package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests steps that can not be kept.

// brokenJob is a store that can not read one job.
type brokenJob struct {
	store.Store
	mu    sync.Mutex
	id    string // "" when it is whole again
	tries int
}

func (s *brokenJob) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.id {
		s.tries++
		return nil, store.Data{}, errors.New("page 7 is damaged")
	}
	return s.Store.Load(ctx, id)
}

func (s *brokenJob) set(id string) (tries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
	return s.tries
}

func TestAStepThatCanNotBeKeptWaitsLongerAndSaysSo(t *testing.T) {
	broken := &brokenJob{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = broken })
	bp, err := r.cfg.Blueprints.Pin(r.ctx, "straight")
	if err != nil {
		t.Fatal(err)
	}
	for range slowFrom { // so that the first step is not part of the first commit
		r.slow.saw(bp, bp.Start, time.Second)
	}
	id := r.submit("straight", `{}`)
	broken.set(id)
	r.hot.forget(id)
	var waits []time.Duration
	for range 8 {
		if !r.runOne(r.ctx, false) {
			t.Fatal("the step is not due")
		}
		w, err := r.Why(r.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if w.Until == nil || !strings.Contains(w.Reason, "could not be kept") || !strings.Contains(strings.Join(w.Details, " "), "page 7 is damaged") {
			t.Fatalf("why says %+v", w)
		}
		waits = append(waits, time.Time(*w.Until).Sub(r.clock.Now()))
		tries := broken.set(id)
		for _, ok := r.clock.Next(); !ok; _, ok = r.clock.Next() {
			<-r.clock.Armed()
		}
		r.clock.Advance(waits[len(waits)-1])
		r.working.Wait()
		if broken.set(id) != tries {
			t.Fatal("the step ran before it was due")
		}
	}
	if waits[0] != firstRetry || waits[1] != 2*firstRetry || waits[7] != longestRetry {
		t.Errorf("the waits are %v", waits)
	}
	broken.set("")
	r.settle()
	r.is(id, job.Finished, "finished")
	if w, err := r.Why(r.ctx, id); err != nil || strings.Contains(w.Reason, "could not be kept") {
		t.Errorf("afterwards why says %+v (%v)", w, err)
	}
}

// As many stuck steps as the list holds leave the others their turn: they wait for their own dates.
func TestManyStuckStepsLeaveRoomForOthers(t *testing.T) {
	stuck := &stuckInFront{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = stuck })
	id := r.submit("work", `{}`)
	r.ready.pop(false)
	for range maxReady {
		in := job.NewID(noon.Add(-time.Hour), 7)
		stuck.ids = append(stuck.ids, in)
		r.stuck.failed(in, errors.New("page 7 is damaged"), r.clock.Now())
	}
	slices.Sort(stuck.ids)
	stuck.ids = append(stuck.ids, id)
	r.ready.overflow()
	for range 3 {
		if got, refill, ok := r.ready.pop(false); got == id {
			return
		} else if !ok {
			break
		} else if refill {
			r.refill(r.ctx)
		}
	}
	t.Error("the job behind those that are stuck is not found")
}

// stuckInFront is a store with ready jobs that do not exist.
type stuckInFront struct {
	store.Store
	ids []string
}

func (s *stuckInFront) Ready(_ context.Context, after string, limit int) ([]string, error) {
	at, found := slices.BinarySearch(s.ids, after)
	if found {
		at++
	}
	return s.ids[at:min(at+limit, len(s.ids))], nil
}
