package workers

import (
	"encoding/json"
	"math/bits"
	"slices"
	"time"

	"orrery/workers/protocol"
)

// This file holds what the hub keeps of one worker.

// worker is one worker in memory. A worker that only polled is not known yet: it has no
// skills and is forgotten when it falls silent.
type worker struct {
	id         string
	reg        protocol.Registration // Raw is dropped
	age        protocol.Age
	version    string
	known      bool // registered, or taken in from its heartbeat
	emulated   bool
	offline    bool
	status     string
	load       *float64
	usage      json.RawMessage
	seen       time.Time
	registered time.Time // in the life of this process
	saved      time.Time // when seen was stored last
	dirty      bool      // to be stored by the next sweep
	crowded    bool      // it showed more skills than are kept, and the log says so
	told       [2]int    // bytes of its registration and of its last heartbeat: see room.go

	available      []string
	namesAvailable bool // it has sent available_skills at least once
	hot            map[string]bool
	hotSkills      []string
	hotCache       []string
	leases         map[*entry]struct{}
	results        tally
	turn           uint64
	ability        *ability
	poll           *poll
	roams          bool // its poll may be sent to other nodes
	seats          []*seat
}

// tally counts the last 100 results of a worker.
type tally struct {
	Good  [2]uint64 `json:"good"` // a bit a result, the newest lowest
	Count int       `json:"count"`
}

// add notes a result.
func (t *tally) add(success bool) {
	const second = 100 - 64
	t.Good[1] = (t.Good[1]<<1 | t.Good[0]>>63) & (1<<second - 1)
	t.Good[0] <<= 1
	if success {
		t.Good[0] |= 1
	}
	t.Count = min(t.Count+1, 100)
}

// share is the reputation: the share of successes, 1.0 with fewer than 5 results.
func (t *tally) share() float64 {
	if t.Count < 5 {
		return 1
	}
	return float64(bits.OnesCount64(t.Good[0])+bits.OnesCount64(t.Good[1])) / float64(t.Count)
}

// worker finds a worker or makes an unknown one.
func (h *Hub) worker(id string) *worker {
	w := h.workers[id]
	if w == nil {
		w = &worker{id: id, leases: map[*entry]struct{}{}, hot: map[string]bool{}}
		w.reg.ID = id
		w.ability = h.intern(&w.reg)
		h.workers[id] = w
	}
	return w
}

// intern shares abilities between workers that offer the same.
func (h *Hub) intern(reg *protocol.Registration) *ability {
	a := newAbility(reg)
	if known := h.kinds[a.key]; known != nil {
		a = known
	} else {
		h.kinds[a.key] = a
	}
	a.uses++
	return a
}

func (h *Hub) release(a *ability) {
	if a.uses--; a.uses == 0 {
		delete(h.kinds, a.key)
	}
}

// describe sets what the worker says about itself and keeps the indexes right.
func (h *Hub) describe(w *worker, reg protocol.Registration) {
	h.unskill(w)
	old := w.ability
	reg.Raw = nil
	w.reg = reg
	w.ability = h.intern(&reg)
	h.release(old)
	w.namesAvailable = w.namesAvailable || reg.HasAvailable
	w.setHot(reg.HotSkills, reg.HotCache)
	h.skill(w)
}

func (h *Hub) skill(w *worker) {
	if !w.known {
		return
	}
	for _, s := range w.reg.Skills {
		if h.skilled[s] == nil {
			h.skilled[s] = map[*worker]struct{}{}
		}
		h.skilled[s][w] = struct{}{}
	}
}

func (h *Hub) unskill(w *worker) {
	for _, s := range w.reg.Skills {
		delete(h.skilled[s], w)
		if len(h.skilled[s]) == 0 {
			delete(h.skilled, s)
		}
	}
}

// forget removes a worker that has neither leases nor an open poll.
func (h *Hub) forget(w *worker) {
	h.unskill(w)
	h.release(w.ability)
	h.said -= w.told[byRegistration] + w.told[byHeartbeat]
	delete(h.workers, w.id)
}

// setHot notes what the worker has loaded: a type is warm when its name is in either list.
func (w *worker) setHot(skills, cache []string) {
	w.hotSkills, w.hotCache = skills, cache
	w.hot = make(map[string]bool, len(skills)+len(cache))
	for _, list := range [2][]string{skills, cache} {
		for _, name := range list {
			w.hot[name] = true
		}
	}
}

// live tells whether the worker was heard of within the TTL.
func (h *Hub) live(w *worker, now time.Time) bool { return now.Sub(w.seen) < h.ttl }

// touch is any sign of life: it renews all leases, which last as long as their worker.
func (h *Hub) touch(w *worker) {
	w.seen = h.clock.Now()
	if w.known && !w.emulated && w.seen.Sub(w.saved) >= saveSeenEvery {
		w.dirty = true
	}
}

// refresh lets an open poll follow a change of the worker, and may give it a task.
func (h *Hub) refresh(w *worker) {
	if w.poll == nil {
		return
	}
	h.rise(w)
	if w.offline {
		h.endPoll(w)
		return
	}
	if e := h.firstFor(w); e != nil {
		h.give(e, w)
		return
	}
	h.sit(w)
}

// statusAt is the worker's status as people see it.
func (h *Hub) statusAt(w *worker, now time.Time) string {
	switch {
	case w.offline || !h.live(w, now):
		return protocol.StatusOffline
	case w.poll == nil && w.status != "" && w.status != protocol.StatusIdle:
		return w.status
	case len(w.leases) > 0:
		return protocol.StatusBusy
	}
	return protocol.StatusIdle
}

// leaseIDs gives the fences of the tasks at the worker, in order.
func (w *worker) leaseIDs() []string {
	ids := make([]string, 0, len(w.leases))
	for e := range w.leases {
		ids = append(ids, e.lease.id)
	}
	slices.Sort(ids)
	return ids
}
