package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds the reads of jobs, tasks and what is due.

// find gives a job's row; the caller holds the lock.
func (s *Store) find(id string) (*row, error) {
	r := s.jobs[id]
	if r == nil {
		return nil, fmt.Errorf("job %s: %w", id, store.ErrNotFound)
	}
	return r, nil
}

func (r *row) job() (*job.Job, error) {
	j := new(job.Job)
	return j, store.Decode(store.Format, r.body, j)
}

func (r *row) task(n int) (job.Task, error) {
	var t job.Task
	err := store.Decode(store.Format, r.bodies[n], &t)
	if t.State != r.tasks[n] { // closed with all the others
		t.State, t.Due = r.tasks[n], nil
	}
	return t, err
}

// Job gives the row.
func (s *Store) Job(ctx context.Context, id string) (*job.Job, error) {
	j, _, err := s.Load(ctx, id)
	return j, err
}

// Rows gives the rows of some jobs.
func (s *Store) Rows(ctx context.Context, ids []string) (out []job.Job, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var passed store.Unreadable
	for _, id := range ids {
		r := s.jobs[id]
		if r == nil {
			continue
		}
		j, err := r.job()
		if err == nil {
			out = append(out, *j)
		} else if err := passed.Pass(store.NameOfJob(id), err); err != nil {
			return nil, err
		}
	}
	return out, passed.Any()
}

// Load gives the row and its data.
func (s *Store) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	if err := s.begin(ctx); err != nil {
		return nil, store.Data{}, err
	}
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return nil, store.Data{}, err
	}
	j, err := r.job()
	return j, store.Data{Initial: clone(r.initial), History: clone(r.history)}, err
}

// List sorts all ids; the cursor is the id of the last job given.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if _, ok := job.ParseID(q.Cursor); q.Cursor != "" && !ok {
		return store.Page{}, fmt.Errorf("list jobs: %q: %w", q.Cursor, store.ErrCursor)
	}
	if err := s.begin(ctx); err != nil {
		return store.Page{}, err
	}
	defer s.mu.Unlock()
	ids := slices.Sorted(maps.Keys(s.jobs))
	slices.Reverse(ids)
	l := store.NewListing(q)
	for _, id := range ids {
		r := s.jobs[id]
		if q.Cursor != "" && id >= q.Cursor ||
			q.Blueprint != "" && r.blueprint != q.Blueprint ||
			q.Client != "" && r.client != q.Client ||
			len(q.Status) > 0 && !slices.Contains(q.Status, r.status) {
			continue
		}
		if l.Full() {
			return l.End(true)
		}
		j, err := r.job()
		if err := l.Take(id, len(r.body), j, err); err != nil {
			return store.Page{}, err
		}
	}
	return l.End(false)
}

// Counts counts the jobs by status.
func (s *Store) Counts(ctx context.Context) (map[job.Status]int64, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	n := map[job.Status]int64{}
	for _, r := range s.jobs {
		n[r.status]++
	}
	return n, nil
}

// Records gives a part of the history.
func (s *Store) Records(ctx context.Context, id string, after int64, limit int) ([]job.Record, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return nil, err
	}
	p := store.Part[job.Record]{Limit: limit}
	for i := max(after, 0); i < int64(len(r.records)) && !p.Full(); i++ {
		var rec job.Record
		if err := store.Decode(store.Format, r.records[i], &rec); err != nil {
			return nil, err
		}
		p.Add(rec, len(r.records[i]))
	}
	return p.Rows, nil
}

// Results gives a part of the results of a group.
func (s *Store) Results(ctx context.Context, id string, group int64, after string, limit int) (page []job.Result, more bool, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return nil, false, err
	}
	p := store.Part[job.Result]{Limit: limit}
	for _, task := range slices.Sorted(maps.Keys(r.results[group])) {
		if task <= after {
			continue
		}
		if p.Full() {
			return p.Rows, true, nil
		}
		text := r.results[group][task]
		var res job.Result
		if err := store.Decode(store.Format, text, &res); err != nil {
			return nil, false, err
		}
		p.Add(res, len(text))
	}
	return p.Rows, false, nil
}

// Progress gives the entries in order of arrival.
func (s *Store) Progress(ctx context.Context, id string) ([]store.Progress, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.progress), nil
}

// Children gives the ids of a job's children.
func (s *Store) Children(ctx context.Context, id string) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if _, err := s.find(id); err != nil {
		return nil, err
	}
	ids := slices.Clone(s.children[id])
	slices.Sort(ids)
	return ids, nil
}

// Task gives one task.
func (s *Store) Task(ctx context.Context, jobID string, n int) (*job.Task, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	r, err := s.find(jobID)
	if err != nil {
		return nil, err
	}
	if _, ok := r.tasks[n]; !ok {
		return nil, fmt.Errorf("task %d of job %s: %w", n, jobID, store.ErrNotFound)
	}
	t, err := r.task(n)
	return &t, err
}

// OpenTasks gives a part of a job's open tasks.
func (s *Store) OpenTasks(ctx context.Context, jobID string, after, limit int) (page []job.Task, more bool, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	r, err := s.find(jobID)
	if err != nil {
		return nil, false, err
	}
	p := store.Part[job.Task]{Limit: limit}
	for _, n := range slices.Sorted(maps.Keys(r.tasks)) {
		if n <= after || !r.tasks[n].Open() {
			continue
		}
		if p.Full() {
			return p.Rows, true, nil
		}
		t, err := r.task(n)
		if err != nil {
			return nil, false, err
		}
		p.Add(t, len(r.bodies[n]))
	}
	return p.Rows, false, nil
}

