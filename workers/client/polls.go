// Asking for tasks: whom to poll next, and how long.

package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// idlePollDelay spaces polls that the server answers at once with nothing.
	idlePollDelay = 500 * time.Millisecond
	// glance is how long a poll of an orchestrator is held that is not the first:
	// long enough to take what waits there, and short for the one that matters.
	glance = time.Second
)

// polls asks for tasks whenever a slot is free, until ctx ends. One orchestrator
// is asked at a time, as the published SDKs do.
func (w *Worker) polls(ctx context.Context) {
	next := 0 // in the order of priority, for Failover
	for {
		select {
		case <-ctx.Done():
			return
		case w.slots <- struct{}{}:
		}
		l, hold := w.turn(&next)
		if l == nil {
			<-w.slots
			if !w.rest(ctx) {
				return
			}
			continue
		}
		began := time.Now()
		t, err := w.poll(ctx, l, hold)
		switch {
		case ctx.Err() != nil && t == nil:
			<-w.slots
			return
		case err != nil:
			<-w.slots
			l.quiet = time.Now().Add(l.wait.step(err))
			l.log.Warn("poll failed, will try again", "error", err)
		case t == nil:
			<-w.slots
			l.wait.reset()
			if time.Since(began) < min(idlePollDelay, hold) {
				l.quiet = time.Now().Add(idlePollDelay)
			}
		default:
			l.wait.reset()
			next = 0 // the first in the order is looked at again before the others
			w.start(ctx, t)
		}
	}
}

// turn chooses whom to ask next and for how long; nil when nobody can be asked now.
func (w *Worker) turn(next *int) (*link, time.Duration) {
	if w.cfg.Mode == RoundRobin {
		return w.fairTurn()
	}
	for range w.links {
		l := w.links[*next%len(w.links)]
		*next = (*next + 1) % len(w.links)
		if l.open() {
			if w.firstOpen() == l {
				return l, w.cfg.PollTimeout
			}
			return l, min(glance, w.cfg.PollTimeout)
		}
	}
	return nil, 0
}

// firstOpen is the orchestrator of the highest priority that can be asked.
func (w *Worker) firstOpen() *link {
	for _, l := range w.links {
		if l.open() {
			return l
		}
	}
	return nil
}

// fairTurn gives turns in proportion to the weights, spread evenly: everybody's
// credit grows by the weight, the richest pays for all. The time of a poll is
// shared, so that a task at the last one does not wait for all the others.
func (w *Worker) fairTurn() (best *link, hold time.Duration) {
	total, able := 0, 0
	for _, l := range w.links {
		if !l.open() {
			continue
		}
		able++
		total += l.weight
		l.current += l.weight
		if best == nil || l.current > best.current {
			best = l
		}
	}
	if best == nil {
		return nil, 0
	}
	best.current -= total
	if able == 1 {
		return best, w.cfg.PollTimeout
	}
	return best, min(w.cfg.PollTimeout, max(glance, w.cfg.PollTimeout/time.Duration(4*able)))
}

// open tells whether the orchestrator knows this worker and did not fail just now.
func (l *link) open() bool { return l.registered.Load() && !time.Now().Before(l.quiet) }

// rest waits until somebody can be asked; false when ctx ended first.
func (w *Worker) rest(ctx context.Context) bool {
	wait := time.Minute
	for _, l := range w.links {
		if l.registered.Load() {
			wait = min(wait, time.Until(l.quiet))
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w.arrived:
	case <-timer.C:
	}
	return true
}

// poll waits for one task; nil when there was none.
func (w *Worker) poll(ctx context.Context, l *link, hold time.Duration) (*Task, error) {
	query := url.Values{
		"timeout":          {strconv.FormatFloat(hold.Seconds(), 'f', -1, 64)},
		"available_skills": {strings.Join(w.skills(), ",")},
	}
	path := "/workers/" + w.cfg.ID + "/tasks/next?" + query.Encode()
	got, err := l.do(ctx, http.MethodGet, path, nil, hold+5*time.Second)
	if err != nil || got.status == http.StatusNoContent || len(got.body) == 0 {
		return nil, err
	}
	return w.decodeTask(l, got.body)
}
