package engine

import (
	"context"
	"sync"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file keeps the jobs that moved last in memory, so that the next event of a job need
// not read and decode what the last one wrote: that was a quarter of the processor time of
// a job. The store stays authoritative: a commit checks the version, and a conflict or any
// other failure forgets the entry. Entries are read and written under the job's lock.

const (
	hotMost  = 12 << 20 // bytes of all, about: 12,000 jobs without much data
	hotBytes = 16 << 10 // of the data of one; larger jobs are read again
	hotFixed = 960      // bytes of a job and its place without data and texts: measured by TestHotJobsAreCountedRightly
)

type hotList struct {
	mu    sync.Mutex
	jobs  map[string]hotJob
	bytes int // what they take, about
}

type hotJob struct {
	job  *job.Job // never changed; Next works on a copy
	data store.Data
}

// size is what an entry takes in memory, about.
func (h hotJob) size() int {
	j := h.job
	n := hotFixed + len(h.data.Initial) + len(h.data.History) + len(j.Files) + len(j.Client.Params) + len(j.WebhookURL) + len(j.Reason)
	if j.Error != nil {
		n += len(j.Error.Message) + len(j.Error.Trace)
	}
	return n
}

// load gives a job and its data; the caller holds the job's lock and changes neither.
func (e *Engine) load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	e.hot.mu.Lock()
	h, ok := e.hot.jobs[id]
	e.hot.mu.Unlock()
	if ok {
		return h.job, h.data, nil
	}
	return e.store.Load(ctx, id)
}

// keep remembers a job as it was committed.
func (l *hotList) keep(j *job.Job, d store.Data) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, there := l.jobs[j.ID]
	if j.Status.Terminal() || len(d.Initial)+len(d.History) > hotBytes {
		l.remove(j.ID, old)
		return
	}
	if there && old.job.Version > j.Version {
		return // a first commit is kept without the job's lock, and may come late
	}
	if l.jobs == nil {
		l.jobs = map[string]hotJob{}
	}
	h := hotJob{j, d}
	l.remove(j.ID, old)
	for id, other := range l.jobs { // any one goes: Go begins at a random place
		if l.bytes+h.size() <= hotMost {
			break
		}
		l.remove(id, other)
	}
	l.jobs[j.ID] = h
	l.bytes += h.size()
}

// remove forgets an entry, which is empty when there is none.
func (l *hotList) remove(id string, h hotJob) {
	if h.job == nil {
		return
	}
	delete(l.jobs, id)
	l.bytes -= h.size()
}

// drop forgets the jobs of shards.
func (l *hotList) drop(lost store.ShardSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.jobs {
		if lost.Has(job.ShardOf(id)) {
			l.remove(id, h)
		}
	}
}

// isStale reports whether a job in memory is not what stands in the store any more, and
// forgets it then: another node has changed it, and its word of that was lost. Who finds that
// a job is not as it was said to be asks, under the job's lock.
func (e *Engine) isStale(ctx context.Context, j *job.Job) bool {
	if e.shards == nil || !e.hot.has(j.ID) {
		return false
	}
	row, err := e.store.Job(ctx, j.ID)
	if err != nil || row.Version == j.Version {
		return false
	}
	e.hot.forget(j.ID)
	return true
}

func (l *hotList) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.jobs[id]
	return ok
}

func (l *hotList) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(id, l.jobs[id])
}

// stateSet holds states of blueprints that were seen to do something once.
type stateSet struct {
	mu     sync.RWMutex
	states map[stateKey]struct{}
}

type stateKey struct{ revision, blueprint, state string }

const statesKept = 10_000 // then a list begins anew

func (l *stateSet) has(bp *blueprint.Blueprint, state string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.states[stateKey{bp.Revision, bp.Name, state}]
	return ok
}

func (l *stateSet) add(bp *blueprint.Blueprint, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.states == nil || len(l.states) >= statesKept {
		l.states = map[stateKey]struct{}{}
	}
	l.states[stateKey{bp.Revision, bp.Name, state}] = struct{}{}
}

func (l *stateSet) remove(bp *blueprint.Blueprint, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.states, stateKey{bp.Revision, bp.Name, state})
}

// slowList counts how often the handler of a state was slow: what waits for a commit must
// not wait for it. A single slow run says little, for any handler is slow when the machine is.
type slowList struct {
	mu     sync.RWMutex
	states map[stateKey]int // 1 to slowMost; a state that is not there was never slow, or not for long
}

const (
	slowStep = 5 * time.Millisecond
	slowFrom = 4  // so many slow runs, each taken back by a quick one, make a state slow
	slowMost = 12 // so that a state that became quick is not slow for long
)

func (l *slowList) has(bp *blueprint.Blueprint, state string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.states[stateKey{bp.Revision, bp.Name, state}] >= slowFrom
}

// saw counts a run of a state's handler.
func (l *slowList) saw(bp *blueprint.Blueprint, state string, took time.Duration) {
	key := stateKey{bp.Revision, bp.Name, state}
	l.mu.RLock()
	n, counted := l.states[key]
	l.mu.RUnlock()
	if took <= slowStep && !counted { // nearly always
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case took > slowStep && (l.states == nil || len(l.states) >= statesKept):
		l.states = map[stateKey]int{key: 1}
	case took > slowStep:
		l.states[key] = min(n+1, slowMost)
	case n > 1:
		l.states[key] = n - 1
	default:
		delete(l.states, key)
	}
}
