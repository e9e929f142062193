package node

import (
	"context"
	"errors"
	"maps"
	"testing"
)

// This file tests what ends late: the taking up, or the giving away, of a shard whose lease had
// ended meanwhile and has come back under its old number, for nobody took it.

// joinSlow adds a node whose first shards are taken up beside the test when slow is set, and all
// others at once.
func (c *cluster) joinSlow(id string, h *holder) *member {
	c.t.Helper()
	n, err := New(Config{ID: id, URL: "http://" + id, Leases: c.rows, Shards: h, Clock: c.clock, Work: []string{"schedules"},
		Tell: func(p Peer) { c.told[p.ID]++ },
		Go: func(f func()) {
			if h.slowGain != nil || h.slowLose != nil {
				go f()
			} else {
				f()
			}
		}})
	if err != nil {
		c.t.Fatal(err)
	}
	return &member{n, h, c}
}

// outage ends a node's leases, lets it find out, and gives it its store back.
func (m *member) outage() {
	m.c.t.Helper()
	m.c.rows.away[m.ID()] = true
	m.c.clock.Advance(DefaultTTL)
	if err := m.Tick(m.c.t.Context()); !errors.Is(err, errAway) {
		m.c.t.Fatal(err)
	}
	m.c.rows.away[m.ID()] = false
}

// agrees holds that the engine has what the node says.
func (m *member) agrees() {
	m.c.t.Helper()
	if !maps.Equal(m.has, m.Fences()) {
		m.c.t.Fatalf("%s has %d shards open, its node says %d", m.ID(), len(m.has), len(m.Fences()))
	}
}

func TestATakingUpThatFailsLate(t *testing.T) {
	for _, failure := range []error{errAway, nil} {
		c := newCluster(t)
		begun, end := make(chan struct{}), make(chan struct{})
		h := &holder{has: map[byte]int64{}, slowGain: func(ctx context.Context) error {
			close(begun)
			<-end
			if ctx.Err() == nil {
				t.Error("it was not told that the leases have ended")
			}
			return failure
		}}
		a := c.joinSlow("a", h)
		a.tick()
		<-begun
		a.outage()
		a.tick()
		close(end)
		a.Wait()
		a.agrees()
		if len(a.look) == 0 {
			t.Error("the node does not look again at once")
		}
		a.tick()
		c.whole(a)
	}
}

func TestAGivingAwayThatEndsLate(t *testing.T) {
	c := newCluster(t)
	h := &holder{has: map[byte]int64{}}
	a := c.joinSlow("a", h)
	a.tick()
	c.join("b") // and is never heard of again
	begun, end := make(chan struct{}), make(chan struct{})
	h.slowLose = func() { close(begun); <-end }
	a.tick()
	<-begun
	a.outage()
	a.tick()
	close(end)
	a.Wait()
	a.agrees()
	a.tick()
	c.whole(a)
}

// However it came about: a shard of which the node says that it is open, and the engine that it is
// not, does not stand still for ever.
func TestAShardThatStandsStillIsTakenUpAnew(t *testing.T) {
	c := newCluster(t)
	a := c.join("a")
	delete(a.has, 7)
	a.tick()
	c.whole(a)
}
