package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
)

// This file holds what stands beside the jobs: workers, claims and counters.

// PutWorker keeps a registration.
func (s *Store) PutWorker(ctx context.Context, id string, body json.RawMessage, _ time.Time) error {
	if err := store.CheckWorker(id, body); err != nil {
		return err
	}
	text := string(body)
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { p.HSet(ctx, s.keys.workers(), id, text) }); err != nil {
		return fmt.Errorf("keep worker %s: %w", id, err)
	}
	return nil
}

// AllWorkers gives every registration by worker id.
func (s *Store) AllWorkers(ctx context.Context) (map[string]json.RawMessage, error) {
	var cmd *goredis.MapStringStringCmd
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.HGetAll(ctx, s.keys.workers()) }); err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	out := make(map[string]json.RawMessage, len(cmd.Val()))
	for id, body := range cmd.Val() {
		out[id] = json.RawMessage(body)
	}
	return out, nil
}

// DeleteWorker forgets a worker.
func (s *Store) DeleteWorker(ctx context.Context, id string) error {
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { p.HDel(ctx, s.keys.workers(), id) }); err != nil {
		return fmt.Errorf("forget worker %s: %w", id, err)
	}
	return nil
}

// claimLife is how much longer than its time the key of a claim lives: whether it has ended
// is decided by the dates that callers give, the server only clears away what is long past.
const claimLife = 24 * time.Hour

// life is the time after which the server may drop a key, in milliseconds.
func life(left time.Duration) string {
	return strconv.FormatInt((max(left, 0) + claimLife).Milliseconds(), 10)
}

// Claim sets a key that is free.
func (s *Store) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error) {
	until, lives := "0", "0"
	if ttl > 0 {
		until, lives = strconv.FormatInt(now.Add(ttl).UnixMilli(), 10), life(ttl)
	}
	reply, err := s.call(ctx, claimScript, s.keys.claim(key), strconv.FormatInt(now.UnixMilli(), 10), until, s.token(), string(value), lives)
	if err != nil {
		return nil, false, fmt.Errorf("claim %q: %w", key, err)
	}
	text, claimed, err := twoValues(reply)
	if err != nil {
		return nil, false, fmt.Errorf("claim %q: %w", key, err)
	}
	return []byte(text), claimed, nil
}

// twoValues reads the reply of a script that gives a text and a flag.
func twoValues(reply any) (text string, yes bool, err error) {
	list, _ := reply.([]any)
	if len(list) != 2 {
		return "", false, fmt.Errorf("the script answered %v", reply)
	}
	text, _ = list[0].(string)
	n, _ := list[1].(int64)
	return text, n == 1, nil
}

// Claimed gives the value of a key that is not past its end.
func (s *Store) Claimed(ctx context.Context, key string, now time.Time) (stands []byte, claimed bool, err error) {
	var cmd *goredis.StringCmd
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.Get(ctx, s.keys.claim(key)) }); err != nil {
		return nil, false, fmt.Errorf("read the claim %q: %w", key, err)
	}
	if cmd.Err() == goredis.Nil {
		return nil, false, nil
	}
	until, text, err := parseClaim(cmd.Val())
	if err != nil {
		return nil, false, fmt.Errorf("read the claim %q: %w", key, err)
	}
	if until != 0 && until <= now.UnixMilli() {
		return nil, false, nil
	}
	return []byte(text), true, nil
}

// Count adds to a counter, which is a claim with a number in it.
func (s *Store) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error) {
	key = store.CounterKey(key)
	reply, err := s.call(ctx, countScript, s.keys.claim(key), strconv.FormatInt(now.UnixMilli(), 10), strconv.FormatInt(until.UnixMilli(), 10),
		s.token(), strconv.FormatInt(by, 10), strconv.FormatInt(most, 10), life(until.Sub(now)))
	if err != nil {
		return 0, false, fmt.Errorf("count %q: %w", key, err)
	}
	text, taken, err := twoValues(reply)
	if err != nil {
		return 0, false, fmt.Errorf("count %q: %w", key, err)
	}
	stands, err = store.ParseCount(key, []byte(text))
	return stands, taken, err
}
