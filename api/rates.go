package api

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/clock"
)

// This file bounds how often somebody may ask. Clients are refused beyond it; workers are
// answered later, because their SDKs take a refusal badly: some ask again at once, some stop.

// Rates are the limits of a server, each over the same period. 0 means no limit.
type Rates struct {
	Per        time.Duration // RATE_LIMIT_PERIOD
	Requests   int           // of one client (RATE_LIMIT_LIMIT)
	Polls      int           // of one worker (RATE_LIMIT_POLL_LIMIT)
	Heartbeats int           // of one worker (RATE_LIMIT_HEARTBEAT_LIMIT)
}

// slowest bounds how long a worker's answer is held back: SDKs give up after 35 s, and a
// worker must not fall silent for its time to live.
const slowest = 10 * time.Second

// limit is one of them: of this server, or of all nodes together.
type limit struct {
	own   *pace
	joint *joint // nil: this server has its store for itself
}

// newLimit gives nil, which limits nobody, for a count or a period of 0. kind is of asker.
func (s *Server) newLimit(kind string, count int) *limit {
	own := newPace(s.clock, count, s.cfg.Rates.Per)
	switch {
	case own == nil:
		return nil
	case s.peers == nil || s.paces == nil:
		return &limit{own: own}
	}
	nodes := func() int { return len(s.peers.All()) }
	return &limit{joint: newJoint(kind, own, count, s.cfg.Rates.Per, s.paces, nodes, s.log)}
}

// ask counts a request that is refused beyond the limit: wait is 0, or how long until one
// would be let through; a refused one does not count.
func (l *limit) ask(name string) (wait time.Duration) {
	switch {
	case l == nil:
		return 0
	case l.joint != nil:
		return l.joint.take(name, 0)
	}
	return l.own.ask(name)
}

// queue counts a request that is answered late beyond the limit, by wait.
func (l *limit) queue(name string) (wait time.Duration) {
	switch {
	case l == nil:
		return 0
	case l.joint != nil:
		return l.joint.take(name, slowest)
	}
	return l.own.queue(name)
}

// pace lets everybody ask so often in a period, all at once or spread over it, and remembers
// one moment for each: when all that was asked so far would be done at an even pace.
type pace struct {
	clock clock.Clock
	each  time.Duration // the even distance
	slack time.Duration // how far ahead of it one may be

	mu   sync.Mutex
	done map[string]time.Time
	tidy int // calls until moments that have passed are forgotten
}

// newPace gives nil, which limits nobody, for a count or a period of 0.
func newPace(c clock.Clock, count int, per time.Duration) *pace {
	if count <= 0 || per <= 0 {
		return nil
	}
	p := &pace{clock: c, done: map[string]time.Time{}}
	p.resize(count, per)
	return p
}

// resize changes the limit; what was asked so far stays counted.
func (p *pace) resize(count int, per time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.each = per / time.Duration(count)
	p.slack = per - p.each
}

// ask is limit.ask of this server alone.
func (p *pace) ask(name string) (wait time.Duration) {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, at := p.at(name)
	if wait = at.Sub(now) - p.slack; wait > 0 {
		return wait
	}
	p.done[name] = at.Add(p.each)
	return 0
}

// queue is limit.queue of this server alone.
func (p *pace) queue(name string) (wait time.Duration) {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, at := p.at(name)
	wait = min(max(0, at.Sub(now)-p.slack), slowest)
	p.done[name] = now.Add(min(at.Sub(now)+p.each, p.slack+slowest))
	return wait
}

// at gives the time and the moment of one asker, which is never in the past.
func (p *pace) at(name string) (now, at time.Time) {
	now = p.clock.Now()
	if p.tidy--; p.tidy < 0 {
		p.tidy = 1000 + len(p.done)
		for who, moment := range p.done {
			if !moment.After(now) {
				delete(p.done, who)
			}
		}
	}
	if at = p.done[name]; at.Before(now) {
		at = now
	}
	return now, at
}

// tooOften refuses a client's request beyond its rate.
func (s *Server) tooOften(who *Client) error {
	wait := s.requests.ask(who.Name)
	if wait <= 0 {
		return nil
	}
	p := problem(codeRate, fmt.Sprintf("the client %q asks more often than %d times in %g s; try again after Retry-After",
		who.Name, s.cfg.Rates.Requests, s.cfg.Rates.Per.Seconds()))
	p.Headers = map[string]string{fiber.HeaderRetryAfter: seconds(wait)}
	return p
}

// seconds writes a time to wait as Retry-After wants it, rounded up so that it is not short.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(1, math.Ceil(d.Seconds()))), 10)
}