// ScanTasks copies first, so that fn may use the store.
func (s *Store) ScanTasks(ctx context.Context, state job.TaskState, fn func(job.Task) bool) error {
	return s.ScanTasksIn(ctx, store.AllShards(), state, fn)
}

// ScanTasksIn is ScanTasks of some shards.
func (s *Store) ScanTasksIn(ctx context.Context, in store.ShardSet, state job.TaskState, fn func(job.Task) bool) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	var found []job.Task
	var passed store.Unreadable
	for id, r := range s.jobs {
		if !in.Has(job.ShardOf(id)) {
			continue
		}
		for n, st := range r.tasks {
			if st != state {
				continue
			}
			t, err := r.task(n)
			if err != nil {
				if err := passed.Pass(store.NameOfTask(id, n), err); err != nil {
					s.mu.Unlock()
					return err
				}
				continue
			}
			found = append(found, t)
		}
	}
	s.mu.Unlock()
	for _, t := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !fn(t) {
			return nil
		}
	}
	return passed.Any()
}

// Ready gives the next ids after the given one.
func (s *Store) Ready(ctx context.Context, after string, limit int) ([]string, error) {
	return s.ReadyIn(ctx, store.AllShards(), after, limit)
}

// ReadyIn is Ready of some shards.
func (s *Store) ReadyIn(ctx context.Context, in store.ShardSet, after string, limit int) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var ids []string
	for id := range s.ready {
		if id > after && in.Has(job.ShardOf(id)) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), limit)], nil
}

// Due gives what is due, earliest first.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]store.Wake, error) {
	return s.DueIn(ctx, store.AllShards(), now, limit)
}

// DueIn is Due of some shards.
func (s *Store) DueIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) ([]store.Wake, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.Wake
	for id, at := range s.jobDue {
		if !at.After(now) && in.Has(job.ShardOf(id)) {
			out = append(out, store.Wake{JobID: id, At: at})
		}
	}
	for k, at := range s.taskDue {
		if !at.After(now) && in.Has(job.ShardOf(k.job)) {
			out = append(out, store.Wake{JobID: k.job, Task: k.n, At: at})
		}
	}
	slices.SortFunc(out, func(a, b store.Wake) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		if c := strings.Compare(a.JobID, b.JobID); c != 0 {
			return c
		}
		return a.Task - b.Task
	})
	return out[:min(len(out), limit)], nil
}

// NextDue gives the earliest date.
func (s *Store) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	return s.NextDueIn(ctx, store.AllShards())
}

// NextDueIn is NextDue of some shards.
func (s *Store) NextDueIn(ctx context.Context, in store.ShardSet) (at time.Time, ok bool, err error) {
	if err := s.begin(ctx); err != nil {
		return at, false, err
	}
	defer s.mu.Unlock()
	for id, d := range s.jobDue {
		if in.Has(job.ShardOf(id)) && (!ok || d.Before(at)) {
			at, ok = d, true
		}
	}
	for k, d := range s.taskDue {
		if in.Has(job.ShardOf(k.job)) && (!ok || d.Before(at)) {
			at, ok = d, true
		}
	}
	return at, ok, nil
}

// Value gives a key of a data store.
func (s *Store) Value(ctx context.Context, blueprint, name, key string) (json.RawMessage, int64, error) {
	if err := s.begin(ctx); err != nil {
		return nil, 0, err
	}
	defer s.mu.Unlock()
	v, ok := s.values[valueKey{blueprint, name, key}]
	if !ok {
		return nil, 0, nil
	}
	return json.RawMessage(v.text), v.version, nil
}

// ValueKeys gives the keys of a data store in order.
func (s *Store) ValueKeys(ctx context.Context, blueprint, name string) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var keys []string
	for k := range s.values {
		if k.blueprint == blueprint && k.store == name {
			keys = append(keys, k.key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// ValuePage gives the next values of a data store.
func (s *Store) ValuePage(ctx context.Context, blueprint, name, from string, limit int) (page []store.Value, more bool, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	var all []store.Value
	for k, v := range s.values {
		if k.blueprint == blueprint && k.store == name && k.key >= from {
			all = append(all, store.Value{Key: k.key, Text: json.RawMessage(v.text), Version: v.version})
		}
	}
	slices.SortFunc(all, func(a, b store.Value) int { return strings.Compare(a.Key, b.Key) })
	p := store.Part[store.Value]{Limit: limit}
	for _, v := range all {
		if p.Full() {
			return p.Rows, true, nil
		}
		p.Add(v, len(v.Text))
	}
	return p.Rows, false, nil
}

// ValueStores counts the keys of every data store.
func (s *Store) ValueStores(ctx context.Context) ([]store.ValueStore, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	keys := map[[2]string]int64{}
	for k := range s.values {
		keys[[2]string{k.blueprint, k.store}]++
	}
	var all []store.ValueStore
	for k, n := range keys {
		all = append(all, store.ValueStore{Blueprint: k[0], Store: k[1], Keys: n})
	}
	slices.SortFunc(all, func(a, b store.ValueStore) int {
		return cmp.Or(strings.Compare(a.Blueprint, b.Blueprint), strings.Compare(a.Store, b.Store))
	})
	return all, nil
}
