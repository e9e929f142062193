package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// This file refuses starts of jobs while the store can not be reached, so that they cost
// neither time nor memory, and finds out when it can be again.

// errAway refuses a change before anything of it was sent.
type errAway struct{ why string }

func (e *errAway) Error() string { return e.why }

// Unavailable says, as the stores' own errors do, that the same may work later.
func (e *errAway) Unavailable() bool { return true }

var _ interface{ Unavailable() bool } = (*errAway)(nil)

// outage tells whether the store can be reached at all, as far as commits have shown: it begins
// with one of which not even the outcome could be read, and any success ends it.
type outage struct {
	on    atomic.Bool
	mu    sync.Mutex
	probe time.Time // from then on a start is let through to find out
}

// probeEvery is how long starts are refused without asking the store.
const probeEvery = 500 * time.Millisecond

func (o *outage) began(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.on.Swap(true) {
		o.probe = now.Add(probeEvery)
	}
}

func (o *outage) ended() {
	if o.on.Load() { // else every commit would write what all processors read
		o.on.Store(false)
	}
}

// refuses reports whether a start would be in vain. One of them goes through in every
// probeEvery.
func (o *outage) refuses(now time.Time) bool {
	if !o.on.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Before(o.probe) {
		return true
	}
	o.probe = now.Add(probeEvery)
	return false
}

// Away reports that the store could not be reached a moment ago, as far as commits have shown.
func (e *Engine) Away() bool { return e.outage.on.Load() }

// admit refuses the start of a job while the store is away: it would only be one doubt more,
// and its client would wait for nothing.
func (e *Engine) admit(id string) error {
	if err := e.doubts.room(id, e.outage.on.Load()); err != nil {
		return err
	}
	if e.outage.refuses(e.cfg.Clock.Now()) {
		return &errAway{"the store could not be reached a moment ago: nothing was sent"}
	}
	return nil
}
