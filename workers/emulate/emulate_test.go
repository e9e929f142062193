package emulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
)

// This file tests the emulator over a hub that is a list.

var epoch = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)

type hub struct {
	mu        sync.Mutex
	news      chan struct{}
	waiting   []job.Task
	cancelled map[string]bool
	answers   []string
	outcomes  []engine.Outcome
	fails     int
}

func newHub() *hub { return &hub{news: make(chan struct{}, 1), cancelled: map[string]bool{}} }

func (h *hub) News() <-chan struct{} { return h.news }

func (h *hub) offer(id string) {
	h.mu.Lock()
	h.waiting = append(h.waiting, job.Task{ID: id, JobID: "j", Type: "echo", Params: json.RawMessage(`{"k":1}`), Worker: "emulated.echo"})
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default:
	}
}

func (h *hub) TakeUnserved(context.Context) (t job.Task, ok bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails > 0 {
		h.fails--
		return t, false, errors.New("the store is away")
	}
	if len(h.waiting) == 0 {
		return t, false, nil
	}
	t, h.waiting = h.waiting[0], h.waiting[1:]
	return t, true, nil
}

func (h *hub) Cancelled(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cancelled[id]
}

func (h *hub) Answer(_ context.Context, t job.Task, o engine.Outcome) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = append(h.answers, t.ID+" "+o.Status)
	h.outcomes = append(h.outcomes, o)
	return nil
}

func (h *hub) said() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.answers)
}

func TestEmulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := newHub(), clock.NewFake(epoch)
		delays := map[string]time.Duration{"a": 300 * time.Millisecond, "b": 100 * time.Millisecond, "c": 100 * time.Millisecond, "d": time.Second}
		m := &Emulator{Hub: h, Clock: c, Delay: func(t job.Task) time.Duration { return delays[t.ID] }}
		go m.Run(t.Context())
		for _, id := range []string{"a", "b", "c"} {
			h.offer(id)
		}
		if got := h.said(); len(got) != 0 {
			t.Fatalf("answered at once: %v", got)
		}
		c.Advance(100 * time.Millisecond)
		if got, want := h.said(), []string{"b success", "c success"}; !slices.Equal(got, want) {
			t.Fatalf("answered %v, wanted %v", got, want)
		}
		h.mu.Lock()
		h.cancelled["a"] = true
		h.mu.Unlock()
		c.Advance(200 * time.Millisecond)
		if got := h.said(); len(got) != 3 || got[2] != "a cancelled" {
			t.Fatalf("answered %v", got)
		}
		h.mu.Lock()
		h.fails = 1
		h.mu.Unlock()
		h.offer("d")
		synctest.Wait()
		c.Advance(lookAgain) // the store is back
		synctest.Wait()
		c.Advance(time.Second)
		if got := h.said(); len(got) != 4 || got[3] != "d success" {
			t.Fatalf("answered %v", got)
		}
	})
}

func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := newHub(), clock.NewFake(epoch)
		m := &Emulator{Hub: h, Clock: c, Parallel: 2, Delay: func(job.Task) time.Duration { return time.Second }}
		for i := range 5 {
			h.offer(fmt.Sprint(i))
		}
		go m.Run(t.Context())
		for i, want := range []int{2, 4, 5} {
			synctest.Wait()
			c.Advance(time.Second)
			if got := h.said(); len(got) != want {
				t.Fatalf("after %d s it answered %v", i+1, got)
			}
		}
	})
}

func TestReply(t *testing.T) {
	o := Reply(job.Task{Type: "echo", Params: json.RawMessage(`{"k":[1,2]}`)})
	if o.Status != "success" || !o.Emulated || string(o.Data) != `{"emulated":true,"task_type":"echo","params":{"k":[1,2]}}` {
		t.Errorf("%+v %s", o, o.Data)
	}
	if o := Reply(job.Task{Type: "echo"}); !json.Valid(o.Data) {
		t.Errorf("without params: %s", o.Data)
	}
	for range 100 {
		if d := (&Emulator{}).delay(job.Task{}); d < 200*time.Millisecond || d > 800*time.Millisecond {
			t.Fatalf("a delay of %s", d)
		}
	}
}
