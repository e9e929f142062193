package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"orrery/engine/clock"
	"orrery/engine/store"
)

// This file lets a limit hold over all nodes of a store. A node draws turns from the store some
// at a time, and gives them out itself, so that who asks often costs few calls: one a second
// for each asker, about. The store gives no more turns than one server would.
//
// How exact it is: turns are used up to a second after they were drawn, so that over any time
// there come through at most as many as one server would let through in that time and a
// second more. A node keeps at most a tenth of the limit, and gives back what it did not use
// when it asks again; until then somebody who has moved to another node may be refused, or
// slowed down, that much earlier.
//
// While the store does not answer each node holds its share alone: the limit divided by the
// number of nodes, one at least. Each has a share in hand when that begins, so that an outage
// lets through up to the limit once more.

const (
	purseLife = time.Second
	// drawPatience is how long a request waits for the store to say whether it may go on.
	drawPatience = 500 * time.Millisecond
	drawTime     = 5 * time.Second
	// awayTime is how long a store that did not answer is left alone.
	awayTime = time.Second
	// drawAgain is the least time between two draws that give nothing.
	drawAgain = 50 * time.Millisecond
	// purseShare is the part of a limit that a node takes at once: one of so many.
	purseShare = 10
	awayLogged = time.Minute
)

// joint is a limit that holds over all nodes.
type joint struct {
	clock clock.Clock
	log   *slog.Logger
	draws store.Paces
	kind  string     // of asker, before its name
	pace  store.Pace // without debt
	least int        // turns drawn at once, at least and at most
	most  int
	count int // in a period
	per   time.Duration
	nodes func() int // that are alive, this one too
	alone *pace      // while the store is away

	mu     sync.Mutex
	purses map[string]*purse
	tidy   int // calls until purses that nobody uses are forgotten
	away   time.Time
	logged time.Time // when it was said last that the store is away
}

// purse is what this node has drawn for one asker.
type purse struct {
	turns   int       // that are left
	size    int       // that were drawn
	drawn   time.Time // when
	ends    time.Time // of their life
	from    time.Time // the time of a turn in debt
	none    time.Time // the store is not asked again before
	free    time.Time // when it has a turn again, unless other nodes give some back
	drawing chan struct{}
}

// newJoint makes a limit from its form for one server, which it changes.
func newJoint(kind string, own *pace, count int, per time.Duration, draws store.Paces, nodes func() int, log *slog.Logger) *joint {
	each := max(own.each.Truncate(time.Microsecond), time.Microsecond)
	most := max(1, count/purseShare)
	return &joint{
		clock: own.clock, log: log, draws: draws, kind: kind, pace: store.Pace{Each: each, Slack: max(0, per-each)},
		least: min(most, max(1, int(drawAgain/each))), most: most, count: count, per: per, nodes: nodes, alone: own, purses: map[string]*purse{},
	}
}

// take gives the time that a request must wait, as pace.ask does for debt 0, else as
// pace.queue.
func (j *joint) take(name string, debt time.Duration) time.Duration {
	for {
		j.mu.Lock()
		now := j.clock.Now()
		if now.Before(j.away) {
			j.mu.Unlock()
			return j.takeAlone(name, debt)
		}
		p := j.purseOf(name, now)
		if p.turns > 0 && now.Before(p.ends) {
			p.turns--
			wait := max(0, p.from.Sub(now))
			j.mu.Unlock()
			return wait
		}
		if debt == 0 && now.Before(p.none) {
			wait := max(p.free.Sub(now), drawAgain)
			j.mu.Unlock()
			return wait
		}
		if p.drawing == nil {
			p.drawing = make(chan struct{})
			n, back := p.next(now, j.least, j.most)
			go j.draw(name, p, debt, n, back)
		}
		drawing := p.drawing
		j.mu.Unlock()
		timer := j.clock.NewTimer(drawPatience)
		select {
		case <-drawing:
		case <-timer.C():
			j.lost("it does not answer in time")
		}
		timer.Stop()
	}
}

// purseOf finds the purse of an asker, and forgets those of others that nobody uses.
func (j *joint) purseOf(name string, now time.Time) *purse {
	if j.tidy--; j.tidy < 0 {
		j.tidy = 1000 + len(j.purses)
		for who, p := range j.purses {
			if p.drawing == nil && !now.Before(p.ends) && !now.Before(p.none) {
				delete(j.purses, who)
			}
		}
	}
	p := j.purses[name]
	if p == nil {
		p = &purse{}
		j.purses[name] = p
	}
	return p
}

// next says how many turns to draw, and how many go back: as many as were used in the life of
// a purse, twice as many when they were gone early.
func (p *purse) next(now time.Time, least, most int) (n, back int) {
	used, took := p.size-p.turns, now.Sub(p.drawn)
	switch {
	case p.drawn.IsZero():
	case took < purseLife/2 && p.turns == 0:
		n = 2 * p.size
	default:
		n = int(min(float64(most), float64(used)*purseLife.Seconds()/max(took.Seconds(), 0.001)))
	}
	return min(max(n, least), most), p.turns
}

// draw asks the store, and lets those go on who wait for the purse.
func (j *joint) draw(name string, p *purse, debt time.Duration, n, back int) {
	ctx, cancel := context.WithTimeout(context.Background(), drawTime)
	defer cancel()
	pace := j.pace
	pace.Debt = debt
	d, err := j.draws.Draw(ctx, j.kind+"/"+name, pace, n, back)
	if err != nil {
		j.lost(err.Error())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	close(p.drawing)
	p.drawing = nil
	if err != nil {
		return
	}
	p.turns, p.size, p.drawn, p.from = d.Turns, d.Turns, now, now.Add(d.Wait)
	if p.ends = now.Add(purseLife); d.Turns == 0 {
		p.free = now.Add(d.Wait)
		p.none = now.Add(max(min(d.Wait, purseLife), drawAgain))
	} else if d.Wait > 0 {
		p.ends = p.from.Add(purseLife)
	}
}

// lost notes that the store is away, for a while.
func (j *joint) lost(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	if j.away = now.Add(awayTime); now.Sub(j.logged) >= awayLogged {
		j.logged = now
		j.log.Warn("the store does not count for a rate limit; meanwhile each node holds its share of it", "of", j.kind, "nodes", j.nodes(), "reason", why)
	}
}

// takeAlone holds this node's share.
func (j *joint) takeAlone(name string, debt time.Duration) time.Duration {
	j.alone.resize(max(1, j.count/max(1, j.nodes())), j.per)
	if debt == 0 {
		return j.alone.ask(name)
	}
	return j.alone.queue(name)
}
