package engine

import (
	"errors"
	"fmt"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/quota"
	"orrery/engine/store"
)

// This file holds the errors that callers show to people.

// The stable codes of a Fault.
const (
	NotFound            = "not_found"
	Ended               = "ended"       // the job has ended
	NotWaiting          = "not_waiting" // nobody is asked anything there
	BadDecision         = "bad_decision"
	BadToken            = "bad_token"
	UnknownBlueprint    = "unknown_blueprint"
	IdempotencyMismatch = "idempotency_mismatch"
	StoreFull           = "store_full"
	TooLarge            = "too_large"
	BadRequest          = "bad_request"
	Conflict            = "conflict"
	Elsewhere           = "elsewhere"      // the job is on its way to another node, or its node can not be reached
	QuotaExceeded       = "quota_exceeded" // the client's attempts of this month are used up; the cause is a *quota.Exceeded
)

// Fault is an error with a stable code and a sentence for people.
type Fault struct {
	Code    string
	Message string
	cause   error
}

func (f *Fault) Error() string { return f.Message }

// Unwrap gives the error below, if there is one.
func (f *Fault) Unwrap() error { return f.cause }

// FaultCode gives the code of an error, or "" when it is no Fault.
func FaultCode(err error) string {
	var f *Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

func faultf(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// faultFrom turns errors of the store into faults about a job.
func faultFrom(err error, id string) error {
	var illegal *job.Illegal
	var exceeded *quota.Exceeded
	switch {
	case err == nil:
		return nil
	case FaultCode(err) != "":
		return err
	case errors.Is(err, blueprint.ErrUnknown):
		return &Fault{UnknownBlueprint, err.Error(), err}
	case errors.As(err, &exceeded):
		return &Fault{QuotaExceeded, exceeded.Error(), err}
	case errors.Is(err, ErrElsewhere):
		return &Fault{Elsewhere, fmt.Sprintf("job %s is with another node, or on its way to one, and that one can not be reached just now: try again in a moment", id), err}
	case errors.Is(err, store.ErrNotFound):
		return &Fault{NotFound, fmt.Sprintf("there is no job %s", id), err}
	case errors.Is(err, store.ErrFull):
		return &Fault{StoreFull, "the disk of the store is full: nothing was written; free some space and try again", err}
	case errors.Is(err, store.ErrConflict):
		return &Fault{Conflict, fmt.Sprintf("job %s keeps changing; try again", id), err}
	case errors.As(err, &illegal):
		code := NotWaiting
		if illegal.Status.Terminal() {
			code = Ended
		}
		return &Fault{code, illegal.Error(), err}
	}
	return err
}
