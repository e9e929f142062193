package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads over all jobs, or those of some shards: lists, counts, what is ready or due.

// List picks the narrowest index; all of them are in the order of ids.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	l := store.NewListing(q)
	for more := false; ; {
		n, cut := l.Ask(), false
		text, args, err := listQuery(q, n)
		if err != nil {
			return store.Page{}, fmt.Errorf("list jobs: %w", err)
		}
		rows, err := s.listed(ctx, text, args)
		for i := range rows {
			more = l.Full()
			cut = rows[i].body == nil // rows that could not be read may have filled this part
			if more || cut || err != nil {
				break
			}
			q.Cursor = spell(rows[i].id)
			var j job.Job
			err = l.Take(q.Cursor, len(rows[i].body), &j, decode(rows[i].f, rows[i].body, &j))
		}
		if err != nil {
			return store.Page{}, fmt.Errorf("list jobs: %w", err)
		}
		if more || !cut && len(rows) < n {
			return l.End(more)
		}
	}
}

// headRow is a job's row in a list; body is nil for those after PageBytes of text.
type headRow struct {
	f    int16
	body []byte
	id   uuid
}

func (s *Store) listed(ctx context.Context, text string, args []any) (rows []headRow, err error) {
	text = fmt.Sprintf("SELECT f, CASE WHEN before<=%d THEN body END, id FROM %s ORDER BY id DESC", store.PageBytes, measured(text, "id DESC"))
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		rows = nil
		return all(ctx, p, text, func(r pgx.Rows) error {
			var h headRow
			err := r.Scan(&h.f, &h.body, &h.id)
			rows = append(rows, h)
			return err
		}, args...)
	})
	return rows, err
}

// readRows reads rows of format, text and id, notes those that it passes over, and gives the
// last id and how many rows it met.
func readRows[T any](ctx context.Context, s *Store, passed *store.Unreadable, name func(id []byte) string, text string, args ...any) (out []T, last []byte, met int, err error) {
	var bad store.Unreadable
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		out, last, met, bad.Rows = nil, nil, 0, nil
		return all(ctx, p, text, func(r pgx.Rows) error {
			var f int16
			var body, id []byte
			if err := r.Scan(&f, &body, &id); err != nil {
				return err
			}
			last, met = id, met+1
			var v T
			if err := decode(f, body, &v); err != nil {
				return bad.Pass(name(id), err)
			}
			out = append(out, v)
			return nil
		}, args...)
	})
	passed.Rows = append(passed.Rows, bad.Rows...)
	return out, last, met, err
}

func listQuery(q store.Query, limit int) (string, []any, error) {
	var conds []string
	var args []any
	where := func(cond string, v any) {
		args = append(args, v)
		conds = append(conds, fmt.Sprintf(cond, len(args)))
	}
	text, id := "SELECT h.f, h.body, h.id FROM heads h", "h.id"
	if q.Client != "" || q.Blueprint != "" {
		text, id = "SELECT h.f, h.body, h.id FROM jobs j JOIN heads h ON h.id=j.id", "j.id"
	}
	if q.Cursor != "" {
		at, ok := job.ParseID(q.Cursor)
		if !ok {
			return "", nil, fmt.Errorf("%q: %w", q.Cursor, store.ErrCursor)
		}
		where(id+"<$%d", at)
	}
	if len(q.Status) > 0 {
		var codes []int16
		live, bad := true, true
		for _, st := range q.Status {
			n := statusCodes[st] // 0, so no job, for an unknown one
			live, bad = live && n < firstEnded, bad && n >= firstBad
			codes = append(codes, n)
		}
		where("h.status=ANY($%d::int2[])", codes)
		switch { // what the partial indexes say of themselves
		case live:
			conds = append(conds, "h.status<9")
		case bad:
			conds = append(conds, "h.status>=10")
		}
	}
	if q.Client != "" {
		where("j.client=$%d", []byte(q.Client))
		conds = append(conds, "j.client<>''::bytea")
	}
	if q.Blueprint != "" {
		where("j.blueprint=$%d", []byte(q.Blueprint))
	}
	if len(conds) > 0 {
		text += " WHERE " + strings.Join(conds, " AND ")
	}
	args = append(args, limit)
	return fmt.Sprintf("%s ORDER BY %s DESC LIMIT $%d", text, id, len(args)), args, nil
}

// Counts sums the numbers that every batch keeps up to date.
func (s *Store) Counts(ctx context.Context) (map[job.Status]int64, error) {
	var n map[job.Status]int64
	err := s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		n = map[job.Status]int64{}
		return all(ctx, p, "SELECT k, sum(n)::int8 FROM numbers GROUP BY k HAVING sum(n)>0", func(r pgx.Rows) error {
			var k int16
			var sum int64
			err := r.Scan(&k, &sum)
			for st, code := range statusCodes {
				if k == code {
					n[st] = sum
				}
			}
			return err
		})
	})
	return n, err
}

// inShards gives a condition for the set, "" when it holds all of them, and its arguments.
func inShards(in store.ShardSet, args ...any) (string, []any) {
	if in.Len() == job.Shards {
		return "", args
	}
	var shards []int16
	in.Each(func(shard byte) bool { shards = append(shards, int16(shard)); return true })
	return fmt.Sprintf(" AND shard=ANY($%d::int2[])", len(args)+1), append(args, shards)
}

