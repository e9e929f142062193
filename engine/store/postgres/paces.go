package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
)

// This file bounds how often something may happen over all nodes. A pace is kept as a claim
// with a moment in it, by the server's clock; who clears claims away clears it as well.

// paceKept is how long the row of a pace outlasts its moment: who clears away goes by the clock
// of a node.
const paceKept = time.Hour

// lockPace makes the row if there is none, and locks it. The clock is read when it is locked.
const lockPace = `INSERT INTO claims AS k (key, until, value) VALUES($1, 0, '0') ON CONFLICT (key) DO UPDATE SET value=k.value
	RETURNING value, (extract(epoch FROM clock_timestamp())*1000000)::int8`

// Draw takes turns of a pace. What a crash of the server loses of it does not matter, so that
// its commit does not wait for a disk.
func (s *Store) Draw(ctx context.Context, key string, p store.Pace, n, back int) (d store.Drawn, err error) {
	row := []byte(store.PaceKey(key))
	err = s.once(ctx, func(ctx context.Context, pool *pgxpool.Pool) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var value []byte
			var now int64
			var lock pgx.Batch
			lock.Queue("SET LOCAL synchronous_commit=off")
			lock.Queue(lockPace, row).QueryRow(func(r pgx.Row) error { return r.Scan(&value, &now) })
			if err := tx.SendBatch(ctx, &lock).Close(); err != nil {
				return err
			}
			at, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				return &ours{fmt.Errorf("%s holds %q, which is no moment", row, value)}
			}
			at, d = store.DrawTurns(at, now, p, n, back)
			_, err = tx.Exec(ctx, "UPDATE claims SET until=$2, value=$3 WHERE key=$1", row, at/1000+paceKept.Milliseconds(), strconv.AppendInt(nil, at, 10))
			return err
		})
	})
	if err != nil {
		return store.Drawn{}, fmt.Errorf("draw turns of %q: %w", key, err)
	}
	return d, nil
}
