package sqlite

import (
	"context"
	"time"

	"orrery/engine/job"
)

// This file holds hand-outs back for a moment: nobody waits for them, and the row of a task
// that returns meanwhile says all that they would have said. Of short tasks that spares a
// third of all writes. A crash loses them, as it may lose any hand-out: the task is queued.

// holdFor bounds the wait; longer tasks gain nothing from a longer one.
const holdFor = 20 * time.Millisecond

// handOut says which row a held write is about.
type handOut struct {
	id    [16]byte
	task  int
	since time.Time
	over  bool // written, or not needed any more
}

// holding is what the writer has held back.
type holding struct {
	line    []*write // in order of arrival
	jobs    map[[16]byte][]*write
	settled []*write // by the transaction under way; they stay if it fails
}

func (h *holding) add(w *write) {
	if h.jobs == nil {
		h.jobs = map[[16]byte][]*write{}
	}
	w.out.since = time.Now()
	h.line = append(h.line, w)
	h.jobs[w.out.id] = append(h.jobs[w.out.id], w)
}

// due moves what was held long enough into the batch; with all, everything.
func (h *holding) due(batch []*write, all bool) []*write {
	n := 0
	for _, w := range h.line {
		if !w.out.over {
			if !all && time.Since(w.out.since) < holdFor {
				break
			}
			h.drop(w)
			batch = append(batch, w)
		}
		n++
	}
	h.line = h.line[n:]
	if len(h.line) == 0 {
		h.line = nil // gives the array back
	}
	return batch
}

// wait gives the time until the oldest one is due.
func (h *holding) wait() (d time.Duration, any bool) {
	for len(h.line) > 0 && h.line[0].out.over {
		h.line = h.line[1:]
	}
	if len(h.line) == 0 {
		return 0, false
	}
	return max(0, holdFor-time.Since(h.line[0].out.since)), true
}

// drop takes one out of its job's list; its place in line is passed over later.
func (h *holding) drop(w *write) {
	w.out.over = true
	rest := h.jobs[w.out.id]
	for i, other := range rest {
		if other == w {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(h.jobs, w.out.id)
	} else {
		h.jobs[w.out.id] = rest
	}
}

// done drops what a transaction settled, once it is committed.
func (h *holding) done() {
	for _, w := range h.settled {
		h.drop(w)
	}
	h.settled = h.settled[:0]
}

// putHeld writes the hand-outs of a job that were held before its change came, but for those
// whose rows the change brings anew.
func (w *writer) putHeld(id [16]byte, tasks []job.Task) error {
	for _, held := range w.held.jobs[id] {
		if held.nth > w.doing {
			break
		}
		w.held.settled = append(w.held.settled, held)
		needed := true
		for i := range tasks {
			needed = needed && tasks[i].N != held.out.task
		}
		if !needed {
			continue
		}
		if err := held.do(w); err != nil {
			return err
		}
	}
	return nil
}

// Sync returns when all that was queued before it is durable, held hand-outs included.
func (s *Store) Sync(ctx context.Context) error {
	w := &write{do: func(*writer) error { return nil }, done: make(chan error, 1), sync: true}
	return s.await(ctx, w, nil)
}
