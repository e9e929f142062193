package workers

import (
	"time"
)

// This file watches over tasks that another node takes for a worker that polls there. A node
// that dies with a task in its hands, or whose answer got lost, would leave it at a worker
// that never had it: until its deadline, where the worker is of an age whose heartbeats do not
// list its tasks. So that node says when it has given the task to the worker's connection, and
// without that word the task goes back to its queue.

// arriveTime is how long that word may take by default. The node says it within milliseconds, and again
// when it is not heard; a worker that has the task after all finds its result refused.
const arriveTime = 10 * time.Second

// Entrust notes that a task which PollOnce gave is in the hands of another node, which will
// say that it has arrived.
func (h *Hub) Entrust(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.find(id); e != nil {
		e.lease.entrusted = h.clock.Now()
	}
}

// Arrived notes that a node has given a task to its worker.
func (h *Hub) Arrived(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.find(id); e != nil {
		e.lease.entrusted = time.Time{}
	}
}

// stranded collects the tasks of which no node has said that they arrived, and no worker that
// it has them.
func (h *Hub) stranded(now time.Time) (out []loss) {
	if h.neighbors == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.workers {
		for e := range w.leases {
			l := e.lease
			if !l.entrusted.IsZero() && now.Sub(l.entrusted) >= h.arrive && !l.confirmed && l.reports == 0 && l.returning == nil {
				out = append(out, loss{e, l.id, "the node that took it for its worker did not say that it arrived there"})
			}
		}
	}
	return out
}
