package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file gives all rows, for a move to another store.

var _ store.Movable = (*Store)(nil)

// Export reads in one transaction, so in one view, on a connection of its own, which may take the
// time that the receiver needs. Rows are passed on as they come, in the order of an index, so
// that neither side gathers them.
func (s *Store) Export(ctx context.Context, fn func(store.Row) error) (err error) {
	if err := s.Sync(ctx); err != nil {
		return err
	}
	conf := s.conf.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"} {
		delete(conf.RuntimeParams, limit)
	}
	c, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return s.readFault(ctx, err)
	}
	defer c.Close(context.WithoutCancel(ctx)) // it was only read
	err = pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		e := &export{ctx: ctx, tx: tx, fn: fn}
		for _, part := range []func() error{e.beside, e.values, e.jobs, e.parts, e.results, e.messages} {
			if err := part(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("export: %w", s.readFault(ctx, err))
	}
	return nil
}

// export is one pass over the tables.
type export struct {
	ctx context.Context
	tx  pgx.Tx
	fn  func(store.Row) error
}

// rows runs a statement and passes on what read makes of each row. What the receiver says is not
// the server's error.
func (e *export) rows(text string, read func(r pgx.Rows) (store.Row, error)) error {
	rows, err := e.tx.Query(e.ctx, text)
	if err != nil {
		return err
	}
	return each(rows, func() error {
		row, err := read(rows)
		if err == nil {
			if err = e.fn(row); err != nil {
				err = &ours{err}
			}
		}
		return err
	})
}

func (e *export) beside() error {
	err := e.rows("SELECT f, body, used FROM revisions ORDER BY hash", func(r pgx.Rows) (store.Row, error) {
		var f int16
		var body []byte
		var used int64
		if err := r.Scan(&f, &body, &used); err != nil {
			return nil, err
		}
		var row store.RevisionRow
		err := decode(f, body, &row.Revision)
		row.Revision.Used = fromMillis(used)
		return row, err
	})
	if err == nil {
		err = e.rows("SELECT f, body FROM source_files ORDER BY name", func(r pgx.Rows) (store.Row, error) {
			var row store.FileRow
			err := scanInto(r, &row.File)
			return row, err
		})
	}
	if err == nil {
		err = e.rows("SELECT id, seen, body FROM workers ORDER BY id", func(r pgx.Rows) (store.Row, error) {
			var id, body []byte
			var seen int64
			err := r.Scan(&id, &seen, &body)
			return store.WorkerRow{ID: string(id), Seen: fromMillis(seen), Body: json.RawMessage(body)}, err
		})
	}
	if err != nil {
		return err
	}
	return e.rows("SELECT key, until, value FROM claims ORDER BY key", func(r pgx.Rows) (store.Row, error) {
		var key, value []byte
		var until *int64
		err := r.Scan(&key, &until, &value)
		row := store.ClaimRow{Key: string(key), Value: value}
		if until != nil {
			end := fromMillis(*until)
			row.Until = &end
		}
		return row, err
	})
}

func (e *export) values() error {
	err := e.rows("SELECT blueprint, store, key, version, body FROM data_stores", func(r pgx.Rows) (store.Row, error) {
		var blueprint, name, key, body []byte
		var row store.ValueRow
		err := r.Scan(&blueprint, &name, &key, &row.Value.Version, &body)
		row.Blueprint, row.Store, row.Value.Key, row.Value.Text = string(blueprint), string(name), string(key), json.RawMessage(body)
		return row, err
	})
	if err != nil {
		return err
	}
	return e.rows("SELECT last_value FROM value_versions WHERE is_called", func(r pgx.Rows) (store.Row, error) {
		var row store.VersionRow
		err := r.Scan(&row.Newest)
		return row, err
	})
}

