// Package held holds writes back that nobody waits for: the hand-outs of tasks.
//
// The row of a task that returns says all that the row of its hand-out would have said. When
// the result comes within a moment, the hand-out need not be written at all; of short tasks
// that spares a third of all writes. A crash loses what is held, as it may lose any hand-out:
// the task is queued, and is handed out again.
//
// Words: a Line is what one writer holds, in order of arrival. A write leaves it when it is
// due, when a change of its job comes (the change was built on it, so it goes before, or is
// replaced), or when the writer drops it. A Line belongs to one goroutine.
package held

import "time"

// For bounds the time a write is held; longer tasks gain nothing from a longer one.
const For = 20 * time.Millisecond

// Place is where a write stands. A write that can be held has one in it.
type Place[K comparable] struct {
	job   K // that it is about
	since time.Time
	over  bool // written, or not needed any more
}

// Write is a write of one driver, by its pointer.
type Write[K comparable] interface {
	comparable
	Place() *Place[K]
}

// Line is what one writer holds. The zero Line is ready.
type Line[K comparable, W Write[K]] struct {
	line []W // in order of arrival
	jobs map[K][]W
}

// Add holds a write about a job from now on.
func (h *Line[K, W]) Add(job K, w W) {
	if h.jobs == nil {
		h.jobs = map[K][]W{}
	}
	p := w.Place()
	p.job, p.since = job, time.Now()
	h.line = append(h.line, w)
	h.jobs[job] = append(h.jobs[job], w)
}

// Due moves what was held long enough to the end of the batch; with all, everything.
func (h *Line[K, W]) Due(batch []W, all bool) []W {
	n := 0
	for _, w := range h.line {
		if p := w.Place(); !p.over {
			if !all && time.Since(p.since) < For {
				break
			}
			h.Drop(w)
			batch = append(batch, w)
		}
		n++
	}
	if h.line = h.line[n:]; len(h.line) == 0 {
		h.line = nil // gives the array back
	}
	return batch
}

// Wait gives the time until the oldest one is due; false: none is held.
func (h *Line[K, W]) Wait() (d time.Duration, any bool) {
	for len(h.line) > 0 && h.line[0].Place().over {
		h.line = h.line[1:]
	}
	if len(h.line) == 0 {
		return 0, false
	}
	return max(0, For-time.Since(h.line[0].Place().since)), true
}

// Of gives what is held of a job, in order of arrival. It stays held.
func (h *Line[K, W]) Of(job K) []W { return h.jobs[job] }

// Take adds what is held of a job to the batch, but for what a change replaces: that is given
// apart, for it must be written after all when the change is refused. Nothing of it is held
// any more.
func (h *Line[K, W]) Take(batch []W, job K, replaced func(W) bool) (_, spare []W) {
	for _, w := range h.jobs[job] {
		w.Place().over = true // its place in line is passed over later
		if replaced(w) {
			spare = append(spare, w)
		} else {
			batch = append(batch, w)
		}
	}
	delete(h.jobs, job)
	return batch, spare
}

// Drop holds a write no longer.
func (h *Line[K, W]) Drop(w W) {
	p := w.Place()
	p.over = true
	rest := h.jobs[p.job]
	for i, other := range rest {
		if other == w {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(h.jobs, p.job)
	} else {
		h.jobs[p.job] = rest
	}
}
