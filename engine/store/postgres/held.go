package postgres

import "time"

// This file holds hand-outs back for a moment, as the SQLite store does: nobody waits for them,
// and the row of a task that returns meanwhile says all that they would have said. A crash loses
// them, as it may lose any hand-out: the task is queued.

// holdFor bounds the wait; longer tasks gain nothing from a longer one.
const holdFor = 20 * time.Millisecond

// holding is what a writer has held back.
type holding struct {
	line []*write // in order of arrival
	jobs map[uuid][]*write
}

func (h *holding) add(w *write) {
	if h.jobs == nil {
		h.jobs = map[uuid][]*write{}
	}
	h.line = append(h.line, w)
	h.jobs[w.out.job] = append(h.jobs[w.out.job], w)
}

// due moves what was held long enough into the batch; with all, everything.
func (h *holding) due(batch []*write, all bool) []*write {
	n := 0
	for _, w := range h.line {
		if !w.over {
			if !all && time.Since(w.since) < holdFor {
				break
			}
			h.drop(w)
			batch = append(batch, w)
		}
		n++
	}
	if h.line = h.line[n:]; len(h.line) == 0 {
		h.line = nil // gives the array back
	}
	return batch
}

// wait gives the time until the oldest one is due.
func (h *holding) wait() (d time.Duration, any bool) {
	for len(h.line) > 0 && h.line[0].over {
		h.line = h.line[1:]
	}
	if len(h.line) == 0 {
		return 0, false
	}
	return max(0, holdFor-time.Since(h.line[0].since)), true
}

// before adds the hand-outs of a job that were held before its change came, but for those whose
// rows the change brings anew: it keeps them in case it is refused.
func (h *holding) before(batch []*write, change *write) []*write {
	for _, w := range h.jobs[change.change.id] {
		w.over = true // its place in line is passed over later
		if change.change.holds(w.out.t.N) {
			change.spare = append(change.spare, w)
		} else {
			batch = append(batch, w)
		}
	}
	delete(h.jobs, change.change.id)
	return batch
}

// drop takes one out of its job's list.
func (h *holding) drop(w *write) {
	w.over = true
	rest := h.jobs[w.out.job]
	for i, other := range rest {
		if other == w {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(h.jobs, w.out.job)
	} else {
		h.jobs[w.out.job] = rest
	}
}
