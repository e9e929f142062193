// Package store says what Orrery needs from a durable store, as small roles.
//
// Words: a shard is the unit of commit; a job's id names its shard, and a Change never
// leaves it. What crosses shards goes through the outbox. The drivers (memory, sqlite,
// later redis and postgres) implement Store and pass the one suite in storetest; what a
// driver cannot do it declares in Features.
//
// Who is authoritative: the rows. Everything the engine keeps in memory is rebuilt from
// them at start.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"orrery/engine/job"
)

// Errors that every driver returns (wrapped with what it was about).
var (
	// ErrConflict: the job's version, or a value that the step read, is no longer what
	// the Change was built on. Load again and decide again.
	ErrConflict = errors.New("the job was changed meanwhile")
	// ErrExists: a Change with Base 0 meets a job that is there already.
	ErrExists = errors.New("the job exists already")
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrFull: the disk (or quota) is full. Nothing was written; it may work later.
	ErrFull = errors.New("the store is full")
	// ErrCursor: a list was asked to go on after something that no page gave.
	ErrCursor = errors.New("no cursor of an earlier page")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// Store is everything one driver offers.
type Store interface {
	Committer
	Jobs
	Tasks
	Wakes
	Outbox
	Blueprints
	Workers
	Values
	Keys
	Counters
	Features() Features
	Close() error
}

// Features are the differences between drivers that callers may ask about.
type Features struct {
	Name    string // "sqlite", "memory"
	Durable bool   // survives the process
	Shared  bool   // several processes may use it at once
}

// Committer writes. The methods keep the order in which one goroutine calls them.
type Committer interface {
	// Commit applies the change and returns when it is durable. Errors: ErrConflict and
	// ErrExists (nothing written), ErrFull (nothing written), ErrClosed. A context that
	// ends counts until the change is queued; then the outcome is awaited, so that the
	// answer is true.
	Commit(ctx context.Context, c *job.Change) error
	// HandOut notes that a task went to a worker. It is written soon, before the job's next
	// change and before Sync returns, and nobody waits: a crash may lose it, then the task
	// is queued as before. A hand-out whose task is no longer queued, or has had as many
	// hand-outs, is dropped, and one on a fence that another node has taken over.
	HandOut(t job.Task)
	// AddProgress appends to a task's progress, keeping the newest ProgressKept entries a
	// task and at most JobProgressKept a job, of which the oldest go, up to a tenth at once;
	// written with the next batch, nobody waits. Of an unknown job it is dropped.
	AddProgress(jobID string, p Progress)
	// Sync returns when all that nobody waited for so far is written.
	Sync(ctx context.Context) error
}

// Queuer is a Committer that can tell that a change has its place in line before it is
// durable. Drivers without it are as right, and slower with data stores.
type Queuer interface {
	// CommitQueued is Commit, and calls queued once, before it returns, when the change has
	// its place: changes are checked and written in the order of these calls, as long as they
	// do not overlap. It is not called for a change that was refused before that.
	CommitQueued(ctx context.Context, c *job.Change, queued func()) error
}

// ProgressKept is the number of progress entries that stay of a task, JobProgressKept of all
// tasks of a job: whoever shows the job reads them all. ProgressLeft stay when they are too many.
const (
	ProgressKept    = 100
	JobProgressKept = 1000
	ProgressLeft    = JobProgressKept - JobProgressKept/10
)

// Progress is one report of a worker about a running task.
type Progress struct {
	Progress  float64  `json:"progress"`
	Message   string   `json:"message"`
	Timestamp job.Time `json:"timestamp"`
	TaskID    string   `json:"task_id"`
}

// Data is the large part of a job: two JSON objects.
type Data struct {
	Initial json.RawMessage
	History json.RawMessage // state_history, without progress_updates
}

// Jobs reads jobs. A missing job is ErrNotFound everywhere.
type Jobs interface {
	Job(ctx context.Context, id string) (*job.Job, error)
	// Rows gives the rows of some jobs, in no order, without those that are gone. Rows that can
	// not be read are passed over: *Unreadable names them, and comes with the others.
	Rows(ctx context.Context, ids []string) ([]job.Job, error)
	// Load reads the row and the data in one consistent view.
	Load(ctx context.Context, id string) (*job.Job, Data, error)
	// List gives jobs, newest first, and no more after PageBytes of text. Rows that can not be
	// read are passed over and do not count: *Unreadable names them, and comes with the page.
	List(ctx context.Context, q Query) (Page, error)
	// Counts gives the number of jobs by status; statuses without jobs are absent.
	Counts(ctx context.Context) (map[job.Status]int64, error)
	// Records gives history records with N > after, in order: at most limit, and no more
	// after PageBytes of text. No records at all say that there are no more.
	Records(ctx context.Context, id string, after int64, limit int) ([]job.Record, error)
	// Results gives results of one parallel group with task ids after the given one ("" at
	// first), in order of task id: at most limit (1 or more), and no more after PageBytes of
	// text. more says that it stopped there and others follow.
	Results(ctx context.Context, id string, group int64, after string, limit int) (page []job.Result, more bool, err error)
	// Progress gives all progress entries of the job in order of arrival.
	Progress(ctx context.Context, id string) ([]Progress, error)
	// Children gives the ids of jobs whose Parent is the job, in order of id.
	Children(ctx context.Context, id string) ([]string, error)
}

// Query selects jobs; zero fields select everything.
type Query struct {
	Status    []job.Status
	Blueprint string
	Client    string // Client.ID
	Limit     int    // 1 to 1000
	Cursor    string // from the page before
}

// Page is a part of a list; Cursor is "" on the last one, and only there.
type Page struct {
	Jobs   []job.Job
	Cursor string
}

// Tasks reads tasks.
type Tasks interface {
	Task(ctx context.Context, jobID string, n int) (*job.Task, error)
	// OpenTasks gives open tasks of a job with N > after, in order: at most limit (1 or more),
	// and no more after PageBytes of text. more says that it stopped there and others follow.
	OpenTasks(ctx context.Context, jobID string, after, limit int) (page []job.Task, more bool, err error)
	// ScanTasks calls fn for every task in the given state over all jobs, in no order,
	// until fn returns false. Used at start to fill the queue and the leases. Rows that can not
	// be read are passed over; *Unreadable names them when all others were given.
	ScanTasks(ctx context.Context, s job.TaskState, fn func(job.Task) bool) error
}

// Wakes finds what must be looked at.
type Wakes interface {
	// Ready gives ids of jobs with a step due, oldest id first, after the given id ("" at first).
	Ready(ctx context.Context, after string, limit int) ([]string, error)
	// Due gives what is due at or before now, earliest first, at most limit.
	Due(ctx context.Context, now time.Time, limit int) ([]Wake, error)
	// NextDue tells the earliest date of all, past ones included; ok is false when there
	// is none.
	NextDue(ctx context.Context) (at time.Time, ok bool, err error)
}

// Wake is one due date: of the job itself (Task 0: Job.Due) or of an open task (Task.Due).
type Wake struct {
	JobID string
	Task  int
	At    time.Time
}

// Outbox holds what still has to leave the shard.
type Outbox interface {
	// Messages gives messages due at or before now that are not parked, earliest first, at
	// most limit. Rows that can not be read count among these and are left out: *Unreadable
	// names them, and comes with the others.
	Messages(ctx context.Context, now time.Time, limit int) ([]job.Message, error)
	// Delivered removes messages; ids that are gone already do not matter.
	Delivered(ctx context.Context, ids ...string) error
	// Postpone replaces a message that is still there by m, which has the same id: for a
	// later try, or parked. One with a Fence that is not that of its job's shard any more is
	// ErrFenced, and changes nothing: the new owner may have sent the message itself.
	Postpone(ctx context.Context, m job.Message) error
	// MessagesOf gives every message that is kept of a job, parked or not, in order of id. It
	// finds them by their ids, which begin with the job's id and a slash. Rows that can not be
	// read are passed over: *Unreadable names them, and comes with the others.
	MessagesOf(ctx context.Context, jobID string) ([]job.Message, error)
	// GivenUp gives messages that were given up, with ids after the given one ("" at first),
	// in order of id, at most limit. Rows that can not be read are passed over and do not
	// count: *Unreadable names them, and comes with the others.
	GivenUp(ctx context.Context, after string, limit int) ([]job.Message, error)
}

// Blueprints keeps the source text of every revision that a job may still need, and which
// revision of each file was good last.
type Blueprints interface {
	// PutRevision keeps a revision. Keeping it again changes nothing but Used, which only
	// moves forward: whoever wants to begin a job on a revision puts it before that.
	PutRevision(ctx context.Context, r Revision) error
	// Revision gives one with its texts. An unknown one is ErrNotFound.
	Revision(ctx context.Context, hash string) (*Revision, error)
	// Revisions gives all, without Files, in order of hash.
	Revisions(ctx context.Context) ([]Revision, error)
	// DropRevision removes a revision that nobody has put since the given date, in one act:
	// a put that comes before it keeps the revision, one that comes after it brings it back.
	// dropped is false when there was none, or when it was put at that date or later.
	DropRevision(ctx context.Context, hash string, unused time.Time) (dropped bool, err error)

	// PutFile keeps or replaces what stands for the name. SourceFiles gives all, in order of
	// name; DropFile forgets one, and does not mind when there is none.
	PutFile(ctx context.Context, f SourceFile) error
	SourceFiles(ctx context.Context) ([]SourceFile, error)
	DropFile(ctx context.Context, name string) error
}

// Revision is a file with all it loads, as text.
type Revision struct {
	Hash       string            `json:"hash"`
	Main       string            `json:"main"`                 // root-relative name of the file
	Blueprints []string          `json:"blueprints,omitempty"` // names of those that Main makes
	Files      map[string]string `json:"files,omitempty"`      // root-relative name -> text
	Created    time.Time         `json:"created"`              // when it was put first
	Used       time.Time         `json:"used"`                 // when it was put last, milliseconds kept; zero is Created
}

// LastUse is Used, or Created where that is not set.
func (r *Revision) LastUse() time.Time {
	if r.Used.IsZero() {
		return r.Created
	}
	return r.Used
}

// SourceFile says which revision stands for a file: of the blueprint directory, as it was
// good last, or of one that came by the API and is in no directory.
type SourceFile struct {
	Name     string    `json:"name"`     // root-relative
	Revision string    `json:"revision"` // hash; its Main is Name
	Uploaded bool      `json:"uploaded,omitempty"`
	By       string    `json:"by,omitempty"` // Uploaded: who
	At       time.Time `json:"at"`
}

// Workers keeps the registry: ages A and B never register again.
type Workers interface {
	// PutWorker keeps or replaces a worker's registration (opaque JSON, at most 256 KiB).
	PutWorker(ctx context.Context, id string, body json.RawMessage, seen time.Time) error
	AllWorkers(ctx context.Context) (map[string]json.RawMessage, error)
	DeleteWorker(ctx context.Context, id string) error
}

// Values reads the data stores of blueprints; they are written by Commit only.
type Values interface {
	// Value gives a key's value and version; an absent key is (nil, 0, nil).
	Value(ctx context.Context, blueprint, store, key string) (json.RawMessage, int64, error)
	// Keys gives the keys of a store in order.
	ValueKeys(ctx context.Context, blueprint, store string) ([]string, error)
	// ValuePage gives the values of a store in order of their keys, beginning with the first
	// key that is not before from: at most limit (1 or more), and no more after PageBytes of
	// text. more says that it stopped there and others follow.
	ValuePage(ctx context.Context, blueprint, store, from string, limit int) (page []Value, more bool, err error)
	// ValueStores names every data store in which something is kept, by blueprint and store
	// in order, with the number of its keys.
	ValueStores(ctx context.Context) ([]ValueStore, error)
}

// PageBytes is how much text of jobs, tasks, values, records or results one page holds, about:
// what passes it is the last.
const PageBytes = 4 << 20

// Value is one key of a data store.
type Value struct {
	Key     string
	Text    json.RawMessage
	Version int64
}

// ValueStore is a data store in which something is kept.
type ValueStore struct {
	Blueprint string
	Store     string
	Keys      int64
}

// Keys holds small facts with a life of their own: idempotency keys, secrets, which task
// types a real worker has served.
type Keys interface {
	// Claim sets the key if it is absent or past its end, and gives the value that then
	// stands. ttl 0 keeps it for ever. It is durable when it returns.
	Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error)
	// Claimed gives the value of a key that was claimed and is not past its end.
	Claimed(ctx context.Context, key string, now time.Time) (stands []byte, claimed bool, err error)
}

// Counters count what is bounded over a time, such as the jobs of a client in a month.
type Counters interface {
	// Count adds by to a counter, unless that would bring it above most, and gives what then
	// stands; taken is false when nothing was added. An absent counter, or one past its end,
	// stands at 0 and gets the end given; no counter goes below 0. With by 0 it only looks.
	// What was added is durable when it returns.
	Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error)
}
