package clustersim

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file watches over what several nodes write into one store: no commit of a past owner
// may count, and in the end every shard is one node's.

// warden stands between all links and the store.
type warden struct {
	store.Store
	w      *world
	leases store.Leases

	mu      sync.Mutex // no lease changes while a commit is looked at
	newest  map[byte]int64
	refused int // commits of past owners
}

// Commit passes on store.Committer's method, and holds whose the shard is.
func (d *warden) Commit(ctx context.Context, c *job.Change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.Store.Commit(ctx, c)
	if errors.Is(err, store.ErrFenced) {
		d.refused++
		d.w.note("a commit of %s under the past fence %d is refused", short(c.Job.ID), c.Fence)
	}
	if err != nil || c.Fence == 0 {
		return err
	}
	shard := job.ShardOf(c.Job.ID)
	held, readErr := d.leases.Held(ctx, store.ShardLease(shard))
	switch {
	case readErr != nil:
		d.w.fault("the leases can not be read: %v", readErr)
	case len(held) == 1 && held[0].Fence != c.Fence:
		d.w.fault("shard %02x takes a commit of %s under fence %d, and %s holds it under %d", shard, c.Job.ID, c.Fence, held[0].Holder, held[0].Fence)
	case c.Fence < d.newest[shard]:
		d.w.fault("shard %02x takes a commit of %s under fence %d after one under %d", shard, c.Job.ID, c.Fence, d.newest[shard])
	}
	d.newest[shard] = max(d.newest[shard], c.Fence)
	return nil
}

// hold passes on store.Leases' method.
func (d *warden) hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leases.Hold(ctx, holder, info, ttl, names...)
}

// yield passes on store.Leases' method.
func (d *warden) yield(ctx context.Context, holder string, names ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leases.Yield(ctx, holder, names...)
}

// shareTime is how long the nodes may take, after the storm, until all shards are shared.
const shareTime = 2 * time.Minute

// checkShared holds that in the end every shard is one node's.
func (w *world) checkShared() {
	if w.shared == nil {
		return
	}
	wrong := ""
	for end := time.Now().Add(shareTime); time.Now().Before(end); w.wait(lookTime) {
		if wrong = w.unshared(); wrong == "" {
			return
		}
	}
	w.fault("%s after the storm: %s", shareTime, wrong)
}

// unshared says which shards are not as they should be, or "".
func (w *world) unshared() string {
	owners, owned := map[byte]string{}, 0
	for _, n := range w.nodes {
		s := n.up()
		if s == nil {
			return n.name + " is down"
		}
		fences, opened := s.self.Fences(), s.engine.Opened()
		for shard := range fences {
			owners[shard] = n.name
			owned++
			if !opened.Has(shard) {
				return n.name + " owns a shard that it has not opened"
			}
		}
	}
	if owned != job.Shards || len(owners) != job.Shards {
		return "shards have several owners, or none"
	}
	return ""
}
