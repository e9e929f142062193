package engine

import (
	"context"
	"sync"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file keeps the jobs that moved last in memory, so that the next event of a job need
// not read and decode what the last one wrote: that was a quarter of the processor time of
// a job. The store stays authoritative: a commit checks the version, and a conflict or any
// other failure forgets the entry. Entries are read and written under the job's lock.

const (
	hotJobs  = 8192
	hotBytes = 16 << 10 // of data; larger jobs are read again
)

type hotList struct {
	mu   sync.Mutex
	jobs map[string]hotJob
}

type hotJob struct {
	job  *job.Job // never changed; Next works on a copy
	data store.Data
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
	if j.Status.Terminal() || len(d.Initial)+len(d.History) > hotBytes {
		delete(l.jobs, j.ID)
		return
	}
	if l.jobs == nil {
		l.jobs = make(map[string]hotJob, hotJobs)
	}
	old, there := l.jobs[j.ID]
	if there && old.job.Version > j.Version {
		return // a first commit is kept without the job's lock, and may come late
	}
	if !there && len(l.jobs) >= hotJobs {
		for id := range l.jobs { // any one: Go begins at a random place
			delete(l.jobs, id)
			break
		}
	}
	l.jobs[j.ID] = hotJob{j, d}
}

func (l *hotList) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, id)
}

// slowList holds the states whose handlers were seen to be slow: what waits for a commit
// must not wait for them.
type slowList struct {
	mu     sync.RWMutex
	states map[slowState]struct{}
}

type slowState struct{ revision, blueprint, state string }

const slowKept = 10_000 // then the list begins anew

func (l *slowList) has(bp *blueprint.Blueprint, state string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.states[slowState{bp.Revision, bp.Name, state}]
	return ok
}

func (l *slowList) add(bp *blueprint.Blueprint, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.states == nil || len(l.states) >= slowKept {
		l.states = map[slowState]struct{}{}
	}
	l.states[slowState{bp.Revision, bp.Name, state}] = struct{}{}
}
