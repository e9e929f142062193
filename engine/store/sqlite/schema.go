package sqlite

import "orrery/engine/job"

// This file holds the tables and the numbers that stand for words in them.

// appID marks a file as ours ("Orry" in ASCII); SQLite keeps it in the header.
const appID = 0x4f727279

// migrations lead from each schema version to the next; user_version counts those done.
// They are never edited once released, only added to.
//
// How the keys are made: seq numbers the jobs in order of arrival. The parts of a job have
// the key seq<<24|n in a table of their own, so that they are clustered by (job, n) in
// b-trees whose inner pages hold nothing but integers. f is the format number of the text
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

-- k: seq<<1 for the initial data, seq<<1|1 for state_history; absent: an empty object
CREATE TABLE data (
	k INTEGER PRIMARY KEY,
	body TEXT NOT NULL
) STRICT;

CREATE TABLE history (
	k INTEGER PRIMARY KEY,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
	k INTEGER PRIMARY KEY,
	open INTEGER NOT NULL,
	state INTEGER NOT NULL,
	hand_out INTEGER NOT NULL,
	due INTEGER,
	f INTEGER NOT NULL,
	body TEXT NOT NULL
) STRICT;
CREATE INDEX tasks_open ON tasks(due) WHERE open=1;

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

-- jobs by status ("status 9"), and the newest version of a value ("value")
CREATE TABLE numbers (
	name TEXT PRIMARY KEY,
	n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
)

// The numbers of task states in tasks.state.
var taskCodes = map[job.TaskState]int64{
	job.TaskQueued: 1, job.TaskLeased: 2, job.TaskRetry: 3, job.TaskDone: 4, job.TaskClosed: 5,
}

const (
	codeQueued = 1
	codeClosed = 5
)

// numberBits are the low bits of a part's key: a job has at most 16,777,215 records or tasks.
const numberBits = 24

func partKey(seq, n int64) int64 { return seq<<numberBits | n }
