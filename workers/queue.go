package workers

import (
	"container/heap"
	"strconv"
	"time"

	"orrery/engine/job"
)

// This file holds what waits: entries, their classes, and one queue a task type.

// taskKey names a task for good: its fence changes, this does not.
type taskKey struct {
	job string
	n   int
}

// entry is a task that is queued or leased. Only small fields are always in memory.
type entry struct {
	key     taskKey
	class   *class
	rank    float64 // its priority, and what it has waited with aging
	queued  int64   // Unix nanoseconds
	handOut int32
	attempt int32
	pos     int32     // in the class's heap; -1 when not queued
	bytes   int32     // counted against queueBudget
	task    *job.Task // the row; nil when it must be read again
	lease   *lease    // nil while queued

	prev, next *entry // of the same job
}

// before is the order of a queue: priority, then first dispatch, then job and number, so
// that it does not depend on the order in which tasks are offered.
func (e *entry) before(o *entry) bool {
	if e.rank != o.rank {
		return e.rank > o.rank
	}
	if e.queued != o.queued {
		return e.queued < o.queued
	}
	if e.key.job != o.key.job {
		return e.key.job < o.key.job
	}
	return e.key.n < o.key.n
}

// class is the tasks of one type with equal requirements; all of them fit the same workers.
type class struct {
	taskType string
	key      string // within the type; "" without requirements
	needs    string // the text of resource_requirements; "" without
	waiting  entryHeap
	judge
}

// suits tells whether the worker may do the tasks of this class.
func (c *class) suits(w *worker) bool {
	return c.fits(w.ability) && c.req.tooDear(w.reg.Costs, c.taskType) == ""
}

// queue is the classes of one type that have tasks waiting.
type queue struct {
	classes map[string]*class
	waiting int
}

// entryHeap is a heap of entries in the queue's order.
type entryHeap []*entry

var _ heap.Interface = (*entryHeap)(nil)

func (q entryHeap) Len() int           { return len(q) }
func (q entryHeap) Less(i, j int) bool { return q[i].before(q[j]) }
func (q entryHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = int32(i), int32(j)
}

// Push implements heap.Interface.
func (q *entryHeap) Push(x any) {
	e := x.(*entry)
	e.pos = int32(len(*q))
	*q = append(*q, e)
}

// Pop implements heap.Interface.
func (q *entryHeap) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.pos = -1
	return e
}

// Offer puts a queued task into its type's queue or gives it to an open poll at once. A task
// that is leased in the store becomes a lease. An offer that is older than the hand-out that
// stands is ignored.
func (h *Hub) Offer(t job.Task) {
	if t.State == job.TaskLeased {
		h.Recover([]job.Task{t})
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.entry(t.JobID, t.N); old != nil {
		if old.lease != nil && int(old.handOut) > t.HandOut {
			return
		}
		h.drop(old)
	}
	e := h.add(&t)
	h.enqueue(e)
	if s := h.pick(e.class, t.Strategy); s != nil {
		h.give(e, s.worker)
	} else {
		h.unserved(e)
	}
}

// rank is where a task stands in its queue. With aging a waiting task gains a whole priority
// in every such time. All gain alike, so that the order of two tasks never changes while they
// wait, and when they were dispatched says it all: the later one lacks what the earlier gained.
func (h *Hub) rank(t *job.Task) float64 {
	if h.aging <= 0 {
		return t.Priority
	}
	return t.Priority - t.Queued.Sub(agingSince).Seconds()/h.aging.Seconds()
}

// agingSince only keeps the numbers small, for the sake of their precision.
var agingSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rowBytes is what a row takes in memory, about; 1 KiB is its texts and its map of transitions.
func rowBytes(t *job.Task) int { return 1024 + len(t.Params) + len(t.Resources) }

// keepRow keeps the row of an entry in memory, unless it is large.
func (h *Hub) keepRow(e *entry, row job.Task) {
	if len(row.Params) > keepTaskBytes {
		return
	}
	e.task, e.bytes = &row, int32(rowBytes(&row))
	h.kept += int(e.bytes)
}

// classOf finds or makes the class of a task; a new one joins its queue by enqueue.
func (h *Hub) classOf(t *job.Task) *class {
	key, needs := "", ""
	if t.MaxCost != nil {
		key = strconv.FormatFloat(*t.MaxCost, 'g', -1, 64)
	}
	if !isEmptyJSON(t.Resources) {
		needs = string(t.Resources)
		key += " " + needs
	}
	if q := h.queues[t.Type]; q != nil && q.classes[key] != nil {
		return q.classes[key]
	}
	return &class{taskType: t.Type, key: key, needs: needs, judge: judge{req: parseRequirement(t)}}
}

func (h *Hub) enqueue(e *entry) {
	q := h.queues[e.class.taskType]
	if q == nil {
		q = &queue{classes: map[string]*class{}}
		h.queues[e.class.taskType] = q
	}
	if c := q.classes[e.class.key]; c != nil {
		e.class = c
	} else {
		q.classes[e.class.key] = e.class
	}
	heap.Push(&e.class.waiting, e)
	q.waiting++
	if !h.served[e.class.taskType] {
		select {
		case h.news <- struct{}{}:
		default:
		}
	}
}

// dequeue takes a queued entry out of its queue; classes and queues vanish when empty.
func (h *Hub) dequeue(e *entry) {
	if e.pos < 0 {
		return
	}
	c := e.class
	heap.Remove(&c.waiting, int(e.pos))
	q := h.queues[c.taskType]
	q.waiting--
	if len(c.waiting) == 0 {
		delete(q.classes, c.key)
	}
	if len(q.classes) == 0 {
		delete(h.queues, c.taskType)
	}
}

// firstFor finds the first queued task that the worker may do, over all types it takes.
func (h *Hub) firstFor(w *worker) *entry {
	var best *entry
	for _, taskType := range w.available {
		q := h.queues[taskType]
		if q == nil {
			continue
		}
		for _, c := range q.classes {
			if (best == nil || c.waiting[0].before(best)) && c.suits(w) {
				best = c.waiting[0]
			}
		}
	}
	return best
}

// Withdraw takes a task back (n 0: all tasks of the job). A worker that has it is told to
// stop; its result will be answered as stale.
func (h *Hub) Withdraw(jobID string, n int) {
	h.mu.Lock()
	var stops []stop
	all := []*entry{h.entry(jobID, n)}
	if n == 0 {
		all = h.ofJob(jobID)
	}
	for _, e := range all {
		if e == nil {
			continue
		}
		// A result that is being written withdraws its own task: that worker is done.
		if e.lease != nil && e.lease.returning == nil {
			stops = append(stops, h.stopOf(e))
		}
		h.drop(e)
	}
	h.mu.Unlock()
	h.push(stops)
}
