package workers

import (
	"errors"
	"time"

	"orrery/workers/protocol"
)

// This file holds the errors that the HTTP layer maps to statuses.

// Codes of Error.
const (
	CodeUnauthorized = "unauthorized"  // 401
	CodeNotFound     = "not_found"     // 404
	CodeBadRequest   = "bad_request"   // 400
	CodeUnavailable  = "store_full"    // 503 for ages A and C; B's connection is closed
	CodeClosed       = "shutting_down" // 503
)

// Error is a refusal with a stable code. Its text is meant for the worker's log and holds no
// secret.
type Error struct {
	Code    string
	Message string
	Cause   error // may be nil
}

// Error gives the message alone: it is what workers log.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is lets errors.Is compare by code.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Code == e.Code
}

// Errors that callers compare with errors.Is.
var (
	// ErrStoreFull: a result could not be made durable in time; the worker must send it again.
	ErrStoreFull = &Error{Code: CodeUnavailable, Message: "the result could not be stored; send it again"}
	// ErrUnauthorized: the token does not fit the worker id.
	ErrUnauthorized = &Error{Code: CodeUnauthorized, Message: "Unauthorized: the worker token does not fit this worker id; check WORKER_TOKEN or WORKER_INDIVIDUAL_TOKEN"}
	// ErrUnknownWorker: a C worker that must register again; the text is what makes it do so.
	ErrUnknownWorker = &Error{Code: CodeNotFound, Message: "Worker not found"}
)

func badRequest(cause error) error {
	return &Error{Code: CodeBadRequest, Message: cause.Error(), Cause: cause}
}

// DelayError tells how long an error reply to a poll must be held back: SDKs of the ages up
// to b7 poll again at once after an error and would fill the line (1 to 2 s for them).
func DelayError(age protocol.Age) time.Duration {
	if !age.HammersOnPollError() {
		return 0
	}
	return time.Second + time.Duration(randomBelow(1000))*time.Millisecond
}
