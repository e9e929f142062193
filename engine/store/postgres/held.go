package postgres

import "orrery/engine/store/held"

// This file joins a writer with what it holds back: see package held.

// Place is where a write stands that is held.
func (b *write) Place() *held.Place[uuid] { return &b.place }

// before adds the hand-outs of a job that were held before its change came, but for those whose
// rows the change brings anew: it keeps them in case it is refused.
func (w *writer) before(batch []*write, change *write) []*write {
	p := change.change
	batch, change.spare = w.held.Take(batch, p.id, func(out *write) bool { return p.holds(out.out.t.N) })
	return batch
}
