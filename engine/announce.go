package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
	"orrery/starlib"
)

// This file delivers the outbox: what one job's commit means for others, at least once. What
// leaves the server is in outside.go.

const (
	outboxBatch = 256
	sentAtOnce  = 32
)

func (e *Engine) runOutbox(ctx context.Context) {
	for ctx.Err() == nil {
		var nap time.Duration
		n, err := e.announce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.cfg.Log.Error("the outbox could not be read; it is tried again", "error", err)
			nap = retryStore
		case n > 0:
			continue
		default:
			nap = e.untilAgain()
		}
		e.nap(ctx, e.outbox, nap)
	}
}

// untilAgain gives the time until the earliest message that was put off is due.
func (e *Engine) untilAgain() time.Duration {
	e.againMu.Lock()
	defer e.againMu.Unlock()
	if e.again.IsZero() {
		return e.longest()
	}
	nap := e.again.Sub(e.cfg.Clock.Now())
	if nap <= 0 {
		e.again = time.Time{}
	}
	return min(max(nap, time.Millisecond), e.longest())
}

// announce delivers what is due and gives how many messages it dealt with. What goes to the
// outside is only begun here.
func (e *Engine) announce(ctx context.Context) (int, error) {
	e.flights.look()
	fences := e.fences() // before the rows: what is written of them later must be built on these
	all, err := e.messages(ctx, e.cfg.Clock.Now(), outboxBatch)
	if err != nil {
		return 0, err
	}
	var inside, outside []job.Message
	for _, m := range all {
		m.Fence = fences[job.ShardOf(m.JobID)]
		if isOutside(m) {
			outside = append(outside, m)
		} else {
			inside = append(inside, m)
		}
	}
	begun, err := e.launch(ctx, outside)
	if err != nil {
		return 0, err
	}
	n, err := e.announceInside(ctx, inside)
	return n + begun, err
}

// announceInside delivers what one job has to tell another.
func (e *Engine) announceInside(ctx context.Context, messages []job.Message) (int, error) {
	fates := make([]error, len(messages))
	if e.cancel == nil { // Settle: one after the other, always in the same order
		for i, m := range messages {
			fates[i] = e.deliver(ctx, m)
		}
	} else {
		e.deliverAll(ctx, messages, fates)
	}
	var done []string
	for i, m := range messages {
		switch {
		case fates[i] == nil:
			done = append(done, m.ID)
		case errors.Is(fates[i], ErrElsewhere) && !e.Mine(m.JobID): // it is for its owner to deliver
		case ctx.Err() == nil:
			if err := e.postpone(ctx, m, fates[i]); err != nil {
				return 0, err
			}
		}
	}
	if len(done) == 0 {
		return len(messages), nil
	}
	killpoint.At("engine.outbox-sent")
	err := e.store.Delivered(ctx, done...)
	killpoint.At("engine.outbox-noted")
	return len(messages), err
}

// fences gives the fence numbers of all shards as they stand here; all are 0 without nodes.
func (e *Engine) fences() (all [job.Shards]int64) {
	if e.shards == nil {
		return all
	}
	for i := range all {
		g := &e.shards.tenures[i]
		g.mu.Lock()
		all[i] = g.fence
		g.mu.Unlock()
	}
	return all
}

// deliverAll delivers several at a time: most wait for the disk.
func (e *Engine) deliverAll(ctx context.Context, messages []job.Message, fates []error) {
	var busy sync.WaitGroup
	places := make(chan struct{}, sentAtOnce)
	for i := range messages {
		places <- struct{}{}
		busy.Go(func() {
			fates[i] = e.deliver(ctx, messages[i])
			<-places
		})
	}
	busy.Wait()
}

// postpone keeps a message that could not be delivered, for 1 s, 2 s, 4 s ... 5 min later.
func (e *Engine) postpone(ctx context.Context, m job.Message, cause error) error {
	e.cfg.Log.Warn("a message could not be delivered; it is tried again", "message", m.ID, "kind", m.Kind, "error", cause)
	m.Attempts++
	m.Error = cause.Error()
	wait := min(time.Second<<min(m.Attempts-1, 10), 5*time.Minute)
	m.Due = e.cfg.Clock.Now().Add(wait)
	if err := e.noteTry(ctx, m); err != nil {
		return err
	}
	e.soon(m.Due)
	return nil
}

func (e *Engine) deliver(ctx context.Context, m job.Message) error {
	s := e.enter(m.JobID)
	defer s.leave()
	if !s.owned {
		return ErrElsewhere
	}
	switch m.Kind {
	case job.MsgChildStart:
		return e.startChild(ctx, m)
	case job.MsgChildEnded:
		return e.childEnded(ctx, m)
	case job.MsgChildCancel:
		return e.cancelChild(ctx, m.To, m.JobID)
	}
	return fmt.Errorf("this program can not deliver messages of kind %q", m.Kind)
}

