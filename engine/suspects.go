package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/ledger"
	"orrery/engine/store"
)

// This file is for steps that end the whole process: out of memory, a fatal error of the Go
// runtime, a kill from outside. Such a step is due again at the next start, and would take every
// other job with it, again and again.
//
// A process that starts finds in the ledger what the last one was at, and counts it in each of
// those jobs (job.Ends), so that the count goes where the job goes. A job with a count is a
// suspect: its step is run after all others that are due, by itself, and for one commit alone.
// A suspect that comes through is none any more; with the last end that it may have it is
// quarantined (limit step_ends). Whoever ran beside a suspect that was tried by itself is not
// blamed.

const (
	suspectPause = 100 * time.Millisecond // before a suspect is tried, for what was begun before it to end
	suspectTime  = 2 * time.Second        // then the next one is tried: this one waits for somebody
	blameAgain   = time.Second            // until a count is tried again that the store did not take
)

// suspects are the jobs whose step is kept for the end.
type suspects struct {
	n       atomic.Int64 // of waiting and blamed, so that looking costs nothing when there are none
	isOpen  atomic.Bool  // somebody tries them
	mu      sync.Mutex
	wake    chan struct{}
	waiting map[string]suspect
	blamed  map[string]bool // not counted yet
	trying  string
	tried   chan struct{} // closed when trying has ended
}

type suspect struct {
	ends  int
	ready bool // everything that was due before it was begun
}

func newSuspects() *suspects {
	return &suspects{wake: make(chan struct{}, 1), waiting: map[string]suspect{}, blamed: map[string]bool{}}
}

// isTried reports whether a job is being tried now.
func (s *suspects) isTried(id string) bool {
	if s.n.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trying == id
}

// isBlamed reports whether an end is still to be counted in a job.
func (s *suspects) isBlamed(id string) bool {
	if s.n.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blamed[id]
}

// holds reports whether the step of a job is to be left for now. again says that it is to be
// put behind everything else that is due.
func (s *suspects) holds(j *job.Job) (held, again bool) {
	if j.Ends == nil && s.n.Load() == 0 || !s.isOpen.Load() {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.Ends == nil && !s.blamed[j.ID] || s.trying == j.ID {
		return false, false
	}
	had, known := s.waiting[j.ID]
	now := suspect{ready: known}
	if j.Ends != nil {
		now.ends = j.Ends.Count
	}
	s.waiting[j.ID] = now
	s.count()
	if now.ready && !had.ready {
		nudge(s.wake)
	}
	return true, !known
}

func (s *suspects) count() {
	n := len(s.waiting) + len(s.blamed)
	if s.trying != "" {
		n++
	}
	s.n.Store(int64(n))
}

// next takes the suspect with the fewest ends, to be tried.
func (s *suspects) next() (id string, tried <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, o := range s.waiting {
		if o.ready && !s.blamed[other] && (id == "" || o.ends < s.waiting[id].ends || o.ends == s.waiting[id].ends && other < id) {
			id = other
		}
	}
	if id == "" {
		return "", nil
	}
	delete(s.waiting, id)
	s.trying, s.tried = id, make(chan struct{})
	s.count()
	return id, s.tried
}

// ended says that the step of a job was run, or left.
func (s *suspects) ended(id string) {
	if s.n.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trying == id && s.tried != nil {
		close(s.tried)
		s.trying, s.tried = "", nil
		s.count()
	}
}

// blame says that a job's end of process is to be counted; absolve that it was.
func (s *suspects) blame(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blamed[id] = true
	s.count()
}

func (s *suspects) absolve(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blamed, id)
	s.count()
	nudge(s.wake)
}

// startSuspects counts what the processes before left, before any step is run.
func (e *Engine) startSuspects(ctx context.Context) {
	e.suspect.isOpen.Store(true)
	e.blameAll(ctx)
	e.goes(func() { e.runSuspects(ctx) })
	if e.cfg.Ledger.Unclean() {
		e.careful.Store(true)
		e.laterBy(ctx, carefulTime, func() { e.careful.Store(false) })
	}
}

// runSuspects tries suspects one after another until ctx ends.
func (e *Engine) runSuspects(ctx context.Context) {
	for {
		select {
		case <-e.suspect.wake:
		case <-ctx.Done():
			return
		}
		for first := true; ; first = false {
			if first && !e.nap(ctx, nil, suspectPause) {
				return
			}
			id, tried := e.suspect.next()
			if id == "" {
				break
			}
			e.cfg.Log.Warn("a step is run by itself, because a process ended while it ran it", "job", id)
			e.ready.push(id)
			if !e.nap(ctx, tried, suspectTime) {
				return
			}
		}
	}
}

