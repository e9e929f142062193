package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/ledger"
	"orrery/engine/sandbox"
)

// This file notes in the ledger which steps are under way when they may end the process: those
// that take long, those that are suspected, and all of them for a while after a process that did
// not end in order. A usual step of a usual process costs nothing: see BenchmarkLedger.

// carefulTime is how long every step is noted after a process that did not end in order: what
// ended it at once, before it could be noted as long, is due again and found then.
const carefulTime = 2 * time.Minute

// atWork are the steps under way that are noted, one of a job at most: those that run under their
// job's lock, or those of the lane for the outside, which can run beside one of the others.
type atWork struct {
	ledger *ledger.Ledger // nil: nothing is noted
	n      atomic.Int64   // of those below, so that looking costs nothing when there are none
	mu     sync.Mutex
	notes  map[string]noted // by job
}

type noted struct {
	slot ledger.Slot
	note ledger.Note
}

var _ sandbox.Watcher = (*atWork)(nil)

// Long implements sandbox.Watcher.
func (w *atWork) Long(bp *blueprint.Blueprint, j *job.Job) { w.step(bp, j, false) }

// step notes the step that is due in a job.
func (w *atWork) step(bp *blueprint.Blueprint, j *job.Job, alone bool) {
	if w.ledger == nil {
		return
	}
	n := ledger.Note{Kind: ledger.Step, Key: j.ID, Name: bp.Name, Step: j.Step + 1, State: j.State, Alone: alone}
	w.mu.Lock()
	defer w.mu.Unlock()
	was, there := w.notes[n.Key]
	switch {
	case there && was.note == n:
	case there:
		n.Alone = n.Alone || was.note.Alone
		w.ledger.Change(was.slot, n)
		w.notes[n.Key] = noted{was.slot, n}
	default:
		if w.notes == nil {
			w.notes = map[string]noted{}
		}
		if slot := w.ledger.Begin(n); slot != ledger.None {
			w.notes[n.Key] = noted{slot, n}
			w.n.Store(int64(len(w.notes)))
		}
	}
}

// ended takes out the note of a job's step, where there is one.
func (w *atWork) ended(id string) {
	if w.n.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, there := w.notes[id]; there {
		delete(w.notes, id)
		w.n.Store(int64(len(w.notes)))
		w.ledger.End(n.slot)
	}
}
