package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file gives all rows, for a move to another store.

var _ store.Movable = (*Store)(nil)

// Export reads in one transaction, so in one view.
func (s *Store) Export(ctx context.Context, fn func(store.Row) error) error {
	if err := s.Sync(ctx); err != nil {
		return err
	}
	err := s.read(ctx, func(c *conn) (err error) {
		if err := c.script("BEGIN"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.script("ROLLBACK")) }()
		e := &export{c: c, fn: func(r store.Row) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return fn(r)
		}}
		for _, part := range []func() error{e.beside, e.values, e.jobs, e.messages} {
			if err := part(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("export %s: %w", s.path, err)
	}
	return nil
}

// export is one pass over the file.
type export struct {
	c  *conn
	fn func(store.Row) error
}

func (e *export) beside() error {
	err := e.c.each("SELECT f, body, used FROM revisions ORDER BY hash", func(r row) error {
		var rev store.RevisionRow
		if err := readRevision(r, &rev.Revision); err != nil {
			return err
		}
		return e.fn(rev)
	})
	if err != nil {
		return err
	}
	err = e.c.each("SELECT f, body FROM source_files ORDER BY name", func(r row) error {
		var f store.FileRow
		if err := store.Decode(r.int(0), r.text(1), &f.File); err != nil {
			return err
		}
		return e.fn(f)
	})
	if err != nil {
		return err
	}
	err = e.c.each("SELECT id, seen, body FROM workers ORDER BY id", func(r row) error {
		return e.fn(store.WorkerRow{ID: r.text(0), Seen: fromMillis(r.int(1)), Body: json.RawMessage(r.text(2))})
	})
	if err != nil {
		return err
	}
	return e.c.each("SELECT key, until, value FROM claims ORDER BY key", func(r row) error {
		c := store.ClaimRow{Key: r.text(0), Value: bytes.Clone(r.blob(2))}
		if r[1] != nil {
			until := fromMillis(r.int(1))
			c.Until = &until
		}
		return e.fn(c)
	})
}

func (e *export) values() error {
	err := e.c.each("SELECT blueprint, store, key, version, body FROM data_stores", func(r row) error {
		return e.fn(store.ValueRow{Blueprint: r.text(0), Store: r.text(1), Value: store.Value{Key: r.text(2), Version: r.int(3), Text: json.RawMessage(r.text(4))}})
	})
	if err != nil {
		return err
	}
	newest, ok, err := e.c.one("SELECT n FROM numbers WHERE k=?", int64(valueNumber))
	if err != nil || !ok || newest.int(0) == 0 {
		return err
	}
	return e.fn(store.VersionRow{Newest: newest.int(0)})
}

// exportPage is the number of job rows that are read at once.
const exportPage = 200

// jobs gives every job with its parts, oldest first. The connection runs one statement of a
// text at a time, so a page of rows is read before their parts are.
func (e *export) jobs() error {
	type found struct {
		seq  int64
		job  job.Job
		data inlined
		fail error
	}
	for after := int64(0); ; {
		var page []found
		err := e.c.each("SELECT seq, f, body, initial, history FROM jobs WHERE seq>? ORDER BY seq LIMIT ?", func(r row) error {
			f := found{seq: r.int(0)}
			f.fail = store.Decode(r.int(1), r.text(2), &f.job)
			f.data = inlined{r[3], r[4]}
			page = append(page, f)
			return f.fail
		}, after, int64(exportPage))
		if err != nil {
			return err
		}
		for _, f := range page {
			if err := e.job(f.seq, f.job, f.data); err != nil {
				return fmt.Errorf("job %s: %w", f.job.ID, err)
			}
			after = f.seq
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

// inlined are the data that stand in a job's row; nil: they are among its parts, or empty.
type inlined struct{ initial, history driver.Value }

// job gives one job. Its data are in its row or the first of its parts, and go with its row.
func (e *export) job(seq int64, j job.Job, in inlined) error {
	head, given := store.JobRow{Job: j, Data: store.Data{Initial: json.RawMessage("{}"), History: json.RawMessage("{}")}}, false
	if text, ok := in.initial.(string); ok {
		head.Data.Initial = json.RawMessage(text)
	}
	if text, ok := in.history.(string); ok {
		head.Data.History = json.RawMessage(text)
	}
	give := func() error {
		if given {
			return nil
		}
		given = true
		return e.fn(head)
	}
	err := e.c.each("SELECT k, state, f, body FROM parts WHERE k BETWEEN ? AND ? ORDER BY k", func(r row) (err error) {
		switch kind(r.int(0) >> numberBits & 3) {
		case initialData:
			if in.initial != nil {
				return nil
			}
			head.Data.Initial, err = data(r.int(2), r.text(3))
			return err
		case stateHistory:
			if in.history != nil {
				return nil // what is there is older
			}
			head.Data.History, err = data(r.int(2), r.text(3))
			return err
		case taskPart:
			t, err := readTask(row{r[2], r[3], r[1]})
			if err != nil {
				return err
			}
			if err := give(); err != nil {
				return err
			}
			return e.fn(store.TaskRow{Task: t})
		}
		var records []job.Record
		if err := store.Decode(r.int(2), r.text(3), &records); err != nil {
			return err
		}
		if err := give(); err != nil {
			return err
		}
		return e.fn(store.RecordRow{JobID: j.ID, Records: records})
	}, partKey(seq, initialData, 0), partKey(seq, recordPart, maxPart))
	if err != nil {
		return err
	}
	if err := give(); err != nil {
		return err
	}
	return e.resultsAndProgress(seq, j.ID)
}

func (e *export) resultsAndProgress(seq int64, id string) error {
	err := e.c.each("SELECT f, body FROM results WHERE job=? ORDER BY grp, task_id", func(r row) error {
		res := store.ResultRow{JobID: id}
		if err := store.Decode(r.int(0), r.text(1), &res.Result); err != nil {
			return err
		}
		return e.fn(res)
	}, seq)
	if err != nil {
		return err
	}
	return e.c.each("SELECT f, body FROM progress WHERE job=? ORDER BY k", func(r row) error {
		p := store.ProgressRow{JobID: id}
		if err := store.Decode(r.int(0), r.text(1), &p.Progress); err != nil {
			return err
		}
		return e.fn(p)
	}, seq)
}

func (e *export) messages() error {
	return e.c.each("SELECT f, body FROM outbox ORDER BY k", func(r row) error {
		var m job.Message
		if err := store.Decode(r.int(0), r.text(1), &m); err != nil {
			return err
		}
		return e.fn(store.MessageRow{Message: m})
	})
}

// Empty looks for anything at all.
func (s *Store) Empty(ctx context.Context) (empty bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		r, _, err := c.one(`SELECT EXISTS (SELECT 1 FROM jobs) OR EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM data_stores)
			OR EXISTS (SELECT 1 FROM revisions) OR EXISTS (SELECT 1 FROM source_files) OR EXISTS (SELECT 1 FROM workers) OR EXISTS (SELECT 1 FROM numbers WHERE k>=0)
			OR EXISTS (SELECT 1 FROM claims WHERE substr(key, 1, ?)<>?)`, int64(len(store.MoveClaim)), store.MoveClaim)
		empty = err == nil && r.int(0) == 0
		return err
	})
	return empty, err
}
