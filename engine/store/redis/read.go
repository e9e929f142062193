package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads single jobs and their parts.

// begin says why nothing can be done: the context has ended or the store is closed.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosed() {
		return store.ErrClosed
	}
	return nil
}

// pipe sends the commands that fill adds, and fails when one of them does. They may be sent
// again, so they must be such as can be repeated.
func (s *Store) pipe(ctx context.Context, fill func(p goredis.Pipeliner)) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	p := s.client.Pipeline()
	fill(p)
	for _, c := range s.carry(ctx, p) {
		if err := c.Err(); err != nil && err != goredis.Nil {
			return s.readError(ctx, err)
		}
	}
	return nil
}

// call runs one script and gives its reply; nil is none.
func (s *Store) call(ctx context.Context, sc *script, key string, args ...any) (any, error) {
	var cmd *goredis.Cmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = s.eval(ctx, p, sc, key, args...) })
	if err != nil {
		return nil, err
	}
	reply, err := cmd.Result()
	if err == goredis.Nil {
		return nil, nil
	}
	return reply, err
}

// texts reads a reply that is a list of texts; absent ones are "".
func texts(reply any) []string {
	list, _ := reply.([]any)
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}

func missing(id string) error { return fmt.Errorf("job %s: %w", id, store.ErrNotFound) }

// fields reads some fields of a job's row; absent ones are "".
func (s *Store) fields(ctx context.Context, id string, names ...string) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if _, ok := job.ParseID(id); !ok {
		return nil, missing(id)
	}
	var cmd *goredis.SliceCmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		cmd = p.HMGet(ctx, jobKey(s.keys.of(id), id), append([]string{"v"}, names...)...)
	})
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", id, err)
	}
	found := texts(cmd.Val())
	if found[0] == "" {
		return nil, missing(id)
	}
	return found[1:], nil
}

// parts reads what lies beside a job's row, which must exist.
func (s *Store) parts(ctx context.Context, id string, fill func(p goredis.Pipeliner, shard string)) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if _, ok := job.ParseID(id); !ok {
		return missing(id)
	}
	shard := s.keys.of(id)
	var there *goredis.IntCmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		there = p.Exists(ctx, jobKey(shard, id))
		fill(p, shard)
	})
	if err != nil {
		return fmt.Errorf("read job %s: %w", id, err)
	}
	if there.Val() == 0 {
		return missing(id)
	}
	return nil
}

