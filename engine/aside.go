package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file runs the steps that call the outside (stores, files, SQL, HTTP, sleep) apart
// from pure ones: such a step may wait for ten seconds at each call, and neither a place for
// pure steps nor the lock of its job may wait with it. Which handlers call is learned: the
// first call of a handler in a pure place ends that run before anything has happened, and
// its state is remembered.

// asideLane is a queue of job ids whose next step may wait for the outside. Steps of one
// blueprint with data stores go one after another, and those in line hold nothing.
type asideLane struct {
	mu     sync.Mutex
	wake   *sync.Cond
	isOpen atomic.Bool // runners work on it; without, steps are run where they are found
	closed bool
	full   bool // something was left out, and the store knows it
	queue  []string
	known  map[string]asideState
	lines  map[string][]string // by blueprint of which a step runs: the ids behind it
	first  map[string]string   // by id: the blueprint whose line it heads
}

type asideState int

const (
	asideQueued asideState = iota + 1 // in the queue or in line
	asideRuns
	asideAgain // runs, and became due again
)

func newAsideLane() *asideLane {
	l := &asideLane{known: map[string]asideState{}, lines: map[string][]string{}, first: map[string]string{}}
	l.wake = sync.NewCond(&l.mu)
	return l
}

func (l *asideLane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake.Broadcast()
}

// push adds an id once. What does not fit is found in the store later: see drained.
func (l *asideLane) push(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.known[id] {
	case 0:
		if len(l.known) >= maxReady {
			l.full = true
			return
		}
		l.enqueue(id)
	case asideRuns:
		l.known[id] = asideAgain
	}
}

func (l *asideLane) enqueue(id string) {
	l.known[id] = asideQueued
	l.queue = append(l.queue, id)
	l.wake.Signal()
}

// drained reports, once, that ids were left out and there is room again.
func (l *asideLane) drained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	yes := l.full && len(l.known) <= maxReady/2
	l.full = l.full && !yes
	return yes
}

// pop gives the next id. With wait it blocks until there is one; false is the end.
func (l *asideLane) pop(wait bool) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed && wait {
		l.wake.Wait()
	}
	if l.closed || len(l.queue) == 0 {
		return "", false
	}
	id := l.queue[0]
	l.queue = l.queue[1:]
	l.known[id] = asideRuns
	return id, true
}

// enter lets a step of a blueprint with data stores begin, or puts it in line (false).
func (l *asideLane) enter(blueprint, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first[id] == blueprint {
		return true
	}
	if line, busy := l.lines[blueprint]; busy {
		l.lines[blueprint] = append(line, id)
		l.known[id] = asideQueued
		return false
	}
	l.lines[blueprint], l.first[id] = nil, blueprint
	return true
}

// leave lets the next in a step's line begin, at the front of the queue; the step itself
// goes on. One that heads no line leaves none.
func (l *asideLane) leave(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	blueprint, heads := l.first[id]
	if !heads {
		return
	}
	delete(l.first, id)
	line := l.lines[blueprint]
	if len(line) == 0 {
		delete(l.lines, blueprint)
		return
	}
	l.lines[blueprint], l.first[line[0]] = line[1:], blueprint
	l.queue = append([]string{line[0]}, l.queue...)
	l.wake.Signal()
}

// done ends a step: it leaves its line, and goes to the queue again when it became due again
// meanwhile.
func (l *asideLane) done(id string) {
	l.leave(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	again := l.known[id] == asideAgain
	delete(l.known, id)
	if again {
		l.enqueue(id)
	}
}

// runAside is one runner of the lane: it works until the lane is closed.
func (e *Engine) runAside(ctx context.Context) {
	for e.oneAside(ctx, true) {
	}
}

// oneAside runs one step of the lane; false means that there is none (or, with wait, the end).
func (e *Engine) oneAside(ctx context.Context, wait bool) bool {
	id, ok := e.aside.pop(wait)
	if !ok {
		return false
	}
	inLine, err := e.stepAside(context.WithoutCancel(ctx), id)
	e.atAside.ended(id)
	if !inLine {
		e.aside.done(id)
		e.suspect.ended(id)
	}
	if e.aside.drained() {
		e.ready.overflow()
	}
	if err == nil {
		e.stuck.ended(id)
	} else if ctx.Err() == nil {
		e.retryStep(ctx, id, err)
	}
	return true
}

// stepAside runs the step that is due in a job and may call the outside. The job's lock is
// not held meanwhile: a cancel or a result must not wait for it. What they change refuses
// the step's commit. inLine says that the step was put in line and not run.
func (e *Engine) stepAside(ctx context.Context, id string) (inLine bool, err error) {
	s := e.enter(id)
	defer s.leave()
	if !s.owned {
		return false, e.settleDoubt(ctx, id)
	}
	for range conflictTries {
		j, data, bp, err := e.dueStep(ctx, id, s)
		if err != nil || j == nil {
			return false, err
		}
		if len(bp.Stores) > 0 && !e.loners.has(bp, j.State) && !e.aside.enter(bp.Name, id) {
			return true, nil
		}
		if err = e.onceAside(ctx, bp, j, data, s); !errors.Is(err, store.ErrConflict) {
			return false, err
		}
	}
	e.ready.push(id) // others have changed what it reads again and again: let them go first
	return false, nil
}

// dueStep loads a job whose step is due, under its lock; nil when none is.
func (e *Engine) dueStep(ctx context.Context, id string, s stay) (*job.Job, store.Data, *blueprint.Blueprint, error) {
	defer e.locks.of(id)()
	return e.due(ctx, id, s)
}

// onceAside runs a step without its job's lock and commits what it decided under it. With
// data stores, the next in line begins when the change has its place in the store's line.
func (e *Engine) onceAside(ctx context.Context, bp *blueprint.Blueprint, j *job.Job, data store.Data, s stay) error {
	t := e.turnOf(bp)
	if t != nil {
		t.passOn = func() { e.aside.leave(j.ID) }
		defer t.end()
	}
	event, err := e.decide(ctx, bp, j, data, t, &e.atAside)
	switch {
	case t == nil:
	case t.wasRead():
		e.loners.remove(bp, j.State)
	case err == nil:
		e.loners.add(bp, j.State)
	}
	if err != nil {
		return err
	}
	if len(event.Decision.Writes) > 0 { // before the job's lock: see values.go
		if err := t.take(ctx); err != nil {
			return err
		}
	}
	defer e.locks.of(j.ID)()
	if err := e.clear(ctx, j.ID); err != nil {
		return err
	}
	return e.keepStep(ctx, bp, j, data, event, t, s)
}
