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

// This file gives and takes all rows.

var _ store.Movable = (*Store)(nil)

// Export gathers everything first, so that nothing is locked while fn works.
func (s *Store) Export(ctx context.Context, fn func(store.Row) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	rows, err := s.everything()
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, r := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) everything() (rows []store.Row, err error) {
	for _, hash := range slices.Sorted(maps.Keys(s.revisions)) {
		r, err := s.revisions[hash].read()
		if err != nil {
			return nil, err
		}
		rows = append(rows, store.RevisionRow{Revision: *r})
	}
	for _, f := range s.sources {
		rows = append(rows, store.FileRow{File: f})
	}
	for _, id := range slices.Sorted(maps.Keys(s.workers)) {
		rows = append(rows, store.WorkerRow{ID: id, Body: json.RawMessage(s.workers[id])})
	}
	for _, key := range slices.Sorted(maps.Keys(s.claims)) {
		c := s.claims[key]
		r := store.ClaimRow{Key: key, Value: slices.Clone(c.value)}
		if !c.until.IsZero() {
			r.Until = &c.until
		}
		rows = append(rows, r)
	}
	for k, v := range s.values {
		rows = append(rows, store.ValueRow{Blueprint: k.blueprint, Store: k.store, Value: store.Value{Key: k.key, Text: json.RawMessage(v.text), Version: v.version}})
	}
	if s.writes > 0 {
		rows = append(rows, store.VersionRow{Newest: s.writes})
	}
	for _, id := range slices.Sorted(maps.Keys(s.jobs)) {
		if rows, err = s.jobs[id].rows(id, rows); err != nil {
			return nil, err
		}
	}
	for _, l := range slices.SortedFunc(maps.Values(s.outbox), func(a, b *letter) int { return cmp.Compare(a.n, b.n) }) {
		var m job.Message
		if err := store.Decode(store.Format, l.body, &m); err != nil {
			return nil, err
		}
		rows = append(rows, store.MessageRow{Message: m})
	}
	return rows, nil
}

// rows appends a job with its parts.
func (r *row) rows(id string, rows []store.Row) ([]store.Row, error) {
	j, err := r.job()
	if err != nil {
		return nil, err
	}
	rows = append(rows, store.JobRow{Job: *j, Data: store.Data{Initial: clone(r.initial), History: clone(r.history)}})
	if len(r.records) > 0 {
		records := make([]job.Record, len(r.records))
		for i, text := range r.records {
			if err := store.Decode(store.Format, text, &records[i]); err != nil {
				return nil, err
			}
		}
		rows = append(rows, store.RecordRow{JobID: id, Records: records})
	}
	for _, n := range slices.Sorted(maps.Keys(r.tasks)) {
		t, err := r.task(n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, store.TaskRow{Task: t})
	}
	for _, group := range r.results {
		for _, text := range group {
			var res job.Result
			if err := store.Decode(store.Format, text, &res); err != nil {
				return nil, err
			}
			rows = append(rows, store.ResultRow{JobID: id, Result: res})
		}
	}
	for _, p := range r.progress {
		rows = append(rows, store.ProgressRow{JobID: id, Progress: p})
	}
	return rows, nil
}

// Empty looks for anything at all.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	for key := range s.claims {
		if !strings.HasPrefix(key, store.MoveClaim) {
			return false, nil
		}
	}
	return len(s.jobs) == 0 && len(s.outbox) == 0 && len(s.values) == 0 && s.writes == 0 &&
		len(s.revisions) == 0 && len(s.sources) == 0 && len(s.workers) == 0, nil
}

// Import writes rows one by one.
func (s *Store) Import(ctx context.Context, rows []store.Row) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, r := range rows {
		if err := s.take(r); err != nil {
			return fmt.Errorf("import %s: %w", r.Kind(), err)
		}
	}
	return nil
}

func (s *Store) take(r store.Row) (err error) {
	switch r := r.(type) {
	case store.RevisionRow:
		kept := &revision{used: r.Revision.LastUse().UTC().Truncate(time.Millisecond)}
		kept.body, err = store.Encode(&r.Revision)
		s.revisions[r.Revision.Hash] = kept
	case store.FileRow:
		s.sources[r.File.Name] = r.File
	case store.WorkerRow:
		s.workers[r.ID] = string(r.Body)
	case store.ClaimRow:
		c := claim{value: slices.Clone(r.Value)}
		if r.Until != nil {
			c.until = *r.Until
		}
		s.claims[r.Key] = c
	case store.ValueRow:
		s.values[valueKey{r.Blueprint, r.Store, r.Value.Key}] = value{string(r.Value.Text), r.Value.Version}
	case store.VersionRow:
		s.writes = max(s.writes, r.Newest)
	case store.MessageRow:
		err = s.takeMessage(&r.Message)
	case store.JobRow:
		return s.takeJob(&r)
	default:
		return s.takePart(r)
	}
	return err
}

func (s *Store) takeMessage(m *job.Message) error {
	body, err := store.Encode(m)
	if err != nil {
		return err
	}
	s.letters++
	s.outbox[m.ID] = &letter{id: m.ID, n: s.letters, shard: job.ShardOf(m.JobID), due: m.Due, body: body, parked: m.Parked(), givenUp: m.GivenUp != nil}
	return nil
}

// takeJob goes the way of a new job, so that what is derived from its row stands as well.
func (s *Store) takeJob(r *store.JobRow) error {
	c := &job.Change{Job: r.Job, InitialData: r.Data.Initial, StateHistory: store.Object(r.Data.History)}
	t, err := encode(c)
	if err != nil {
		return err
	}
	if s.jobs[r.Job.ID] != nil {
		return fmt.Errorf("job %s: %w", r.Job.ID, store.ErrExists)
	}
	s.apply(nil, c, t)
	return nil
}

// takePart adds a row to its job.
func (s *Store) takePart(part store.Row) error {
	switch p := part.(type) {
	case store.RecordRow:
		r, err := s.find(p.JobID)
		if err != nil {
			return err
		}
		for i := range p.Records {
			text, err := store.Encode(&p.Records[i])
			if err != nil {
				return err
			}
			r.records = append(r.records, text)
		}
		return nil
	case store.TaskRow:
		r, err := s.find(p.Task.JobID)
		if err != nil {
			return err
		}
		body, err := store.Encode(&p.Task)
		if err == nil {
			s.putTask(r, &p.Task, body)
		}
		return err
	case store.ResultRow:
		r, err := s.find(p.JobID)
		if err != nil {
			return err
		}
		group := r.results[p.Result.Group]
		if group == nil {
			group = map[string]string{}
			r.results[p.Result.Group] = group
		}
		group[p.Result.TaskID], err = store.Encode(&p.Result)
		return err
	case store.ProgressRow:
		r, err := s.find(p.JobID)
		if err == nil {
			r.progress = append(r.progress, p.Progress)
		}
		return err
	}
	return fmt.Errorf("this Orrery does not know the row %T", part)
}
