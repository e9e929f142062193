package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file keeps the list of jobs with a step due and runs them.

// maxReady bounds the list in memory; what does not fit is read from the store again.
const maxReady = 20_000

// readyList is a queue of job ids without repetition.
type readyList struct {
	mu       sync.Mutex
	wake     *sync.Cond
	ids      []string
	known    map[string]bool
	spilled  bool // the store may hold ready jobs that the list does not
	reading  bool // a runner is reading them
	isClosed bool
}

func newReadyList() *readyList {
	l := &readyList{known: map[string]bool{}}
	l.wake = sync.NewCond(&l.mu)
	return l
}

// push adds an id; without room for it (false) the store is asked later.
func (l *readyList) push(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[id] {
		return true
	}
	if len(l.ids) >= maxReady {
		l.spilled = true
		return false
	}
	l.known[id] = true
	l.ids = append(l.ids, id)
	l.wake.Signal()
	return true
}

// overflow makes the next runner read the list from the store.
func (l *readyList) overflow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spilled = true
	l.wake.Signal()
}

// pop gives the next id. With wait it blocks until there is one or the list is closed
// ("" and false). refill says that the caller must read the store first.
func (l *readyList) pop(wait bool) (id string, refill, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.isClosed:
			return "", false, false
		case len(l.ids) > 0:
			id = l.ids[0]
			l.ids = l.ids[1:]
			delete(l.known, id)
			return id, false, true
		case l.spilled && !l.reading:
			l.spilled, l.reading = false, true
			return "", true, true
		case !wait:
			return "", false, false
		}
		l.wake.Wait()
	}
}

func (l *readyList) refilled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	l.wake.Broadcast()
}

func (l *readyList) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

// drop forgets the jobs of shards.
func (l *readyList) drop(lost store.ShardSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = slices.DeleteFunc(l.ids, func(id string) bool {
		gone := lost.Has(job.ShardOf(id))
		if gone {
			delete(l.known, id)
		}
		return gone
	})
}

func (l *readyList) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isClosed = true
	l.wake.Broadcast()
}

// runSteps is one runner: it works until the list is closed.
func (e *Engine) runSteps(ctx context.Context) {
	for e.runOne(ctx, true) {
	}
}

// runOne runs one ready job; false means that there is none (or, with wait, the end).
func (e *Engine) runOne(ctx context.Context, wait bool) bool {
	id, refill, ok := e.ready.pop(wait)
	if !ok {
		return false
	}
	if refill {
		e.refill(ctx)
		return true
	}
	// Stop lets a step that runs end and commit.
	if err := e.step(context.WithoutCancel(ctx), id); err == nil {
		e.stuck.ended(id)
	} else if ctx.Err() == nil {
		e.retryStep(ctx, id, err)
	}
	return true
}

// stepPure runs a pure step, and reports one that is not.
func (e *Engine) stepPure(ctx context.Context, id string) (aside bool, err error) {
	s := e.enter(id)
	defer s.leave()
	if !s.owned {
		return false, nil
	}
	defer e.locks.of(id)()
	defer e.atWork.ended(id) // while the lock is held: the next one notes its own
	for range conflictTries {
		j, data, bp, err := e.due(ctx, id, s)
		if err != nil || j == nil {
			return false, err
		}
		if e.callers.has(bp, j.State) {
			return true, nil
		}
		if err = e.oncePure(ctx, bp, j, data, s); errors.Is(err, errDeparted) {
			return true, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return false, err
		}
	}
	e.ready.push(id) // others have changed what it reads again and again: let them go first
	return false, nil
}

// oncePure runs a pure step and commits what it decided. What would have to wait for data
// stores is errDeparted, as if it called the outside.
func (e *Engine) oncePure(ctx context.Context, bp *blueprint.Blueprint, j *job.Job, data store.Data, s stay) error {
	t := e.turnOf(bp)
	defer t.end()
	if !t.takeSoon(ctx) {
		return errDeparted
	}
	event, err := e.decide(ctx, bp, j, data, t, &e.atWork)
	if err != nil {
		return err
	}
	return e.keepStep(ctx, bp, j, data, event, t, s)
}

// due loads a job whose step is due, and its blueprint; the caller holds the job's lock. A
// nil job means that there is nothing to run.
func (e *Engine) due(ctx context.Context, id string, s stay) (*job.Job, store.Data, *blueprint.Blueprint, error) {
	if err := e.clear(ctx, id); err != nil {
		return nil, store.Data{}, nil, err
	}
	j, data, err := e.load(ctx, id)
	if err == nil && !j.Ready && e.isStale(ctx, j) {
		j, data, err = e.load(ctx, id)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, data, nil, nil // its first commit was in doubt, and was not done
	}
	if err != nil || !j.Ready {
		return nil, data, nil, err
	}
	if held, again := e.suspect.holds(j); held {
		if again {
			e.ready.push(id)
		}
		return nil, data, nil, nil
	}
	if j.Ends != nil && j.Ends.Count >= e.cfg.Limits.StepEnds && j.Step+1 >= j.Ends.Step { // the last end came before it was due
		return nil, data, nil, e.apply(ctx, *j, data, nil, e.processEnd(ctx, j, lastEnd(j)), s)
	}
	bp, err := e.cfg.Blueprints.AtRevision(ctx, j.Revision, j.Blueprint)
	if !final(err) {
		return nil, data, nil, err
	}
	if err != nil {
		return nil, data, nil, e.apply(ctx, *j, data, nil, job.Broken{Err: job.Error{Code: job.CodeUnknownBlueprint,
			Message: fmt.Sprintf("revision %s of blueprint %q can not be loaded: %v", j.Revision, j.Blueprint, err)}}, s)
	}
	return j, data, bp, nil
}

// refill reads the list from the store, as far as it takes to find jobs whose turn has come: as
// many as the list holds may be stuck before them.
func (e *Engine) refill(ctx context.Context) {
	defer e.ready.refilled()
	for after, pushed := "", 0; pushed == 0; {
		ids, err := e.readyIDs(ctx, after)
		if err != nil {
			if ctx.Err() == nil {
				e.cfg.Log.Error("ready jobs could not be read; it is tried again", "error", err)
				e.later(ctx, e.ready.overflow)
			}
			return
		}
		now := e.cfg.Clock.Now()
		for _, id := range ids {
			if s, stuck := e.stuck.of(id); !stuck || !s.next.After(now) { // else it has its date
				e.ready.push(id)
				pushed++
			}
		}
		if len(ids) < maxReady {
			return
		}
		after = ids[len(ids)-1]
	}
	e.ready.overflow() // there may be more
}

// Settle runs, in the caller's goroutine, all that is ready, due or waiting to be
// announced now, until nothing is. It is for engines that were not started: `orrery run`
// and tests, where the same input must give the same order.
func (e *Engine) Settle(ctx context.Context) error {
	for {
		busy := e.settleDoubts(ctx) > 0
		for e.runOne(ctx, false) || e.oneAside(ctx, false) {
			busy = true
		}
		n, err := e.announce(ctx)
		if err != nil {
			return err
		}
		fired, err := e.fireDue(ctx)
		if err != nil {
			return err
		}
		if !busy && n == 0 && fired == 0 {
			return ctx.Err()
		}
	}
}

// final tells a revision that is gone or can not be compiled from a store that could not
// be read just now.
func final(err error) bool {
	var bad *blueprint.LoadError
	return err == nil || errors.Is(err, blueprint.ErrUnknown) || FaultCode(err) == UnknownBlueprint || errors.As(err, &bad)
}