// Job reads one row.
func (s *Store) Job(ctx context.Context, id string) (*job.Job, error) {
	found, err := s.fields(ctx, id, "b")
	if err != nil {
		return nil, err
	}
	j := new(job.Job)
	if err := decode(found[0], j); err != nil {
		return nil, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// Rows gives the rows of some jobs.
func (s *Store) Rows(ctx context.Context, ids []string) ([]job.Job, error) {
	of := make([]item, 0, len(ids))
	for _, id := range ids {
		if _, ok := job.ParseID(id); ok {
			of = append(of, item{text: id, shard: job.ShardOf(id)})
		}
	}
	var passed store.Unreadable
	out, err := s.rows(ctx, of, &passed)
	if err != nil {
		return nil, err
	}
	return out, passed.Any()
}

// Load reads row and data with one command, so in one view.
func (s *Store) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	var d store.Data
	found, err := s.fields(ctx, id, "b", "i", "h")
	if err != nil {
		return nil, d, err
	}
	j := new(job.Job)
	if err := decode(found[0], j); err != nil {
		return nil, d, fmt.Errorf("load job %s: %w", id, err)
	}
	if d.Initial, err = object(found[1]); err == nil {
		d.History, err = object(found[2])
	}
	if err != nil {
		return nil, d, fmt.Errorf("load job %s: %w", id, err)
	}
	return j, d, nil
}

// object reads an object that is kept as it came; an absent one is empty.
func object(text string) (json.RawMessage, error) {
	if text == "" {
		return json.RawMessage("{}"), nil
	}
	format, body, err := cutFormat(text)
	if err == nil {
		err = store.CheckFormat(format)
	}
	return json.RawMessage(body), err
}

// decodeAll decodes rows of the same kind.
func decodeAll[T any](rows []string) ([]T, error) {
	var out []T
	for _, text := range rows {
		var v T
		if err := decode(text, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// firstRows is how many rows are asked for before anything is known of their length.
const firstRows = 16

// Records gives a part of the history: record N is at place N-1 of its list.
func (s *Store) Records(ctx context.Context, id string, after int64, limit int) (out []job.Record, err error) {
	first := max(after, 0)
	_, err = s.window(limit, func(at, n int) ([]string, error) {
		var list *goredis.StringSliceCmd
		err := s.parts(ctx, id, func(p goredis.Pipeliner, shard string) {
			list = p.LRange(ctx, recordsKey(shard, id), first+int64(at), first+int64(at+n)-1)
		})
		if err != nil {
			return nil, err
		}
		return list.Val(), nil
	}, func(text string) error {
		var r job.Record
		err := decode(text, &r)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Results gives a part of the results of a group, whose names are read first.
func (s *Store) Results(ctx context.Context, id string, group int64, after string, limit int) (page []job.Result, more bool, err error) {
	var names *goredis.StringSliceCmd
	number := strconv.FormatInt(group, 10)
	err = s.parts(ctx, id, func(p goredis.Pipeliner, shard string) { names = p.HKeys(ctx, resultsKey(shard, id, number)) })
	if err != nil {
		return nil, false, err
	}
	left := slices.DeleteFunc(names.Val(), func(name string) bool { return name <= after })
	slices.Sort(left)
	taken, err := s.window(min(limit, len(left)), func(at, n int) ([]string, error) {
		var cmd *goredis.SliceCmd
		err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.HMGet(ctx, resultsKey(s.keys.of(id), id, number), left[at:at+n]...) })
		return texts(cmd.Val()), err
	}, func(text string) error {
		var r job.Result
		if text == "" { // its job was removed meanwhile
			return nil
		}
		err := decode(text, &r)
		page = append(page, r)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read results of job %s: %w", id, err)
	}
	return page, taken < len(left), nil
}

// window reads rows in order: at most so many, and none after PageBytes of text. read gives n
// rows from a place on; fewer are the last. The server can not be told to stop after so many
// bytes, so it is asked for a few at first, and then for as many as fit the page if they are as
// long as those before. taken is how many rows it took.
func (s *Store) window(most int, read func(at, n int) ([]string, error), take func(text string) error) (taken int, err error) {
	bytes := 0
	for n := firstRows; taken < most; {
		n = min(n, most-taken)
		rows, err := read(taken, n)
		if err != nil {
			return taken, err
		}
		for _, text := range rows {
			if bytes > store.PageBytes {
				return taken, nil
			}
			if err := take(text); err != nil {
				return taken, err
			}
			taken, bytes = taken+1, bytes+len(text)
		}
		if len(rows) < n {
			break
		}
		n = 1 + max(store.PageBytes-bytes, 0)/(bytes/taken+1)
	}
	return taken, nil
}

// Progress gives the entries in order of arrival: each begins with its number.
func (s *Store) Progress(ctx context.Context, id string) ([]store.Progress, error) {
	var tasks *goredis.StringSliceCmd
	err := s.parts(ctx, id, func(p goredis.Pipeliner, shard string) {
		tasks = p.SMembers(ctx, progressTasksKey(shard, id))
	})
	if err != nil {
		return nil, err
	}
	var lists []*goredis.StringSliceCmd
	err = s.pipe(ctx, func(p goredis.Pipeliner) {
		lists = lists[:0]
		for _, task := range tasks.Val() {
			lists = append(lists, p.LRange(ctx, progressKey(s.keys.of(id), id, task), 0, -1))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the progress of job %s: %w", id, err)
	}
	var all []string
	for _, l := range lists {
		all = append(all, l.Val()...)
	}
	slices.Sort(all)
	for i, text := range all {
		_, text, _ = strings.Cut(text, " ") // its number
		_, all[i], _ = strings.Cut(text, " ")
	}
	return decodeAll[store.Progress](all)
}

// Children gives the ids of a job's children, which may be in any shard.
func (s *Store) Children(ctx context.Context, id string) ([]string, error) {
	lists := make([]*goredis.StringSliceCmd, job.Shards)
	err := s.parts(ctx, id, func(p goredis.Pipeliner, _ string) {
		for i := range lists {
			lists[i] = p.ZRange(ctx, childrenKey(s.keys.shard(byte(i)), id), 0, -1)
		}
	})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, l := range lists {
		ids = append(ids, l.Val()...)
	}
	slices.Sort(ids)
	return ids, nil
}

// Task gives one task.
func (s *Store) Task(ctx context.Context, jobID string, n int) (*job.Task, error) {
	found, err := s.fields(ctx, jobID, "t"+taskNumber(n))
	if err != nil {
		return nil, err
	}
	if found[0] == "" {
		return nil, fmt.Errorf("task %d of job %s: %w", n, jobID, store.ErrNotFound)
	}
	t, err := parseTask(found[0])
	if err != nil {
		return nil, fmt.Errorf("read task %d of job %s: %w", n, jobID, err)
	}
	return &t, nil
}

// OpenTasks gives a part of a job's open tasks.
func (s *Store) OpenTasks(ctx context.Context, jobID string, after, limit int) (page []job.Task, more bool, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, false, err
	}
	if _, ok := job.ParseID(jobID); !ok {
		return nil, false, missing(jobID)
	}
	reply, err := s.call(ctx, openTasksScript, s.keys.of(jobID), jobID, taskNumber(min(max(after, 0), maxTask)), limit, store.PageBytes)
	if err != nil {
		return nil, false, fmt.Errorf("open tasks of job %s: %w", jobID, err)
	}
	found := texts(reply)
	if len(found) == 0 {
		return nil, false, missing(jobID)
	}
	for _, text := range found[1:] {
		t, err := parseTask(text)
		if err != nil {
			return nil, false, fmt.Errorf("open tasks of job %s: %w", jobID, err)
		}
		page = append(page, t)
	}
	return page, found[0] == "more", nil
}
