package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds what stands beside the jobs: outbox, workers and claims.

// Messages is MessagesIn of all shards.
func (s *Store) Messages(ctx context.Context, now time.Time, limit int) ([]job.Message, error) {
	return s.MessagesIn(ctx, store.AllShards(), now, limit)
}

// MessagesIn gives what is due, in the order of arrival among equal dates.
func (s *Store) MessagesIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) ([]job.Message, error) {
	cond, args := inShards(in, now.UnixMilli(), limit)
	var passed store.Unreadable
	out, _, _, err := s.messages(ctx, &passed, "SELECT f, body, id FROM outbox WHERE due<=$1"+cond+" ORDER BY due, k LIMIT $2", args...)
	return out, cmp.Or(err, passed.Any())
}

func (s *Store) messages(ctx context.Context, passed *store.Unreadable, text string, args ...any) (out []job.Message, last []byte, met int, err error) {
	return readRows[job.Message](ctx, s, passed, func(id []byte) string { return store.NameOfMessage(string(id)) }, text, args...)
}

// Delivered removes messages.
func (s *Store) Delivered(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return s.begin(ctx)
	}
	return s.writerOfMessage(ids[0]).Await(ctx, &write{Data: item{gone: ids}, What: "delivered messages"}, nil)
}

// writerOfMessage gives that of the job whose id the message's begins with.
func (s *Store) writerOfMessage(id string) *writer {
	jobID, _, _ := strings.Cut(id, "/")
	key, _ := job.ParseID(jobID) // any writer will do for others
	return s.writerOf(key)
}

// Dates that never come, in the column due, for messages without a date of their own.
const (
	dueSent    = math.MaxInt64 - 1
	dueGivenUp = math.MaxInt64
)

// Postpone replaces a message that is still there.
func (s *Store) Postpone(ctx context.Context, m job.Message) error {
	body, err := store.Encode(&m)
	if err != nil {
		return err
	}
	id, ok := job.ParseID(m.JobID)
	if !ok && m.Fence != 0 {
		return store.FencedMessage(&m) // of no job, so of no shard
	}
	w := &write{Data: item{moved: &movedMessage{&m, id, messageDue(&m), []byte(body)}}, What: "postponed message", Size: len(body)}
	return s.writerOfMessage(m.ID).Await(ctx, w, nil)
}

// messageDue gives the column due of a message.
func messageDue(m *job.Message) int64 {
	switch {
	case m.GivenUp != nil:
		return dueGivenUp
	case m.Sent != nil:
		return dueSent
	}
	return m.Due.UnixMilli()
}

// MessagesOf gives the messages of a job; '0' is the character after '/'.
func (s *Store) MessagesOf(ctx context.Context, jobID string) ([]job.Message, error) {
	var passed store.Unreadable
	out, _, _, err := s.messages(ctx, &passed, "SELECT f, body, id FROM outbox WHERE id>$1 AND id<$2 ORDER BY id", []byte(jobID+"/"), []byte(jobID+"0"))
	return out, cmp.Or(err, passed.Any())
}

// GivenUp gives messages that nobody tries any more.
func (s *Store) GivenUp(ctx context.Context, after string, limit int) ([]job.Message, error) {
	var passed store.Unreadable
	from := []byte(after)
	out, err := store.Fill(limit, func(n int) ([]job.Message, int, error) {
		part, last, met, err := s.messages(ctx, &passed, "SELECT f, body, id FROM outbox WHERE due=$1 AND id>$2 ORDER BY id LIMIT $3", int64(dueGivenUp), from, n)
		if met > 0 {
			from = last
		}
		return part, met, err
	})
	return out, cmp.Or(err, passed.Any())
}

// exec runs a statement that may be run twice. A context that ends counts before it begins.
func (s *Store) exec(ctx context.Context, text string, args ...any) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.on(context.WithoutCancel(ctx), func(ctx context.Context, p *pgxpool.Pool) error {
		_, err := p.Exec(ctx, text, args...)
		return err
	})
}

// PutWorker keeps a registration.
func (s *Store) PutWorker(ctx context.Context, id string, body json.RawMessage, seen time.Time) error {
	if err := store.CheckWorker(id, body); err != nil {
		return err
	}
	return s.exec(ctx, "INSERT INTO workers(id, seen, body) VALUES($1, $2, $3) ON CONFLICT (id) DO UPDATE SET seen=excluded.seen, body=excluded.body",
		[]byte(id), seen.UnixMilli(), []byte(body))
}

