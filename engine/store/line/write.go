// Package line is the way of a write into a store that several processes share.
//
// Words: a Write is one thing to be written. A Line is one goroutine with what is in line for
// it: it takes what there is, makes a batch, has the driver send it, and tells everybody what
// came of it; what comes meanwhile goes with the next, so that many commits cost one round
// trip. The jobs of a shard always have the same line, so that the order of one goroutine's
// calls is kept. Hand-outs are held back for a moment (package held) and kept while the server
// is away; a Sync waits for both.
//
// Who is authoritative: the rows. A line remembers nothing of them between two batches.
package line

import (
	"time"

	"orrery/engine/job"
	"orrery/engine/store/held"
)

// This file says what a write is.

// Write is one thing to be written. Data is the driver's: what it sends.
type Write[D any] struct {
	Data D
	Size int    // bytes of text, about
	What string // for the log
	Job  string // id of the job that a Change or HandOut is about
	Kind Kind

	Task  int        // of a HandOut: the task's number
	Tasks []job.Task // of a Change: those it brings anew

	done  chan error // nil: nobody waits
	place held.Place[string]
	spare []*Write[D] // hand-outs that a Change makes needless; if it is refused they are not
}

// Kind says how a write is treated on its way.
type Kind byte

const (
	Plain   Kind = iota
	Change       // what is held of its job goes before it
	HandOut      // it is held back, and kept while the server is away
	Sync         // all that is held goes before it; it writes nothing
)

// Place is where a write stands that is held.
func (w *Write[D]) Place() *held.Place[string] { return &w.place }

// replaces reports whether a Change brings the task of a HandOut anew.
func (w *Write[D]) replaces(out *Write[D]) bool {
	for i := range w.Tasks {
		if w.Tasks[i].N == out.Task {
			return true
		}
	}
	return false
}

// Limits of a line.
const (
	// keptAtMost bounds the hand-outs that wait for a server that is away.
	keptAtMost = 100_000
	// tryAgainAfter is the time between two tries of what was kept.
	tryAgainAfter = 200 * time.Millisecond
	// toldEvery keeps a server that is away from filling the log as well.
	toldEvery = 10 * time.Second
)
