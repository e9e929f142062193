package engine

import (
	"context"

	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file is the end of every event: a change becomes durable, and what follows from it
// starts, such as the hand-out of its tasks.

// commit makes a change durable and starts what follows from it.
func (e *Engine) commit(ctx context.Context, c *job.Change, before store.Data, t *turn) error {
	if err := e.doubts.room(c.Job.ID, e.outage.on.Load()); err != nil {
		return err
	}
	e.mark(c)
	killpoint.At("engine.before-commit")
	err := e.put(ctx, c, t)
	killpoint.At("engine.after-commit")
	if isDoubtful(err) {
		err = e.doubtful(ctx, c, err)
	} else if err == nil {
		e.outage.ended()
	}
	if err != nil {
		e.hot.forget(c.Job.ID)
		return e.refused(c, err)
	}
	e.follow(c, before)
	return nil
}

// follow keeps a job as a durable change leaves it in memory, and starts what follows.
func (e *Engine) follow(c *job.Change, before store.Data) {
	e.ifOwned(c, func() {
		kept := c.Job // a copy: the change itself must not stay in memory
		e.hot.keep(&kept, after(before, c))
		e.begin(c)
	})
}

// tell starts what follows from a change that turned out to be durable later.
func (e *Engine) tell(c *job.Change) { e.ifOwned(c, func() { e.begin(c) }) }

// ifOwned does what only the owner of a job can do; another's is told to look.
func (e *Engine) ifOwned(c *job.Change, do func()) {
	if !e.whileOwned(c, do) {
		e.shards.nodes.Look(c.Job.ID)
	}
	e.watch.changed(c.Job.ID)
}

func (e *Engine) begin(c *job.Change) {
	if c.CloseTasks {
		e.cfg.Dispatcher.Withdraw(c.Job.ID, 0)
	}
	e.dueAt(c.Job.Due)
	for _, t := range c.Tasks {
		if t.State == job.TaskQueued {
			e.cfg.Dispatcher.Offer(t)
		}
		e.dueAt(t.Due)
	}
	if c.Job.Ready {
		e.ready.push(c.Job.ID)
	}
	if len(c.Outbox) > 0 {
		nudge(e.outbox)
		nudge(e.copies)
	}
}
