package engine

import (
	"sync"
	"testing"
	"time"

	"orrery/engine/clock"
	"orrery/engine/job"
)

// This file lets the clock jump under jobs that wait, as the machine's does when somebody
// sets it: what is due comes early or late, and once.

// jumping is a clock that tells another time than it did; its timers go by the time that
// passes.
type jumping struct {
	*clock.Fake
	mu sync.Mutex
	by time.Duration
}

func (c *jumping) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Fake.Now().Add(c.by)
}

func (c *jumping) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}

func newJumpingRig(t *testing.T) (*rig, *jumping) {
	c := &jumping{}
	r := newRig(t, func(cfg *Config) {
		c.Fake, _ = cfg.Clock.(*clock.Fake)
		cfg.Clock = c
	})
	return r, c
}

// once demands that the job's wait ended by its date one time.
func (r *rig) once(id string) {
	r.t.Helper()
	r.is(id, job.Finished, "finished")
	n := 0
	for _, k := range r.kinds(id) {
		if k == job.RecTimer {
			n++
		}
	}
	if n != 1 {
		r.t.Errorf("the wait of job %s ended %d times", id, n)
	}
}

func TestTheClockJumpsAhead(t *testing.T) {
	r, c := newJumpingRig(t)
	id := r.begin("nap", `{"seconds": 3600}`)
	task := r.begin("work", `{"timeout": 600, "retry": {"max": 0}}`)
	taken := r.take()
	c.jump(2 * time.Hour)
	r.settle()
	r.once(id)
	r.is(task, job.Quarantined, "start") // the attempt's time was over, by the new clock
	if got := r.answer(taken, success(`{}`)); got.Accepted {
		t.Errorf("the result that came too late by the new clock was taken: %+v", got)
	}
}

func TestTheClockJumpsBack(t *testing.T) {
	r, c := newJumpingRig(t)
	id := r.begin("nap", `{"seconds": 60}`)
	task := r.begin("work", `{"timeout": 600}`)
	taken := r.take()
	c.jump(-2 * time.Hour)
	r.pass(61 * time.Second)
	r.is(id, job.WaitingTimer, "start") // its date is two hours away again
	r.answer(taken, success(`{}`))
	r.settle()
	r.is(task, job.Finished, "finished")
	younger := r.begin("straight", `{}`)
	r.is(younger, job.Finished, "finished")
	r.pass(2 * time.Hour)
	r.once(id)
	r.pass(4 * time.Hour)
	r.once(id)
}

// The loop that sleeps until the next date looks at the store every longestNap, whatever it
// was promised, so it sees a clock that went ahead.
func TestTheTimersSeeAClockThatWentAhead(t *testing.T) {
	r, c := newJumpingRig(t)
	r.run()
	id := r.submit("nap", `{"seconds": 3600}`)
	r.waitFor(id, job.WaitingTimer)
	c.jump(time.Hour)
	finished := make(chan struct{})
	go func() { r.waitFor(id, job.Finished); close(finished) }()
	for passed := time.Duration(0); ; passed += time.Second {
		select {
		case <-finished:
			return
		case <-time.After(time.Millisecond): // lets the loop get to its timer
		}
		if passed > 2*longestNap {
			t.Fatalf("a wait that is over is not seen after %s", passed)
		}
		c.Advance(time.Second)
	}
}
