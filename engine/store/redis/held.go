package redis

import (
	"time"
)

// This file holds hand-outs back for a moment: nobody waits for them, and the row of a task
// that returns meanwhile says all that they would have said. Of short tasks that spares a
// call each. A crash loses them, as it may lose any hand-out: the task is queued.

// holdFor bounds the wait; longer tasks gain nothing from a longer one.
const holdFor = 20 * time.Millisecond

// handOut says which task a held write is about.
type handOut struct {
	job   string
	task  int
	since time.Time
	over  bool // sent, or not needed any more
}

// holding is what a writer has held back.
type holding struct {
	line []*write // in order of arrival
	jobs map[string][]*write
}

func (h *holding) add(w *write) {
	if h.jobs == nil {
		h.jobs = map[string][]*write{}
	}
	w.out.since = time.Now()
	h.line = append(h.line, w)
	h.jobs[w.out.job] = append(h.jobs[w.out.job], w)
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
	if h.line = h.line[n:]; len(h.line) == 0 {
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

// settle adds the held hand-outs of the job that a change is about, before the change: it
// was built on them. Those whose rows the change brings anew are carried by it: should it
// fail, they are sent after all (see carried).
func (h *holding) settle(batch []*write, change *write) []*write {
	for _, w := range h.jobs[change.job] {
		w.out.over = true
		replaced := false
		for i := range change.tasks {
			replaced = replaced || change.tasks[i].N == w.out.task
		}
		if replaced {
			change.carried = append(change.carried, w)
		} else {
			batch = append(batch, w)
		}
	}
	delete(h.jobs, change.job)
	return batch
}
