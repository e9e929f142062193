package workers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"orrery/engine"
	"orrery/engine/job"
)

// This file holds what time does: leases end, tasks nobody may do fail, rows are written.

// Run sweeps every second until ctx ends, then closes the hub.
func (h *Hub) Run(ctx context.Context) {
	defer h.Close()
	if h.neighbors != nil {
		telling, stop := context.WithCancel(ctx)
		defer stop()
		go h.tellNeighbors(telling)
	}
	for {
		timer := h.clock.NewTimer(sweepEvery)
		select {
		case <-timer.C():
			h.Sweep(ctx)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Sweep does once what is due now.
func (h *Hub) Sweep(ctx context.Context) {
	now := h.clock.Now()
	h.auth.expire(now)
	h.lose(ctx, h.silent(now))
	h.lose(ctx, h.stranded(now))
	for _, u := range h.unsuitable(now) {
		h.fail(ctx, u)
	}
	dirty, forgotten, served := h.chores(now)
	for _, w := range dirty {
		h.save(ctx, w)
	}
	for _, id := range forgotten {
		if err := h.records.DeleteWorker(ctx, id); err != nil {
			h.log.Warn("a worker that was forgotten could not be removed from the registry", "worker", id, "error", err)
		}
	}
	if served {
		h.saveServed(ctx)
	}
}

// silent collects the leases of workers that were not heard of for a TTL. No lease ends
// before one TTL after the start, or after it was taken over from another node.
func (h *Hub) silent(now time.Time) []loss {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []loss
	early := now.Sub(h.started) < h.ttl
	for _, w := range h.workers {
		for e := range w.leases {
			if e.lease.orphan {
				out = append(out, loss{e, e.lease.id, "its emulated worker ended with the process before"})
			}
		}
		if !early && len(w.leases) > 0 && w.poll == nil && !h.live(w, now) {
			for _, x := range lossesOf(w, fmt.Sprintf("its worker %s was not heard of for %g s", w.id, h.ttl.Seconds())) {
				if now.Sub(x.e.lease.adopted) >= h.ttl {
					out = append(out, x)
				}
			}
		}
	}
	return out
}

// misfit is a queued task that none of the live workers of its type may do.
type misfit struct {
	e   *entry
	why string
}

// unsuitable finds the misfits. Only a requirement can make one, and only when there is a
// worker of the type; without any the task waits.
func (h *Hub) unsuitable(now time.Time) []misfit {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.started) < h.ttl {
		return nil
	}
	var out []misfit
	for taskType, q := range h.queues {
		for _, c := range q.classes {
			if !c.req.needs() {
				continue
			}
			why, ok := h.hopeless(c, taskType, now)
			if !ok {
				continue
			}
			for _, e := range c.waiting {
				if now.UnixNano()-e.queued >= int64(graceDispatch) {
					out = append(out, misfit{e, why})
				}
			}
		}
	}
	return out
}

// hopeless tells whether live workers of the type exist and none of them meets the class,
// with each one's reason.
func (h *Hub) hopeless(c *class, taskType string, now time.Time) (why string, ok bool) {
	var live []*worker
	for w := range h.skilled[taskType] {
		if !h.live(w, now) && w.poll == nil {
			continue
		}
		if c.suits(w) {
			return "", false
		}
		live = append(live, w)
	}
	if len(live) == 0 {
		return "", false
	}
	slices.SortFunc(live, func(a, b *worker) int { return cmp.Compare(a.id, b.id) })
	const shown = 10
	var parts []string
	for _, w := range live[:min(len(live), shown)] {
		parts = append(parts, w.id+" "+c.unmet(w))
	}
	if len(live) > shown {
		parts = append(parts, fmt.Sprintf("and %d more", len(live)-shown))
	}
	return fmt.Sprintf("no worker of type %q may do this task: %s", taskType, strings.Join(parts, "; ")), true
}

// unmet says why a worker may not do the tasks of the class, "" when it may.
func (c *class) unmet(w *worker) string {
	return cmp.Or(c.req.tooDear(w.reg.Costs, c.taskType), c.req.unmet(w.ability))
}

// fail gives a misfit to the desk; what can not be written is queued again.
func (h *Hub) fail(ctx context.Context, u misfit) {
	h.mu.Lock()
	if u.e.pos < 0 {
		h.mu.Unlock()
		return
	}
	row := u.e.task
	h.mu.Unlock()
	if row == nil {
		var err error
		if row, err = h.desk.Task(ctx, u.e.key.job, u.e.key.n); err != nil {
			h.log.Warn("a task that no worker may do could not be read and is looked at again", "job", u.e.key.job, "task", u.e.key.n, "error", err)
			return
		}
	}
	h.mu.Lock()
	if u.e.pos < 0 { // given to a worker or withdrawn meanwhile
		h.mu.Unlock()
		return
	}
	h.drop(u.e)
	h.mu.Unlock()
	err := h.desk.Unsuitable(ctx, *row, u.why)
	if errors.Is(err, engine.ErrElsewhere) && !h.desk.Mine(row.JobID) { // else its shard is still being taken up
		err = nil
	}
	if err != nil {
		h.log.Warn("a task that no worker may do could not be failed and is queued again", "job", row.JobID, "task", row.N, "error", err)
		h.offerAgain(*row)
	}
}

// offerAgain queues a task unless somebody else has done so.
func (h *Hub) offerAgain(t job.Task) {
	h.mu.Lock()
	known := h.entry(t.JobID, t.N) != nil
	h.mu.Unlock()
	if !known {
		h.Offer(t)
	}
}

// chores collects what has to be written, and forgets workers that are gone for good.
func (h *Hub) chores(now time.Time) (dirty []*worker, forgotten []string, served bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, w := range h.workers {
		switch idle := len(w.leases) == 0 && w.poll == nil; {
		case idle && (!w.known || w.emulated) && !h.live(w, now):
			h.forget(w)
		case idle && now.Sub(w.seen) >= forgetAfter:
			h.forget(w)
			forgotten = append(forgotten, id)
		case w.dirty && w.known && !w.emulated:
			dirty = append(dirty, w)
		}
	}
	for _, id := range h.gone {
		if h.workers[id] == nil { // else it is back
			forgotten = append(forgotten, id)
		}
	}
	h.gone = nil
	return dirty, forgotten, h.servedDirty
}
