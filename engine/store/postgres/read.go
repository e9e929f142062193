package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads single jobs and their parts.

// begin says why nothing can be read or written, if that is so.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return store.ErrClosed
	default:
		return nil
	}
}

// on runs fn on the pool, and once more when the connection it got turned out to be dead: fn
// must only read, or write what may be written twice. fn must not keep rows.
func (s *Store) on(ctx context.Context, fn func(ctx context.Context, p *pgxpool.Pool) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	err := s.within(ctx, fn)
	if err != nil && isFatal(err) && ctx.Err() == nil && !errors.Is(err, pgx.ErrNoRows) {
		s.pool.Reset() // the others are probably dead as well
		err = s.within(ctx, fn)
	}
	return s.readFault(ctx, err)
}

// once runs fn, which must not be done twice. A context that ends counts before it begins; then
// the outcome is awaited, so that the answer is true.
func (s *Store) once(ctx context.Context, fn func(ctx context.Context, p *pgxpool.Pool) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	err := s.within(context.WithoutCancel(ctx), fn)
	if code(err) == readOnly {
		s.pool.Reset() // the others lead to the same server
	}
	return s.readFault(context.Background(), err)
}

func (s *Store) within(ctx context.Context, fn func(ctx context.Context, p *pgxpool.Pool) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.AnswerWait)
	defer cancel()
	return fn(ctx, s.pool)
}

// readFault leaves the store's own errors and those of the caller's context as they are.
func (s *Store) readFault(ctx context.Context, err error) error {
	var told *ours
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &told):
		return told.error
	case s.begin(context.Background()) != nil:
		return store.ErrClosed // closed while it waited
	}
	return fmt.Errorf("%s: %w", s.name, s.explain(err))
}

// each calls fn with every row, and closes them.
func each(rows pgx.Rows, fn func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// all runs a statement and calls fn with every row.
func all(ctx context.Context, p *pgxpool.Pool, text string, fn func(r pgx.Rows) error, args ...any) error {
	rows, err := p.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	return each(rows, func() error { return fn(rows) })
}

// decode reads a row of format and text.
func decode(format int16, text []byte, v any) error {
	if err := store.Decode(int64(format), string(text), v); err != nil {
		return &ours{err}
	}
	return nil
}

// decodeInto gives a callback that decodes (f, body) rows and appends them.
func decodeInto[T any](out *[]T) func(r pgx.Rows) error {
	return func(r pgx.Rows) error {
		var f int16
		var body []byte
		if err := r.Scan(&f, &body); err != nil {
			return err
		}
		var v T
		err := decode(f, body, &v)
		*out = append(*out, v)
		return err
	}
}

func missing(id string) error { return &ours{fmt.Errorf("job %s: %w", id, store.ErrNotFound)} }

// parts reads what belongs to a job that exists: both questions in one round trip. reset empties
// what fn has gathered, for the reading may begin again.
func (s *Store) parts(ctx context.Context, id string, reset func(), fn func(r pgx.Rows) error, text string, args ...any) error {
	key, ok := job.ParseID(id)
	if !ok {
		return fmt.Errorf("job %s: %w", id, store.ErrNotFound)
	}
	return s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		reset()
		var there bool
		var b pgx.Batch
		b.Queue("SELECT EXISTS (SELECT 1 FROM heads WHERE id=$1)", key).QueryRow(func(r pgx.Row) error { return r.Scan(&there) })
		b.Queue(text, append([]any{key}, args...)...).Query(func(rows pgx.Rows) error {
			return each(rows, func() error { return fn(rows) })
		})
		if err := p.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		if !there {
			return missing(id)
		}
		return nil
	})
}