// AllWorkers gives every registration by worker id.
func (s *Store) AllWorkers(ctx context.Context) (out map[string]json.RawMessage, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		out = map[string]json.RawMessage{}
		return all(ctx, p, "SELECT id, body FROM workers", func(r pgx.Rows) error {
			var id, body []byte
			err := r.Scan(&id, &body)
			out[string(id)] = json.RawMessage(body)
			return err
		})
	})
	return out, err
}

// DeleteWorker forgets a worker.
func (s *Store) DeleteWorker(ctx context.Context, id string) error {
	return s.exec(ctx, "DELETE FROM workers WHERE id=$1", []byte(id))
}

// expiredAtOnce bounds the old claims that a new one clears away; two would keep pace.
const expiredAtOnce = 16

// Claim sets a key that is free, and clears some that are past their end on the way. Rows that
// another claim is at are left to it, so that no two wait for each other.
func (s *Store) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error) {
	value = append([]byte{}, value...) // never nil: NULL is no value
	var until *int64
	if ttl > 0 {
		end := now.Add(ttl).UnixMilli()
		until = &end
	}
	err = s.once(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var b pgx.Batch
		b.Queue(`INSERT INTO claims(key, until, value) VALUES($1, $2, $3)
			ON CONFLICT (key) DO UPDATE SET until=excluded.until, value=excluded.value WHERE claims.until<=$4 RETURNING true`,
			[]byte(key), until, value, now.UnixMilli()).Query(func(rows pgx.Rows) error {
			return each(rows, func() error { return rows.Scan(&claimed) })
		})
		b.Queue("SELECT value FROM claims WHERE key=$1", []byte(key)).QueryRow(func(r pgx.Row) error { return r.Scan(&stands) })
		b.Queue(`DELETE FROM claims WHERE key IN (SELECT key FROM claims WHERE until<=$1 AND key<>$2 LIMIT $3 FOR UPDATE SKIP LOCKED)`,
			now.UnixMilli(), []byte(key), expiredAtOnce)
		return p.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, false, fmt.Errorf("claim %q: %w", key, err)
	}
	return stands, claimed, nil
}

// Claimed reads a key that somebody holds.
func (s *Store) Claimed(ctx context.Context, key string, now time.Time) (stands []byte, claimed bool, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var value []byte
		err := p.QueryRow(ctx, "SELECT value FROM claims WHERE key=$1 AND (until IS NULL OR until>$2)", []byte(key), now.UnixMilli()).Scan(&value)
		if errors.Is(err, pgx.ErrNoRows) {
			stands, claimed = nil, false
			return nil
		}
		stands, claimed = bytes.Clone(value), err == nil
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read the claim %q: %w", key, err)
	}
	return stands, claimed, nil
}

// Count adds to a counter, which is a claim with a number in it. The row is locked between
// reading and writing; one that is not there yet is made first.
func (s *Store) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error) {
	key = store.CounterKey(key)
	err = s.once(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		if by == 0 { // it only looks
			stands, taken, err = lookCount(ctx, p, key, most, now)
			return err
		}
		return pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
			ends := until.UnixMilli()
			var value []byte
			err := tx.QueryRow(ctx, `INSERT INTO claims AS k (key, until, value) VALUES($1, $2, $3)
				ON CONFLICT (key) DO UPDATE SET until=CASE WHEN k.until>$4 THEN k.until ELSE excluded.until END,
					value=CASE WHEN k.until>$4 THEN k.value ELSE excluded.value END RETURNING value`,
				[]byte(key), ends, store.FormatCount(0), now.UnixMilli()).Scan(&value)
			if err != nil {
				return err
			}
			if stands, err = store.ParseCount(key, value); err != nil {
				return &ours{err}
			}
			if stands, taken = store.AddCount(stands, by, most); !taken {
				return nil
			}
			_, err = tx.Exec(ctx, "UPDATE claims SET value=$2 WHERE key=$1", []byte(key), store.FormatCount(stands))
			return err
		})
	})
	if err != nil {
		return 0, false, fmt.Errorf("count %q: %w", key, err)
	}
	return stands, taken, nil
}

func lookCount(ctx context.Context, p *pgxpool.Pool, key string, most int64, now time.Time) (stands int64, taken bool, err error) {
	var value []byte
	err = p.QueryRow(ctx, "SELECT value FROM claims WHERE key=$1 AND until>$2", []byte(key), now.UnixMilli()).Scan(&value)
	if err == nil {
		if stands, err = store.ParseCount(key, value); err != nil {
			return 0, false, &ours{err}
		}
	} else if !errors.Is(err, pgx.ErrNoRows) {
		return 0, false, err
	}
	stands, taken = store.AddCount(stands, 0, most)
	return stands, taken, nil
}
