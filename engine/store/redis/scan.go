package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads over all jobs: lists, counts, what is ready or due.

var _ store.Sharded = (*Store)(nil)

// lookAt is the most jobs of a list that one call of the script looks at for those wanted.
const lookAt = 1000

// List walks the narrowest list of every shard, newest first.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if _, ok := job.ParseID(q.Cursor); q.Cursor != "" && !ok {
		return store.Page{}, fmt.Errorf("list jobs: %q: %w", q.Cursor, store.ErrCursor)
	}
	l, ask := store.NewListing(q), s.listing(ctx, q)
	for {
		asked := l.Ask()
		found, err := s.merged(ctx, store.AllShards(), asked, newer, func(p goredis.Pipeliner, from *source) func() error {
			if from.last == "" {
				from.last = q.Cursor
			}
			return ask(p, from)
		})
		if err != nil {
			return store.Page{}, fmt.Errorf("list jobs: %w", err)
		}
		more, err := s.fill(ctx, l, q, found)
		if err != nil {
			return store.Page{}, fmt.Errorf("list jobs: %w", err)
		}
		if more || len(found) < asked { // with fewer, every list is at its end
			return l.End(more)
		}
		q.Cursor = found[len(found)-1].text
	}
}

// fill puts the rows of jobs onto a page; more says that it is full and others follow.
func (s *Store) fill(ctx context.Context, l *store.Listing, q store.Query, of []item) (more bool, err error) {
	at := 0
	read := func(_, n int) ([]string, error) {
		cmds, err := s.bodies(ctx, of[at:at+n])
		rows := make([]string, len(cmds))
		for i, c := range cmds {
			rows[i] = c.Val()
		}
		return rows, err
	}
	take := func(text string) error {
		id := of[at].text
		if at++; text == "" { // it is gone
			return nil
		}
		var j job.Job
		err := decode(text, &j)
		if err == nil && !fits(&j, q) { // it has changed since its list was read
			return nil
		}
		if l.Full() {
			return errPageFull
		}
		return l.Take(id, len(text), &j, err)
	}
	for at < len(of) && err == nil {
		_, err = s.window(len(of)-at, read, take)
	}
	if errors.Is(err, errPageFull) {
		return true, nil
	}
	return false, err
}

// errPageFull ends a reading that has enough.
var errPageFull = errors.New("the page is full")

func fits(j *job.Job, q store.Query) bool {
	return (len(q.Status) == 0 || slices.Contains(q.Status, j.Status)) &&
		(q.Blueprint == "" || q.Blueprint == j.Blueprint) && (q.Client == "" || q.Client == j.Client.ID)
}

// listing picks the lists that serve a query.
func (s *Store) listing(ctx context.Context, q store.Query) reading {
	list, also := allList, ""
	live, bad := len(q.Status) > 0, len(q.Status) > 0
	var statuses []any
	for _, st := range q.Status {
		live, bad = live && !st.Terminal(), bad && classOf(st) == badList
		statuses = append(statuses, string(st))
	}
	switch {
	case live:
		list = liveList
	case bad:
		list = badList
	}
	switch {
	case q.Client != "" && q.Blueprint != "":
		list, also = clientList(q.Client), blueprintList(q.Blueprint)
	case q.Client != "":
		list, also = clientList(q.Client), alsoIn(list)
	case q.Blueprint != "":
		list, also = blueprintList(q.Blueprint), alsoIn(list)
	}
	return func(p goredis.Pipeliner, from *source) func() error {
		look := from.chunk
		if len(statuses) > 0 || also != "" {
			look = lookAt
		}
		args := append([]any{list, from.last, look, from.chunk, also}, statuses...)
		cmd := s.eval(ctx, p, pickScript, from.key, args...)
		return func() error {
			found := texts(cmd.Val())
			if len(found) == 0 {
				return fmt.Errorf("the script gave nothing for shard %02x", from.shard)
			}
			from.last, from.ended = found[0], found[0] == ""
			for _, id := range found[1:] {
				from.items = append(from.items, item{0, id, from.shard})
			}
			from.moved = true
			return nil
		}
	}
}

// alsoIn is the list that narrows a client's or blueprint's; the one of all does not.
func alsoIn(list string) string {
	if list == allList {
		return ""
	}
	return list
}

