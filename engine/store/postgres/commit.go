package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file commits a batch: in one round trip when all its guards hold, carefully when not.

// tries bounds how often a batch is sent again that the server chose as a victim, or that met a
// job which came into being meanwhile.
const tries = 5

// verdicts writes the batch and gives what became of each write.
func (w *writer) verdicts(batch []*write) []error {
	err := w.fast(batch)
	for n := 1; n < tries && isVictim(err); n++ {
		err = w.fast(batch)
	}
	if isGuard(err) {
		var verdicts []error
		for n := 0; n < tries && (isGuard(err) || isVictim(err)); n++ {
			if verdicts, err = w.careful(batch); err == nil {
				return verdicts
			}
		}
	}
	if len(batch) > 1 && err != nil && isOwn(err) { // one of them is bad: each goes by itself
		var verdicts []error
		for i := range batch {
			verdicts = append(verdicts, w.verdicts(batch[i:i+1])...)
		}
		return verdicts
	}
	if err != nil {
		err = fmt.Errorf("write to %s: %w", w.s.name, w.s.explain(err))
	}
	verdicts := make([]error, len(batch))
	for i := range verdicts {
		verdicts[i] = err
	}
	return verdicts
}

// errGuard: a guard of a batch can not hold, as is seen without asking the server.
var errGuard = errors.New("a value that a change read was written by another change of its batch")

// fast sends the batch as one transaction, in one round trip.
func (w *writer) fast(batch []*write) error {
	c := columns{slot: w.slot, locks: w.s.locks}
	var values overlay
	for _, b := range batch {
		if b.Data.change != nil {
			for _, r := range b.Data.change.c.Reads {
				k := valueKey{b.Data.change.c.Job.Blueprint, r.Store, r.Key}
				version, written := values.read(k)
				switch {
				case !written:
					c.read(k, r.Version)
				case version != r.Version:
					return errGuard
				}
			}
			values.write(b.Data.change)
		}
		c.add(b)
	}
	c.writes(&values)
	c.lock(batch)
	var out pgx.Batch
	c.queue(&out)
	if out.Len() == 0 {
		return nil // a Sync alone
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opts.AnswerWait)
	defer cancel()
	conn, err := w.connect(ctx)
	if err != nil {
		return err
	}
	killpoint.At("postgres.before-send")
	// Without BEGIN and COMMIT what is sent together is one transaction.
	err = conn.SendBatch(ctx, &out).Close()
	killpoint.At("postgres.after-commit")
	return w.answered(err)
}

// add adds the rows of a write.
func (c *columns) add(b *write) {
	switch {
	case b.Data.change != nil:
		c.change(b.Data.change)
	case b.Data.out != nil:
		c.outs.handOut(b.Data.out)
	case b.Data.note != nil:
		c.progress.job = append(c.progress.job, b.Data.note.job)
		c.progress.task, c.progress.body = append(c.progress.task, b.Data.note.task), append(c.progress.body, b.Data.note.body)
	case b.Data.moved != nil:
		c.postpone(b.Data.moved)
	}
	for _, id := range b.Data.gone {
		c.gone = append(c.gone, []byte(id))
	}
}

// postpone adds a message; of several with one id the last one counts.
func (c *columns) postpone(m *movedMessage) {
	at := slices.IndexFunc(c.moved.id, func(id []byte) bool { return string(id) == m.m.ID })
	if at < 0 {
		c.moved.id, c.moved.due, c.moved.body = append(c.moved.id, []byte(m.m.ID)), append(c.moved.due, m.due), append(c.moved.body, m.body)
		return
	}
	c.moved.due[at], c.moved.body[at] = m.due, m.body
}

