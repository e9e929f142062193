package sqlite

import (
	"context"

	"orrery/engine/job"
	"orrery/engine/store/held"
)

// This file joins the writer with what it holds back: see package held.

// handOut says which row a held write is about.
type handOut struct {
	id    [16]byte
	task  int
	place held.Place[[16]byte]
}

// Place is where a write stands that is held.
func (w *write) Place() *held.Place[[16]byte] { return &w.out.place }

// holding is what the writer has held back.
type holding struct {
	held.Line[[16]byte, *write]
	settled []*write // by the transaction under way; they stay if it fails
}

// done drops what a transaction settled, once it is committed.
func (h *holding) done() {
	for _, w := range h.settled {
		h.Drop(w)
	}
	h.settled = h.settled[:0]
}

// putHeld writes the hand-outs of a job that were held before its change came, but for those
// whose rows the change brings anew.
func (w *writer) putHeld(id [16]byte, tasks []job.Task) error {
	for _, out := range w.held.Of(id) {
		if out.nth > w.doing {
			break
		}
		w.held.settled = append(w.held.settled, out)
		needed := true
		for i := range tasks {
			needed = needed && tasks[i].N != out.out.task
		}
		if !needed {
			continue
		}
		if err := out.do(w); err != nil {
			return err
		}
	}
	return nil
}

// Sync returns when all that was queued before it is durable, held hand-outs included.
func (s *Store) Sync(ctx context.Context) error {
	w := &write{do: func(*writer) error { return nil }, done: make(chan error, 1), sync: true}
	return s.await(ctx, w, nil)
}
