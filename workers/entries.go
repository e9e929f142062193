package workers

import (
	"cmp"
	"slices"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file finds entries by their job and number. With 100,000 queued tasks this is most of
// what the hub holds, so a job of few tasks costs one place in one map.

// load is what the hub has of one job. The counts spare a walk over its tasks, of which a
// group has up to 10,000, with each result.
type load struct {
	first     *entry         // linked by next
	byNumber  map[int]*entry // nil while there are few: the list is walked
	tasks     int32
	leased    int32 // of these
	returning int32 // of the leased: their result is being written
}

const walked = 8 // tasks of a job that are found by walking

// entry gives the entry of a task, or nil.
func (h *Hub) entry(jobID string, n int) *entry {
	of := h.byJob[jobID]
	if of == nil {
		return nil
	}
	if of.byNumber != nil {
		return of.byNumber[n]
	}
	e := of.first
	for e != nil && e.key.n != n {
		e = e.next
	}
	return e
}

// add makes an entry for a task that has none.
func (h *Hub) add(t *job.Task) *entry {
	e := &entry{key: taskKey{t.JobID, t.N}, rank: h.rank(t), queued: t.Queued.UnixNano(), handOut: int32(t.HandOut), attempt: int32(t.Attempt), pos: -1}
	e.class = h.classOf(t)
	if h.kept+rowBytes(t) <= queueBudget {
		h.keepRow(e, *t)
	}
	of := h.byJob[e.key.job]
	if of == nil {
		of = &load{}
		h.byJob[e.key.job] = of
	}
	h.known++
	of.insert(e)
	return e
}

// drop takes an entry out of everything: queue or lease, and the job's list.
func (h *Hub) drop(e *entry) {
	h.dequeue(e)
	h.endLease(e)
	h.kept -= int(e.bytes)
	e.bytes = 0
	of := h.byJob[e.key.job]
	if of == nil || h.entry(e.key.job, e.key.n) != e {
		return // it was dropped before
	}
	h.known--
	of.remove(e)
	if of.tasks == 0 {
		delete(h.byJob, e.key.job)
	}
}

func (l *load) insert(e *entry) {
	if e.next = l.first; e.next != nil {
		e.next.prev = e
	}
	l.first = e
	l.tasks++
	switch {
	case l.byNumber != nil:
		l.byNumber[e.key.n] = e
	case l.tasks > walked:
		l.byNumber = make(map[int]*entry, 2*walked)
		for e := l.first; e != nil; e = e.next {
			l.byNumber[e.key.n] = e
		}
	}
}

func (l *load) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	l.tasks--
	delete(l.byNumber, e.key.n)
}

// ofJob gives the entries of a job in the order of their numbers.
func (h *Hub) ofJob(jobID string) []*entry {
	of := h.byJob[jobID]
	if of == nil {
		return nil
	}
	all := make([]*entry, 0, of.tasks)
	for e := of.first; e != nil; e = e.next {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.key.n, b.key.n) })
	return all
}

// Held gives what the hub has of the tasks of shards.
func (h *Hub) Held(in store.ShardSet) (all []engine.Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, of := range h.byJob {
		if !in.Has(job.ShardOf(id)) {
			continue
		}
		for e := of.first; e != nil; e = e.next {
			all = append(all, e.held())
		}
	}
	return all
}

// Has gives what the hub has of one task.
func (h *Hub) Has(jobID string, n int) (held engine.Held, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entry(jobID, n); e != nil {
		return e.held(), true
	}
	return held, false
}

func (e *entry) held() engine.Held {
	h := engine.Held{JobID: e.key.job, N: e.key.n, HandOut: int(e.handOut), Attempt: int(e.attempt)}
	if l := e.lease; l != nil {
		h.ID, h.Worker, h.LeasedAt, h.Due = l.id, l.worker.id, l.at, l.due
	}
	return h
}