// lock notes what must be locked and which fences must stand, each once and in order: two
// batches that take several never wait for each other in a circle.
func (c *columns) lock(batch []*write) {
	fences := map[guardKey]bool{}
	guard := func(id uuid, fence int64) {
		k := guardKey{store.ShardLease(id[15]), fence}
		if fence != 0 && !fences[k] {
			fences[k] = true
			c.fences.name, c.fences.fence = append(c.fences.name, k.name), append(c.fences.fence, k.fence)
		}
	}
	for _, b := range batch {
		if b.Data.out != nil {
			guard(b.Data.out.job, b.Data.out.t.Fence)
		}
		if b.Data.moved != nil {
			guard(b.Data.moved.job, b.Data.moved.m.Fence)
		}
		if b.Data.change == nil {
			continue
		}
		for _, name := range b.Data.change.stores() {
			c.stores = append(c.stores, lockKey(b.Data.change.c.Job.Blueprint, name))
		}
		guard(b.Data.change.id, b.Data.change.c.Fence)
	}
	slices.Sort(c.stores)
	c.stores = slices.Compact(c.stores)
}

type guardKey struct {
	name  string
	fence int64
}

// stores names the data stores that a change reads or writes.
func (p *plan) stores() (names []string) {
	for _, r := range p.c.Reads {
		names = append(names, r.Store)
	}
	for _, v := range p.c.Writes {
		names = append(names, v.Store)
	}
	return names
}

// careful locks and reads what the guards of the batch speak of, leaves out what must be
// refused, and writes the rest. Its error is one of the whole batch, of which nothing is written.
func (w *writer) careful(batch []*write) (verdicts []error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opts.AnswerWait)
	defer cancel()
	conn, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, w.answered(err)
	}
	defer func() {
		if err != nil && w.conn != nil {
			if e := tx.Rollback(ctx); e != nil && !errors.Is(e, pgx.ErrTxClosed) {
				w.answered(e)
				err = errors.Join(err, e)
			}
		}
	}()
	truth, err := w.read(ctx, tx, batch)
	if err != nil {
		return nil, w.answered(err)
	}
	c := columns{slot: w.slot, locks: w.s.locks}
	verdicts = make([]error, len(batch))
	for i, b := range batch {
		if b.Data.change != nil {
			if verdicts[i] = truth.judge(b.Data.change); verdicts[i] != nil {
				continue
			}
			truth.values.write(b.Data.change)
		}
		if out := b.Data.out; out != nil && !truth.stands(out.job, out.t.Fence) {
			continue // dropped: another node has the shard
		}
		if moved := b.Data.moved; moved != nil && !truth.stands(moved.job, moved.m.Fence) {
			verdicts[i] = store.FencedMessage(moved.m)
			continue
		}
		c.add(b)
	}
	c.writes(&truth.values)
	var out pgx.Batch
	c.queue(&out)
	if out.Len() > 0 {
		if err := tx.SendBatch(ctx, &out).Close(); err != nil {
			return nil, w.answered(err)
		}
	}
	return verdicts, w.answered(tx.Commit(ctx))
}

// truth is what the guards of a batch are held against: the rows, locked, and what the accepted
// changes of the batch do to them.
type truth struct {
	versions map[uuid]int64
	fences   map[string]int64
	stored   map[valueKey]int64
	values   overlay
}