// childBlueprint finds what run_blueprint names: in the parent's own revision, else the newest.
func (e *Engine) childBlueprint(ctx context.Context, name, parentRevision string) (*blueprint.Blueprint, error) {
	bp, err := e.cfg.Blueprints.AtRevision(ctx, parentRevision, name)
	if err == nil || !final(err) { // what can not be read just now is no reason to take another one
		return bp, err
	}
	return e.cfg.Blueprints.Pin(ctx, name)
}

func (e *Engine) startChild(ctx context.Context, m job.Message) error {
	var s job.ChildStart
	if err := json.Unmarshal(m.Body, &s); err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	if s.Depth > e.cfg.Limits.Depth {
		return e.childFailed(ctx, s, job.Error{Code: job.CodeSubJobDepth, Message: fmt.Sprintf(
			"run_blueprint(%q): sub-blueprints are nested %d deep; the limit is %d", s.Blueprint, s.Depth, e.cfg.Limits.Depth)})
	}
	bp, err := e.childBlueprint(ctx, s.Blueprint, s.Revision)
	if err != nil && final(err) {
		return e.childFailed(ctx, s, job.Error{Code: job.CodeUnknownBlueprint, Message: err.Error()})
	}
	if err != nil {
		return err
	}
	if n, most := len(s.InitialData), e.stepLimits(bp).InitialBytes; n > most {
		return e.childFailed(ctx, s, job.Error{Code: starlib.CodeInitial, Message: fmt.Sprintf(
			"run_blueprint(%q): initial_data has %d bytes; the limit of that blueprint is %d", s.Blueprint, n, most)})
	}
	err = e.create(ctx, bp, job.Created{
		ID: s.ChildID, Blueprint: bp.Name, Revision: bp.Revision, InitialData: s.InitialData, Client: s.Client,
		DispatchTimeout: s.DispatchTimeout, ResultTimeout: s.ResultTimeout, Trace: s.Trace, Parent: &s.Parent, Depth: s.Depth,
	})
	if err != nil && !errors.Is(err, store.ErrExists) { // there already: started before a crash that kept the message
		return err
	}
	killpoint.At("engine.child-kept")
	return e.cancelOrphan(ctx, s)
}

// cancelOrphan stops a child whose parent was cancelled between its step and the start.
func (e *Engine) cancelOrphan(ctx context.Context, s job.ChildStart) error {
	parent, err := e.store.Job(ctx, s.Parent.JobID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && parent.Wait != nil && parent.Wait.Child == s.ChildID {
		return nil
	}
	return e.cancelChild(ctx, s.ChildID, s.Parent.JobID)
}

// cancelChild cancels a job because its parent was cancelled. A child that compensates
// already is left to it: this message may have come before, and only a person's second
// cancel ends a compensation.
func (e *Engine) cancelChild(ctx context.Context, id, parentID string) error {
	child, err := e.store.Job(ctx, id)
	if err == nil && child.Compensating {
		return nil
	}
	if err == nil {
		err = e.Cancel(ctx, id, "parent "+parentID)
	}
	if FaultCode(err) == Ended || FaultCode(err) == NotFound || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// childFailed tells the parent that its child could not even start.
func (e *Engine) childFailed(ctx context.Context, s job.ChildStart, reason job.Error) error {
	return e.tellParent(ctx, s.Parent.JobID, job.ChildEnd{ChildID: s.ChildID, Step: s.Parent.Step, Status: job.Failed, StateHistory: json.RawMessage("{}"), Error: &reason})
}

func (e *Engine) childEnded(ctx context.Context, m job.Message) error {
	child, data, err := e.store.Load(ctx, m.JobID)
	if err != nil {
		return err
	}
	if child.Parent == nil || !child.Status.Terminal() {
		return nil // reopened meanwhile: its next end is announced by itself
	}
	return e.tellParent(ctx, m.To, job.ChildEnd{ChildID: child.ID, Step: child.Parent.Step, Status: child.Status, StateHistory: data.History, Error: child.Error})
}

func (e *Engine) tellParent(ctx context.Context, parentID string, end job.ChildEnd) error {
	err := e.changeAnywhere(ctx, parentID, func(_ *job.Job, data store.Data) (job.Event, error) {
		return job.ChildEnded{End: end, Before: data.History}, nil
	})
	killpoint.At("engine.parent-told")
	var illegal *job.Illegal
	if errors.As(err, &illegal) || errors.Is(err, store.ErrNotFound) {
		return nil // told before, or the parent has gone on without it
	}
	return err
}
