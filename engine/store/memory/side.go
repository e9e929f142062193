package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds what stands beside the jobs: outbox, workers and claims.

// Messages gives what is due, earliest first, in the order of arrival among equals.
func (s *Store) Messages(ctx context.Context, now time.Time, limit int) ([]job.Message, error) {
	return s.MessagesIn(ctx, store.AllShards(), now, limit)
}

// MessagesIn is Messages of some shards.
func (s *Store) MessagesIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) ([]job.Message, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var due []*letter
	for _, l := range s.outbox {
		if !l.parked && !l.due.After(now) && in.Has(l.shard) {
			due = append(due, l)
		}
	}
	slices.SortFunc(due, func(a, b *letter) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return int(a.n - b.n)
	})
	var out []job.Message
	var passed store.Unreadable
	for _, l := range due[:min(len(due), limit)] {
		var m job.Message
		if err := store.Decode(store.Format, l.body, &m); err != nil {
			if err := passed.Pass(store.NameOfMessage(l.id), err); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, m)
	}
	return out, passed.Any()
}

// Delivered removes messages.
func (s *Store) Delivered(ctx context.Context, ids ...string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.outbox, id)
	}
	return nil
}

// Postpone replaces a message that is still there.
func (s *Store) Postpone(ctx context.Context, m job.Message) error {
	body, err := store.Encode(&m)
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if !s.stands(m.JobID, m.Fence) {
		return store.FencedMessage(&m)
	}
	if l := s.outbox[m.ID]; l != nil {
		l.due, l.body, l.parked, l.givenUp = m.Due, body, m.Parked(), m.GivenUp != nil
	}
	return nil
}

// MessagesOf gives the messages of a job.
func (s *Store) MessagesOf(ctx context.Context, jobID string) ([]job.Message, error) {
	return s.keptMessages(ctx, math.MaxInt, func(id string, _ *letter) bool { return strings.HasPrefix(id, jobID+"/") })
}

// GivenUp gives messages that nobody tries any more.
func (s *Store) GivenUp(ctx context.Context, after string, limit int) ([]job.Message, error) {
	return s.keptMessages(ctx, limit, func(id string, l *letter) bool { return l.givenUp && id > after })
}

// keptMessages gives the messages that pass, in order of id, at most limit.
func (s *Store) keptMessages(ctx context.Context, limit int, pass func(id string, l *letter) bool) ([]job.Message, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []job.Message
	var passed store.Unreadable
	for _, id := range slices.Sorted(maps.Keys(s.outbox)) {
		if len(out) == limit {
			break
		}
		if l := s.outbox[id]; pass(id, l) {
			var m job.Message
			if err := store.Decode(store.Format, l.body, &m); err == nil {
				out = append(out, m)
			} else if err := passed.Pass(store.NameOfMessage(id), err); err != nil {
				return nil, err
			}
		}
	}
	return out, passed.Any()
}

// PutWorker keeps a registration.
func (s *Store) PutWorker(ctx context.Context, id string, body json.RawMessage, _ time.Time) error {
	if err := store.CheckWorker(id, body); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.workers[id] = string(body)
	return nil
}

// AllWorkers gives every registration by worker id.
func (s *Store) AllWorkers(ctx context.Context) (map[string]json.RawMessage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make(map[string]json.RawMessage, len(s.workers))
	for id, body := range s.workers {
		out[id] = json.RawMessage(body)
	}
	return out, nil
}

// DeleteWorker forgets a worker.
func (s *Store) DeleteWorker(ctx context.Context, id string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.workers, id)
	return nil
}

// Claim sets a key that is free, and clears what is past its end on the way.
func (s *Store) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) ([]byte, bool, error) {
	if err := s.begin(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	for k, c := range s.claims {
		if !c.until.IsZero() && !c.until.After(now) {
			delete(s.claims, k)
		}
	}
	if c, ok := s.claims[key]; ok {
		return bytes.Clone(c.value), false, nil
	}
	c := claim{value: bytes.Clone(value)}
	if ttl > 0 {
		c.until = now.Add(ttl)
	}
	s.claims[key] = c
	return bytes.Clone(value), true, nil
}

// Claimed reads a key that somebody holds.
func (s *Store) Claimed(ctx context.Context, key string, now time.Time) ([]byte, bool, error) {
	if err := s.begin(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	c, ok := s.claims[key]
	if !ok || !c.until.IsZero() && !c.until.After(now) {
		return nil, false, nil
	}
	return bytes.Clone(c.value), true, nil
}

// Count adds to a counter, which is a claim with a number in it.
func (s *Store) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error) {
	if err := s.begin(ctx); err != nil {
		return 0, false, err
	}
	defer s.mu.Unlock()
	key = store.CounterKey(key)
	if c, ok := s.claims[key]; ok && c.until.After(now) {
		if stands, err = store.ParseCount(key, c.value); err != nil {
			return 0, false, err
		}
		until = c.until
	}
	next, taken := store.AddCount(stands, by, most)
	if taken && by != 0 {
		s.claims[key] = claim{value: store.FormatCount(next), until: until}
	}
	return next, taken, nil
}
