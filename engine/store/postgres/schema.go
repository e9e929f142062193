package postgres

import "orrery/engine/job"

// This file holds the tables and the numbers that stand for words in them.

// migrations lead from each schema version to the next; the table schema_version counts those
// done. They are never edited once released, only added to.
//
// How a job is kept: jobs holds what never changes, with the lists; heads holds what every step
// replaces, so that a step does not touch the lists' indexes. was is the status before the last
// change, for counting. f is the format number of the text beside it, see store.Format. Texts are
// bytea: PostgreSQL's text refuses zero characters, and its order depends on the locale. The view
// readable shows them to people. Dates are milliseconds since 1970, so that they mean the same in
// every store.
//
// How the indexes stay small: heads_ready, heads_due and heads_live hold jobs that have not ended,
// heads_bad those that ended badly, tasks_open tasks that have not.
var migrations = []migration{{"make the tables of jobs, outbox, data stores, revisions, workers, claims and leases", `
CREATE TABLE jobs (
	id uuid PRIMARY KEY,
	parent uuid,
	blueprint bytea NOT NULL,
	client bytea NOT NULL,
	f smallint NOT NULL,
	initial bytea
);
CREATE INDEX jobs_parent ON jobs(parent, id) WHERE parent IS NOT NULL;
CREATE INDEX jobs_blueprint ON jobs(blueprint, id);
CREATE INDEX jobs_client ON jobs(client, id) WHERE client<>''::bytea;

CREATE TABLE heads (
	id uuid PRIMARY KEY,
	version bigint NOT NULL,
	due bigint,
	shard smallint NOT NULL,
	status smallint NOT NULL,
	was smallint NOT NULL,
	f smallint NOT NULL,
	ready boolean NOT NULL,
	body bytea NOT NULL,
	history bytea
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_insert_scale_factor=0.2);
CREATE INDEX heads_ready ON heads(id, shard) WHERE ready;
CREATE INDEX heads_due ON heads(due, shard) WHERE due IS NOT NULL;
CREATE INDEX heads_live ON heads(id) WHERE status<9;
CREATE INDEX heads_bad ON heads(id) WHERE status>=10;

-- a row holds all records of one commit; n is the number of its last one
CREATE TABLE records (
	job uuid NOT NULL,
	n integer NOT NULL,
	f smallint NOT NULL,
	body bytea NOT NULL,
	PRIMARY KEY (job, n)
);

CREATE TABLE tasks (
	job uuid NOT NULL,
	due bigint,
	n integer NOT NULL,
	hand_out integer NOT NULL,
	shard smallint NOT NULL,
	state smallint NOT NULL,
	f smallint NOT NULL,
	open boolean NOT NULL,
	body bytea NOT NULL,
	PRIMARY KEY (job, n)
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.05);
CREATE INDEX tasks_open ON tasks(due, shard, state) WHERE open;

CREATE TABLE results (
	job uuid NOT NULL,
	grp bigint NOT NULL,
	task_id bytea NOT NULL,
	f smallint NOT NULL,
	body bytea NOT NULL,
	PRIMARY KEY (job, grp, task_id)
);

CREATE TABLE progress (
	job uuid NOT NULL,
	task_id bytea NOT NULL,
	k bigint GENERATED ALWAYS AS IDENTITY,
	f smallint NOT NULL,
	body bytea NOT NULL,
	PRIMARY KEY (job, task_id, k)
);

CREATE TABLE outbox (
	id bytea PRIMARY KEY,
	k bigint GENERATED ALWAYS AS IDENTITY,
	due bigint NOT NULL,
	shard smallint NOT NULL,
	f smallint NOT NULL,
	body bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor=0.05);
CREATE INDEX outbox_due ON outbox(due, k);

CREATE TABLE data_stores (
	blueprint bytea NOT NULL,
	store bytea NOT NULL,
	key bytea NOT NULL,
	version bigint NOT NULL,
	body bytea NOT NULL,
	PRIMARY KEY (blueprint, store, key)
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.05);
CREATE SEQUENCE value_versions;

-- head is body without the texts of the files
CREATE TABLE revisions (
	hash bytea PRIMARY KEY,
	used bigint NOT NULL,
	f smallint NOT NULL,
	head bytea NOT NULL,
	body bytea NOT NULL
);
CREATE TABLE source_files (
	name bytea PRIMARY KEY,
	f smallint NOT NULL,
	body bytea NOT NULL
);

CREATE TABLE workers (
	id bytea PRIMARY KEY,
	seen bigint NOT NULL,
	body bytea NOT NULL
);

CREATE TABLE claims (
	key bytea PRIMARY KEY,
	until bigint,
	value bytea NOT NULL
);
CREATE INDEX claims_until ON claims(until) WHERE until IS NOT NULL;

-- how many jobs have the status k: the sum over the slots, so that writers need not wait for
-- each other
CREATE TABLE numbers (
	slot smallint NOT NULL,
	k smallint NOT NULL,
	n bigint NOT NULL,
	PRIMARY KEY (slot, k)
) WITH (fillfactor=20);

CREATE TABLE leases (
	name text COLLATE "C" PRIMARY KEY,
	holder text COLLATE "C" NOT NULL,
	fence bigint NOT NULL,
	until timestamptz NOT NULL,
	info bytea NOT NULL
) WITH (fillfactor=20);

CREATE FUNCTION must(holds boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF holds THEN
		RETURN true;
	END IF;
	RAISE EXCEPTION 'orrery: a change was built on what is no longer so; it is looked at again one by one' USING ERRCODE = 'ORR01';
END $$;

CREATE VIEW readable AS
	SELECT h.id, h.status, convert_from(j.blueprint, 'UTF8') AS blueprint, convert_from(h.body, 'UTF8')::json AS job,
		convert_from(h.history, 'UTF8')::json AS state_history
	FROM heads h JOIN jobs j ON j.id = h.id;
`}}

// migration leads from one schema version to the next.
type migration struct {
	about string // what it does, for people
	text  string // its statements
}

// guardFailed is the code of the exception that must raises.
const guardFailed = "ORR01"

// numberSlots is how many rows each number is spread over.
const numberSlots = 256

// statusCodes number the statuses in heads.status: from 9 on a job has ended, from 10 on badly.
// The numbers are kept in databases, so they never change.
var statusCodes = map[job.Status]int16{
	job.Pending: 1, job.Running: 2, job.WaitingWorker: 3, job.WaitingParallel: 4, job.WaitingHuman: 5,
	job.WaitingSubJob: 6, job.WaitingTimer: 7, job.AwaitingRetry: 8,
	job.Finished: 9, job.Failed: 10, job.Cancelled: 11, job.Quarantined: 12,
}

const (
	firstEnded = 9
	firstBad   = 10
)

// The numbers of task states in tasks.state.
var taskCodes = map[job.TaskState]int16{
	job.TaskQueued: 1, job.TaskLeased: 2, job.TaskRetry: 3, job.TaskDone: 4, job.TaskClosed: 5,
}

const codeClosed = 5

// maxPart is the highest number of a job's record or task, as in the other stores.
const maxPart = 1<<24 - 1
