package engine

import (
	"context"
	"errors"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/quota"
)

// This file counts accepted jobs as attempts of their clients.

// createCounted creates a job as one of its client's attempts. The attempt is taken first, so
// that a crash in between may cost one and never gives one away.
func (e *Engine) createCounted(ctx context.Context, r Request, bp *blueprint.Blueprint, c job.Created) error {
	if r.Attempts == nil {
		if err := prepare(ctx, r, c.ID); err != nil {
			return err
		}
		return e.create(ctx, bp, c)
	}
	attempt, err := e.quota.Take(ctx, r.Client.ID, *r.Attempts, e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	err = prepare(ctx, r, c.ID)
	if err == nil {
		err = e.create(ctx, bp, c)
		// With an open outcome the job may be there, or may come to be when what is still on its
		// way arrives: a look that does not find it proves nothing.
		if _, open := e.doubts.of(c.ID); err == nil || open || isOpen(err) {
			return err
		}
	}
	// Nothing was created: it is given back, also when the caller has gone meanwhile.
	if lost := e.quota.GiveBack(context.WithoutCancel(ctx), attempt); lost != nil {
		e.cfg.Log.Warn("an attempt of a client could not be given back", "client", r.Client.ID, "error", lost)
	}
	return err
}

// overtaken reports whether a start was refused for want of an attempt because a repetition of
// it, which was quicker, had taken the last one.
func (e *Engine) overtaken(ctx context.Context, id string, err error) bool {
	if full := new(quota.Exceeded); !errors.As(err, &full) {
		return false
	}
	_, err = e.store.Job(ctx, id)
	return err == nil
}

// isOpen tells the failures of which a store says that the write may have been done. What was
// refused before it was sent is none.
func isOpen(err error) bool {
	if unsent := new(errAway); errors.As(err, &unsent) {
		return false
	}
	var store interface{ Unavailable() bool }
	return errors.As(err, &store) && store.Unavailable()
}

// prepare makes ready what a job needs before it is there.
func prepare(ctx context.Context, r Request, id string) error {
	if r.Prepare == nil {
		return nil
	}
	return r.Prepare(ctx, id)
}

// AttemptsUsed tells how many attempts the client has used up in the present calendar month
// (UTC), and when the next one begins.
func (e *Engine) AttemptsUsed(ctx context.Context, client string) (used int64, resets time.Time, err error) {
	used, resets, err = e.quota.Used(ctx, client, e.cfg.Clock.Now())
	return used, resets, faultFrom(err, "")
}
