package engine

import (
	"context"
	"errors"
	"strings"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
	"orrery/starlib"
)

// This file starts jobs once: those that follow from a cause and a date, such as a schedule's,
// and those of clients that name their request.

// SubmitOnce accepts the one job that a cause has at a date: doing it again, after a crash or
// by another server, changes nothing and gives the same id with repeated. The request's
// idempotency key does not count. Faults as Submit.
func (e *Engine) SubmitOnce(ctx context.Context, r Request, cause string, at time.Time) (id string, repeated bool, err error) {
	bp, err := e.cfg.Blueprints.Pin(ctx, r.Blueprint)
	if err != nil {
		return "", false, faultFrom(err, "")
	}
	if err := e.acceptData(bp, r); err != nil {
		return "", false, err
	}
	id = job.DerivedID(at, e.shardOfCause(bp, cause), cause)
	if _, err := e.store.Job(ctx, id); !errors.Is(err, store.ErrNotFound) {
		return id, true, faultFrom(err, id)
	}
	err = e.create(ctx, bp, job.Created{
		ID: id, Blueprint: bp.Name, Revision: bp.Revision, InitialData: r.InitialData, Client: r.Client,
		DispatchTimeout: r.DispatchTimeout, ResultTimeout: r.ResultTimeout, Trace: r.Trace,
	})
	killpoint.At("engine.submit-kept")
	if errors.Is(err, store.ErrExists) { // another server was quicker
		return id, true, nil
	}
	return id, false, faultFrom(err, id)
}

// shardOfCause is the shard of a job that a cause leads to, the same each time.
func (e *Engine) shardOfCause(bp *blueprint.Blueprint, cause string) byte {
	if len(bp.Stores) > 0 {
		return e.shardFor(bp)
	}
	return job.ShardByName(cause)
}

// claim binds an idempotency key to a job id before the job is created, so that a crash in
// between leads the repetition to the same id.
func (e *Engine) claim(ctx context.Context, r Request, fresh string) (id string, repeated bool, err error) {
	value := []byte(fresh + " " + r.BodyHash)
	stands, claimed, err := e.store.Claim(ctx, "idempotency/"+r.Client.ID+"/"+r.IdempotencyKey, value, idempotencyKept, e.cfg.Clock.Now())
	if err != nil {
		return "", false, faultFrom(err, fresh)
	}
	id, hash, _ := strings.Cut(string(stands), " ")
	if !claimed && hash != r.BodyHash {
		return "", false, faultf(IdempotencyMismatch, "the Idempotency-Key %q was used for another request (job %s): use a new key, or send the same body", r.IdempotencyKey, id)
	}
	return id, !claimed, nil
}

// acceptData refuses initial data over the blueprint's limit.
func (e *Engine) acceptData(bp *blueprint.Blueprint, r Request) error {
	if n, most := len(r.InitialData), e.stepLimits(bp).InitialBytes; n > most {
		return faultf(TooLarge, "initial_data has %d bytes; the limit is %d (%s): put large data into a file and pass its name", n, most, starlib.CodeInitial)
	}
	return nil
}
