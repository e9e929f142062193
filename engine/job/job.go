package job

import (
	"encoding/json"
	"time"
)

// This file holds the job's row, its task's row and what it waits for.

// Job is the small row of one run. Its large parts (initial data, state_history, branch
// results, progress, history) are rows of their own. All times are UTC, milliseconds kept.
type Job struct {
	ID        string `json:"id"`      // UUID version 7; its last byte names the shard
	Version   int64  `json:"version"` // grows by one with every commit; the guard of every write
	Blueprint string `json:"blueprint"`
	Revision  string `json:"revision"` // content hash of the blueprint's file and all it loads
	State     string `json:"state"`
	Status    Status `json:"status"`
	Ready     bool   `json:"ready,omitempty"` // a step is due now
	Step      int64  `json:"step"`            // steps committed so far; the next one is Step+1
	Streak    int    `json:"streak,omitempty"`
	LastTask  int    `json:"last_task,omitempty"` // number given to the newest task
	Records   int64  `json:"records"`             // history records written so far
	Group     int64  `json:"group,omitempty"`     // step that opened the last parallel group

	Wait   *Wait             `json:"wait,omitempty"`
	Error  *Error            `json:"error,omitempty"`         // context.error, and why a job ended badly
	Reason string            `json:"error_message,omitempty"` // transition_to(error_message=)
	Ending Status            `json:"ending,omitempty"`        // status the coming end state must have, whatever its own
	Client Client            `json:"client"`                  // who asked; never a token
	Parent *Ref              `json:"parent,omitempty"`        // the job that waits for this one
	Depth  int               `json:"depth,omitempty"`         // 0 for a job nobody started by run_blueprint
	Trace  map[string]string `json:"trace,omitempty"`         // W3C trace headers only

	DispatchTimeout float64 `json:"dispatch_timeout,omitempty"` // seconds; default of its tasks, 0 none
	ResultTimeout   float64 `json:"result_timeout,omitempty"`   // seconds; default of its tasks, 0 none
	WebhookURL      string  `json:"webhook_url,omitempty"`

	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
	EndedAt      *time.Time `json:"ended_at,omitempty"`
	CancelAsked  *time.Time `json:"cancel_requested_at,omitempty"` // until settled
	Compensating bool       `json:"compensating,omitempty"`        // a cancel was settled into a state that goes on
	Closed       bool       `json:"closed,omitempty"`              // a person ended it for good; it is never reopened
	Due          *time.Time `json:"due,omitempty"`                 // when the timer must look at the job: the earlier of Wait.Until and the end of a cancel's grace
	Recent       []string   `json:"recent,omitempty"`              // the last ten states, for the limit's message

	Files json.RawMessage `json:"files,omitempty"` // []FileNote: what workers said of files in their results, newest last
	Ends  *Ends           `json:"ends,omitempty"`  // processes that ended while they ran a step of this job
}

// Ends counts the processes that ended while they ran a step, one after another: a step that
// is committed is not to blame, and takes its count with it.
type Ends struct {
	Count int       `json:"count"`
	Step  int64     `json:"step"` // the step that was run; the count goes when it is committed
	Run   string    `json:"run"`  // the process that was counted last, so that none is counted twice
	At    time.Time `json:"at"`   // when that run of the step was noted last
}

// Client is who created the job, as scripts see it.
type Client struct {
	ID     string          `json:"id,omitempty"`
	Plan   string          `json:"plan,omitempty"`
	Params json.RawMessage `json:"params,omitempty"` // object: every setting of the client but its token
}

// Ref points from a child to the step of the parent that waits for it.
type Ref struct {
	JobID string `json:"job_id"`
	Step  int64  `json:"step"`
}

