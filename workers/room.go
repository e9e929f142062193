package workers

import (
	"fmt"
	"slices"
)

// This file bounds what workers may make the hub keep. Whoever has the shared token can
// register under ever more names, and say ever more about each.

const (
	maxTold   = 1 << 20  // bytes of one registration or heartbeat
	leastTold = 1 << 10  // what either counts as at least: the hub's own tables
	allTold   = 64 << 20 // bytes of those of all workers together
)

// The ways in which a worker tells about itself; each message takes the last one's place.
const (
	byRegistration = iota
	byHeartbeat
)

// room tells whether a message of so many bytes may be kept of a worker. Where there is none
// left, workers that are not heard of any more are forgotten for it, the longest silent
// first. The caller holds mu.
func (h *Hub) room(id string, way, bytes int) error {
	if bytes > maxTold {
		return badRequest(fmt.Errorf("a worker says at most %d bytes about itself, and these are %d; leave out what nobody asks for", maxTold, bytes))
	}
	more := max(bytes, leastTold)
	if w := h.workers[id]; w != nil {
		more -= w.told[way]
	}
	if h.said+more <= allTold {
		return nil
	}
	now := h.clock.Now()
	var silent []*worker
	for _, w := range h.workers {
		if w.id != id && len(w.leases) == 0 && w.poll == nil && !h.live(w, now) {
			silent = append(silent, w)
		}
	}
	slices.SortFunc(silent, func(a, b *worker) int { return a.seen.Compare(b.seen) })
	for _, w := range silent {
		if h.said+more <= allTold {
			break
		}
		h.forget(w)
		h.gone = append(h.gone, w.id)
	}
	if h.said+more <= allTold {
		return nil
	}
	return &Error{Code: CodeUnavailable, Message: fmt.Sprintf("the workers of this server say %d bytes about themselves, and it keeps at most %d; there is no room for more of them", h.said, allTold)}
}

// note counts a message that is kept. The caller holds mu.
func (h *Hub) note(w *worker, way, bytes int) {
	bytes = max(bytes, leastTold)
	h.said += bytes - w.told[way]
	w.told[way] = bytes
}
