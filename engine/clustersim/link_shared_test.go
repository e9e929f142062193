package clustersim

import (
	"context"
	"encoding/json"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is the part of a link that only nodes among others need: leases, paces, and reads of the
// shards that are their own.

var (
	_ store.Shared = (*link)(nil)
	_ store.Kept   = (*link)(nil)
)

// Keeper passes on store.Kept's method.
func (l *link) Keeper(ctx context.Context) (keeper string, err error) {
	err = l.through("Keeper", func() (err error) { keeper, err = l.w.shared.(store.Kept).Keeper(ctx); return err })
	return keeper, err
}

// Hold passes on store.Leases' method.
func (l *link) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) (held []store.Lease, err error) {
	err = l.through("Hold", func() (err error) { held, err = l.w.warden.hold(ctx, holder, info, ttl, names...); return err })
	return held, err
}

// Yield passes on store.Leases' method.
func (l *link) Yield(ctx context.Context, holder string, names ...string) error {
	return l.through("Yield", func() error { return l.w.warden.yield(ctx, holder, names...) })
}

// Held passes on store.Leases' method.
func (l *link) Held(ctx context.Context, prefix string) (held []store.Lease, err error) {
	err = l.through("Held", func() (err error) { held, err = l.w.shared.Held(ctx, prefix); return err })
	return held, err
}

// Draw passes on store.Paces' method.
func (l *link) Draw(ctx context.Context, key string, p store.Pace, n, back int) (d store.Drawn, err error) {
	err = l.through("Draw", func() (err error) { d, err = l.w.shared.Draw(ctx, key, p, n, back); return err })
	return d, err
}

// ReadyIn passes on store.Sharded's method.
func (l *link) ReadyIn(ctx context.Context, in store.ShardSet, after string, limit int) (ids []string, err error) {
	err = l.through("ReadyIn", func() (err error) { ids, err = l.w.shared.ReadyIn(ctx, in, after, limit); return err })
	return ids, err
}

// DueIn passes on store.Sharded's method.
func (l *link) DueIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) (due []store.Wake, err error) {
	err = l.through("DueIn", func() (err error) { due, err = l.w.shared.DueIn(ctx, in, now, limit); return err })
	return due, err
}

// NextDueIn passes on store.Sharded's method.
func (l *link) NextDueIn(ctx context.Context, in store.ShardSet) (at time.Time, ok bool, err error) {
	err = l.through("NextDueIn", func() (err error) { at, ok, err = l.w.shared.NextDueIn(ctx, in); return err })
	return at, ok, err
}

// MessagesIn passes on store.Sharded's method.
func (l *link) MessagesIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) (m []job.Message, err error) {
	err = l.through("MessagesIn", func() (err error) { m, err = l.w.shared.MessagesIn(ctx, in, now, limit); return err })
	return m, err
}

// ScanTasksIn passes on store.Sharded's method.
func (l *link) ScanTasksIn(ctx context.Context, in store.ShardSet, s job.TaskState, fn func(job.Task) bool) error {
	return l.through("ScanTasksIn", func() error { return l.w.shared.ScanTasksIn(ctx, in, s, fn) })
}
