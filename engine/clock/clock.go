// Package clock is the only source of time for the engine, so that tests and `orrery run`
// can let a wait of thirty days take no time.
//
// A Clock tells the time and makes timers. Real is the machine's; Fake stands still until
// it is told to move.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time (UTC) and makes one-shot timers.
type Clock interface {
	Now() time.Time
	// NewTimer fires once, d from now; d <= 0 fires at once.
	NewTimer(d time.Duration) Timer
}

// Timer is the part of time.Timer that the engine needs.
type Timer interface {
	C() <-chan time.Time
	Stop() bool
}

// Real is the machine's clock, in UTC and cut to milliseconds, as the store keeps times.
type Real struct{}

var _ Clock = Real{}

// Now gives the present time in UTC, cut to milliseconds.
func (Real) Now() time.Time { return time.Now().Add(set()).UTC().Truncate(time.Millisecond) }

// NewTimer starts a timer of the runtime.
func (Real) NewTimer(d time.Duration) Timer { return realTimer{time.NewTimer(d)} }

type realTimer struct{ t *time.Timer }

func (r realTimer) C() <-chan time.Time { return r.t.C }
func (r realTimer) Stop() bool          { return r.t.Stop() }

// Fake is a clock that moves only by Advance and Set. Its zero value is not usable: NewFake.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[*fakeTimer]struct{}
	armed   chan struct{}
}

var _ Clock = (*Fake)(nil)

// NewFake makes a clock that stands at the given time.
func NewFake(at time.Time) *Fake {
	return &Fake{now: at.UTC().Truncate(time.Millisecond), waiting: map[*fakeTimer]struct{}{}, armed: make(chan struct{}, 1)}
}

// Now gives the time the clock stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// NewTimer makes a timer that fires when the clock has moved by d.
func (f *Fake) NewTimer(d time.Duration) Timer {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &fakeTimer{f: f, at: f.now.Add(d), c: make(chan time.Time, 1)}
	if d <= 0 {
		t.c <- f.now
		return t
	}
	f.waiting[t] = struct{}{}
	select {
	case f.armed <- struct{}{}:
	default:
	}
	return t
}

// Advance moves the clock and fires every timer that is then due.
func (f *Fake) Advance(d time.Duration) { f.Set(f.Now().Add(d)) }

// Set moves the clock to a later time; an earlier one is ignored.
func (f *Fake) Set(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.After(f.now) {
		f.now = at.UTC().Truncate(time.Millisecond)
	}
	for t := range f.waiting {
		if !t.at.After(f.now) {
			delete(f.waiting, t)
			t.c <- f.now
		}
	}
}

// Next tells when the earliest timer is due; ok is false when none waits.
func (f *Fake) Next() (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := range f.waiting {
		if !ok || t.at.Before(at) {
			at, ok = t.at, true
		}
	}
	return at, ok
}

// Armed receives whenever somebody has begun to wait, so that a test need not sleep.
func (f *Fake) Armed() <-chan struct{} { return f.armed }

type fakeTimer struct {
	f  *Fake
	at time.Time
	c  chan time.Time
}

func (t *fakeTimer) C() <-chan time.Time { return t.c }

func (t *fakeTimer) Stop() bool {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	_, was := t.f.waiting[t]
	delete(t.f.waiting, t)
	return was
}
