// Failures: what a handler's error makes the orchestrator do.

package client

import (
	"errors"
	"fmt"

	"orrery/workers/protocol"
)

// Failure is an error with the code that the orchestrator acts on, and details
// that the blueprint can read. Return one for codes that have no function here.
type Failure struct {
	Code    string         // one of protocol's Err constants
	Err     error          // its text becomes the message
	Details map[string]any // optional
}

// Error returns the text of the error within.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the error within.
func (f *Failure) Unwrap() error { return f.Err }

// Transient marks an error that may pass: the task is tried again. It is also
// what an error without a mark means.
func Transient(err error) error { return mark(protocol.ErrTransient, err) }

// Permanent marks an error that will not pass: the job is quarantined at once.
func Permanent(err error) error { return mark(protocol.ErrPermanent, err) }

// Invalid marks input that cannot be worked with: the job fails at once.
func Invalid(err error) error { return mark(protocol.ErrInvalidInput, err) }

func mark(code string, err error) error {
	if err == nil {
		return nil
	}
	return &Failure{Code: code, Err: err}
}

var (
	errCancelled = errors.New("client: the task was cancelled")
	errShutdown  = errors.New("client: the worker is being stopped")
)

// StatusError is an answer of the orchestrator that is not a success.
type StatusError struct {
	Status int    // HTTP status
	Text   string // what the answer said, shortened
}

// Error returns the status and what the answer said.
func (e *StatusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Status, e.Text) }
