package job

import (
	"encoding/json"
	"time"
)

// This file lists the events: everything that can move a job.

// Event is one of the types below.
type Event interface{ event() eventName }

type eventName string

// Created accepts a job. It is the only event for a job that does not exist yet.
type Created struct {
	ID, Blueprint, Revision        string
	InitialData                    json.RawMessage
	Client                         Client
	DispatchTimeout, ResultTimeout float64 // seconds, 0 unset
	WebhookURL                     string
	Trace                          map[string]string
	Parent                         *Ref
	Depth                          int
}

// Decided is a handler's run: what the script wants.
type Decided struct {
	Decision   Decision
	Before     json.RawMessage // state_history before the step
	ChildShard byte            // RunChild: the shard the child must live in

	Trace map[string]string // of the step, for what it starts; nil: the job's
}

// Returned is a worker's result that is not a failure.
type Returned struct {
	Task     Task // as it was handed out
	Status   string
	Data     json.RawMessage // nil or an object
	Before   json.RawMessage // state_history before; not needed for branches
	Metadata json.RawMessage // what the worker said of files in Data, or nil
	Others   int             // tasks of the job still at workers
	Emulated bool
}

// TaskFailed is a try that failed: reported by its worker, timed out, lost or impossible.
type TaskFailed struct {
	Task     Task
	Err      Error
	Free     bool    // the try does not count: nobody ever confirmed it
	Jitter   float64 // 0.5 to 1, chosen by the caller, so that Next stays pure
	Others   int     // tasks of the job still at workers
	Emulated bool
}

// RetryDue puts a failed task back into its queue.
type RetryDue struct{ Task Task }

// TimerFired says that Job.Due has come.
type TimerFired struct{}

// Approved is a person's decision.
type Approved struct{ Decision, By string }

// ChildEnded says how the child that the job waits for ended.
type ChildEnded struct {
	End    ChildEnd
	Before json.RawMessage // the parent's state_history
}

// CancelAsked is a request to cancel.
type CancelAsked struct {
	By        string
	AtWorkers int // tasks of the job at workers now
}

// Reopened runs a failed or quarantined job again, by a person.
type Reopened struct {
	By       string
	Revision string          // "" keeps the job's
	Data     json.RawMessage // merged into state_history; nil: nothing
	Before   json.RawMessage
}

// ClosedByHand ends a failed or quarantined job for good.
type ClosedByHand struct{ By string }

// Migrated moves a waiting job to another revision of its blueprint, by a person.
type Migrated struct {
	By       string
	Revision string
	Chart    Chart  // of that revision
	Tasks    []Task // of the job, the open ones
}

// Broken stops a job that can not go on for a reason outside its script (its revision can
// not be loaded). It is quarantined where it stands.
type Broken struct{ Err Error }

// ProcessEnded says that a process ended while it ran a step that was not kept: the one that is
// due, or one that an event of a waiting job made due, which was not kept either. With the
// Most-th such end in a row the job is quarantined as soon as the step is due, and it is not run
// again.
type ProcessEnded struct {
	Run   string    // the process
	Step  int64     // as it was noted: later than the one that is due where several ran for one commit
	At    time.Time // of the note
	Most  int
	Place Error // where the step's handler stands: File, Line and Col, and in Message what it is
}

func (Created) event() eventName      { return "created" }
func (Decided) event() eventName      { return "decided" }
func (Returned) event() eventName     { return "returned" }
func (TaskFailed) event() eventName   { return "task failed" }
func (RetryDue) event() eventName     { return "retry due" }
func (TimerFired) event() eventName   { return "timer fired" }
func (Approved) event() eventName     { return "approved" }
func (ChildEnded) event() eventName   { return "child ended" }
func (CancelAsked) event() eventName  { return "cancel asked" }
func (Reopened) event() eventName     { return "reopened" }
func (ClosedByHand) event() eventName { return "closed" }
func (Migrated) event() eventName     { return "migrated" }
func (Broken) event() eventName       { return "broken" }
func (ProcessEnded) event() eventName { return "process ended" }

// legal is the table of moves: in which statuses an event may arrive at all.
var legal = map[eventName][]Status{
	"decided":      {Pending, Running},
	"returned":     {WaitingWorker, WaitingParallel},
	"task failed":  {WaitingWorker, WaitingParallel},
	"retry due":    {AwaitingRetry, WaitingParallel},
	"timer fired":  {WaitingTimer, WaitingHuman, WaitingSubJob, WaitingWorker, WaitingParallel, AwaitingRetry},
	"approved":     {WaitingHuman},
	"child ended":  {WaitingSubJob},
	"cancel asked": {Pending, Running, WaitingWorker, WaitingParallel, WaitingHuman, WaitingSubJob, WaitingTimer, AwaitingRetry},
	"reopened":     {Failed, Quarantined},
	"closed":       {Failed, Quarantined},
	"migrated":     {WaitingWorker, WaitingParallel, WaitingHuman, WaitingSubJob, WaitingTimer, AwaitingRetry},
	"broken":       {Pending, Running},

	"process ended": {Pending, Running, WaitingWorker, WaitingParallel, WaitingHuman, WaitingSubJob, WaitingTimer, AwaitingRetry},
}

// Illegal says that an event does not fit a job's status. Nothing is to be written.
type Illegal struct {
	Event  string
	Status Status
	Why    string
}

// Error names the event, the status and, if it is more than that, the reason.
func (e *Illegal) Error() string {
	if e.Why != "" {
		return e.Why
	}
	return "a job that is " + string(e.Status) + " can not take the event \"" + e.Event + "\""
}

// backoff gives the wait before the retry with the given number (1-based).
func (p RetryPolicy) backoff(n int, jitter float64) time.Duration {
	seconds := p.Initial
	for i := 1; i < n && seconds < p.Cap; i++ {
		seconds *= p.Factor
	}
	return time.Duration(min(seconds, p.Cap) * jitter * float64(time.Second)).Truncate(time.Millisecond)
}
