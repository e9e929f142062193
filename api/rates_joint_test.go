package api

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"orrery/engine/clock"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests limits that several nodes hold together, on a fake clock.

// till counts the calls of the store, which may be away.
type till struct {
	store.Paces
	mu    sync.Mutex
	calls int
	away  bool
	hangs bool
}

func (s *till) Draw(ctx context.Context, key string, p store.Pace, n, back int) (store.Drawn, error) {
	s.mu.Lock()
	s.calls++
	away, hangs := s.away, s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return store.Drawn{}, ctx.Err()
	}
	if away {
		return store.Drawn{}, errors.New("away")
	}
	return s.Paces.Draw(ctx, key, p, n, back)
}

func newJoints(nodes, count int, per time.Duration) (c *clock.Fake, s *till, all []*joint) {
	c = clock.NewFake(epoch)
	s = &till{Paces: memory.NewShared(c.Now)}
	for range nodes {
		all = append(all, newJoint("requests", newPace(c, count, per), count, per, s, func() int { return nodes }, slog.New(slog.DiscardHandler)))
	}
	return c, s, all
}

// through counts how many of so many requests come through, taking the nodes in turn.
func through(all []*joint, tries int) (n int) {
	for i := range tries {
		if all[i%len(all)].take("ann", 0) == 0 {
			n++
		}
	}
	return n
}

func TestALimitHoldsOverAllNodes(t *testing.T) {
	c, s, all := newJoints(3, 600, time.Minute)
	if n := through(all, 5000); n != 600 {
		t.Errorf("%d requests came through at once, the limit is 600", n)
	}
	if s.calls > 120 {
		t.Errorf("the store was called %d times for 5000 requests", s.calls)
	}
	if wait := all[0].take("ann", 0); wait <= 0 || wait > 100*time.Millisecond {
		t.Errorf("the next one comes in %s, ten come in a second", wait)
	}
	if wait := all[0].take("bob", 0); wait != 0 {
		t.Errorf("another asker waits %s", wait)
	}
	n := 0
	for range 600 { // a minute of many requests
		c.Advance(100 * time.Millisecond)
		n += through(all, 30)
	}
	if n < 590 || n > 610 {
		t.Errorf("%d requests came through in a minute of too many, the limit is 600", n)
	}
}

// Who asks little loses little: what a node has drawn and does not need goes back.
func TestALimitIsUsedUp(t *testing.T) {
	c, _, all := newJoints(3, 300, time.Minute)
	n := 0
	for second := range 60 { // all at one node, then at the next
		n += through(all[second/20:second/20+1], 4)
		c.Advance(time.Second)
	}
	if n != 240 {
		t.Errorf("%d of 240 requests came through, 300 might", n)
	}
	c.Advance(time.Minute)
	if n := through(all[:1], 400); n != 300 {
		t.Errorf("%d came through at one node, the limit is 300", n)
	}
}

func TestTheStepsOfPurses(t *testing.T) {
	at := epoch
	for what, tt := range map[string]struct {
		p       purse
		n, back int
	}{
		"the first":                 {purse{}, 1, 0},
		"gone early":                {purse{size: 4, drawn: at.Add(-100 * time.Millisecond)}, 8, 0},
		"gone in time":              {purse{size: 4, drawn: at.Add(-900 * time.Millisecond)}, 4, 0},
		"gone long ago":             {purse{size: 4, drawn: at.Add(-time.Minute)}, 1, 0},
		"left over":                 {purse{size: 8, turns: 5, drawn: at.Add(-time.Second)}, 3, 5},
		"more than there should be": {purse{size: 40, drawn: at.Add(-time.Millisecond)}, 50, 0},
	} {
		if n, back := tt.p.next(at, 1, 50); n != tt.n || back != tt.back {
			t.Errorf("%s: draws %d and gives %d back, want %d and %d", what, n, back, tt.n, tt.back)
		}
	}
}

func TestWithoutTheStoreEachNodeHoldsItsShare(t *testing.T) {
	c, s, all := newJoints(3, 300, time.Hour)
	through(all, 30)
	s.away = true
	c.Advance(2 * time.Second) // what was drawn ends
	n := 0
	for range 20 {
		n += through(all, 60)
		c.Advance(time.Second)
	}
	if n < 300 || n > 303 {
		t.Errorf("%d requests came through without the store, three shares of 100 are 300", n)
	}
	if s.calls > 100 {
		t.Errorf("a store that is away was called %d times in 20 s", s.calls)
	}
	s.away = false
	c.Advance(awayTime)
	if n := through(all, 900); n < 260 || n > 275 {
		t.Errorf("%d come through when it is back, 270 and a few are left of the limit", n)
	}
}

// A store that hangs costs a request half a second, and those that come next nothing.
func TestAStoreThatHangsIsNotWaitedFor(t *testing.T) {
	c, s, all := newJoints(1, 3, time.Hour)
	s.hangs = true
	done := make(chan time.Duration)
	go func() { done <- all[0].take("ann", 0) }()
	<-c.Armed()
	c.Advance(drawPatience)
	if wait := <-done; wait != 0 {
		t.Errorf("waits %s", wait)
	}
	for i, want := range []bool{true, true, false} {
		if wait := all[0].take("ann", 0); (wait == 0) != want {
			t.Errorf("request %d waits %s", i+2, wait)
		}
	}
}

func TestWorkersAreSlowedDownOverAllNodes(t *testing.T) {
	_, _, all := newJoints(2, 2, time.Minute)
	for i, want := range []time.Duration{0, 0, slowest, slowest} {
		if wait := all[i%2].take("w", slowest); wait != want {
			t.Errorf("poll %d is held back by %s, want %s", i+1, wait, want)
		}
	}
	_, _, all = newJoints(2, 60, time.Minute)
	for range 60 {
		all[0].take("w", slowest)
	}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if wait := all[i%2].take("w", slowest); wait != want {
			t.Errorf("poll %d is held back by %s, want %s", i+61, wait, want)
		}
	}
}

func TestPursesAreForgotten(t *testing.T) {
	c, _, all := newJoints(1, 1, time.Second)
	for i := range 5000 {
		all[0].take(time.Duration(i).String(), 0)
		c.Advance(10 * time.Millisecond)
	}
	if n := len(all[0].purses); n > 3000 {
		t.Errorf("%d askers are remembered, some 100 asked within the last second", n)
	}
}

func TestManyAtOnceAtOneNode(t *testing.T) {
	_, _, all := newJoints(2, 100, time.Hour)
	var mu sync.Mutex
	var busy sync.WaitGroup
	n := 0
	for i := range 400 {
		busy.Go(func() {
			if all[i%2].take("ann", 0) == 0 {
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	busy.Wait()
	if n != 100 {
		t.Errorf("%d came through, the limit is 100", n)
	}
}
