package sqlite

import "orrery/engine/job"

// This file holds the tables and the numbers that stand for words in them.

// appID marks a file as ours ("Orry" in ASCII); SQLite keeps it in the header.
const appID = 0x4f727279

// migrations lead from each schema version to the next; user_version counts those done.
// They are never edited once released, only added to.
//
// How the keys are made: seq numbers the jobs in order of arrival. The parts of a job
// (initial data, state_history, tasks, history) have the key (seq, kind, n) packed into one
// integer: they are clustered by job, so that a step writes one or two pages of them, and the
// inner pages of the b-tree hold nothing but integers. f is the format number of the text
// beside it, see store.Format. Dates are milliseconds since 1970.
//
// How the indexes stay small: ready, due and live hold jobs that have not ended; bad holds
// those that ended badly; the lists by blueprint and client are written once, with the job.
var migrations = []string{`
CREATE TABLE jobs (
	seq INTEGER PRIMARY KEY,
	id BLOB NOT NULL UNIQUE,
	version INTEGER NOT NULL,
	status INTEGER NOT NULL,
	ended INTEGER NOT NULL,
	ready INTEGER NOT NULL,
	due INTEGER,
	parent BLOB,
	blueprint TEXT NOT NULL,
	client TEXT NOT NULL,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_ready ON jobs(id) WHERE ready=1;
CREATE INDEX jobs_due ON jobs(due) WHERE due IS NOT NULL;
CREATE INDEX jobs_live ON jobs(id) WHERE ended=0;
CREATE INDEX jobs_bad ON jobs(id) WHERE status>=10;
CREATE INDEX jobs_parent ON jobs(parent, id) WHERE parent IS NOT NULL;
CREATE INDEX jobs_blueprint ON jobs(blueprint, id);
CREATE INDEX jobs_client ON jobs(client, id) WHERE client<>'';

-- all that a step touches beside the job's row, side by side; the four columns after k
-- are those of tasks
CREATE TABLE parts (
	k INTEGER PRIMARY KEY,
	open INTEGER,
	state INTEGER,
	hand_out INTEGER,
	due INTEGER,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT;
CREATE INDEX parts_open ON parts(due) WHERE open=1;

CREATE TABLE results (
	job INTEGER NOT NULL,
	grp INTEGER NOT NULL,
	task_id TEXT NOT NULL,
	f INTEGER NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (job, grp, task_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE progress (
	k INTEGER PRIMARY KEY,
	job INTEGER NOT NULL,
	task_id TEXT NOT NULL,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT;
CREATE INDEX progress_task ON progress(job, task_id);

CREATE TABLE outbox (
	k INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	due INTEGER NOT NULL,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox(due);

CREATE TABLE data_stores (
	blueprint TEXT NOT NULL,
	store TEXT NOT NULL,
	key TEXT NOT NULL,
	version INTEGER NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (blueprint, store, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
	hash TEXT PRIMARY KEY,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
	id TEXT PRIMARY KEY,
	seen INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
	key TEXT PRIMARY KEY,
	until INTEGER,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_until ON claims(until) WHERE until IS NOT NULL;

-- how many jobs have the status k, with k 0 the newest version of a value; below 0 see fold.go
CREATE TABLE numbers (
	k INTEGER PRIMARY KEY,
	n INTEGER NOT NULL
) STRICT;
`, `
-- when a revision was put last; those from before count from today
ALTER TABLE revisions ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE revisions SET used = CAST(strftime('%s') AS INTEGER) * 1000;

-- which revision stands for a blueprint file
CREATE TABLE source_files (
	name TEXT PRIMARY KEY,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`, `
-- small texts stand in the job's row: NULL is to be looked up in parts. With this schema the
-- redo log came, which an earlier Orrery would not look at.
ALTER TABLE jobs ADD COLUMN initial TEXT;
ALTER TABLE jobs ADD COLUMN history TEXT;
`}

// statusCodes number the statuses in jobs.status: from 9 on a job has ended, from 10 on badly.
// The numbers are kept in files, so they never change.
var statusCodes = map[job.Status]int64{
	job.Pending: 1, job.Running: 2, job.WaitingWorker: 3, job.WaitingParallel: 4, job.WaitingHuman: 5,
	job.WaitingSubJob: 6, job.WaitingTimer: 7, job.AwaitingRetry: 8,
	job.Finished: 9, job.Failed: 10, job.Cancelled: 11, job.Quarantined: 12,
}

const (
	firstEnded = 9
	firstBad   = 10
	lastStatus = 12

	valueNumber = 0 // in numbers, beside the statuses
)

// The numbers of task states in tasks.state.
var taskCodes = map[job.TaskState]int64{
	job.TaskQueued: 1, job.TaskLeased: 2, job.TaskRetry: 3, job.TaskDone: 4, job.TaskClosed: 5,
}

const (
	codeQueued = 1
	codeClosed = 5
)

// kind says what a part is; the order is that of their keys within a job.
type kind int64

const (
	initialData kind = iota // n is 0; absent: an empty object
	stateHistory
	taskPart
	recordPart // n is the number of the last record of a commit; the row holds all of them
)

// A part's key has 24 bits for its number, so a job has at most maxPart records or tasks,
// and 2 for its kind; that leaves room for 10^11 jobs.
const (
	numberBits = 24
	jobBits    = numberBits + 2
	maxPart    = 1<<numberBits - 1
)

func partKey(seq int64, k kind, n int64) int64 {
	return seq<<jobBits | int64(k)<<numberBits | n
}