// jobs gives every job with its data, oldest first. Both halves of a job must be there.
func (e *export) jobs() error {
	halves := func(r pgx.Rows) (store.Row, error) {
		var id uuid
		err := r.Scan(&id)
		if err == nil {
			err = &ours{fmt.Errorf("half of job %s is missing: the tables heads and jobs do not fit together; restore a backup", spell(id))}
		}
		return nil, err
	}
	for _, text := range []string{
		"SELECT id FROM jobs j WHERE NOT EXISTS (SELECT 1 FROM heads h WHERE h.id=j.id) LIMIT 1",
		"SELECT id FROM heads h WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id=h.id) LIMIT 1",
	} {
		if err := e.rows(text, halves); err != nil {
			return err
		}
	}
	return e.rows("SELECT h.f, h.body, h.history, j.f, j.initial FROM heads h JOIN jobs j ON j.id=h.id ORDER BY h.id", func(r pgx.Rows) (store.Row, error) {
		var f, cold int16
		var body, history, initial []byte
		if err := r.Scan(&f, &body, &history, &cold, &initial); err != nil {
			return nil, err
		}
		row := store.JobRow{Data: store.Data{Initial: store.Object(json.RawMessage(initial)), History: store.Object(json.RawMessage(history))}}
		if err := store.CheckFormat(int64(cold)); err != nil {
			return nil, &ours{err}
		}
		err := decode(f, body, &row.Job)
		return row, err
	})
}

// parts gives histories and tasks.
func (e *export) parts() error {
	err := e.rows("SELECT job, f, body FROM records ORDER BY job, n", func(r pgx.Rows) (store.Row, error) {
		var row store.RecordRow
		err := e.part(r, &row.JobID, &row.Records)
		return row, err
	})
	if err != nil {
		return err
	}
	return e.rows("SELECT f, body, state FROM tasks ORDER BY job, n", func(r pgx.Rows) (store.Row, error) {
		t, err := readTask(r)
		return store.TaskRow{Task: t}, err
	})
}

// results gives what the branches of jobs brought, and progress in order of arrival.
func (e *export) results() error {
	err := e.rows("SELECT job, f, body FROM results", func(r pgx.Rows) (store.Row, error) {
		var row store.ResultRow
		err := e.part(r, &row.JobID, &row.Result)
		return row, err
	})
	if err != nil {
		return err
	}
	return e.rows("SELECT job, f, body FROM progress ORDER BY job, k", func(r pgx.Rows) (store.Row, error) {
		var row store.ProgressRow
		err := e.part(r, &row.JobID, &row.Progress)
		return row, err
	})
}

func (e *export) messages() error {
	return e.rows("SELECT f, body FROM outbox ORDER BY k", func(r pgx.Rows) (store.Row, error) {
		var m job.Message
		err := scanInto(r, &m)
		return store.MessageRow{Message: m}, err
	})
}

// part reads a row of job, format and text.
func (e *export) part(r pgx.Rows, id *string, v any) error {
	var of uuid
	var f int16
	var body []byte
	if err := r.Scan(&of, &f, &body); err != nil {
		return err
	}
	*id = spell(of)
	return decode(f, body, v)
}

// scanInto reads a row of format and text.
func scanInto(r pgx.Rows, v any) error {
	var f int16
	var body []byte
	if err := r.Scan(&f, &body); err != nil {
		return err
	}
	return decode(f, body, v)
}

// Empty looks for anything at all.
func (s *Store) Empty(ctx context.Context) (empty bool, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		return p.QueryRow(ctx, `SELECT NOT (EXISTS (SELECT 1 FROM jobs) OR EXISTS (SELECT 1 FROM heads) OR EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM data_stores)
		OR EXISTS (SELECT 1 FROM revisions) OR EXISTS (SELECT 1 FROM source_files) OR EXISTS (SELECT 1 FROM workers)
		OR EXISTS (SELECT 1 FROM claims WHERE substr(key, 1, $1)<>$2))`, len(store.MoveClaim), []byte(store.MoveClaim)).Scan(&empty)
	})
	return empty, err
}
