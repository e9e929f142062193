package postgres

// This file holds the statements of a batch. Their parameters are columns; c is the row that a
// place in them makes.

// countChanges adds what the rows of changed (was, status) do to the numbers; 0 is no status.
// $9 is the slot.
const countChanges = `, moved AS (
	SELECT k, sum(d) AS d FROM (SELECT was AS k, -1 AS d FROM changed UNION ALL SELECT status, 1 FROM changed) x WHERE k<>0 GROUP BY k HAVING sum(d)<>0 ORDER BY k
), counted AS (
	INSERT INTO numbers(slot, k, n) SELECT $9::int2, k, d FROM moved ON CONFLICT (slot, k) DO UPDATE SET n=numbers.n+excluded.n
) SELECT must(count(*)=$10::int8) FROM changed`

const updateHeads = `WITH changed AS (
	UPDATE heads h SET version=c.base+1, was=h.status, status=c.status, ready=c.ready, due=c.due, f=$8::int2, body=c.body, history=COALESCE(c.history, h.history)
	FROM unnest($1::uuid[], $2::int8[], $3::int2[], $4::bool[], $5::int8[], $6::bytea[], $7::bytea[]) AS c(id, base, status, ready, due, body, history)
	WHERE h.id=c.id AND h.version=c.base RETURNING h.was, h.status
)` + countChanges

const insertHeads = `WITH changed AS (
	INSERT INTO heads(id, version, due, shard, status, was, f, ready, body, history)
	SELECT id, 1, due, shard, status, 0, $8::int2, ready, body, history
	FROM unnest($1::uuid[], $2::int2[], $3::int2[], $4::bool[], $5::int8[], $6::bytea[], $7::bytea[]) AS c(id, shard, status, ready, due, body, history)
	ON CONFLICT (id) DO NOTHING RETURNING was, status
)` + countChanges

// importHeads keeps the versions that the jobs had in another store, $11.
const importHeads = `WITH changed AS (
	INSERT INTO heads(id, version, due, shard, status, was, f, ready, body, history)
	SELECT id, version, due, shard, status, 0, $8::int2, ready, body, history
	FROM unnest($1::uuid[], $2::int2[], $3::int2[], $4::bool[], $5::int8[], $6::bytea[], $7::bytea[], $11::int8[]) AS c(id, shard, status, ready, due, body, history, version)
	RETURNING was, status
)` + countChanges

const importClaims = `INSERT INTO claims(key, until, value) SELECT key, until, value FROM unnest($1::bytea[], $2::int8[], $3::bytea[]) AS c(key, until, value)`

// raiseVersions makes the next version that the schema gives by itself one above $1, or more.
const raiseVersions = `SELECT setval('value_versions', $1::int8) FROM value_versions WHERE last_value<$1::int8 OR NOT is_called AND last_value<=$1::int8`

const insertJobs = `INSERT INTO jobs(id, parent, blueprint, client, f, initial)
	SELECT id, parent, blueprint, client, $6::int2, initial
	FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[]) AS c(id, parent, blueprint, client, initial)`

const insertRecords = `INSERT INTO records(job, n, f, body)
	SELECT job, n, $4::int2, body FROM unnest($1::uuid[], $2::int4[], $3::bytea[]) AS c(job, n, body)`

const closeTasks = `UPDATE tasks t SET open=false, state=5, due=NULL FROM unnest($1::uuid[]) AS c(job) WHERE t.job=c.job AND t.open`

const putTasks = `INSERT INTO tasks(job, n, hand_out, shard, state, open, due, f, body)
	SELECT job, n, hand_out, shard, state, open, due, $9::int2, body
	FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int2[], $5::int2[], $6::bool[], $7::int8[], $8::bytea[]) AS c(job, n, hand_out, shard, state, open, due, body)
	ON CONFLICT (job, n) DO UPDATE SET hand_out=excluded.hand_out, state=excluded.state, open=excluded.open, due=excluded.due, f=excluded.f, body=excluded.body`

// putHandOuts drops those that are not the next one of a queued task.
const putHandOuts = `UPDATE tasks t SET hand_out=c.hand_out, state=c.state, open=c.open, due=c.due, f=$8::int2, body=c.body
	FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int2[], $5::bool[], $6::int8[], $7::bytea[]) AS c(job, n, hand_out, state, open, due, body)
	WHERE t.job=c.job AND t.n=c.n AND t.state=1 AND t.hand_out=c.hand_out-1`

