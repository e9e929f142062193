package redis

import "orrery/engine/store/held"

// This file joins a writer with what it holds back: see package held.

// handOut says which task a held write is about.
type handOut struct {
	job   string
	task  int
	place held.Place[string]
}

// Place is where a write stands that is held.
func (w *write) Place() *held.Place[string] { return &w.out.place }

// settle adds the held hand-outs of the job that a change is about, before the change: it
// was built on them. Those whose rows the change brings anew are carried by it: should it
// fail, they are sent after all (see revive).
func (w *writer) settle(batch []*write, change *write) []*write {
	batch, change.carried = w.held.Take(batch, change.job, func(out *write) bool {
		for i := range change.tasks {
			if change.tasks[i].N == out.out.task {
				return true
			}
		}
		return false
	})
	return batch
}