// scanPage is the number of tasks read at once by ScanTasks.
const scanPage = 500

// ScanTasks is ScanTasksIn of all shards.
func (s *Store) ScanTasks(ctx context.Context, state job.TaskState, fn func(job.Task) bool) error {
	return s.ScanTasksIn(ctx, store.AllShards(), state, fn)
}

// ScanTasksIn notes the keys of the tasks first and reads them page by page, so that no
// connection and no view of the database is held while fn works.
func (s *Store) ScanTasksIn(ctx context.Context, in store.ShardSet, state job.TaskState, fn func(job.Task) bool) error {
	code := taskCodes[state]
	text := "SELECT job, n FROM tasks WHERE state=$1"
	if state.Open() {
		text += " AND open"
	}
	cond, args := inShards(in, code)
	type key struct {
		job uuid
		n   int32
	}
	var keys []key
	err := s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		keys = nil
		return all(ctx, p, text+cond, func(r pgx.Rows) error {
			var k key
			err := r.Scan(&k.job, &k.n)
			keys = append(keys, k)
			return err
		}, args...)
	})
	if err != nil {
		return fmt.Errorf("scan %s tasks: %w", state, err)
	}
	var passed store.Unreadable
	for page := range slices.Chunk(keys, scanPage) {
		jobs, numbers := make([]uuid, len(page)), make([]int32, len(page))
		for i, k := range page {
			jobs[i], numbers[i] = k.job, k.n
		}
		var tasks []job.Task
		var bad store.Unreadable
		err := s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
			tasks, bad.Rows = nil, nil
			// those that changed meanwhile are passed over
			return all(ctx, p, `SELECT t.f, t.body, t.state, t.job, t.n FROM unnest($1::uuid[], $2::int4[]) AS c(job, n)
				JOIN tasks t ON t.job=c.job AND t.n=c.n WHERE t.state=$3`, func(r pgx.Rows) error {
				var k key
				t, err := readTask(r, &k.job, &k.n)
				if err != nil {
					return bad.Pass(store.NameOfTask(spell(k.job), int(k.n)), err)
				}
				tasks = append(tasks, t)
				return nil
			}, jobs, numbers, code)
		})
		if err != nil {
			return fmt.Errorf("scan %s tasks: %w", state, err)
		}
		passed.Rows = append(passed.Rows, bad.Rows...)
		for _, t := range tasks {
			if !fn(t) {
				return nil
			}
		}
	}
	return passed.Any()
}

// Ready is ReadyIn of all shards.
func (s *Store) Ready(ctx context.Context, after string, limit int) ([]string, error) {
	return s.ReadyIn(ctx, store.AllShards(), after, limit)
}

// ReadyIn gives the next ids after the given one.
func (s *Store) ReadyIn(ctx context.Context, in store.ShardSet, after string, limit int) (ids []string, err error) {
	id, ok := job.ParseID(after)
	if !ok && after != "" {
		return nil, fmt.Errorf("ready jobs after %q: that is no job id", after)
	}
	cond, args := inShards(in, id, limit)
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		ids = nil
		return all(ctx, p, "SELECT id FROM heads WHERE ready AND id>$1"+cond+" ORDER BY id LIMIT $2", func(r pgx.Rows) error {
			var id uuid
			err := r.Scan(&id)
			ids = append(ids, spell(id))
			return err
		}, args...)
	})
	return ids, err
}

// Due is DueIn of all shards.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]store.Wake, error) {
	return s.DueIn(ctx, store.AllShards(), now, limit)
}

// DueIn merges the dates of jobs and of open tasks.
func (s *Store) DueIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) (out []store.Wake, err error) {
	cond, args := inShards(in, now.UnixMilli(), limit)
	text := `(SELECT id, 0, due FROM heads WHERE due IS NOT NULL AND due<=$1` + cond + ` ORDER BY due LIMIT $2)
		UNION ALL (SELECT job, n, due FROM tasks WHERE open AND due<=$1` + cond + ` ORDER BY due LIMIT $2) ORDER BY 3 LIMIT $2`
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		out = nil
		return all(ctx, p, text, func(r pgx.Rows) error {
			var id uuid
			var n int32
			var due int64
			err := r.Scan(&id, &n, &due)
			out = append(out, store.Wake{JobID: spell(id), Task: int(n), At: fromMillis(due)})
			return err
		}, args...)
	})
	return out, err
}

// NextDue is NextDueIn of all shards.
func (s *Store) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	return s.NextDueIn(ctx, store.AllShards())
}

// NextDueIn gives the earliest date.
func (s *Store) NextDueIn(ctx context.Context, in store.ShardSet) (at time.Time, ok bool, err error) {
	cond, args := inShards(in)
	text := `SELECT LEAST((SELECT due FROM heads WHERE due IS NOT NULL` + cond + ` ORDER BY due LIMIT 1),
		(SELECT due FROM tasks WHERE open AND due IS NOT NULL` + cond + ` ORDER BY due LIMIT 1))`
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var due *int64
		if err := p.QueryRow(ctx, text, args...).Scan(&due); err != nil {
			return err
		}
		if ok = due != nil; ok {
			at = fromMillis(*due)
		}
		return nil
	})
	return at, ok, err
}
