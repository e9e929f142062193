package api

import (
	"net/http"
	"testing"

	"orrery/engine/job"
)

// This file tests what happens when too much is asked for at once.

func TestStartsInFlightAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Creates = 2 })
	b.s.creates.enter(2) // two others are being started
	got := b.as("client", "POST", start, `{}`)
	got.want(t, http.StatusServiceUnavailable, "overloaded")
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("headers %v", got.header)
	}
	b.as("client", "GET", "/api/v1/jobs", "").ok(t, http.StatusOK, nil) // only starts are refused
	b.s.creates.leave(1)
	b.as("client", "POST", start, `{}`).ok(t, http.StatusAccepted, nil)
	if n := b.s.creates.now.Load(); n != 1 {
		t.Errorf("%d places are taken, want 1", n)
	}
}

func TestABacklogHoldsStartsBack(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Backlog = 3 })
	var ids []string
	for i := range 3 {
		ids = append(ids, b.engine.add(job.Job{ID: job.NewID(epoch, byte(i+1)), Status: job.Running}))
	}
	b.engine.add(job.Job{ID: job.NewID(epoch, 9), Status: job.WaitingWorker}) // does not count
	answered := make(chan answer, 1)
	ask := func() { answered <- b.as("client", "POST", start, `{}`) }

	go ask()
	for range 10 { // a second in steps of its looks
		<-b.clock.Armed()
		b.clock.Advance(lookEvery)
	}
	(<-answered).want(t, http.StatusServiceUnavailable, "overloaded")

	go ask()
	<-b.clock.Armed()
	if err := b.engine.set(ids[0], func(j *job.Job) { j.Status = job.WaitingWorker }); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(lookEvery)
	(<-answered).ok(t, http.StatusAccepted, nil)
}

// A store that does not answer keeps one start waiting for the backlog at most, and none when it
// is known to be away.
func TestTheBacklogOfAStoreThatIsAway(t *testing.T) {
	b := newBench(t)
	b.engine.counting = make(chan struct{})
	first := make(chan answer, 1)
	go func() { first <- b.as("client", "POST", start, `{}`) }()
	<-b.engine.counting
	for range 3 { // each would be the next to look
		b.clock.Advance(lookEvery)
		b.as("client", "POST", start, `{}`).ok(t, http.StatusAccepted, nil)
	}
	b.engine.counting <- struct{}{}
	(<-first).ok(t, http.StatusAccepted, nil)
	if n := b.engine.counted.Load(); n != 1 {
		t.Errorf("the backlog was looked at %d times, want once", n)
	}

	b.engine.away = true
	b.clock.Advance(lookEvery)
	b.as("client", "POST", start, `{}`) // would wait for ever
	if n := b.engine.counted.Load(); n != 1 {
		t.Errorf("the backlog of a store that is away was looked at %d times", n-1)
	}
	b.engine.away, b.engine.counting = false, nil
	b.as("client", "POST", start, `{}`).ok(t, http.StatusAccepted, nil)
	if n := b.engine.counted.Load(); n != 2 {
		t.Errorf("the backlog of a store that is back was not looked at: %d", n)
	}
}
