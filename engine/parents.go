package engine

import (
	"context"
	"errors"
	"fmt"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file looks after jobs that wait for a child when the store has gone back (reconcile.go
// says when that is). Parent and child live in two shards, and what goes between them is
// crossed out when it is done: a store that takes back what was done, and is told afterwards to
// cross it out, has neither. Then nothing would ever move the parent.

const (
	parentsPage = 100 // that wait for a child, a look
	// After a change of keeper what was on its way to it arrives for a while, so there are two rounds.
	parentsSoon = 2  // looks later
	parentsLate = 20 // looks later
)

// parentLooks is where the looks at waiting parents stand.
type parentLooks struct {
	rounds []int  // looks until each begins
	on     bool   // one is under way
	cursor string // where it goes on
}

// plan asks for rounds from now on.
func (p *parentLooks) plan() { *p = parentLooks{rounds: []int{parentsSoon, parentsLate}} }

// due counts a look, and reports whether parents are looked at in it.
func (p *parentLooks) due() bool {
	for i := range p.rounds {
		p.rounds[i]--
	}
	if !p.on && len(p.rounds) > 0 && p.rounds[0] <= 0 {
		p.on, p.cursor, p.rounds = true, "", p.rounds[1:]
	}
	return p.on
}

// lookAtParents mends the next page of jobs that wait for a child.
func (e *Engine) lookAtParents(ctx context.Context, p *parentLooks) error {
	if !p.due() {
		return nil
	}
	page, err := e.list(ctx, store.Query{Status: []job.Status{job.WaitingSubJob}, Limit: parentsPage, Cursor: p.cursor})
	if err != nil {
		return err
	}
	for i := range page.Jobs {
		if j := &page.Jobs[i]; j.Wait != nil && e.Mine(j.ID) {
			if err := e.lookAtChild(ctx, j); err != nil {
				return fmt.Errorf("job %s waits for job %s: %w", j.ID, j.Wait.Child, err)
			}
		}
	}
	p.cursor = page.Cursor
	p.on = page.Cursor != ""
	return nil
}

// lookAtChild tells a parent of the end of its child, if it has not heard of it, or that there
// is none. The message goes first: it is crossed out after the child is there, never before.
func (e *Engine) lookAtChild(ctx context.Context, parent *job.Job) error {
	starts, err := e.store.MessagesOf(ctx, parent.ID)
	if errors.Is(err, store.ErrUnreadable) { // what can not be read may be the start of the child
		return e.pass(err)
	}
	if err != nil {
		return err
	}
	for _, m := range starts {
		if m.Kind == job.MsgChildStart && m.To == parent.Wait.Child {
			return nil
		}
	}
	child, data, err := e.store.Load(ctx, parent.Wait.Child)
	if errors.Is(err, store.ErrNotFound) {
		e.cfg.Log.Warn("the child that a job waits for is not there any more: has the store gone back?", "job", parent.ID, "child", parent.Wait.Child)
		return e.tellParent(ctx, parent.ID, job.ChildEnd{ChildID: parent.Wait.Child, Step: parent.Wait.Step, Status: job.Failed, Error: &job.Error{
			Code: job.CodeTransient, Message: fmt.Sprintf("job %s was lost by the store, as by a failover to a copy that had not received it", parent.Wait.Child)}})
	}
	if err != nil || !child.Status.Terminal() || child.Parent == nil {
		return err
	}
	return e.tellParent(ctx, parent.ID, job.ChildEnd{ChildID: child.ID, Step: child.Parent.Step, Status: child.Status, StateHistory: data.History, Error: child.Error})
}
