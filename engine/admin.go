package engine

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"

	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file holds what people ask of a job: cancel, decide, retry, close.

// Cancel asks a job to stop; it is durable when it returns. A job that is being cancelled
// already stays so. Faults: not_found, ended, elsewhere when its owner can not be reached.
func (e *Engine) Cancel(ctx context.Context, id, by string) error {
	err := e.CancelHere(ctx, id, by)
	if errors.Is(err, ErrElsewhere) && e.shards != nil {
		return faultFrom(e.shards.nodes.Cancel(ctx, id, by), id)
	}
	return err
}

// CancelHere is Cancel for a job that this node owns; of another's it does nothing and gives
// the fault elsewhere.
func (e *Engine) CancelHere(ctx context.Context, id, by string) error {
	told := 0
	again := false
	err := e.change(ctx, id, func(j *job.Job, _ store.Data) (job.Event, error) {
		if again = j.CancelAsked != nil; again {
			return nil, errAsked
		}
		if j.Status.Terminal() {
			return nil, faultf(Ended, "job %s is %s already: there is nothing left to cancel", id, j.Status)
		}
		told = e.cfg.Dispatcher.AtWorkers(id)
		return job.CancelAsked{By: by, AtWorkers: told}, nil
	})
	if again {
		e.cfg.Dispatcher.AskCancel(id)
		return nil
	}
	if err != nil {
		return faultFrom(err, id)
	}
	killpoint.At("engine.cancel-kept")
	if told > 0 {
		e.cfg.Dispatcher.AskCancel(id)
	}
	killpoint.At("engine.cancel-told")
	return nil
}

// errAsked leaves a job alone that is being cancelled already.
var errAsked = faultf(Conflict, "the job is being cancelled already")

// Decide takes a person's decision. Faults: not_found, not_waiting, bad_decision, ended.
func (e *Engine) Decide(ctx context.Context, id, decision, by string) error {
	return e.decideIf(ctx, id, decision, by, func(*job.Job) error { return nil })
}

// DecideByToken takes a decision from a one-time link: the token counts only for the step
// that waits now. Faults: bad_token and those of Decide.
func (e *Engine) DecideByToken(ctx context.Context, id, decision, token string) error {
	err := e.decideIf(ctx, id, decision, "link", func(j *job.Job) error {
		if !e.tokenFits(j, token) {
			return faultf(BadToken, "the token does not belong to what job %s waits for now: it was used, has expired or is for another job", id)
		}
		return nil
	})
	if FaultCode(err) == BadToken {
		return e.badToken(ctx, id, token, err)
	}
	return err
}

// CheckToken says whether a one-time link still counts. Fault: bad_token, also for a job that
// there is not; any other error says that the store could not be asked.
func (e *Engine) CheckToken(ctx context.Context, id, token string) error {
	j, err := e.store.Job(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return faultFrom(err, id)
	}
	if err != nil || !e.tokenFits(j, token) {
		return e.badToken(ctx, id, token, faultf(BadToken, "the token does not belong to what job %s waits for now: it was used, has expired or is for another job", id))
	}
	return nil
}

func (e *Engine) tokenFits(j *job.Job, token string) bool {
	step := int64(-1) // what no token was made for; compared all the same, in constant time
	if j.Status == job.WaitingHuman && !j.Wait.Over(e.cfg.Clock.Now()) {
		step = j.Wait.Step
	}
	return hmac.Equal([]byte(e.ApprovalToken(j.ID, step)), []byte(token)) && step >= 0
}

func (e *Engine) decideIf(ctx context.Context, id, decision, by string, check func(*job.Job) error) error {
	err := e.changeAnywhere(ctx, id, func(j *job.Job, _ store.Data) (job.Event, error) {
		if err := check(j); err != nil {
			return nil, err
		}
		if j.Status != job.WaitingHuman {
			code := NotWaiting
			if j.Status.Terminal() {
				code = Ended
			}
			return nil, faultf(code, "job %s asks nobody anything: it is %s in state %q", id, j.Status, j.State)
		}
		if _, ok := j.Wait.Transitions[decision]; !ok {
			_, err := e.machine(nil).Next(*j, job.Approved{Decision: decision}, e.cfg.Clock.Now())
			return nil, &Fault{Code: BadDecision, Message: err.Error(), cause: err}
		}
		return job.Approved{Decision: decision, By: by}, nil
	})
	killpoint.At("engine.decision-kept")
	if err != nil { // foreign, second and late ones leave a trace; the job's own history is not theirs to write
		e.cfg.Log.Warn("a decision was refused", "job", id, "decision", decision, "by", by, "why", err)
	}
	return faultFrom(err, id)
}

// ApprovalToken signs the one decision that the given step of a job waits for.
func (e *Engine) ApprovalToken(id string, step int64) string {
	mac := hmac.New(sha256.New, e.secret)
	mac.Write([]byte("approval\x00" + id + "\x00" + strconv.FormatInt(step, 10)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Retry runs a failed or quarantined job again from the state in which it failed. data (an
// object or nil) is merged into state_history; latest moves it to the newest revision if
// that has the state. Faults: not_found, not_waiting, ended, bad_request, unknown_blueprint.
func (e *Engine) Retry(ctx context.Context, id string, data json.RawMessage, latest bool, by string) error {
	err := e.changeAnywhere(ctx, id, func(j *job.Job, d store.Data) (job.Event, error) {
		if j.Status != job.Failed && j.Status != job.Quarantined {
			return nil, faultf(NotWaiting, "job %s is %s: only failed and quarantined jobs can be retried", id, j.Status)
		}
		if err := e.parentWaits(ctx, j); err != nil {
			return nil, err
		}
		ev := job.Reopened{By: by, Data: data, Before: d.History}
		if latest {
			bp, err := e.cfg.Blueprints.Pin(ctx, j.Blueprint)
			if err != nil {
				return nil, err
			}
			state := j.State
			if j.Error != nil && j.Error.State != "" {
				state = j.Error.State
			}
			if _, ok := bp.Place(state); !ok {
				return nil, faultf(BadRequest, "the newest revision of %q has no state %q: retry with revision \"same\"", j.Blueprint, state)
			}
			if why := misplaced(bp, j.ID); why != "" && bp.Revision != j.Revision {
				return nil, faultf(BadRequest, "%s", why)
			}
			ev.Revision = bp.Revision
		}
		return ev, nil
	})
	killpoint.At("engine.retry-kept")
	return faultFrom(err, id)
}

// parentWaits refuses to reopen a child whose parent has gone on.
func (e *Engine) parentWaits(ctx context.Context, j *job.Job) error {
	if j.Parent == nil {
		return nil
	}
	parent, err := e.store.Job(ctx, j.Parent.JobID)
	if err != nil {
		return err
	}
	if parent.Wait == nil || parent.Wait.Child != j.ID {
		return faultf(NotWaiting, "job %s is a sub-job and its parent %s has gone on without it: retry the parent", j.ID, parent.ID)
	}
	return nil
}

// Close ends a failed or quarantined job for good. Faults: not_found, not_waiting.
func (e *Engine) Close(ctx context.Context, id, by string) error {
	err := e.changeAnywhere(ctx, id, func(j *job.Job, _ store.Data) (job.Event, error) {
		if j.Status != job.Failed && j.Status != job.Quarantined {
			return nil, faultf(NotWaiting, "job %s is %s: only failed and quarantined jobs can be closed", id, j.Status)
		}
		return job.ClosedByHand{By: by}, nil
	})
	return faultFrom(err, id)
}
