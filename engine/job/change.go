package job

import (
	"encoding/json"
	"slices"
	"time"
)

// This file holds what one event does to the store.

// Change is one atomic commit in the job's shard: all of it or nothing.
type Change struct {
	Job          Job             // the row as it will stand; Version = Base+1
	Base         int64           // the version that must stand in the store; 0 inserts
	Fence        int64           // above 0: the fence number that the lease of the job's shard must have
	InitialData  json.RawMessage // Base 0 only: an object
	StateHistory json.RawMessage // nil: unchanged
	Records      []Record        // appended to the history
	Tasks        []Task          // inserted or replaced by (job, N)
	CloseTasks   bool            // every other open task of the job becomes TaskClosed
	Results      []Result        // of branches
	Outbox       []Message
	Writes       []StoreWrite // to the stores of Job.Blueprint
	Reads        []StoreRead  // must still stand, else a conflict
}

// Result is what one branch of a parallel group returned.
type Result struct {
	Group  int64           `json:"group"` // the step that opened the group
	TaskID string          `json:"task_id"`
	Type   string          `json:"task_type"`
	Status string          `json:"status"`
	Data   json.RawMessage `json:"data"`
}

// RecordKind says what a history record tells.
type RecordKind string

// The kinds of history records.
const (
	RecCreated   RecordKind = "created"
	RecStep      RecordKind = "step"             // a handler ran
	RecTaskEnd   RecordKind = "task_returned"    // a worker's result was taken
	RecTaskFail  RecordKind = "task_failed"      // a try failed; Next is empty when it is tried again
	RecRetry     RecordKind = "task_requeued"    // the next try entered the queue
	RecTimer     RecordKind = "timer"            // a wait ended by its date
	RecApproval  RecordKind = "decision"         // a person decided
	RecChild     RecordKind = "sub_job_ended"    // the child ended
	RecCancelAsk RecordKind = "cancel_requested" // a cancel is under way
	RecCancelled RecordKind = "cancel_settled"   // it took effect
	RecReopened  RecordKind = "reopened"         // a person ran a terminal job again
	RecClosed    RecordKind = "closed"           // a person ended it for good
	RecMigrated  RecordKind = "migrated"         // moved to another revision
	RecEnded     RecordKind = "process_ended"    // the server's process ended while it ran the step
)

// Record is one entry of a job's history: only what the event changed.
type Record struct {
	N        int64                      `json:"n"` // 1-based within the job, no gaps
	At       Time                       `json:"at"`
	Kind     RecordKind                 `json:"kind"`
	Step     int64                      `json:"step,omitempty"`
	State    string                     `json:"state"`          // where the job stood
	Next     string                     `json:"next,omitempty"` // where it went; empty: stayed
	Status   Status                     `json:"status"`         // after the event
	Duration float64                    `json:"duration_ms,omitempty"`
	Handler  string                     `json:"handler,omitempty"`
	Set      map[string]json.RawMessage `json:"set,omitempty"`   // keys of state_history set
	Unset    []string                   `json:"unset,omitempty"` // keys removed
	Task     *TaskNote                  `json:"task,omitempty"`
	Tasks    []TaskNote                 `json:"tasks,omitempty"` // dispatched by the step
	Error    *Error                     `json:"error,omitempty"`
	By       string                     `json:"by,omitempty"`
	Detail   string                     `json:"detail,omitempty"`
	Log      []LogLine                  `json:"log,omitempty"`
	Acts     []Act                      `json:"acts,omitempty"`
}

// TaskNote is what history keeps of a task.
type TaskNote struct {
	N        int     `json:"n"`
	ID       string  `json:"task_id,omitempty"`
	Type     string  `json:"task_type"`
	Worker   string  `json:"worker,omitempty"`
	Attempt  int     `json:"attempt,omitempty"`
	Status   string  `json:"status,omitempty"`
	Priority float64 `json:"priority,omitempty"`
	Emulated bool    `json:"emulated,omitempty"`

	LeasedAt *Time           `json:"leased_at,omitempty"`     // when the worker got it
	Files    json.RawMessage `json:"data_metadata,omitempty"` // what the worker said of files in its result
}

// MessageKind says who an outbox message is for.
type MessageKind string

// What crosses shards or leaves the process.
const (
	MsgChildStart    MessageKind = "child_start"    // Body: ChildStart
	MsgChildCancel   MessageKind = "child_cancel"   // To: the child's id
	MsgChildEnded    MessageKind = "child_ended"    // Body: ChildEnd; To: the parent's id
	MsgApproval      MessageKind = "approval"       // Body: ApprovalRequest; To: the integration
	MsgApprovalEnded MessageKind = "approval_ended" // Body: ApprovalEnd; To: the integration
	MsgHistory       MessageKind = "history"        // the job has records for the copy of the history; no Body
	MsgWebhook       MessageKind = "webhook"        // Body: WebhookNote; To: the URL
)

