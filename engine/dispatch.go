package engine

import (
	"context"
	"encoding/json"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is the seam between jobs and workers: engine declares Dispatcher, the package
// workers implements it; what workers need of jobs is what Engine offers here.

// Dispatcher brings queued tasks to workers. Its memory is rebuilt from the store at start.
// None of its methods blocks or calls back into the engine before it returns.
type Dispatcher interface {
	// Recover gives back, at start, the tasks that were at workers; their leases go on for
	// one WORKER_TTL at least.
	Recover(leased []job.Task)
	// Offer puts a queued task into its type's queue, or replaces it there.
	Offer(t job.Task)
	// Withdraw takes a task back (n 0: all tasks of the job): out of the queue, and a worker
	// that has it is told to stop; its result will not count.
	Withdraw(jobID string, n int)
	// AskCancel tells every worker that has a task of the job to stop, and gives how many
	// have one. Their leases stay: a result still counts. Queued tasks leave the queue.
	AskCancel(jobID string) (atWorkers int)
	// AtWorkers gives how many tasks of the job are at workers now.
	AtWorkers(jobID string) int
	// Drop forgets the tasks of shards that are another node's now, queued and leased, and
	// tells nobody.
	Drop(lost store.ShardSet)
	// Held gives what there is of the tasks of shards, in no order; Has gives one of them. They
	// are compared with the store where it can go back: see reconcile.go.
	Held(in store.ShardSet) []Held
	Has(jobID string, n int) (h Held, ok bool)
}

// Outcome is a worker's result in the one form that all wire ages become.
type Outcome struct {
	Status   string          // "success", "failure", "cancelled" or a custom one
	Data     json.RawMessage // nil, or what the worker returned; merged when it is an object
	Error    *job.Error      // failure: Code and Message
	Worker   string
	Trace    map[string]string
	Metadata json.RawMessage // data_metadata, kept as it came
	Emulated bool
	Again    bool // an earlier try to write it failed: what has become of the task meanwhile decides
}

// Taken says what became of a result.
type Taken struct {
	Accepted bool
	Reason   string // not accepted: job_not_found, stale_task, job_already_terminated, worker_mismatch
	Message  string
}

// Desk is what the package workers needs of the engine; Engine implements it.
type Desk interface {
	// HandedOut notes a lease: t has its new ID, Worker, HandOut, Attempt, LeasedAt, State
	// TaskLeased and Due. It is written with the next batch; nobody waits.
	HandedOut(t job.Task)
	// Returned takes the result of a leased task and is durable when it returns. An error
	// means that it could not be written (full disk): the worker must send it again.
	Returned(ctx context.Context, t job.Task, o Outcome) (Taken, error)
	// Lost takes a task back from a worker that vanished. confirmed: the worker had shown
	// that it has the task (listed it, or sent progress), so the loss counts as a try.
	Lost(ctx context.Context, t job.Task, confirmed bool, why string) error
	// Unsuitable fails a queued task that none of the live workers of its type may do.
	Unsuitable(ctx context.Context, t job.Task, why string) error
	// Progress keeps a worker's report.
	Progress(t job.Task, p store.Progress)
	// Mine reports whether the job's tasks are this node's to hand out: not those of a shard
	// that has gone to another.
	Mine(jobID string) bool
	// Open reports whether that is so, and the dispatcher was told of all hand-outs of the job:
	// while its shard is being taken up, one that the dispatcher does not know may stand.
	Open(jobID string) bool
	// Task reads a task's row, with its params.
	Task(ctx context.Context, jobID string, n int) (*job.Task, error)
	// AttemptSeconds is how long an attempt of the task may take (WORKER_TIMEOUT_SECONDS
	// when the task says nothing).
	AttemptSeconds(t job.Task) float64
}
