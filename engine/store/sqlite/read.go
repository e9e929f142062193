package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads single jobs and their parts.

// read runs fn on a connection for reading. Every statement sees what was committed before
// read was called, and read returns when what it saw is durable; fn must not keep the
// connection.
func (s *Store) read(ctx context.Context, fn func(c *conn) error) error {
	return s.readOf(ctx, nil, fn)
}

// readOf is read for what is written with one job; id nil stands for all jobs.
func (s *Store) readOf(ctx context.Context, id *[16]byte, fn func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var c *conn
	select {
	case <-s.closing:
		return store.ErrClosed
	default:
	}
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return store.ErrClosed
	}
	defer func() { s.readers <- c }()
	through := id != nil && s.syncer.hides(*id)
	if id == nil {
		err := s.see(ctx)
		if err != nil && !passing(err) {
			return err
		}
		through = err != nil
	}
	if through {
		if err := s.lookThrough(ctx, id, fn); err != nil {
			return s.damage(err)
		}
		return s.syncer.settle(ctx)
	}
	if c == nil {
		fresh, err := s.openReader()
		if err != nil {
			return fmt.Errorf("read %s: %w", s.path, s.damage(err))
		}
		c = fresh
	}
	if err := fn(c); err != nil {
		return s.damage(err)
	}
	return s.syncer.settle(ctx)
}

func (s *Store) openReader() (*conn, error) {
	c, err := dial(s.path)
	if err != nil {
		return nil, err
	}
	if err := c.script("PRAGMA busy_timeout=5000; PRAGMA query_only=1; PRAGMA cache_size=-1000"); err != nil {
		return nil, fmt.Errorf("%w (closing: %v)", err, c.close())
	}
	return c, nil
}

func missing(id string) error { return fmt.Errorf("job %s: %w", id, store.ErrNotFound) }

// readJob runs fn with the number of a job that exists.
func (s *Store) readJob(ctx context.Context, id string, fn func(c *conn, seq int64) error) error {
	key, ok := job.ParseID(id)
	if !ok {
		return missing(id)
	}
	return s.readOf(ctx, &key, func(c *conn) error {
		r, ok, err := c.one("SELECT seq FROM jobs WHERE id=?", key[:])
		if err != nil {
			return fmt.Errorf("read job %s: %w", id, err)
		}
		if !ok {
			return missing(id)
		}
		return fn(c, r.int(0))
	})
}

