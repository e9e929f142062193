package redis

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file gives all rows, for a move to another store. It takes eight bytes of memory for
// each claim, as a walk over all keys may give one twice, and the ids of a shard's messages.
// What is read at once is bounded in bytes: rows may have a megabyte, and jobs very many of them.

var _ store.Movable = (*Store)(nil)

// export is one pass over the servers.
type export struct {
	*Store
	ctx context.Context
	fn  func(store.Row) error
}

// Export reads shard by shard.
func (s *Store) Export(ctx context.Context, fn func(store.Row) error) error {
	if err := s.Sync(ctx); err != nil {
		return err
	}
	e := &export{s, ctx, func(r store.Row) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(r)
	}}
	parts := []func() error{e.beside, e.claims}
	for i := range job.Shards {
		parts = append(parts, func() error { return e.values(byte(i)) })
	}
	parts = append(parts, e.newestVersion)
	for i := range job.Shards {
		parts = append(parts, func() error { return e.jobs(byte(i)) }, func() error { return e.messagesOfShard(byte(i)) })
	}
	for _, part := range parts {
		if err := part(); err != nil {
			return fmt.Errorf("export %s: %w", s.name, err)
		}
	}
	return nil
}

func (e *export) beside() error {
	revisions, err := e.Revisions(e.ctx)
	if err != nil {
		return err
	}
	for _, short := range revisions {
		r, err := e.Revision(e.ctx, short.Hash)
		if err != nil {
			return err
		}
		if err := e.fn(store.RevisionRow{Revision: *r}); err != nil {
			return err
		}
	}
	files, err := e.SourceFiles(e.ctx)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := e.fn(store.FileRow{File: f}); err != nil {
			return err
		}
	}
	workers, err := e.AllWorkers(e.ctx)
	if err != nil {
		return err
	}
	for id, body := range workers {
		if err := e.fn(store.WorkerRow{ID: id, Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// claims are in no list: every key is looked at.
func (e *export) claims() error {
	seed, seen := maphash.MakeSeed(), map[uint64]struct{}{}
	return e.eachClaim(e.ctx, func(key, kept string) error {
		h := maphash.String(seed, key)
		if _, twice := seen[h]; twice {
			return nil
		}
		seen[h] = struct{}{}
		until, value, err := parseClaim(kept)
		if err != nil {
			return fmt.Errorf("the claim %q: %w", key, err)
		}
		row := store.ClaimRow{Key: key, Value: []byte(value)}
		if until != 0 {
			at := fromMillis(until)
			row.Until = &at
		}
		return e.fn(row)
	})
}

// keysAtOnce is how many keys a server is asked to walk over at once.
const keysAtOnce = 1000

// eachClaim calls fn for every claim, from one goroutine at a time; some may come twice.
func (s *Store) eachClaim(ctx context.Context, fn func(key, kept string) error) error {
	var mu sync.Mutex
	of := func(ctx context.Context, c *goredis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := c.Scan(ctx, cursor, literal(s.keys.prefix)+":{s*"+claimList+"*", keysAtOnce).Result()
			if err != nil {
				return s.readError(ctx, err)
			}
			values := make([]*goredis.StringCmd, len(keys))
			p := c.Pipeline()
			for i, key := range keys {
				values[i] = p.Get(ctx, key)
			}
			_, _ = p.Exec(ctx) // every command has its own error
			for i, key := range keys {
				if err := values[i].Err(); err == goredis.Nil {
					continue // it has ended
				} else if err != nil {
					return s.readError(ctx, err)
				}
				_, name, _ := strings.Cut(key, claimList)
				mu.Lock()
				err := fn(name, values[i].Val())
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if c, ok := s.client.(*goredis.ClusterClient); ok {
		return c.ForEachMaster(ctx, of)
	}
	return of(ctx, s.client.(*goredis.Client))
}

// literal takes the meaning that some characters have in patterns of keys from them.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(text)
}

func (e *export) values(shard byte) error {
	var names *goredis.StringSliceCmd
	err := e.pipeValues(e.ctx, e.keys.shard(shard), func(p goredis.Pipeliner) {
		names = p.SMembers(e.ctx, e.keys.shard(shard)+":"+stores)
	})
	if err != nil {
		return err
	}
	for _, kept := range names.Val() {
		of := parseStore(kept)
		for from, more := "", true; more; {
			var page []store.Value
			if page, more, err = e.ValuePage(e.ctx, of.Blueprint, of.Store, from, valuesAtOnce); err != nil {
				return err
			}
			for _, v := range page {
				if err := e.fn(store.ValueRow{Blueprint: of.Blueprint, Store: of.Store, Value: v}); err != nil {
					return err
				}
				from = v.Key + "\x00" // the next possible key
			}
			more = more && len(page) > 0
		}
	}
	return nil
}

// newestVersion gives the highest number that a shard has given to a value.
func (e *export) newestVersion() error {
	cmds := make([]*goredis.StringCmd, job.Shards)
	err := e.pipe(e.ctx, func(p goredis.Pipeliner) {
		for i := range cmds {
			cmds[i] = p.HGet(e.ctx, e.keys.shard(byte(i)), "values")
		}
	})
	if err != nil {
		return err
	}
	newest := int64(0)
	for _, c := range cmds {
		if n, err := c.Int64(); err == nil {
			newest = max(newest, n)
		}
	}
	if newest == 0 {
		return nil
	}
	return e.fn(store.VersionRow{Newest: newest})
}

// What is read at once, beside the bound in bytes.
const (
	jobsAtOnce    = 16
	recordsAtOnce = 500
	tasksAtOnce   = 200
	firstBytes    = store.PageBytes / jobsAtOnce // of records of each of the jobs that are read together
)

// exported is a job's row and what says where its parts are.
type exported struct {
	id     string
	row    *goredis.SliceCmd
	fields *goredis.StringSliceCmd
	tasks  *goredis.StringSliceCmd // those that have progress
	recs   *goredis.Cmd            // the first records
	count  *goredis.IntCmd         // of all
}

// jobs gives every job of a shard with its parts, oldest first.
func (e *export) jobs(shard byte) error {
	at := e.keys.shard(shard)
	for after := "-"; ; {
		var ids *goredis.StringSliceCmd
		err := e.pipe(e.ctx, func(p goredis.Pipeliner) {
			ids = p.ZRangeByLex(e.ctx, at+":"+allList, &goredis.ZRangeBy{Min: after, Max: "+", Count: jobsAtOnce})
		})
		if err != nil || len(ids.Val()) == 0 {
			return err
		}
		page := make([]exported, len(ids.Val()))
		err = e.pipe(e.ctx, func(p goredis.Pipeliner) {
			for i, id := range ids.Val() {
				page[i] = exported{
					id: id, row: p.HMGet(e.ctx, jobKey(at, id), "b", "i", "h"), fields: p.HKeys(e.ctx, jobKey(at, id)),
					tasks: p.SMembers(e.ctx, progressTasksKey(at, id)), recs: e.eval(e.ctx, p, recordsScript, at, id, 0, recordsAtOnce, firstBytes),
					count: p.LLen(e.ctx, recordsKey(at, id)),
				}
			}
		})
		if err != nil {
			return err
		}
		for i := range page {
			if err := e.job(at, &page[i]); err != nil {
				return fmt.Errorf("job %s: %w", page[i].id, err)
			}
		}
		after = "(" + page[len(page)-1].id
	}
}

func (e *export) job(at string, x *exported) error {
	kept := texts(x.row.Val())
	head := store.JobRow{}
	err := decode(kept[0], &head.Job)
	if err == nil {
		head.Data.Initial, err = object(kept[1])
	}
	if err == nil {
		head.Data.History, err = object(kept[2])
	}
	if err != nil {
		return err
	}
	if err := e.fn(head); err != nil {
		return err
	}
	var tasks, groups []string
	for _, f := range x.fields.Val() {
		switch {
		case len(f) == 1:
		case f[0] == 't':
			tasks = append(tasks, f)
		case f[0] == 'g':
			groups = append(groups, f[1:])
		}
	}
	if err := e.records(at, x); err != nil {
		return err
	}
	if err := e.tasks(at, x.id, tasks); err != nil {
		return err
	}
	for _, g := range groups {
		group, err := strconv.ParseInt(g, 10, 64)
		if err != nil {
			return fmt.Errorf("it has results of the group %q", g)
		}
		for after, more := "", true; more; {
			var results []job.Result
			if results, more, err = e.Results(e.ctx, x.id, group, after, tasksAtOnce); err != nil {
				return err
			}
			for _, r := range results {
				if err := e.fn(store.ResultRow{JobID: x.id, Result: r}); err != nil {
					return err
				}
				after = r.TaskID
			}
		}
	}
	if len(x.tasks.Val()) == 0 {
		return nil
	}
	entries, err := e.Progress(e.ctx, x.id)
	if err != nil {
		return err
	}
	for _, p := range entries {
		if err := e.fn(store.ProgressRow{JobID: x.id, Progress: p}); err != nil {
			return err
		}
	}
	return nil
}

func (e *export) records(at string, x *exported) error {
	for list, n := texts(x.recs.Val()), 0; len(list) > 0; {
		records, err := decodeAll[job.Record](list)
		if err != nil {
			return err
		}
		if err := e.fn(store.RecordRow{JobID: x.id, Records: records}); err != nil {
			return err
		}
		if n += len(list); int64(n) >= x.count.Val() {
			return nil
		}
		reply, err := e.call(e.ctx, recordsScript, at, x.id, n, recordsAtOnce, store.PageBytes)
		if err != nil {
			return err
		}
		list = texts(reply)
	}
	return nil
}

func (e *export) tasks(at, id string, fields []string) error {
	slices.Sort(fields)
	for len(fields) > 0 {
		taken, err := e.window(min(tasksAtOnce, len(fields)), func(from, n int) ([]string, error) {
			var cmd *goredis.SliceCmd
			err := e.pipe(e.ctx, func(p goredis.Pipeliner) { cmd = p.HMGet(e.ctx, jobKey(at, id), fields[from:from+n]...) })
			return texts(cmd.Val()), err
		}, func(text string) error {
			t, err := parseTask(text)
			if err != nil {
				return err
			}
			return e.fn(store.TaskRow{Task: t})
		})
		if err != nil {
			return err
		}
		fields = fields[taken:]
	}
	return nil
}

// messagesOfShard gives them in order of arrival, which their numbers tell.
func (e *export) messagesOfShard(shard byte) error {
	at := e.keys.shard(shard)
	type letter struct{ number, bucket, id string }
	var all []letter
	add := func(bucket string, kept []string) {
		for i := 0; i+1 < len(kept); i += 2 {
			all = append(all, letter{kept[i+1], bucket, kept[i]})
		}
	}
	buckets := []string{otherBucket}
	for after := "-"; len(buckets) > 0; {
		cmds := make([]*goredis.Cmd, len(buckets))
		var ids *goredis.StringSliceCmd
		err := e.pipe(e.ctx, func(p goredis.Pipeliner) {
			for i, b := range buckets {
				cmds[i] = e.eval(e.ctx, p, lettersScript, at, b, numberWidth)
			}
			ids = p.ZRangeByLex(e.ctx, at+":"+allList, &goredis.ZRangeBy{Min: after, Max: "+", Count: tasksAtOnce})
		})
		if err != nil {
			return err
		}
		for i, b := range buckets {
			add(b, texts(cmds[i].Val()))
		}
		if buckets = ids.Val(); len(buckets) > 0 {
			after = "(" + buckets[len(buckets)-1]
		}
	}
	slices.SortFunc(all, func(a, b letter) int { return strings.Compare(a.number, b.number) })
	for part := range slices.Chunk(all, jobsAtOnce) {
		items := make([]item, len(part))
		for i, l := range part {
			items[i] = item{text: l.id, shard: shard}
		}
		var passed store.Unreadable
		messages, err := e.messages(e.ctx, items, &passed)
		if err := cmp.Or(err, passed.Any()); err != nil { // a copy is whole, or none
			return err
		}
		for _, m := range messages {
			if err := e.fn(store.MessageRow{Message: m}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Empty looks for anything at all.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var cmds []*goredis.IntCmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		cmds = append(cmds[:0], p.Exists(ctx, s.keys.revisions()), p.Exists(ctx, s.keys.files()), p.Exists(ctx, s.keys.workers()))
		for i := range job.Shards {
			at := s.keys.shard(byte(i))
			for _, list := range []string{allList, stores, outList, goneList, "msgs:" + otherBucket} {
				cmds = append(cmds, p.Exists(ctx, at+":"+list))
			}
		}
	})
	if err != nil {
		return false, fmt.Errorf("look whether %s is empty: %w", s.name, err)
	}
	for _, c := range cmds {
		if c.Val() > 0 {
			return false, nil
		}
	}
	empty := true
	err = s.eachClaim(ctx, func(key, _ string) error {
		empty = empty && strings.HasPrefix(key, store.MoveClaim)
		return nil
	})
	return empty && err == nil, err
}

// parseClaim reads a claim: its end in milliseconds, 0 for none, and its value after the token.
func parseClaim(kept string) (until int64, value string, err error) {
	head, rest, _ := strings.Cut(kept, " ")
	_, value, _ = strings.Cut(rest, " ")
	until, err = strconv.ParseInt(head, 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("it begins with %.20q, where its end belongs", head)
	}
	return until, value, nil
}