// blameAll counts what processes before this one were at when they ended. What the store does
// not take now is tried again, and the jobs wait for it.
func (e *Engine) blameAll(ctx context.Context) {
	left := e.cfg.Ledger.Left()
	alone := map[string]bool{} // processes that tried suspects by themselves
	for _, n := range left {
		if n.Kind == ledger.Step && n.Alone {
			alone[n.Run] = true
		}
	}
	for slot, n := range left {
		switch {
		case n.Kind != ledger.Step:
		case alone[n.Run] && !n.Alone:
			e.cfg.Ledger.Settle(slot)
		default:
			e.suspect.blame(n.Key)
			e.blame(ctx, slot, n)
		}
	}
}

// blame counts one note in its job.
func (e *Engine) blame(ctx context.Context, slot ledger.Slot, n ledger.Note) {
	err := e.countEnd(ctx, n)
	var illegal *job.Illegal
	switch {
	case err == nil:
		e.cfg.Log.Error("the process before ended while it ran a step", "job", n.Key, "blueprint", n.Name, "state", n.State, "step", n.Step, "noted", job.Time{Time: n.At})
	case errors.As(err, &illegal): // the step was kept before the end, or is counted already
	case errors.Is(err, store.ErrNotFound): // it ended the process before the job was kept
		e.cfg.Log.Warn("the process before ended while it ran a step of a job that was not kept", "job", n.Key, "blueprint", n.Name, "state", n.State)
	case errors.Is(err, store.ErrUnreadable):
		e.unread.note(e, "job "+n.Key, err)
	default:
		e.cfg.Log.Error("it could not be noted that a process ended while it ran a step; it is tried again", "job", n.Key, "error", err)
		e.laterBy(ctx, blameAgain, func() { e.blame(ctx, slot, n) })
		return
	}
	e.cfg.Ledger.Settle(slot)
	e.suspect.absolve(n.Key)
}

func (e *Engine) countEnd(ctx context.Context, n ledger.Note) error {
	return e.changeAnywhere(ctx, n.Key, func(j *job.Job, _ store.Data) (job.Event, error) {
		return e.processEnd(ctx, j, n), nil
	})
}

func (e *Engine) processEnd(ctx context.Context, j *job.Job, n ledger.Note) job.ProcessEnded {
	return job.ProcessEnded{Run: n.Run, Step: n.Step, At: n.At, Most: e.cfg.Limits.StepEnds, Place: e.placeOf(ctx, j, n)}
}

// lastEnd gives the last end that was counted as it was noted, as far as the job keeps it.
func lastEnd(j *job.Job) ledger.Note {
	return ledger.Note{Kind: ledger.Step, Key: j.ID, Step: j.Ends.Step, State: j.State, At: j.Ends.At, Run: j.Ends.Run}
}

// placeOf says where the step stands that was noted.
func (e *Engine) placeOf(ctx context.Context, j *job.Job, n ledger.Note) job.Error {
	bp := e.chartOf(ctx, j)
	if bp == nil || bp.States[n.State] == nil || len(bp.States[n.State].Handlers) == 0 {
		return job.Error{Message: fmt.Sprintf("state %q of %q", n.State, j.Blueprint)}
	}
	return handlersAt(bp.States[n.State])
}

// handlersAt gives the place of a state's handlers, of which one may have been chosen by its
// condition, and which one is not noted.
func handlersAt(s *blueprint.State) job.Error {
	pos := s.Handlers[0].Pos
	at := job.Error{File: pos.Filename(), Line: int(pos.Line), Col: int(pos.Col)}
	words := make([]string, len(s.Handlers))
	for i, h := range s.Handlers {
		words[i] = fmt.Sprintf("%s at %s:%d", h.Name, h.Pos.Filename(), h.Pos.Line)
		if h.When != nil {
			words[i] += " when " + job.Clip(h.When.Text, 100)
		}
	}
	at.Message = fmt.Sprintf("state %q: handler %s", s.Name, words[0])
	if len(words) > 1 {
		at.Message = fmt.Sprintf("state %q: one of its handlers or their conditions, %s", s.Name, strings.Join(words, ", "))
	}
	return at
}

// isSuspect tells of a step that is kept for the end.
func (e *Engine) isSuspect(j *job.Job, w *Why) {
	if j.Ends == nil {
		return
	}
	w.Details = append(w.Details, fmt.Sprintf(
		"the server's process ended %d of %d times while step %d ran, the last time after %s: it is run after all others that are due, by itself",
		j.Ends.Count, e.cfg.Limits.StepEnds, j.Ends.Step, Time(j.Ends.At)))
}