const putResults = `INSERT INTO results(job, grp, task_id, f, body)
	SELECT job, grp, task_id, $5::int2, body FROM unnest($1::uuid[], $2::int8[], $3::bytea[], $4::bytea[]) AS c(job, grp, task_id, body)
	ON CONFLICT (job, grp, task_id) DO UPDATE SET f=excluded.f, body=excluded.body`

const insertProgress = `INSERT INTO progress(job, task_id, f, body)
	SELECT job, task_id, $4::int2, body FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS c(job, task_id, body, nth)
	WHERE EXISTS (SELECT 1 FROM heads h WHERE h.id=c.job) ORDER BY nth`

const trimProgress = `DELETE FROM progress p USING (SELECT DISTINCT job, task_id FROM unnest($1::uuid[], $2::bytea[]) AS u(job, task_id)) c
	WHERE p.job=c.job AND p.task_id=c.task_id AND p.k<=
		(SELECT o.k FROM progress o WHERE o.job=c.job AND o.task_id=c.task_id ORDER BY o.k DESC OFFSET $3::int8 LIMIT 1)`

const trimJobs = `DELETE FROM progress p USING (
		SELECT job, (SELECT o.k FROM progress o WHERE o.job=u.job ORDER BY o.k DESC OFFSET $3::int8 LIMIT 1) AS k
		FROM (SELECT DISTINCT job FROM unnest($1::uuid[]) AS a(job)) u WHERE (SELECT count(*) FROM progress o WHERE o.job=u.job)>$2::int8) c
	WHERE p.job=c.job AND p.k<=c.k`

const insertOutbox = `INSERT INTO outbox(id, due, shard, f, body)
	SELECT id, due, shard, $5::int2, body FROM unnest($1::bytea[], $2::int8[], $3::int2[], $4::bytea[]) WITH ORDINALITY AS c(id, due, shard, body, nth)
	ORDER BY nth ON CONFLICT (id) DO NOTHING`

const postponeOutbox = `UPDATE outbox o SET due=c.due, f=$4::int2, body=c.body
	FROM unnest($1::bytea[], $2::int8[], $3::bytea[]) AS c(id, due, body) WHERE o.id=c.id`

const deleteOutbox = `DELETE FROM outbox o USING unnest($1::bytea[]) AS c(id) WHERE o.id=c.id`

// putValues keeps a value under its version, or gives it one that was never used before in this
// schema: a key that is deleted and written again is not what a step read earlier.
const putValues = `INSERT INTO data_stores(blueprint, store, key, version, body)
	SELECT blueprint, store, key, COALESCE(NULLIF(version, 0), nextval('value_versions')), body
	FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[], $5::bytea[]) AS c(blueprint, store, key, version, body)
	ON CONFLICT (blueprint, store, key) DO UPDATE SET version=excluded.version, body=excluded.body`

const deleteValues = `DELETE FROM data_stores d USING unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS c(blueprint, store, key)
	WHERE d.blueprint=c.blueprint AND d.store=c.store AND d.key=c.key`

// lockValues makes those who use the same data stores wait for each other: a row that is not
// there yet could not be locked.
const lockValues = `SELECT pg_advisory_xact_lock($2::int4, c.k) FROM unnest($1::int4[]) AS c(k)`

const checkReads = `SELECT must(count(*)=0) FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[]) AS c(blueprint, store, key, version)
	LEFT JOIN data_stores d ON d.blueprint=c.blueprint AND d.store=c.store AND d.key=c.key WHERE COALESCE(d.version, 0)<>c.version`

// lockFences is shared by all who commit on a fence; taking a lease over waits until they are
// done. It is a statement of its own, so that the next one sees what was taken over before.
const lockFences = `SELECT pg_advisory_xact_lock_shared($1::int4, 0)`

const checkFences = `SELECT must(count(*)=cardinality($1::text[])) FROM unnest($1::text[], $2::int8[]) AS c(name, fence)
	JOIN leases l ON l.name=c.name AND l.fence=c.fence AND l.holder<>''`
