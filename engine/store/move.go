package store

import (
	"context"
	"encoding/json"
	"time"

	"orrery/engine/job"
)

// This file says what a store offers so that all it keeps can be moved to another one. The
// package move does it; a store that a server uses is not moved.

// Movable is a store that gives and takes its rows whole.
type Movable interface {
	Store
	Exporter
	Importer
}

// Exporter reads a whole store.
type Exporter interface {
	// Export calls fn with every row that is kept, leases apart, and ends with fn's error.
	// A JobRow comes before the rows of its job, which may come any time later, but: the
	// records of a job come in the order of their numbers; its progress entries side by side,
	// in order of arrival; the messages of a shard in order of arrival, sent and given-up ones
	// included. Of claims past their end some may come, counters are claims (CounterKey). A
	// row belongs to fn. What memory it takes does not depend on what the store keeps, but for
	// stores that keep everything in memory. fn must not use the store.
	Export(ctx context.Context, fn func(Row) error) error
}

// Importer fills an empty store.
type Importer interface {
	// Empty reports whether nothing is kept; leases, and claims whose keys begin with
	// MoveClaim, do not count.
	Empty(ctx context.Context) (bool, error)
	// Import writes rows that Export gave, in its order, cut into pieces anywhere. It is
	// durable when it returns; of a piece that fails some rows may be written. Whatever the
	// store derives from rows (counts, indexes, what is ready and due) stands with them, but
	// it may be that only after the last piece. No row comes twice.
	Import(ctx context.Context, rows []Row) error
}

// MoveClaim is the beginning of the claims by which moves are noted; they are not moved.
const MoveClaim = "move/"

// Row is one of the types below.
type Row interface {
	// Kind names the sort of row, as people read it.
	Kind() RowKind
	// Bytes is about how much text it holds.
	Bytes() int
}

// RowKind names a sort of row.
type RowKind string

// The kinds of rows, in the order in which reports name them.
const (
	KindRevision RowKind = "revisions"
	KindFile     RowKind = "blueprint files"
	KindWorker   RowKind = "workers"
	KindClaim    RowKind = "claims"
	KindValue    RowKind = "values"
	KindVersion  RowKind = "newest value version"
	KindJob      RowKind = "jobs"
	KindRecord   RowKind = "history records"
	KindTask     RowKind = "tasks"
	KindResult   RowKind = "branch results"
	KindProgress RowKind = "progress entries"
	KindMessage  RowKind = "messages"
)

// RowKinds lists all of them in that order.
var RowKinds = []RowKind{
	KindRevision, KindFile, KindWorker, KindClaim, KindValue, KindVersion,
	KindJob, KindRecord, KindTask, KindResult, KindProgress, KindMessage,
}

// RevisionRow is a revision of blueprints.
type RevisionRow struct{ Revision Revision }

// FileRow says which revision stands for a blueprint file.
type FileRow struct{ File SourceFile }

// WorkerRow is a worker's registration.
type WorkerRow struct {
	ID   string
	Body json.RawMessage
	Seen time.Time // zero when the store does not keep it
}

// ClaimRow is a claim or a counter.
type ClaimRow struct {
	Key   string
	Value []byte
	Until *time.Time // nil: for ever
}

// ValueRow is a key of a data store.
type ValueRow struct {
	Blueprint, Store string
	Value            Value
}

// VersionRow is the newest version of a value that the store gave by itself: those that it
// gives later must be above it, also when no value has it any more. Absent: 0. A store that
// counts by shard gives its highest, and takes it for every shard.
type VersionRow struct{ Newest int64 }

// JobRow is a job with its data.
type JobRow struct {
	Job  job.Job
	Data Data
}

// RecordRow holds records of a job with numbers that follow each other.
type RecordRow struct {
	JobID   string
	Records []job.Record // one or more
}

// TaskRow is a task in any state.
type TaskRow struct{ Task job.Task }

// ResultRow is the result of a branch.
type ResultRow struct {
	JobID  string
	Result job.Result
}

// ProgressRow is a progress entry of a job.
type ProgressRow struct {
	JobID    string
	Progress Progress
}

// MessageRow is a message of the outbox.
type MessageRow struct{ Message job.Message }

func (RevisionRow) Kind() RowKind { return KindRevision }
func (FileRow) Kind() RowKind     { return KindFile }
func (WorkerRow) Kind() RowKind   { return KindWorker }
func (ClaimRow) Kind() RowKind    { return KindClaim }
func (ValueRow) Kind() RowKind    { return KindValue }
func (VersionRow) Kind() RowKind  { return KindVersion }
func (JobRow) Kind() RowKind      { return KindJob }
func (RecordRow) Kind() RowKind   { return KindRecord }
func (TaskRow) Kind() RowKind     { return KindTask }
func (ResultRow) Kind() RowKind   { return KindResult }
func (ProgressRow) Kind() RowKind { return KindProgress }
func (MessageRow) Kind() RowKind  { return KindMessage }

// rowBytes is what a row takes beside its large parts, about.
const rowBytes = 512

func (r RevisionRow) Bytes() int {
	n := rowBytes
	for name, text := range r.Revision.Files {
		n += len(name) + len(text)
	}
	return n
}

func (FileRow) Bytes() int       { return rowBytes }
func (r WorkerRow) Bytes() int   { return rowBytes + len(r.Body) }
func (r ClaimRow) Bytes() int    { return rowBytes + len(r.Value) }
func (r ValueRow) Bytes() int    { return rowBytes + len(r.Value.Text) }
func (VersionRow) Bytes() int    { return rowBytes }
func (r JobRow) Bytes() int      { return 2*rowBytes + len(r.Data.Initial) + len(r.Data.History) }
func (r TaskRow) Bytes() int     { return rowBytes + len(r.Task.Params) + len(r.Task.Files) }
func (r ResultRow) Bytes() int   { return rowBytes + len(r.Result.Data) }
func (r ProgressRow) Bytes() int { return rowBytes + len(r.Progress.Message) }
func (r MessageRow) Bytes() int  { return rowBytes + len(r.Message.Body) }

func (r RecordRow) Bytes() int {
	n := 0
	for i := range r.Records {
		n += rowBytes
		for _, v := range r.Records[i].Set {
			n += len(v)
		}
	}
	return n
}
