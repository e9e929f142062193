package engine

import (
	"fmt"
	"slices"
	"sync"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is the scripted Dispatcher of the tests: a line of tasks that a test takes from
// and answers by hand, with the hub's promises (package workers) and none of its choices.

type taskKey struct {
	job string
	n   int
}

type line struct {
	mu     sync.Mutex
	queued []job.Task
	held   map[taskKey]job.Task // at workers
	told   map[taskKey]bool     // at workers that were asked to stop
	fences int
	came   chan struct{} // a token after each offer

	beforeCount func() // runs, without the lock, before AtWorkers answers; nil: nothing
}

var _ Dispatcher = (*line)(nil)

func newLine() *line {
	return &line{held: map[taskKey]job.Task{}, told: map[taskKey]bool{}, came: make(chan struct{}, 1)}
}

func (l *line) Recover(leased []job.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range leased {
		l.held[taskKey{t.JobID, t.N}] = t
	}
}

func (l *line) Offer(t job.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := taskKey{t.JobID, t.N}
	if old, ok := l.held[k]; ok {
		if old.HandOut > t.HandOut {
			return
		}
		delete(l.held, k)
	}
	l.queued = slices.DeleteFunc(l.queued, func(o job.Task) bool { return o.JobID == t.JobID && o.N == t.N })
	l.queued = append(l.queued, t)
	nudge(l.came)
}

func (l *line) Withdraw(jobID string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued = slices.DeleteFunc(l.queued, func(t job.Task) bool { return t.JobID == jobID && (n == 0 || t.N == n) })
	for k := range l.held {
		if k.job == jobID && (n == 0 || k.n == n) {
			delete(l.held, k)
			l.told[k] = true
		}
	}
}

func (l *line) AskCancel(jobID string) (atWorkers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued = slices.DeleteFunc(l.queued, func(t job.Task) bool { return t.JobID == jobID })
	for k := range l.held {
		if k.job == jobID {
			l.told[k] = true
			atWorkers++
		}
	}
	return atWorkers
}

func (l *line) AtWorkers(jobID string) (n int) {
	if l.beforeCount != nil {
		l.beforeCount()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.held {
		if k.job == jobID {
			n++
		}
	}
	return n
}

func (l *line) Drop(lost store.ShardSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued = slices.DeleteFunc(l.queued, func(t job.Task) bool { return lost.Has(job.ShardOf(t.JobID)) })
	for k := range l.held {
		if lost.Has(job.ShardOf(k.job)) {
			delete(l.held, k)
		}
	}
}

func (l *line) Held(in store.ShardSet) (out []Held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queued {
		if t := &l.queued[i]; in.Has(job.ShardOf(t.JobID)) {
			out = append(out, Held{JobID: t.JobID, N: t.N, HandOut: t.HandOut, Attempt: t.Attempt})
		}
	}
	for k, t := range l.held {
		if in.Has(job.ShardOf(k.job)) {
			out = append(out, Held{JobID: t.JobID, N: t.N, HandOut: t.HandOut, Attempt: t.Attempt, ID: t.ID, Worker: t.Worker, LeasedAt: t.LeasedAt, Due: t.Due})
		}
	}
	return out
}

func (l *line) Has(jobID string, n int) (Held, bool) {
	var in store.ShardSet
	in.Add(job.ShardOf(jobID))
	for _, h := range l.Held(in) {
		if h.JobID == jobID && h.N == n {
			return h, true
		}
	}
	return Held{}, false
}

func (l *line) Explain(t job.Task) []string { return []string{"no worker of type " + t.Type} }

var _ Explainer = (*line)(nil)

// size tells how many tasks are queued and at workers.
func (l *line) size() (queued, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queued), len(l.held)
}

func (l *line) wasTold(t job.Task) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[taskKey{t.JobID, t.N}]
}

// take hands the first queued task to a worker, as the hub does; ok is false without one.
func (l *line) take(e *Engine) (t job.Task, ok bool) {
	l.mu.Lock()
	if len(l.queued) == 0 {
		l.mu.Unlock()
		return t, false
	}
	t = l.queued[0]
	l.queued = l.queued[1:]
	l.fences++
	now := e.cfg.Clock.Now()
	due := now.Add(seconds(e.AttemptSeconds(t)))
	t.ID, t.State, t.Worker = fmt.Sprintf("%s-%d-%08d", t.JobID, t.N, l.fences), job.TaskLeased, "w1"
	t.LeasedAt, t.Due = now, &due
	t.HandOut++
	t.Attempt++
	l.held[taskKey{t.JobID, t.N}] = t
	l.mu.Unlock()
	e.HandedOut(t)
	return t, true
}

// gone forgets a task that its worker answered or lost, unless it was handed out again.
func (l *line) gone(t job.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := taskKey{t.JobID, t.N}
	if l.held[k].ID == t.ID {
		delete(l.held, k)
	}
}