// Job gives the row.
func (s *Store) Job(ctx context.Context, id string) (*job.Job, error) {
	key, ok := job.ParseID(id)
	if !ok {
		return nil, missing(id)
	}
	j := new(job.Job)
	err := s.readOf(ctx, &key, func(c *conn) error {
		r, ok, err := c.one("SELECT f, body FROM jobs WHERE id=?", key[:])
		if err != nil {
			return fmt.Errorf("read job %s: %w", id, err)
		}
		if !ok {
			return missing(id)
		}
		if err := store.Decode(r.int(0), r.text(1), j); err != nil {
			return fmt.Errorf("read job %s: %w", id, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return j, nil
}

// Rows gives the rows of some jobs.
func (s *Store) Rows(ctx context.Context, ids []string) (out []job.Job, err error) {
	var passed store.Unreadable
	err = s.read(ctx, func(c *conn) error {
		for _, id := range ids {
			key, ok := job.ParseID(id)
			if !ok {
				continue
			}
			r, ok, err := c.one("SELECT f, body FROM jobs WHERE id=?", key[:])
			if err != nil {
				return fmt.Errorf("read job %s: %w", id, err)
			}
			if !ok {
				continue
			}
			var j job.Job
			if err := store.Decode(r.int(0), r.text(1), &j); err == nil {
				out = append(out, j)
			} else if err := passed.Pass(store.NameOfJob(id), err); err != nil {
				return err
			}
		}
		return nil
	})
	return out, cmp.Or(err, passed.Any())
}

// Load reads row and data with one statement, so in one view.
func (s *Store) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	var d store.Data
	key, ok := job.ParseID(id)
	if !ok {
		return nil, d, missing(id)
	}
	var found row
	err := s.readOf(ctx, &key, func(c *conn) (err error) {
		found, ok, err = c.one(`SELECT j.f, j.body, coalesce(j.initial, i.body), coalesce(j.history, h.body), coalesce(i.f, j.f), coalesce(h.f, j.f) FROM jobs j
			LEFT JOIN parts i ON j.initial IS NULL AND i.k=(j.seq<<26)
			LEFT JOIN parts h ON j.history IS NULL AND h.k=(j.seq<<26)+(1<<24) WHERE j.id=?`, key[:])
		return err
	})
	if err != nil {
		return nil, d, fmt.Errorf("load job %s: %w", id, err)
	}
	if !ok {
		return nil, d, missing(id)
	}
	j := new(job.Job)
	if err := store.Decode(found.int(0), found.text(1), j); err != nil { // the connection is free meanwhile
		return nil, d, fmt.Errorf("load job %s: %w", id, err)
	}
	d.Initial, err = data(found.int(4), found.text(2))
	if err == nil {
		d.History, err = data(found.int(5), found.text(3))
	}
	return j, d, err
}

// data reads an object that is kept as it came; an absent one is empty.
func data(format int64, text string) (json.RawMessage, error) {
	if text == "" {
		return json.RawMessage("{}"), nil
	}
	if err := store.CheckFormat(format); err != nil {
		return nil, err
	}
	return json.RawMessage(text), nil
}

// decodeInto gives a callback that decodes (f, body) rows and appends them.
func decodeInto[T any](out *[]T) func(r row) error {
	return func(r row) error {
		v, err := decoded[T](r)
		if err != nil {
			return err
		}
		*out = append(*out, v)
		return nil
	}
}

func decoded[T any](r row) (v T, err error) {
	err = store.Decode(r.int(0), r.text(1), &v)
	return v, err
}

// paged gives a page of what read gives take row by row, each with its text in the second
// column. read asks for one row more than limit.
func paged[T any](limit int, decode func(r row) (T, error), read func(take func(r row) error) error) (page []T, more bool, err error) {
	p := store.Part[T]{Limit: limit}
	err = read(func(r row) error {
		if more = p.Full(); more {
			return errEnough
		}
		v, err := decode(r)
		if err != nil {
			return err
		}
		p.Add(v, len(r.text(1)))
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return p.Rows, more, nil
}

// Records gives a part of the history.
func (s *Store) Records(ctx context.Context, id string, after int64, limit int) ([]job.Record, error) {
	var out []job.Record
	bytes := 0
	err := s.readJob(ctx, id, func(c *conn, seq int64) error {
		first := min(max(after, 0), maxPart-1) + 1
		return c.each("SELECT f, body FROM parts WHERE k BETWEEN ? AND ? ORDER BY k LIMIT ?", func(r row) error {
			if bytes > store.PageBytes {
				return errEnough
			}
			text := r.text(1)
			bytes += len(text)
			var batch []job.Record
			if err := store.Decode(r.int(0), text, &batch); err != nil {
				return err
			}
			for _, rec := range batch { // the first row may begin before what was asked for
				if rec.N > after && len(out) < limit {
					out = append(out, rec)
				}
			}
			return nil
		}, partKey(seq, recordPart, first), partKey(seq, recordPart, maxPart), int64(limit))
	})
	return out, err
}

// Results gives a part of the results of a group.
func (s *Store) Results(ctx context.Context, id string, group int64, after string, limit int) (page []job.Result, more bool, err error) {
	return paged(limit, decoded[job.Result], func(take func(r row) error) error {
		return s.readJob(ctx, id, func(c *conn, seq int64) error {
			return c.each("SELECT f, body FROM results WHERE job=? AND grp=? AND task_id>? ORDER BY task_id LIMIT ?", take, seq, group, after, int64(limit)+1)
		})
	})
}

// Progress gives the entries in order of arrival.
func (s *Store) Progress(ctx context.Context, id string) ([]store.Progress, error) {
	var out []store.Progress
	err := s.readJob(ctx, id, func(c *conn, seq int64) error {
		return c.each("SELECT f, body FROM progress WHERE job=? ORDER BY k", decodeInto(&out), seq)
	})
	return out, err
}

// Children gives the ids of a job's children.
func (s *Store) Children(ctx context.Context, id string) ([]string, error) {
	key, ok := job.ParseID(id)
	if !ok {
		return nil, missing(id)
	}
	var ids []string
	err := s.read(ctx, func(c *conn) error {
		_, ok, err := c.one("SELECT seq FROM jobs WHERE id=?", key[:])
		if err == nil && !ok {
			err = missing(id)
		}
		if err != nil {
			return err
		}
		return c.each("SELECT id FROM jobs WHERE parent=? ORDER BY id", func(r row) error {
			ids = append(ids, uuid(r.blob(0)))
			return nil
		}, key[:])
	})
	return ids, err
}

// taskColumns are what readTask reads.
const taskColumns = "SELECT f, body, state FROM parts "

// readTask decodes a task. A task that was closed with all the others keeps its old text.
func readTask(r row) (t job.Task, err error) {
	err = store.Decode(r.int(0), r.text(1), &t)
	if r.int(2) == codeClosed && t.State != job.TaskClosed {
		t.State, t.Due = job.TaskClosed, nil
	}
	return t, err
}

// Task gives one task.
func (s *Store) Task(ctx context.Context, jobID string, n int) (*job.Task, error) {
	var t job.Task
	err := s.readJob(ctx, jobID, func(c *conn, seq int64) error {
		if n < 1 || n > maxPart {
			return fmt.Errorf("task %d of job %s: %w", n, jobID, store.ErrNotFound)
		}
		r, ok, err := c.one(taskColumns+"WHERE k=?", partKey(seq, taskPart, int64(n)))
		if err != nil {
			return fmt.Errorf("read task %d of job %s: %w", n, jobID, err)
		}
		if !ok {
			return fmt.Errorf("task %d of job %s: %w", n, jobID, store.ErrNotFound)
		}
		t, err = readTask(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// OpenTasks gives a part of a job's open tasks.
func (s *Store) OpenTasks(ctx context.Context, jobID string, after, limit int) (page []job.Task, more bool, err error) {
	first := int64(min(max(after, 0), maxPart-1)) + 1
	return paged(limit, readTask, func(take func(r row) error) error {
		return s.readJob(ctx, jobID, func(c *conn, seq int64) error {
			return c.each(taskColumns+"WHERE k BETWEEN ? AND ? AND +open=1 ORDER BY k LIMIT ?", take,
				partKey(seq, taskPart, first), partKey(seq, taskPart, maxPart), int64(limit)+1)
		})
	})
}

// Value gives a key of a data store.
func (s *Store) Value(ctx context.Context, blueprint, name, key string) (v json.RawMessage, version int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		r, ok, err := c.one("SELECT version, body FROM data_stores WHERE blueprint=? AND store=? AND key=?", blueprint, name, key)
		if err == nil && ok {
			v, version = json.RawMessage(r.text(1)), r.int(0)
		}
		return err
	})
	return v, version, err
}

// ValueKeys gives the keys of a data store in order.
func (s *Store) ValueKeys(ctx context.Context, blueprint, name string) (keys []string, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.each("SELECT key FROM data_stores WHERE blueprint=? AND store=? ORDER BY key", func(r row) error {
			keys = append(keys, r.text(0))
			return nil
		}, blueprint, name)
	})
	return keys, err
}

// ValuePage gives the next values of a data store.
func (s *Store) ValuePage(ctx context.Context, blueprint, name, from string, limit int) (page []store.Value, more bool, err error) {
	value := func(r row) (store.Value, error) {
		return store.Value{Key: r.text(0), Text: json.RawMessage(r.text(1)), Version: r.int(2)}, nil
	}
	return paged(limit, value, func(take func(r row) error) error {
		return s.read(ctx, func(c *conn) error {
			return c.each("SELECT key, body, version FROM data_stores WHERE blueprint=? AND store=? AND key>=? ORDER BY key LIMIT ?", take, blueprint, name, from, int64(limit)+1)
		})
	})
}

// ValueStores counts the keys of every data store.
func (s *Store) ValueStores(ctx context.Context) (all []store.ValueStore, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.each("SELECT blueprint, store, count(*) FROM data_stores GROUP BY blueprint, store ORDER BY blueprint, store", func(r row) error {
			all = append(all, store.ValueStore{Blueprint: r.text(0), Store: r.text(1), Keys: r.int(2)})
			return nil
		})
	})
	return all, err
}

// uuid spells an id.
func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
