package job

import (
	"encoding/json"
	"time"
)

// This file holds what a handler run asks for, before anything has happened.

// ActionKind is the one kind of action that a step chose.
type ActionKind string

// The kinds of semantics part 2. NoAction is legal in end states only.
const (
	NoAction    ActionKind = ""
	Transition  ActionKind = "transition_to"
	Dispatch    ActionKind = "dispatch_task"
	Parallel    ActionKind = "dispatch_parallel"
	RunChild    ActionKind = "run_blueprint"
	AskApproval ActionKind = "await_human_approval"
)

// Decision is the outcome of one handler run. With Failure set nothing else counts but Reads.
type Decision struct {
	Kind         ActionKind
	Target       string          // Transition: the state to enter
	ErrorMessage string          // Transition
	After        float64         // Transition: seconds to wait first
	Tasks        []TaskSpec      // Dispatch, Parallel
	Into         string          // Parallel: aggregate_into
	Child        *ChildSpec      // RunChild
	Approval     *Approval       // AskApproval
	StateHistory json.RawMessage // the object after the step; nil: unchanged
	Writes       []StoreWrite
	Reads        []StoreRead
	Log          []LogLine
	Acts         []Act
	Handler      string        // name of the function that ran, for messages
	Duration     time.Duration // of the run
	Failure      *Error
}

// TaskSpec is one dispatch_task call or one entry of dispatch_parallel.
type TaskSpec struct {
	Type            string            `json:"task_type"`
	Params          json.RawMessage   `json:"params"` // an object
	Transitions     map[string]string `json:"transitions"`
	Strategy        string            `json:"dispatch_strategy,omitempty"`
	Priority        float64           `json:"priority,omitempty"`
	MaxCost         *float64          `json:"max_cost,omitempty"`
	Resources       json.RawMessage   `json:"resource_requirements,omitempty"`
	Timeout         float64           `json:"timeout_seconds,omitempty"`          // seconds, 0 unset
	DispatchTimeout float64           `json:"dispatch_timeout_seconds,omitempty"` // seconds, 0 unset
	ResultTimeout   float64           `json:"result_timeout_seconds,omitempty"`   // seconds, 0 unset
	Retry           *RetryPolicy      `json:"retry,omitempty"`
}

// ChildSpec is one run_blueprint call.
type ChildSpec struct {
	Blueprint       string
	InitialData     json.RawMessage
	Transitions     map[string]string
	DispatchTimeout float64 // seconds, 0 unset
	ResultTimeout   float64 // seconds, 0 unset
}

// Approval is one await_human_approval call.
type Approval struct {
	Integration string
	Message     string
	Transitions map[string]string // decision -> state; "timeout" is taken when the deadline passes
	Timeout     float64           // seconds, 0 without end
	Extra       json.RawMessage   // further keywords for the integration, an object
}

// LogLine is one line of the job's log.
type LogLine struct {
	Level   string `json:"level"` // debug, info, warning, error
	Message string `json:"message"`
	State   string `json:"state,omitempty"`
}

// Act is one thing that a handler did to the outside while it ran (at least once).
type Act struct {
	What   string `json:"what"`
	Detail string `json:"detail,omitempty"`
}

// StoreWrite sets or deletes (Value nil) one key of a blueprint's data store.
type StoreWrite struct {
	Store string          `json:"store"`
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`

	// Version is what the value is known by from now on: no two values of a key ever have
	// the same. 0 leaves the choice to the store.
	Version int64 `json:"-"`
}

// StoreRead is the version of a key that the step read; the commit holds only while it stands.
type StoreRead struct {
	Store   string
	Key     string
	Version int64 // 0: absent
}
