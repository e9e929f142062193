package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file takes rows from another store.

// Import writes a piece in one transaction, each kind of row as one statement where there may be
// many of them. A row that is there already fails the piece.
func (s *Store) Import(ctx context.Context, rows []store.Row) error {
	in := &imported{columns: columns{locks: s.locks}}
	for _, r := range rows {
		if err := in.add(r); err != nil {
			return fmt.Errorf("import %s: %w", r.Kind(), err)
		}
	}
	var b pgx.Batch
	in.queueAll(&b)
	if b.Len() == 0 {
		return nil
	}
	return s.once(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		err := p.SendBatch(ctx, &b).Close()
		if code(err) == uniqueViolation {
			return &ours{fmt.Errorf("import: a row is there already: %w", err)}
		}
		return err
	})
}

// imported are the rows of a piece, by table.
type imported struct {
	columns
	versions []int64 // of the jobs in fresh
	claims   struct {
		key, value [][]byte
		until      []pgtype.Int8
	}
	few    []func(b *pgx.Batch) // rows of kinds that are few
	newest int64                // version of a value
}

func (in *imported) add(r store.Row) error {
	switch r := r.(type) {
	case store.JobRow:
		return in.job(r)
	case store.ClaimRow:
		c := &in.claims
		c.key, c.value = append(c.key, []byte(r.Key)), append(c.value, append([]byte{}, r.Value...))
		c.until = append(c.until, millis(r.Until))
	case store.ValueRow:
		v := &in.values
		v.blueprint, v.store, v.key = append(v.blueprint, []byte(r.Blueprint)), append(v.store, []byte(r.Store)), append(v.key, []byte(r.Value.Key))
		v.version, v.body = append(v.version, r.Value.Version), append(v.body, []byte(r.Value.Text))
	case store.VersionRow:
		in.newest = max(in.newest, r.Newest)
	case store.MessageRow:
		return in.message(&r.Message)
	case store.RevisionRow, store.FileRow, store.WorkerRow:
		return in.beside(r)
	default:
		return in.part(r)
	}
	return nil
}

// job goes the way of a new job, so that what is derived from its row stands as well.
func (in *imported) job(r store.JobRow) error {
	c := &job.Change{Job: r.Job}
	if string(r.Data.Initial) != "{}" {
		c.InitialData = r.Data.Initial
	}
	if string(r.Data.History) != "{}" {
		c.StateHistory = r.Data.History
	}
	p, err := planTo(c)
	if err != nil {
		return err
	}
	in.change(p)
	in.versions = append(in.versions, r.Job.Version)
	return nil
}

func (in *imported) message(m *job.Message) error {
	body, err := store.Encode(m)
	id, ok := job.ParseID(m.JobID)
	if err != nil || !ok {
		return fmt.Errorf("message %s of job %q: %w", m.ID, m.JobID, err)
	}
	o := &in.outbox
	o.id, o.body = append(o.id, []byte(m.ID)), append(o.body, []byte(body))
	o.due, o.shard = append(o.due, messageDue(m)), append(o.shard, shardOf(id))
	return nil
}

// beside takes rows that stand by themselves.
func (in *imported) beside(r store.Row) error {
	var body, head string
	var err error
	switch r := r.(type) {
	case store.RevisionRow:
		bare := r.Revision
		bare.Files = nil
		if head, err = store.Encode(&bare); err == nil {
			body, err = store.Encode(&r.Revision)
		}
		in.row("INSERT INTO revisions(hash, used, f, head, body) VALUES($1, $2, $3, $4, $5)",
			[]byte(r.Revision.Hash), r.Revision.LastUse().UnixMilli(), formatNow, []byte(head), []byte(body))
	case store.FileRow:
		body, err = store.Encode(&r.File)
		in.row("INSERT INTO source_files(name, f, body) VALUES($1, $2, $3)", []byte(r.File.Name), formatNow, []byte(body))
	case store.WorkerRow:
		seen := int64(0)
		if !r.Seen.IsZero() {
			seen = r.Seen.UnixMilli()
		}
		in.row("INSERT INTO workers(id, seen, body) VALUES($1, $2, $3)", []byte(r.ID), seen, []byte(r.Body))
	}
	return err
}

func (in *imported) row(text string, args ...any) {
	in.few = append(in.few, func(b *pgx.Batch) { b.Queue(text, args...) })
}

// part takes a row that belongs to a job.
func (in *imported) part(r store.Row) error {
	var of, body string
	var err error
	var put func(id uuid)
	switch r := r.(type) {
	case store.RecordRow:
		last := r.Records[len(r.Records)-1].N
		if last < 1 || last > maxPart {
			return fmt.Errorf("record %d of job %s: a job can keep %d of them", last, r.JobID, maxPart)
		}
		of = r.JobID
		body, err = store.Encode(r.Records)
		put = func(id uuid) {
			c := &in.records
			c.job, c.n, c.body = append(c.job, id), append(c.n, int32(last)), append(c.body, []byte(body))
		}
	case store.TaskRow:
		t := r.Task
		if taskCodes[t.State] == 0 || t.N > maxPart {
			return fmt.Errorf("job %s: task %d has the unknown state %q or too high a number", t.JobID, t.N, t.State)
		}
		of = t.JobID
		body, err = store.Encode(&t)
		put = func(id uuid) { in.tasks.add(&taskRow{id, &t, taskDue(&t), []byte(body)}) }
	case store.ResultRow:
		of = r.JobID
		body, err = store.Encode(&r.Result)
		put = func(id uuid) {
			c := &in.results
			c.job, c.grp = append(c.job, id), append(c.grp, r.Result.Group)
			c.task, c.body = append(c.task, []byte(r.Result.TaskID)), append(c.body, []byte(body))
		}
	case store.ProgressRow:
		of = r.JobID
		body, err = store.Encode(&r.Progress)
		put = func(id uuid) {
			c := &in.progress
			c.job, c.task, c.body = append(c.job, id), append(c.task, []byte(r.Progress.TaskID)), append(c.body, []byte(body))
		}
	default:
		return fmt.Errorf("this Orrery does not know the row %T", r)
	}
	id, ok := job.ParseID(of)
	if err == nil && !ok {
		err = fmt.Errorf("%q is no job id", of)
	}
	if err == nil {
		put(id)
	}
	return err
}

// queueAll adds the statements; sent together they are one transaction.
func (in *imported) queueAll(b *pgx.Batch) {
	if h := &in.fresh; len(h.id) > 0 {
		b.Queue(importHeads, h.id, h.shard, h.status, h.ready, h.due, h.body, h.history, formatNow, in.slot, len(h.id), in.versions)
		b.Queue(insertJobs, in.cold.id, in.cold.parent, in.cold.blueprint, in.cold.client, in.cold.initial, formatNow)
	}
	if c := &in.claims; len(c.key) > 0 {
		b.Queue(importClaims, c.key, c.until, c.value)
	}
	for _, queue := range in.few {
		queue(b)
	}
	if in.newest > 0 {
		b.Queue(raiseVersions, in.newest)
	}
	in.fresh = headColumns{} // their versions are not those of new jobs
	in.queue(b)
}
