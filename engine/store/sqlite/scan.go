package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads over all jobs: lists, counts, what is ready or due. Which index serves is
// said in the text, so that a plan never changes with the data.

// List picks the narrowest index; all of them are in the order of ids.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	l, more := store.NewListing(q), false
	for {
		n, met := l.Ask(), 0
		text, args, err := listQuery(q, n)
		if err == nil {
			err = s.read(ctx, func(c *conn) error {
				return c.each(text, func(r row) error {
					if more = l.Full(); more {
						return errEnough
					}
					met++
					q.Cursor = uuid(r.blob(2))
					var j job.Job
					text := r.text(1)
					return l.Take(q.Cursor, len(text), &j, store.Decode(r.int(0), text, &j))
				}, args...)
			})
		}
		if err != nil {
			return store.Page{}, fmt.Errorf("list jobs: %w", err)
		}
		if more || met < n {
			return l.End(more)
		}
	}
}

func listQuery(q store.Query, limit int) (string, []driver.Value, error) {
	var conds []string
	var args []driver.Value
	where := func(cond string, v ...driver.Value) { conds, args = append(conds, cond), append(args, v...) }
	if q.Cursor != "" {
		id, ok := job.ParseID(q.Cursor)
		if !ok {
			return "", nil, fmt.Errorf("%q: %w", q.Cursor, store.ErrCursor)
		}
		where("id<?", id[:])
	}
	live, bad := len(q.Status) > 0, len(q.Status) > 0
	if len(q.Status) > 0 {
		var codes []string
		for _, st := range q.Status {
			n := statusCodes[st] // 0, so no job, for an unknown one
			live, bad = live && n < firstEnded, bad && n >= firstBad
			codes = append(codes, fmt.Sprint(n))
		}
		where("status IN (" + strings.Join(codes, ",") + ")")
	}
	index := "sqlite_autoindex_jobs_1" // of id
	switch {
	case q.Client != "":
		index = "jobs_client"
		where("client=?", q.Client)
		where("client<>''")
	case q.Blueprint != "":
		index = "jobs_blueprint"
	case live:
		index = "jobs_live"
		where("ended=0")
	case bad:
		index = "jobs_bad"
		where("status>=10")
	}
	if q.Blueprint != "" {
		where("blueprint=?", q.Blueprint)
	}
	text := "SELECT f, body, id FROM jobs INDEXED BY " + index
	if len(conds) > 0 {
		text += " WHERE " + strings.Join(conds, " AND ")
	}
	return text + " ORDER BY id DESC LIMIT ?", append(args, int64(limit)), nil
}

// Counts gives the numbers that every batch keeps up to date.
func (s *Store) Counts(ctx context.Context) (map[job.Status]int64, error) {
	select {
	case <-s.closing:
		return nil, store.ErrClosed
	default:
	}
	all := s.syncer.counted()
	n := map[job.Status]int64{}
	for st, code := range statusCodes {
		if all[code] > 0 {
			n[st] = all[code]
		}
	}
	return n, s.syncer.settle(ctx)
}

// scanPage is the number of tasks read at once by ScanTasks.
const scanPage = 500

// ScanTasks notes the keys of the tasks first and reads them page by page, so that no
// connection is held and no checkpoint kept waiting while fn works.
func (s *Store) ScanTasks(ctx context.Context, state job.TaskState, fn func(job.Task) bool) error {
	code := taskCodes[state]
	text := "SELECT k FROM parts INDEXED BY parts_open WHERE open=1 AND state=?"
	if !state.Open() {
		text = "SELECT k FROM parts NOT INDEXED WHERE state=?"
	}
	var keys []int64
	err := s.read(ctx, func(c *conn) error {
		return c.each(text, func(r row) error {
			keys = append(keys, r.int(0))
			return nil
		}, code)
	})
	if err != nil {
		return fmt.Errorf("scan %s tasks: %w", state, err)
	}
	var passed store.Unreadable
	for page := range slices.Chunk(keys, scanPage) {
		var tasks []job.Task
		err := s.read(ctx, func(c *conn) error {
			for _, k := range page {
				r, ok, err := c.one(taskColumns+"WHERE k=? AND state=?", k, code)
				if err != nil {
					return err
				}
				if !ok {
					continue // it changed meanwhile
				}
				if t, err := readTask(r); err == nil {
					tasks = append(tasks, t)
				} else if err := passed.Pass(nameOfTask(c, k), err); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("scan %s tasks: %w", state, err)
		}
		for _, t := range tasks {
			if !fn(t) {
				return nil
			}
		}
	}
	return passed.Any()
}

// nameOfTask names a task by its key.
func nameOfTask(c *conn, k int64) string {
	r, ok, err := c.one("SELECT id FROM jobs WHERE seq=?", k>>jobBits)
	if err != nil || !ok {
		return fmt.Sprintf("task %d of the job in row %d", k&maxPart, k>>jobBits)
	}
	return store.NameOfTask(uuid(r.blob(0)), int(k&maxPart))
}

// Ready gives the next ids after the given one.
func (s *Store) Ready(ctx context.Context, after string, limit int) (ids []string, err error) {
	id, ok := job.ParseID(after)
	if !ok && after != "" {
		return nil, fmt.Errorf("ready jobs after %q: that is no job id", after)
	}
	err = s.read(ctx, func(c *conn) error {
		return c.each("SELECT id FROM jobs INDEXED BY jobs_ready WHERE ready=1 AND id>? ORDER BY id LIMIT ?", func(r row) error {
			ids = append(ids, uuid(r.blob(0)))
			return nil
		}, id[:], int64(limit))
	})
	return ids, err
}

// Due merges the dates of jobs and of open tasks.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (out []store.Wake, err error) {
	gather := func(r row) error {
		out = append(out, store.Wake{JobID: uuid(r.blob(0)), Task: int(r.int(1)), At: fromMillis(r.int(2))})
		return nil
	}
	err = s.read(ctx, func(c *conn) error {
		err := c.each("SELECT id, 0, due FROM jobs INDEXED BY jobs_due WHERE due IS NOT NULL AND due<=? ORDER BY due LIMIT ?",
			gather, now.UnixMilli(), int64(limit))
		if err != nil {
			return err
		}
		return c.each(`SELECT j.id, t.k&16777215, t.due FROM parts t INDEXED BY parts_open CROSS JOIN jobs j ON j.seq=t.k>>26
			WHERE t.open=1 AND t.due<=? ORDER BY t.due LIMIT ?`, gather, now.UnixMilli(), int64(limit))
	})
	slices.SortStableFunc(out, func(a, b store.Wake) int { return a.At.Compare(b.At) })
	return out[:min(len(out), limit)], err
}

// NextDue gives the earliest date.
func (s *Store) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	earliest := func(r row) error {
		if t := fromMillis(r.int(0)); !ok || t.Before(at) {
			at, ok = t, true
		}
		return nil
	}
	err = s.read(ctx, func(c *conn) error {
		if err := c.each("SELECT due FROM jobs INDEXED BY jobs_due WHERE due IS NOT NULL ORDER BY due LIMIT 1", earliest); err != nil {
			return err
		}
		return c.each("SELECT due FROM parts INDEXED BY parts_open WHERE open=1 AND due IS NOT NULL ORDER BY due LIMIT 1", earliest)
	})
	return at, ok, err
}