// Wait is the one dated reason why a job does not move. Status says what kind it is.
type Wait struct {
	For         Status            `json:"for"`
	Since       time.Time         `json:"since"`
	Until       *time.Time        `json:"until,omitempty"` // when the job acts by itself
	Detail      string            `json:"detail"`
	Task        int               `json:"task,omitempty"`        // WaitingWorker, AwaitingRetry: the task's number
	Open        int               `json:"open,omitempty"`        // WaitingParallel: branches not yet succeeded
	Total       int               `json:"total,omitempty"`       // WaitingParallel: branches in all
	Into        string            `json:"into,omitempty"`        // aggregator, or the timer's target
	Transitions map[string]string `json:"transitions,omitempty"` // decisions, outcomes, "cancelled"
	Child       string            `json:"child,omitempty"`       // WaitingSubJob
	Integration string            `json:"integration,omitempty"` // WaitingHuman
	Message     string            `json:"message,omitempty"`     // WaitingHuman: what the person is asked
	Step        int64             `json:"step,omitempty"`        // the step that began to wait
}

// TaskState says where a task is.
type TaskState string

// A task is queued, at a worker, waiting for its next try, or closed.
const (
	TaskQueued TaskState = "queued"
	TaskLeased TaskState = "leased"
	TaskRetry  TaskState = "retry"
	TaskDone   TaskState = "done"   // its result was taken
	TaskClosed TaskState = "closed" // failed for good, cancelled or no longer wanted
)

// Open reports whether the task may still produce a result.
func (s TaskState) Open() bool { return s == TaskQueued || s == TaskLeased || s == TaskRetry }

// Task is one piece of work for a worker: (JobID, N) is its key, ID the current fence.
type Task struct {
	JobID       string            `json:"job_id"`
	N           int               `json:"n"`            // 1-based within the job
	ID          string            `json:"id,omitempty"` // fence of the newest hand-out; "" before the first
	State       TaskState         `json:"state"`
	Step        int64             `json:"step"` // the step that dispatched it
	JobState    string            `json:"job_state"`
	Type        string            `json:"type"`
	Params      json.RawMessage   `json:"params"`
	Transitions map[string]string `json:"transitions,omitempty"`
	Strategy    string            `json:"strategy,omitempty"` // "" = default
	Priority    float64           `json:"priority,omitempty"`
	MaxCost     *float64          `json:"max_cost,omitempty"`
	Resources   json.RawMessage   `json:"resources,omitempty"` // resource_requirements, an object
	Timeout     float64           `json:"timeout,omitempty"`   // seconds an attempt may take, from hand-out; 0 = server's default
	Retry       *RetryPolicy      `json:"retry,omitempty"`     // nil: the server's default
	Branch      bool              `json:"branch,omitempty"`    // part of a parallel group
	Into        string            `json:"into,omitempty"`      // Branch: the aggregator
	Attempt     int               `json:"attempt,omitempty"`   // tries that count, the current one included
	HandOut     int               `json:"hand_out,omitempty"`  // hand-outs made
	Worker      string            `json:"worker,omitempty"`    // who has or had it
	Queued      time.Time         `json:"queued"`              // first dispatch; order among equals, with Seq
	LeasedAt    time.Time         `json:"leased_at,omitzero"`
	Dispatch    *time.Time        `json:"dispatch_deadline,omitempty"` // over all waits in the queue
	Due         *time.Time        `json:"due,omitempty"`               // when the timer must look at it
	LastError   *Error            `json:"last_error,omitempty"`
	Trace       map[string]string `json:"trace,omitempty"`
	Files       json.RawMessage   `json:"files,omitempty"` // FileNote by the path of the key in Params
	Fence       int64             `json:"-"`               // of a hand-out on its way to the store: as Change.Fence; never kept
}

// RetryPolicy says how often and when a failed task is tried again. Seconds throughout.
type RetryPolicy struct {
	Max     int      `json:"max"` // tries after the first
	Initial float64  `json:"initial_seconds,omitempty"`
	Factor  float64  `json:"factor,omitempty"`
	Cap     float64  `json:"max_seconds,omitempty"`
	Only    []string `json:"only,omitempty"`  // error codes that are retried; empty = the usual
	Never   bool     `json:"never,omitempty"` // retry=0: not even after a lost worker
}

// DefaultRetry is three retries after 1, 2 and 4 s (times 0.5 to 1), at most 60 s apart.
var DefaultRetry = RetryPolicy{Max: 3, Initial: 1, Factor: 2, Cap: 60}
