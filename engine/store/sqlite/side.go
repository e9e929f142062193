package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds what stands beside the jobs: outbox, workers and claims.

// Messages gives what is due, in the order of arrival among equal dates.
func (s *Store) Messages(ctx context.Context, now time.Time, limit int) (out []job.Message, err error) {
	var passed store.Unreadable
	out, err = s.messages(ctx, &passed, "SELECT f, body, id FROM outbox INDEXED BY outbox_due WHERE due<=? ORDER BY due, k LIMIT ?", nil, now.UnixMilli(), int64(limit))
	return out, cmp.Or(err, passed.Any())
}

// messages reads messages, notes what it passes over, and tells met of every id.
func (s *Store) messages(ctx context.Context, passed *store.Unreadable, text string, met func(id string), args ...driver.Value) (out []job.Message, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.each(text, func(r row) error {
			id := r.text(2)
			if met != nil {
				met(id)
			}
			var m job.Message
			if err := store.Decode(r.int(0), r.text(1), &m); err != nil {
				return passed.Pass(store.NameOfMessage(id), err)
			}
			out = append(out, m)
			return nil
		}, args...)
	})
	return out, err
}

// Delivered removes messages.
func (s *Store) Delivered(ctx context.Context, ids ...string) error {
	return s.write(ctx, 0, func(w *writer) error {
		for _, id := range ids {
			if _, err := w.exec("DELETE FROM outbox WHERE id=?", id); err != nil {
				return fmt.Errorf("remove message %s: %w", id, err)
			}
		}
		return nil
	})
}

// Postpone replaces a message that is still there.
func (s *Store) Postpone(ctx context.Context, m job.Message) error {
	body, err := store.Encode(&m)
	if err != nil {
		return err
	}
	due := messageDue(&m)
	return s.write(ctx, len(body), func(w *writer) error {
		_, err := w.exec("UPDATE outbox SET due=?, f=?, body=? WHERE id=?", due, int64(store.Format), body, m.ID)
		return err
	})
}

// Dates that never come, in the column due, for messages without a date of their own.
const (
	dueSent    = math.MaxInt64 - 1
	dueGivenUp = math.MaxInt64
)

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
func (s *Store) MessagesOf(ctx context.Context, jobID string) (out []job.Message, err error) {
	var passed store.Unreadable
	out, err = s.messages(ctx, &passed, "SELECT f, body, id FROM outbox WHERE id>? AND id<? ORDER BY id", nil, jobID+"/", jobID+"0")
	return out, cmp.Or(err, passed.Any())
}

// GivenUp gives messages that nobody tries any more.
func (s *Store) GivenUp(ctx context.Context, after string, limit int) (out []job.Message, err error) {
	var passed store.Unreadable
	out, err = store.Fill(limit, func(n int) (_ []job.Message, met int, err error) {
		part, err := s.messages(ctx, &passed, "SELECT f, body, id FROM outbox INDEXED BY outbox_due WHERE due=? AND id>? ORDER BY id LIMIT ?",
			func(id string) { after, met = id, met+1 }, int64(dueGivenUp), after, int64(n))
		return part, met, err
	})
	return out, cmp.Or(err, passed.Any())
}

// PutWorker keeps a registration.
func (s *Store) PutWorker(ctx context.Context, id string, body json.RawMessage, seen time.Time) error {
	if err := store.CheckWorker(id, body); err != nil {
		return err
	}
	text := string(body)
	return s.write(ctx, len(text), func(w *writer) error {
		_, err := w.exec("INSERT INTO workers(id, seen, body) VALUES(?,?,?) ON CONFLICT DO UPDATE SET seen=excluded.seen, body=excluded.body", id, seen.UnixMilli(), text)
		return err
	})
}

// AllWorkers gives every registration by worker id.
func (s *Store) AllWorkers(ctx context.Context) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	err := s.read(ctx, func(c *conn) error {
		return c.each("SELECT id, body FROM workers", func(r row) error {
			out[r.text(0)] = json.RawMessage(r.text(1))
			return nil
		})
	})
	return out, err
}

// DeleteWorker forgets a worker.
func (s *Store) DeleteWorker(ctx context.Context, id string) error {
	return s.write(ctx, 0, func(w *writer) error {
		_, err := w.exec("DELETE FROM workers WHERE id=?", id)
		return err
	})
}

// expiredAtOnce bounds the old claims that a new one clears away; two would keep pace.
const expiredAtOnce = 16

// Claim sets a key that is free, and clears some that are past their end on the way.
func (s *Store) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error) {
	value = append([]byte{}, value...) // never nil: NULL is no value
	var until any
	if ttl > 0 {
		until = now.Add(ttl).UnixMilli()
	}
	err = s.write(ctx, len(value), func(w *writer) error {
		_, err := w.exec("DELETE FROM claims WHERE key IN (SELECT key FROM claims WHERE until<=? LIMIT ?) OR key=? AND until<=?",
			now.UnixMilli(), int64(expiredAtOnce), key, now.UnixMilli())
		if err != nil {
			return err
		}
		n, err := w.exec("INSERT INTO claims(key, until, value) VALUES(?,?,?) ON CONFLICT DO NOTHING", key, until, value)
		if err != nil {
			return err
		}
		if stands, claimed = bytes.Clone(value), true; n > 0 {
			return nil
		}
		r, _, err := w.c.one("SELECT value FROM claims WHERE key=?", key)
		stands, claimed = r.blob(0), false
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("claim %q: %w", key, err)
	}
	return stands, claimed, nil
}

// Claimed reads a key that somebody holds.
func (s *Store) Claimed(ctx context.Context, key string, now time.Time) (stands []byte, claimed bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		r, ok, err := c.one("SELECT value FROM claims WHERE key=? AND (until IS NULL OR until>?)", key, now.UnixMilli())
		if ok && err == nil {
			stands, claimed = bytes.Clone(r.blob(0)), true
		}
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read the claim %q: %w", key, err)
	}
	return stands, claimed, nil
}

// Count adds to a counter, which is a claim with a number in it. The one writer makes it exact.
func (s *Store) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error) {
	key = store.CounterKey(key)
	err = s.write(ctx, len(key), func(w *writer) error {
		stands = 0
		r, ok, err := w.c.one("SELECT value, until FROM claims WHERE key=? AND until>?", key, now.UnixMilli())
		if err != nil {
			return err
		}
		ends := until.UnixMilli()
		if ok {
			if stands, err = store.ParseCount(key, r.blob(0)); err != nil {
				return err
			}
			ends = r.int(1)
		}
		if stands, taken = store.AddCount(stands, by, most); !taken || by == 0 {
			return nil
		}
		_, err = w.exec("INSERT INTO claims(key, until, value) VALUES(?,?,?) ON CONFLICT DO UPDATE SET until=excluded.until, value=excluded.value",
			key, ends, store.FormatCount(stands))
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("count %q: %w", key, err)
	}
	return stands, taken, nil
}
