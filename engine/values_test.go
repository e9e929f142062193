package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests data stores whose writes are in line but not durable yet.

// lineStore keeps changes in line until the test lets the first one go on.
type lineStore struct {
	store.Store
	came chan chan error // every change as it comes into line; it is told nil, or why it fails
}

var _ store.Queuer = (*lineStore)(nil)

func newLineStore() *lineStore {
	return &lineStore{Store: memory.New(), came: make(chan chan error, 100)}
}

// CommitQueued waits in line, then does what the test says.
func (s *lineStore) CommitQueued(ctx context.Context, c *job.Change, queued func()) error {
	fate := make(chan error)
	queued()
	s.came <- fate
	if err := <-fate; err != nil {
		return err
	}
	return s.Commit(ctx, c)
}

// next gives the change that came into line next.
func (s *lineStore) next(t *testing.T, r *rig) (decide func(error)) {
	t.Helper()
	select {
	case fate := <-s.came:
		return func(err error) { fate <- err }
	case <-r.ctx.Done():
		t.Fatal("no change came into line")
		return nil
	}
}

// start submits a job in the background; the channel gives its id.
func (r *rig) start(blueprint, data string) <-chan string {
	done := make(chan string, 1)
	go func() {
		id, _, err := r.Submit(r.ctx, Request{Blueprint: blueprint, InitialData: json.RawMessage(data)})
		if err != nil {
			id = err.Error()
		}
		done <- id
	}()
	return done
}

// waiting gives a rig whose store keeps changes in line.
func waiting(t *testing.T) (*rig, *lineStore) {
	line := newLineStore()
	r := newRig(t, func(c *Config) { c.Store = line })
	r.rows = line.Store
	return r, line
}

// The second job reads what the first one wrote, before that is durable.
func TestNextTurnDoesNotWaitForTheDisk(t *testing.T) {
	r, line := waiting(t)
	one := r.start("shelf", `{"first": [["incr", "n"]]}`)
	first := line.next(t, r)
	two := r.start("shelf", `{"first": [["incr", "n"], ["get", "other"]]}`)
	second := line.next(t, r) // it is in line, so it did not wait
	first(nil)
	a := <-one
	second(nil)
	if got := r.history(a, "n") + r.history(<-two, "n"); got != "12" {
		t.Errorf("the two jobs counted %s, want 1 and 2", got)
	}
}

// What was read in line and did not become durable after all is not built upon.
func TestFailureInLineTakesItsReadersAlong(t *testing.T) {
	for _, c := range []struct{ name, lost, todo, want string }{
		{"a value", "incr", `[["incr", "n"]]`, "2"},
		{"a deletion", "delete", `[["incr", "n"]]`, "2"},
		{"a failing step", "incr", `[["get", "n"], ["fail", "n"]]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, line := waiting(t)
			zero := r.start("shelf", `{"first": [["incr", "n"]]}`)
			line.next(t, r)(nil)
			<-zero
			one := r.start("shelf", fmt.Sprintf(`{"first": [["%s", "n"]]}`, c.lost))
			first := line.next(t, r)
			two := r.start("shelf", fmt.Sprintf(`{"first": %s}`, c.todo))
			second := line.next(t, r)
			first(store.ErrFull)
			if got := <-one; got == "" {
				t.Error("the first job was accepted by a full store")
			}
			second(nil)          // refused: the version that it read is not there
			line.next(t, r)(nil) // accepted alone; its step runs by itself
			id := <-two
			done := make(chan error, 1)
			go func() { done <- r.Settle(r.ctx) }()
			for ended := false; !ended; {
				select {
				case fate := <-line.came:
					fate <- nil
				case err := <-done:
					ended = true
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := r.history(id, "n"); got != c.want {
				t.Errorf("n is %s, want %s: the first job's write was lost for sure", got, c.want)
			}
			if c.want == "" && r.job(id).Status != job.Quarantined {
				t.Errorf("the failing job is %s", r.job(id).Status)
			}
		})
	}
}

// Keys have no versions, so a list of them waits for what is in line.
func TestKeysWaitForTheLine(t *testing.T) {
	r, line := waiting(t)
	one := r.start("shelf", `{"first": [["incr", "a"]]}`)
	first := line.next(t, r)
	bp, err := r.bps.Pin(r.ctx, "shelf")
	if err != nil {
		t.Fatal(err)
	}
	turn := r.turnOf(bp)
	var keys []string
	listed := make(chan error, 1)
	go func() {
		var err error
		keys, err = turn.Keys(r.ctx, "s")
		listed <- err
	}()
	select {
	case err := <-listed:
		t.Errorf("keys %v (%v) before the write was durable", keys, err)
	default:
	}
	first(nil)
	<-one
	if err := <-listed; err != nil || fmt.Sprint(keys) != "[a]" {
		t.Errorf("keys are %v, %v; want [a]", keys, err)
	}
	turn.end()
}

// Steps that share a commit see each other's writes, and nothing of it is a conflict.
func TestStepsOfOneCommitShareTheStore(t *testing.T) {
	r := newRig(t)
	r.begin("shelf", `{"first": [["incr", "old"], ["incr", "gone"]]}`)
	id := r.submit("shelf", `{"first": [["incr", "n"], ["get", "old"], ["delete", "gone"]], "second": [["incr", "n"], ["incr", "old"], ["keys", "keys"], ["get", "gone"]]}`)
	if j := r.is(id, job.Finished, "finished"); j.Version != 1 {
		t.Errorf("it took %d commits, want 1", j.Version)
	}
	for key, want := range map[string]string{"n": "2", "old": "2", "keys": `["n","old"]`, "gone": "null"} {
		if got := r.history(id, key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	v, _, err := r.rows.Value(r.ctx, "shelf", "s", "n")
	if err != nil || string(v) != "2" {
		t.Errorf("kept is %s, %v", v, err)
	}
}

// A create does not wait long for stores that another step holds; its step runs later.
func TestCreateDoesNotWaitForTheTurn(t *testing.T) {
	r := newRig(t)
	bp, err := r.bps.Pin(r.ctx, "shelf")
	if err != nil {
		t.Fatal(err)
	}
	turn := r.turnOf(bp)
	if err := turn.take(r.ctx); err != nil {
		t.Fatal(err)
	}
	id := r.submit("shelf", `{"first": [["incr", "n"]]}`)
	r.is(id, job.Pending, "start")
	late, cancel := context.WithCancel(r.ctx)
	cancel()
	if err := r.turnOf(bp).take(late); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever stops waiting gets %v", err)
	}
	turn.end()
	turn.end() // harmless
	r.settle()
	r.is(id, job.Finished, "finished")
	if len(r.shelves.of("shelf").queued) != 0 {
		t.Error("something is left on the shelf")
	}
}
