package job

import (
	"strconv"
	"strings"
)

// This file holds the failure of a job, step or task, and which failures are tried again.

// Codes of worker failures (worker-protocol.md part 4) and of Orrery's own.
const (
	CodeTransient         = "TRANSIENT_ERROR"
	CodePermanent         = "PERMANENT_ERROR"
	CodeInvalidInput      = "INVALID_INPUT_ERROR"
	CodeIntegrity         = "INTEGRITY_MISMATCH_ERROR"
	CodeSecurity          = "SECURITY_ERROR"
	CodeDependency        = "DEPENDENCY_ERROR"
	CodeContract          = "CONTRACT_VIOLATION_ERROR"
	CodeDispatchTimeout   = "DISPATCH_TIMEOUT"    // nobody took the task in time
	CodeNoSuitableWorker  = "NO_SUITABLE_WORKER"  // workers of the type exist, none may do it
	CodeResultTimeout     = "RESULT_TIMEOUT"      // an attempt took too long; retried
	CodeWorkerLost        = "WORKER_LOST"         // the worker vanished with the task; retried
	CodeUnhandledStatus   = "UNHANDLED_STATUS"    // a worker's status has no transition
	CodeScript            = "SCRIPT_ERROR"        // the handler failed
	CodeTransitionLimit   = "TRANSITION_LIMIT"    // too many transitions without a wait
	CodeStepLimit         = "STEP_LIMIT"          // too many steps in a job's life
	CodeSizeLimit         = "STATE_HISTORY_LIMIT" // state_history grew over its limit
	CodeApprovalTimeout   = "APPROVAL_TIMEOUT"    // nobody decided in time
	CodeSubJobTimeout     = "SUB_JOB_TIMEOUT"     // the child did not end in time
	CodeUnknownBlueprint  = "UNKNOWN_BLUEPRINT"   // run_blueprint names nothing that exists
	CodeSubJobDepth       = "SUB_JOB_DEPTH"       // children of children too deep
	CodeStepEnded         = "STEP_ENDED_PROCESS"  // the process ended again and again while it ran the step
	CodeReopenedElsewhere = "REOPENED"            // not a failure: a terminal job was reopened
)

// KnownCode reports whether a code is one of those that this program acts upon. A worker may
// send any text as a code.
func KnownCode(code string) bool {
	switch code {
	case CodeTransient, CodePermanent, CodeInvalidInput, CodeIntegrity, CodeSecurity, CodeDependency, CodeContract:
		return true
	}
	return false
}

// Error says why a job, step or task failed. It is shown to people as it stands.
type Error struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Details  any    `json:"details,omitempty"`   // the worker's, as it sent them
	Attempts int    `json:"attempts,omitempty"`  // tries made, the failed one included
	TaskID   string `json:"task_id,omitempty"`   // of the last try
	State    string `json:"state,omitempty"`     // where the job stood
	File     string `json:"file,omitempty"`      // script errors: root-relative path
	Line     int    `json:"line,omitempty"`      // 1-based
	Col      int    `json:"col,omitempty"`       // 1-based
	Trace    string `json:"backtrace,omitempty"` // script errors: Starlark backtrace with source line and caret
}

// Error makes *Error an error: code and message on one line.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// verdict says what becomes of a failed task.
type verdict int

const (
	tryAgain  verdict = iota // retried; exhausted it quarantines
	permanent                // quarantines at once
	invalid                  // fails the job at once
)

// judge classifies an error code. Unknown codes count as transient (semantics part 3).
func judge(code string) verdict {
	switch code {
	case CodePermanent, CodeSecurity, CodeDependency, CodeContract:
		return permanent
	case CodeInvalidInput, CodeIntegrity, CodeDispatchTimeout, CodeNoSuitableWorker, CodeUnhandledStatus:
		return invalid
	}
	return tryAgain
}

// MaxText is how much of a text for people a job's row keeps, in bytes: lists read rows by
// the thousand, and a script or a worker may say anything.
const MaxText = 8 << 10

// Cut gives a text as a row keeps it: what is too long ends with how long it was.
func Cut(text string) string {
	if len(text) <= MaxText {
		return text
	}
	return Clip(text, MaxText) + "… (" + strconv.Itoa(len(text)) + " bytes in all)"
}

// Clip gives the whole characters that begin a text, at most so many bytes.
func Clip(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "")
}
