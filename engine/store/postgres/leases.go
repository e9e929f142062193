package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
)

// This file holds leases, by the clock of the server.

// renewLeases renews what the holder has, also what had ended and nobody took.
const renewLeases = `WITH mine AS (SELECT name FROM leases WHERE holder=$1 AND name=ANY($2::text[]) ORDER BY name FOR UPDATE)
	UPDATE leases l SET until=clock_timestamp()+$3::int8*interval '1 microsecond', info=$4 FROM mine WHERE l.name=mine.name`

// freeLeases asks whether there is anything to take.
const freeLeases = `SELECT EXISTS (SELECT 1 FROM unnest($2::text[]) AS c(name) LEFT JOIN leases l ON l.name=c.name
	WHERE l.name IS NULL OR l.holder<>$1 AND l.until<=clock_timestamp())`

// takeLeases takes what nobody has.
const takeLeases = `INSERT INTO leases AS l (name, holder, fence, until, info)
	SELECT name, $1, 1, clock_timestamp()+$3::int8*interval '1 microsecond', $4 FROM (SELECT DISTINCT name FROM unnest($2::text[]) AS u(name) ORDER BY name) c
	ON CONFLICT (name) DO UPDATE SET holder=excluded.holder, fence=l.fence+1, until=excluded.until, info=excluded.info
	WHERE l.holder<>excluded.holder AND l.until<=clock_timestamp()`

// lockTakeover waits until all who commit on a fence are done, and makes others wait.
const lockTakeover = `SELECT pg_advisory_xact_lock($1::int4, 0)`

const leaseColumns = `SELECT name, holder, fence, (extract(epoch FROM until-clock_timestamp())*1000000)::int8, info FROM leases WHERE until>clock_timestamp() AND `

// Hold takes and renews leases. Most calls only renew, and nobody waits for those.
func (s *Store) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) (held []store.Lease, err error) {
	if err := store.CheckHold(holder, info, ttl); err != nil {
		return nil, err
	}
	if names == nil {
		names = []string{}
	}
	info = append(json.RawMessage{}, info...) // never nil: NULL is no value
	// Done twice it is done once, so a connection that broke does not matter.
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var free bool
		var b pgx.Batch
		b.Queue(renewLeases, holder, names, ttl.Microseconds(), []byte(info))
		b.Queue(freeLeases, holder, names).QueryRow(func(r pgx.Row) error { return r.Scan(&free) })
		queueHeld(&b, &held, "holder=$1", holder)
		if err := p.SendBatch(ctx, &b).Close(); err != nil || !free {
			return err
		}
		var take pgx.Batch
		take.Queue(lockTakeover, s.locks.fences)
		take.Queue(takeLeases, holder, names, ttl.Microseconds(), []byte(info))
		queueHeld(&take, &held, "holder=$1", holder)
		return p.SendBatch(ctx, &take).Close()
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// queueHeld adds the reading of leases that stand.
func queueHeld(b *pgx.Batch, into *[]store.Lease, cond string, args ...any) {
	b.Queue(leaseColumns+cond+" ORDER BY name", args...).Query(func(rows pgx.Rows) error {
		*into = nil
		return each(rows, func() error {
			var l store.Lease
			var left int64
			var info []byte
			if err := rows.Scan(&l.Name, &l.Holder, &l.Fence, &left, &info); err != nil {
				return err
			}
			if l.Left = time.Duration(left) * time.Microsecond; len(info) > 0 {
				l.Info = json.RawMessage(info)
			}
			if l.Left > 0 {
				*into = append(*into, l)
			}
			return nil
		})
	})
}

// Yield ends leases. A holder that comes back gets a new number.
func (s *Store) Yield(ctx context.Context, holder string, names ...string) error {
	return s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var b pgx.Batch
		b.Queue(lockTakeover, s.locks.fences)
		b.Queue(`WITH mine AS (SELECT name FROM leases WHERE holder=$1 AND holder<>'' AND name=ANY($2::text[]) ORDER BY name FOR UPDATE)
			UPDATE leases l SET holder='', until=clock_timestamp() FROM mine WHERE l.name=mine.name`, holder, names)
		return p.SendBatch(ctx, &b).Close()
	})
}

// Held gives the leases that stand. starts_with compares bytes, as names do.
func (s *Store) Held(ctx context.Context, prefix string) (held []store.Lease, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var b pgx.Batch
		queueHeld(&b, &held, "starts_with(name, $1)", prefix)
		return p.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}
