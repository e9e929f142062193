package workers

import (
	"context"
	"errors"
	"time"

	"orrery/engine"
	"orrery/engine/job"
)

// This file is for the emulator: taking tasks of types that no real worker ever served.

// News receives after a task of a type that no real worker ever served was queued.
func (h *Hub) News() <-chan struct{} { return h.news }

// TakeUnserved leases the first queued task whose type no real worker ever served, and which
// no registered worker has now, to an emulated worker; ok is false when there is none.
func (h *Hub) TakeUnserved(ctx context.Context) (t job.Task, ok bool, err error) {
	for {
		h.mu.Lock()
		e := h.firstUnserved()
		if e == nil {
			h.mu.Unlock()
			return t, false, nil
		}
		id := h.leaseTo(e, h.emulatedWorker(e.class.taskType)).id
		h.mu.Unlock()
		if t, err = h.whole(ctx, e, id); err == nil {
			err = h.sent(e, t)
		}
		if err == nil {
			return t, true, nil
		}
		if errors.Is(err, errGone) {
			continue
		}
		h.mu.Lock()
		if e.lease != nil && e.lease.id == id {
			h.takeBack(e)
		}
		h.mu.Unlock()
		return t, false, err
	}
}

func (h *Hub) firstUnserved() *entry {
	var best *entry
	now := h.clock.Now()
	for taskType, q := range h.queues {
		if h.served[taskType] || h.staffed(taskType, now) {
			continue
		}
		for _, c := range q.classes {
			if best == nil || c.waiting[0].before(best) {
				best = c.waiting[0]
			}
		}
	}
	return best
}

// staffed tells whether a real worker that has the type was seen within the TTL.
func (h *Hub) staffed(taskType string, now time.Time) bool {
	for w := range h.skilled[taskType] {
		if w.poll != nil || h.live(w, now) {
			return true
		}
	}
	return false
}

// emulatedPrefix begins the ids of emulated workers. It has a dot, so that no real worker's
// id can begin with it.
const emulatedPrefix = "emulated."

// emulatedWorker is the one emulated worker of a type.
func (h *Hub) emulatedWorker(taskType string) *worker {
	w := h.worker(emulatedPrefix + taskType)
	w.emulated = true
	w.reg.Type = "emulated"
	w.reg.Skills = []string{taskType}
	w.available = w.reg.Skills
	h.touch(w)
	return w
}

// Answer brings the result of an emulated task. A task whose cancel was asked for must be
// answered as cancelled: see Cancelled. A result that does not count is no error.
func (h *Hub) Answer(ctx context.Context, t job.Task, o engine.Outcome) error {
	o.Worker, o.Emulated = t.Worker, true
	h.mu.Lock()
	if w := h.workers[t.Worker]; w != nil {
		h.touch(w)
	}
	h.mu.Unlock()
	_, err := h.finish(ctx, t.ID, o)
	return err
}
