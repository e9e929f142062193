package simulate

import (
	"sync"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is the dispatcher of a simulation: a list of queued tasks and those that the
// one simulated worker has.

type taskKey struct {
	job string
	n   int
}

func keyOf(t job.Task) taskKey { return taskKey{t.JobID, t.N} }

// queue keeps offered tasks until the driver hands them out, one at a time.
type queue struct {
	mu        sync.Mutex
	waiting   []job.Task // in the order of arrival
	atWorker  map[taskKey]job.Task
	cancelled map[taskKey]bool // tasks at the worker that it was told to stop
}

var _ engine.Dispatcher = (*queue)(nil)

func newQueue() *queue {
	return &queue{atWorker: map[taskKey]job.Task{}, cancelled: map[taskKey]bool{}}
}

// Recover has nothing to take up: a simulation begins with an empty store.
func (q *queue) Recover([]job.Task) {}

// Offer puts a task at the end, or replaces it where it stands.
func (q *queue) Offer(t job.Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiting {
		if keyOf(q.waiting[i]) == keyOf(t) {
			q.waiting[i] = t
			return
		}
	}
	q.waiting = append(q.waiting, t)
}

// Withdraw takes tasks back from the queue and tells the worker to stop those it has.
func (q *queue) Withdraw(jobID string, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	meant := func(k taskKey) bool { return k.job == jobID && (n == 0 || k.n == n) }
	kept := q.waiting[:0]
	for _, t := range q.waiting {
		if !meant(keyOf(t)) {
			kept = append(kept, t)
		}
	}
	q.waiting = kept
	for k := range q.atWorker {
		if meant(k) { // its result will not count, so it is no longer at the worker
			q.cancelled[k] = true
			delete(q.atWorker, k)
		}
	}
}

// AskCancel tells the worker to stop every task of the job that it has.
func (q *queue) AskCancel(jobID string) (atWorkers int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k := range q.atWorker {
		if k.job == jobID {
			q.cancelled[k] = true
			atWorkers++
		}
	}
	return atWorkers
}

// AtWorkers counts the tasks of the job that the worker has.
func (q *queue) AtWorkers(jobID string) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k := range q.atWorker {
		if k.job == jobID {
			n++
		}
	}
	return n
}

// Drop is for several nodes; here there is one.
func (q *queue) Drop(store.ShardSet) {}

// Held is for stores that can go back; the one of a simulation can not.
func (q *queue) Held(store.ShardSet) []engine.Held { return nil }

// Has is as Held.
func (q *queue) Has(string, int) (h engine.Held, ok bool) { return h, false }

// best gives the queued task that is next by (priority, first dispatch, arrival) among
// those that fit.
func (q *queue) best(fits func(job.Task) bool) (t job.Task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.waiting {
		before := w.Priority > t.Priority || (w.Priority == t.Priority && w.Queued.Before(t.Queued))
		if (!ok || before) && fits(w) {
			t, ok = w, true
		}
	}
	return t, ok
}

// queued gives a copy of the list.
func (q *queue) queued() []job.Task {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]job.Task(nil), q.waiting...)
}

// lease moves a task from the queue to the worker.
func (q *queue) lease(t job.Task) {
	q.Withdraw(t.JobID, t.N)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.atWorker[keyOf(t)] = t
	delete(q.cancelled, keyOf(t))
}

// told reports whether the worker was told to stop the task.
func (q *queue) told(t job.Task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cancelled[keyOf(t)]
}

// finish forgets a task that the worker has answered.
func (q *queue) finish(t job.Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.atWorker, keyOf(t))
	delete(q.cancelled, keyOf(t))
}