// read locks and reads. The rows of the jobs are locked in order.
func (w *writer) read(ctx context.Context, tx pgx.Tx, batch []*write) (*truth, error) {
	t := &truth{versions: map[uuid]int64{}, fences: map[string]int64{}, stored: map[valueKey]int64{}}
	c := columns{locks: w.s.locks}
	c.lock(batch)
	var ids []uuid
	for _, b := range batch {
		if b.Data.change == nil {
			continue
		}
		ids = append(ids, b.Data.change.id)
		for _, r := range b.Data.change.c.Reads {
			c.read(valueKey{b.Data.change.c.Job.Blueprint, r.Store, r.Key}, 0)
		}
	}
	var out pgx.Batch
	if len(c.stores) > 0 {
		out.Queue(lockValues, c.stores, w.s.locks.values)
	}
	out.Queue(lockFences, w.s.locks.fences)
	out.Queue("SELECT id, version FROM heads WHERE id=ANY($1::uuid[]) ORDER BY id FOR UPDATE", ids).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var id uuid
			var version int64
			err := rows.Scan(&id, &version)
			t.versions[id] = version
			return err
		})
	})
	out.Queue("SELECT name, fence FROM leases WHERE name=ANY($1::text[]) AND holder<>''", c.fences.name).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var name string
			var fence int64
			err := rows.Scan(&name, &fence)
			t.fences[name] = fence
			return err
		})
	})
	out.Queue(`SELECT d.blueprint, d.store, d.key, d.version FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS c(blueprint, store, key)
		JOIN data_stores d ON d.blueprint=c.blueprint AND d.store=c.store AND d.key=c.key`, c.reads.blueprint, c.reads.store, c.reads.key).Query(func(rows pgx.Rows) error {
		return each(rows, func() error {
			var blueprint, name, key []byte
			var version int64
			err := rows.Scan(&blueprint, &name, &key, &version)
			t.stored[valueKey{string(blueprint), string(name), string(key)}] = version
			return err
		})
	})
	return t, tx.SendBatch(ctx, &out).Close()
}

// stands reports whether a fence is that of the job's shard; 0 is none, and always stands.
func (t *truth) stands(id uuid, fence int64) bool {
	return fence == 0 || t.fences[store.ShardLease(id[15])] == fence
}

// judge holds a change against what stands.
func (t *truth) judge(p *plan) error {
	stands, there := t.versions[p.id]
	switch {
	case p.c.Base == 0 && there:
		return fmt.Errorf("commit job %s: %w", p.c.Job.ID, store.ErrExists)
	case !t.stands(p.id, p.c.Fence): // before the version, which the new owner may have changed: its cause is told
		return fmt.Errorf("commit job %s: shard %02x stands at fence %d, the change was built on %d: %w",
			p.c.Job.ID, p.id[15], t.fences[store.ShardLease(p.id[15])], p.c.Fence, store.ErrFenced)
	case p.c.Base != 0 && stands != p.c.Base:
		return fmt.Errorf("commit job %s on version %d: %w", p.c.Job.ID, p.c.Base, store.ErrConflict)
	}
	for _, r := range p.c.Reads {
		if t.value(p, r) != r.Version {
			return fmt.Errorf("commit job %s: store %s, key %q: %w", p.c.Job.ID, r.Store, r.Key, store.ErrConflict)
		}
	}
	return nil
}

// value gives the version of what a change read.
func (t *truth) value(p *plan, r job.StoreRead) int64 {
	k := valueKey{p.c.Job.Blueprint, r.Store, r.Key}
	if version, written := t.values.read(k); written {
		return version
	}
	return t.stored[k]
}

// pingAfter is the quiet time after which a connection is asked whether it still stands: what is
// written to a dead one is in doubt.
const pingAfter = 500 * time.Millisecond

// connect gives the writer's connection, a new one when the last one broke.
func (w *writer) connect(ctx context.Context) (*pgx.Conn, error) {
	if w.conn != nil && time.Since(w.used) > pingAfter {
		if w.conn.Ping(ctx) != nil {
			w.drop()
		}
	}
	if w.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, w.s.conf)
		if err != nil {
			return nil, err
		}
		w.conn = conn
	}
	return w.conn, nil
}

// answered drops a connection that is no longer good, and passes the error on.
func (w *writer) answered(err error) error {
	w.used = time.Now()
	if w.conn != nil && (w.conn.IsClosed() || isFatal(err)) {
		w.drop()
	}
	return err
}

// drop ends a connection that broke; what that says of it does not matter any more.
func (w *writer) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx)
	w.conn = nil
}

// hangUp ends the connection in peace.
func (w *writer) hangUp() error {
	if w.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opts.ConnectWait)
	defer cancel()
	return w.conn.Close(ctx)
}