// Job gives the row.
func (s *Store) Job(ctx context.Context, id string) (*job.Job, error) {
	key, ok := job.ParseID(id)
	if !ok {
		return nil, fmt.Errorf("job %s: %w", id, store.ErrNotFound)
	}
	var f int16
	var body []byte
	err := s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		err := p.QueryRow(ctx, "SELECT f, body FROM heads WHERE id=$1", key).Scan(&f, &body)
		if errors.Is(err, pgx.ErrNoRows) {
			return missing(id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	j := new(job.Job)
	if err := store.Decode(int64(f), string(body), j); err != nil {
		return nil, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// Rows gives the rows of some jobs.
func (s *Store) Rows(ctx context.Context, ids []string) ([]job.Job, error) {
	keys := make([]uuid, 0, len(ids))
	for _, id := range ids {
		if key, ok := job.ParseID(id); ok {
			keys = append(keys, key)
		}
	}
	var passed store.Unreadable
	out, _, _, err := readRows[job.Job](ctx, s, &passed, nameOfJob, "SELECT f, body, uuid_send(id) FROM heads WHERE id=ANY($1::uuid[])", keys)
	return out, cmp.Or(err, passed.Any())
}

func nameOfJob(id []byte) string { return store.NameOfJob(spell(uuid(id))) }

// Load reads row and data with one statement, so in one view.
func (s *Store) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	var d store.Data
	key, ok := job.ParseID(id)
	if !ok {
		return nil, d, fmt.Errorf("job %s: %w", id, store.ErrNotFound)
	}
	var f, cold int16
	var body, history, initial []byte
	err := s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		err := p.QueryRow(ctx, "SELECT h.f, h.body, h.history, j.f, j.initial FROM heads h JOIN jobs j ON j.id=h.id WHERE h.id=$1", key).
			Scan(&f, &body, &history, &cold, &initial)
		if errors.Is(err, pgx.ErrNoRows) {
			return missing(id)
		}
		return err
	})
	if err != nil {
		return nil, d, err
	}
	j := new(job.Job)
	if err := store.Decode(int64(f), string(body), j); err != nil {
		return nil, d, fmt.Errorf("load job %s: %w", id, err)
	}
	if err := store.CheckFormat(int64(cold)); err != nil {
		return nil, d, fmt.Errorf("load job %s: %w", id, err)
	}
	d.Initial, d.History = store.Object(json.RawMessage(initial)), store.Object(json.RawMessage(history))
	return j, d, nil
}

// measured gives the rows of a query with their place in an order, nth, and the bytes of all
// texts before theirs: so the server ends a page, and no more than that crosses the network.
func measured(query, order string) string {
	return `(SELECT *, sum(octet_length(body)) OVER w-octet_length(body) AS before, row_number() OVER w AS nth
		FROM (` + query + `) d WINDOW w AS (ORDER BY ` + order + ` ROWS UNBOUNDED PRECEDING)) x`
}

// Records gives a part of the history.
func (s *Store) Records(ctx context.Context, id string, after int64, limit int) ([]job.Record, error) {
	var out []job.Record
	first := min(max(after, 0), maxPart-1) + 1
	err := s.parts(ctx, id, func() { out = nil }, func(r pgx.Rows) error {
		var f int16
		var body []byte
		if err := r.Scan(&f, &body); err != nil {
			return err
		}
		var batch []job.Record
		if err := decode(f, body, &batch); err != nil {
			return err
		}
		for _, rec := range batch { // the first row may begin before what was asked for
			if rec.N > after && len(out) < limit {
				out = append(out, rec)
			}
		}
		return nil
	}, "SELECT f, body FROM "+measured("SELECT n, f, body FROM records WHERE job=$1 AND n>=$2 ORDER BY n LIMIT $3", "n")+
		" WHERE before<=$4 ORDER BY n", first, limit, store.PageBytes)
	return out, err
}

// Results gives a part of the results of a group.
func (s *Store) Results(ctx context.Context, id string, group int64, after string, limit int) (page []job.Result, more bool, err error) {
	err = s.parts(ctx, id, func() { page, more = nil, false }, func(r pgx.Rows) error {
		var f int16
		var body []byte
		if err := r.Scan(&f, &body); err != nil {
			return err
		}
		if more = more || body == nil; more {
			return nil
		}
		var res job.Result
		err := decode(f, body, &res)
		page = append(page, res)
		return err
	}, "SELECT f, CASE WHEN before<=$6 AND nth<=$5 THEN body END FROM "+
		measured("SELECT task_id, f, body FROM results WHERE job=$1 AND grp=$2 AND task_id>$3 ORDER BY task_id LIMIT $4", "task_id")+
		" ORDER BY task_id", group, []byte(after), int64(limit)+1, limit, store.PageBytes)
	if err != nil {
		return nil, false, err
	}
	return page, more, nil
}

// Progress gives the entries in order of arrival.
func (s *Store) Progress(ctx context.Context, id string) ([]store.Progress, error) {
	var out []store.Progress
	err := s.parts(ctx, id, func() { out = nil }, decodeInto(&out), "SELECT f, body FROM progress WHERE job=$1 ORDER BY k")
	return out, err
}

// Children gives the ids of a job's children.
func (s *Store) Children(ctx context.Context, id string) ([]string, error) {
	var ids []string
	err := s.parts(ctx, id, func() { ids = nil }, func(r pgx.Rows) error {
		var child uuid
		err := r.Scan(&child)
		ids = append(ids, spell(child))
		return err
	}, "SELECT id FROM jobs WHERE parent=$1 ORDER BY id")
	return ids, err
}

// readTask reads a row of format, text and state. A task that was closed with all the others
// keeps its old text.
func readTask(r pgx.Rows, more ...any) (t job.Task, err error) {
	var f, state int16
	var body []byte
	if err := r.Scan(append([]any{&f, &body, &state}, more...)...); err != nil {
		return t, err
	}
	err = decode(f, body, &t)
	if state == codeClosed && t.State != job.TaskClosed {
		t.State, t.Due = job.TaskClosed, nil
	}
	return t, err
}

func tasksInto(out *[]job.Task) func(r pgx.Rows) error {
	return func(r pgx.Rows) error {
		t, err := readTask(r)
		*out = append(*out, t)
		return err
	}
}

// Task gives one task.
func (s *Store) Task(ctx context.Context, jobID string, n int) (*job.Task, error) {
	var found []job.Task
	asked := max(0, min(n, maxPart+1)) // no task has those numbers
	err := s.parts(ctx, jobID, func() { found = nil }, tasksInto(&found), "SELECT f, body, state FROM tasks WHERE job=$1 AND n=$2", asked)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("task %d of job %s: %w", n, jobID, store.ErrNotFound)
	}
	return &found[0], nil
}

// OpenTasks gives a part of a job's open tasks.
func (s *Store) OpenTasks(ctx context.Context, jobID string, after, limit int) (page []job.Task, more bool, err error) {
	err = s.parts(ctx, jobID, func() { page, more = nil, false }, func(r pgx.Rows) error {
		var over bool
		t, err := readTask(r, &over)
		if more = more || over; !more {
			page = append(page, t)
			return err
		}
		return nil
	}, "SELECT f, CASE WHEN before<=$5 AND nth<=$4 THEN body END, state, before>$5 OR nth>$4 FROM "+
		measured("SELECT n, f, body, state FROM tasks WHERE job=$1 AND open AND n>$2 ORDER BY n LIMIT $3", "n")+
		" ORDER BY n", min(max(after, 0), maxPart), int64(limit)+1, limit, store.PageBytes)
	if err != nil {
		return nil, false, err
	}
	return page, more, nil
}

// spell gives an id as text.
func spell(b uuid) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