// rows reads the rows of jobs in the order given; those that are gone are left out, and those
// that can not be read noted.
func (s *Store) rows(ctx context.Context, of []item, passed *store.Unreadable) (out []job.Job, err error) {
	cmds, err := s.bodies(ctx, of)
	if err != nil {
		return nil, err
	}
	for i, c := range cmds {
		if c.Err() != nil {
			continue
		}
		var j job.Job
		if err := decode(c.Val(), &j); err == nil {
			out = append(out, j)
		} else if err := passed.Pass(store.NameOfJob(of[i].text), err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bodies asks for the rows of jobs.
func (s *Store) bodies(ctx context.Context, of []item) ([]*goredis.StringCmd, error) {
	cmds := make([]*goredis.StringCmd, len(of))
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for i, it := range of {
			cmds[i] = p.HGet(ctx, jobKey(s.keys.shard(it.shard), it.text), "b")
		}
	})
	return cmds, err
}

// Counts adds up the numbers that every commit keeps up to date in its shard.
func (s *Store) Counts(ctx context.Context) (map[job.Status]int64, error) {
	cmds := make([]*goredis.SliceCmd, job.Shards)
	names := make([]string, len(job.Statuses))
	for i, st := range job.Statuses {
		names[i] = "n:" + string(st)
	}
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for i := range cmds {
			cmds[i] = p.HMGet(ctx, s.keys.shard(byte(i)), names...)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	sums := map[job.Status]int64{}
	for _, c := range cmds {
		for i, text := range texts(c.Val()) {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n != 0 {
				sums[job.Statuses[i]] += n
			}
		}
	}
	return sums, nil
}

// Ready gives the next ids after the given one.
func (s *Store) Ready(ctx context.Context, after string, limit int) ([]string, error) {
	return s.ReadyIn(ctx, store.AllShards(), after, limit)
}

// ReadyIn is Ready of some shards.
func (s *Store) ReadyIn(ctx context.Context, in store.ShardSet, after string, limit int) ([]string, error) {
	found, err := s.merged(ctx, in, limit, older, byText(ctx, readyList, after))
	if err != nil {
		return nil, fmt.Errorf("ready jobs: %w", err)
	}
	var ids []string
	for _, it := range found {
		ids = append(ids, it.text)
	}
	return ids, nil
}

// Due gives what is due, earliest first.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]store.Wake, error) {
	return s.DueIn(ctx, store.AllShards(), now, limit)
}

// DueIn is Due of some shards.
func (s *Store) DueIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) ([]store.Wake, error) {
	found, err := s.merged(ctx, in, limit, older, byDate(ctx, dueList, now.UnixMilli()))
	if err != nil {
		return nil, fmt.Errorf("due dates: %w", err)
	}
	var out []store.Wake
	for _, it := range found {
		id, number, ofTask := strings.Cut(it.text, "/")
		w := store.Wake{JobID: id, At: fromMillis(it.at)}
		if ofTask {
			if w.Task, err = strconv.Atoi(number); err != nil {
				return nil, fmt.Errorf("due dates: %q is no task", it.text)
			}
		}
		out = append(out, w)
	}
	return out, nil
}

// NextDue gives the earliest date.
func (s *Store) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	return s.NextDueIn(ctx, store.AllShards())
}

// NextDueIn is NextDue of some shards.
func (s *Store) NextDueIn(ctx context.Context, in store.ShardSet) (at time.Time, ok bool, err error) {
	var cmds []*goredis.ZSliceCmd
	err = s.pipe(ctx, func(p goredis.Pipeliner) {
		cmds = cmds[:0]
		for shard := range in.Each {
			cmds = append(cmds, p.ZRangeWithScores(ctx, s.keys.shard(shard)+":"+dueList, 0, 0))
		}
	})
	if err != nil {
		return at, false, fmt.Errorf("next due date: %w", err)
	}
	for _, c := range cmds {
		for _, z := range c.Val() {
			if t := fromMillis(int64(z.Score)); !ok || t.Before(at) {
				at, ok = t, true
			}
		}
	}
	return at, ok, nil
}

// ScanTasks calls fn for every task in the given state.
func (s *Store) ScanTasks(ctx context.Context, state job.TaskState, fn func(job.Task) bool) error {
	return s.ScanTasksIn(ctx, store.AllShards(), state, fn)
}

// Open tasks are found by their list, closed ones by all jobs: many fewer at once.
const (
	scanTasks = 200
	scanJobs  = 20
	scanAside = 16 // shards that are read at once
)

// ScanTasksIn is ScanTasks of some shards. fn may use the store: nothing is held meanwhile.
func (s *Store) ScanTasksIn(ctx context.Context, in store.ShardSet, state job.TaskState, fn func(job.Task) bool) error {
	var shards []byte
	for shard := range in.Each {
		shards = append(shards, shard)
	}
	var passed store.Unreadable
	for part := range slices.Chunk(shards, scanAside) {
		if on, err := s.scanSome(ctx, part, state, &passed, fn); err != nil || !on {
			return err
		}
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	return passed.Any()
}

// scanSome scans a few shards side by side; on is false when fn wants no more.
func (s *Store) scanSome(ctx context.Context, shards []byte, state job.TaskState, passed *store.Unreadable, fn func(job.Task) bool) (on bool, err error) {
	list, count := openList, scanTasks
	if !state.Open() {
		list, count = allList, scanJobs
	}
	from := make([]string, len(shards))
	for left := len(shards); left > 0; {
		cmds := make([]*goredis.Cmd, len(shards))
		err := s.pipe(ctx, func(p goredis.Pipeliner) {
			for i, shard := range shards {
				if shard := s.keys.shard(shard); from[i] != scanned {
					cmds[i] = s.eval(ctx, p, scanScript, shard, strconv.Itoa(taskCodes[state]), from[i], count, list)
				}
			}
		})
		if err != nil {
			return false, fmt.Errorf("scan %s tasks: %w", state, err)
		}
		for i, c := range cmds {
			if c == nil {
				continue
			}
			found := texts(c.Val())
			if from[i] = found[0]; from[i] == "" {
				from[i] = scanned
				left--
			}
			for _, text := range found[1:] {
				t, err := parseTask(text)
				if err != nil {
					if err := passed.Pass(fmt.Sprintf("a %s task of a job in %s", state, s.keys.shard(shards[i])), err); err != nil {
						return false, fmt.Errorf("scan %s tasks: %w", state, err)
					}
					continue
				}
				if !fn(t) {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// scanned stands where a shard has no more; no id is like it.
const scanned = "-"
