package memory

import (
	"bytes"
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

// This file holds leases, and the form of the store that several engines of one process
// share, as nodes would share a database: for tests and simulations of clusters.

// Shared is a Store that engines may share.
type Shared struct{ *Store }

var _ store.Shared = Shared{}

// NewShared makes an empty store whose leases go by the given clock.
func NewShared(now func() time.Time) Shared {
	s := New()
	s.clock = now
	return Shared{s}
}

// Features says that several may use it.
func (s Shared) Features() store.Features {
	f := s.Store.Features()
	f.Shared = true
	return f
}

// lease is what stands of one, also after its end: its fence number is never given again.
type lease struct {
	holder string
	fence  int64
	until  time.Time
	info   json.RawMessage
}

// Hold takes and renews leases.
func (s *Store) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	if err := store.CheckHold(holder, info, ttl); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.clock()
	for _, name := range names {
		l := s.leases[name]
		if l.holder != holder && l.until.After(now) {
			continue
		}
		if l.holder != holder {
			l.fence++
		}
		s.leases[name] = lease{holder: holder, fence: l.fence, until: now.Add(ttl), info: bytes.Clone(info)}
	}
	return s.standing(now, func(_ string, l lease) bool { return l.holder == holder }), nil
}

// Yield ends leases. A holder that comes back gets a new number.
func (s *Store) Yield(ctx context.Context, holder string, names ...string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, name := range names {
		if l := s.leases[name]; l.holder == holder {
			s.leases[name] = lease{fence: l.fence}
		}
	}
	return nil
}

// Held gives the leases that stand.
func (s *Store) Held(ctx context.Context, prefix string) ([]store.Lease, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.standing(s.clock(), func(name string, _ lease) bool { return strings.HasPrefix(name, prefix) }), nil
}

func (s *Store) standing(now time.Time, pass func(name string, l lease) bool) []store.Lease {
	var out []store.Lease
	for _, name := range slices.Sorted(maps.Keys(s.leases)) {
		if l := s.leases[name]; l.until.After(now) && pass(name, l) {
			out = append(out, store.Lease{Name: name, Holder: l.holder, Fence: l.fence, Left: l.until.Sub(now), Info: bytes.Clone(l.info)})
		}
	}
	return out
}

// Draw takes turns of a pace. Keys without any are forgotten when their number has doubled.
func (s *Store) Draw(ctx context.Context, key string, p store.Pace, n, back int) (store.Drawn, error) {
	if err := s.begin(ctx); err != nil {
		return store.Drawn{}, err
	}
	defer s.mu.Unlock()
	now := s.clock().UnixMicro()
	next, d := store.DrawTurns(s.paces[key], now, p, n, back)
	if s.paces[key] = next; len(s.paces) > s.pacesMost {
		maps.DeleteFunc(s.paces, func(_ string, at int64) bool { return at <= now })
		s.pacesMost = 1000 + 2*len(s.paces)
	}
	return d, nil
}

// stands reports whether a fence is that of the job's shard; 0 is none, and always stands.
func (s *Store) stands(jobID string, fence int64) bool {
	l := s.leases[store.ShardLease(job.ShardOf(jobID))]
	return fence == 0 || l.fence == fence && l.holder != ""
}

// fenced refuses the change of a node whose shard another has taken over.
func (s *Store) fenced(c *job.Change) error {
	if shard := job.ShardOf(c.Job.ID); !s.stands(c.Job.ID, c.Fence) {
		l := s.leases[store.ShardLease(shard)]
		return fmt.Errorf("commit job %s: shard %02x stands at fence %d, the change was built on %d: %w", c.Job.ID, shard, l.fence, c.Fence, store.ErrFenced)
	}
	return nil
}