// Message is one row of the outbox: delivered at least once, recognisable by ID.
type Message struct {
	ID       string          `json:"id"` // derived from its cause, so doing it again changes nothing
	JobID    string          `json:"job_id"`
	Kind     MessageKind     `json:"kind"`
	To       string          `json:"to,omitempty"`
	Body     json.RawMessage `json:"body,omitempty"`
	Due      time.Time       `json:"due"` // not before
	Attempts int             `json:"attempts,omitempty"`
	Error    string          `json:"error,omitempty"`    // of the last try
	Began    *time.Time      `json:"began,omitempty"`    // a try began then, and its outcome is not known
	Sent     *time.Time      `json:"sent,omitempty"`     // it was delivered, and stays until what it asks is settled
	Receipt  json.RawMessage `json:"receipt,omitempty"`  // Sent: how its receiver finds it again
	GivenUp  *time.Time      `json:"given_up,omitempty"` // it is not tried any more unless a person says so
	Fence    int64           `json:"-"`                  // of what became of a try, on its way to the store: as Change.Fence; never kept
}

// Parked reports whether the message waits for somebody and has no date of its own.
func (m *Message) Parked() bool { return m.Sent != nil || m.GivenUp != nil }

// ChildStart is the body of MsgChildStart.
type ChildStart struct {
	ChildID         string            `json:"child_id"`
	Blueprint       string            `json:"blueprint"`
	Revision        string            `json:"revision"` // the parent's; used when it holds the blueprint too
	InitialData     json.RawMessage   `json:"initial_data"`
	Parent          Ref               `json:"parent"`
	Depth           int               `json:"depth"`
	Client          Client            `json:"client"`
	Trace           map[string]string `json:"trace,omitempty"`
	DispatchTimeout float64           `json:"dispatch_timeout,omitempty"`
	ResultTimeout   float64           `json:"result_timeout,omitempty"`
}

// ChildEnd is the body of MsgChildEnded.
type ChildEnd struct {
	ChildID      string          `json:"job_id"`
	Step         int64           `json:"step"` // the parent's step that waits
	Status       Status          `json:"status"`
	StateHistory json.RawMessage `json:"state_history"`
	Error        *Error          `json:"error"`
}

// ApprovalRequest is the body of MsgApproval.
type ApprovalRequest struct {
	JobID       string          `json:"job_id"`
	Step        int64           `json:"step"`
	Blueprint   string          `json:"blueprint"`
	Integration string          `json:"integration"`
	Message     string          `json:"message"`
	Decisions   []string        `json:"decisions"` // sorted
	Until       *time.Time      `json:"until,omitempty"`
	Extra       json.RawMessage `json:"extra,omitempty"`
}

// How a wait for a person ended.
const (
	ApprovalDecided   = "decided"
	ApprovalExpired   = "expired"   // its deadline passed
	ApprovalCancelled = "cancelled" // the job was cancelled while it waited
)

// ApprovalEnd is the body of MsgApprovalEnded: those who were asked are told.
type ApprovalEnd struct {
	Step     int64  `json:"step"` // of the ApprovalRequest
	Outcome  string `json:"outcome"`
	Decision string `json:"decision,omitempty"`
	By       string `json:"by,omitempty"`
	At       Time   `json:"at"`
}

// WebhookNote is the body of MsgWebhook: what the payload can not be built from later, when
// the job may have been reopened. state_history is read when it is sent, as Record left it.
type WebhookNote struct {
	Event  string `json:"event"` // job_finished, job_failed, ...
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
	Record int64  `json:"record"` // the history record of the end
}

// Then joins a change with the one that follows it at once, so that one commit carries
// both. next was built on c.Job. Both stay as they are.
func (c *Change) Then(next *Change) *Change {
	joined := *c
	joined.Records = slices.Clip(c.Records)
	joined.Tasks = slices.Clone(c.Tasks)
	joined.Results = slices.Clip(c.Results)
	joined.Outbox = slices.Clip(c.Outbox)
	joined.Writes = slices.Clip(c.Writes)
	joined.Reads = slices.Clip(c.Reads)
	joined.Take(next)
	return &joined
}

// Take is Then in place: c becomes both, and next, whose memory it may use, must not be used
// any more.
func (c *Change) Take(next *Change) {
	c.Job = next.Job
	c.Job.Version = c.Base + 1
	if next.StateHistory != nil {
		c.StateHistory = next.StateHistory
	}
	c.Records = joined(c.Records, next.Records)
	for i := range c.Tasks { // of the store's view these belong to the change, which closes the others only
		if t := &c.Tasks[i]; next.CloseTasks && t.State.Open() {
			t.State, t.Due = TaskClosed, nil
		}
	}
	c.Tasks = joined(c.Tasks, next.Tasks)
	c.Results = joined(c.Results, next.Results)
	c.CloseTasks = c.CloseTasks || next.CloseTasks
	c.Outbox = joined(c.Outbox, next.Outbox)
	for _, r := range next.Reads {
		if !slices.ContainsFunc(c.Writes, func(w StoreWrite) bool { return w.Store == r.Store && w.Key == r.Key }) {
			c.Reads = append(c.Reads, r) // else it read what this very change writes
		}
	}
	c.Writes = joined(c.Writes, next.Writes)
}

// joined gives both lists as one.
func joined[T any](a, b []T) []T {
	if len(a) == 0 {
		return b
	}
	return append(a, b...)
}

// Carries says whether an event can be joined to the change before it is committed: not
// when the change holds a row of the event's task already, which the event was not built
// on, and not when either moves the job to another revision.
func (c *Change) Carries(e Event) bool {
	n := 0
	switch e := e.(type) {
	case Returned:
		n = e.Task.N
	case TaskFailed:
		n = e.Task.N
	case RetryDue:
		n = e.Task.N
	case Reopened, Migrated:
		return false
	}
	for i := range c.Tasks {
		if c.Tasks[i].N == n {
			return false
		}
	}
	return true
}
