package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds leases. The lease of a shard lies in that shard, so that a commit's script
// sees its fence; all others lie in one place. Their ends go by the server's clock.

var _ store.Leases = (*Store)(nil)

// otherPlace stands for the place of leases that are of no shard, after the shards.
const otherPlace = job.Shards

func (s *Store) place(n int) string {
	if n == otherPlace {
		return s.keys.leases()
	}
	return s.keys.shard(byte(n))
}

// byPlace sorts names by where they lie.
func byPlace(names []string) map[int][]string {
	at := map[int][]string{}
	for _, name := range names {
		n := otherPlace
		if shard, ok := leaseShard(name); ok {
			n = int(shard)
		}
		at[n] = append(at[n], name)
	}
	return at
}

// Hold takes and renews leases, and reads all others on the way.
func (s *Store) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	if err := store.CheckHold(holder, info, ttl); err != nil {
		return nil, err
	}
	at := byPlace(names)
	all, err := s.leases(ctx, 0, otherPlace, func(n int) []any {
		if len(at[n]) == 0 {
			return []any{"look"}
		}
		args := []any{"hold", holder, max(ttl.Milliseconds(), 1), string(info)}
		for _, name := range at[n] {
			args = append(args, name)
		}
		return args
	})
	if err != nil {
		return nil, fmt.Errorf("hold leases: %w", err)
	}
	return slices.DeleteFunc(all, func(l store.Lease) bool { return l.Holder != holder }), nil
}

// Yield ends leases.
func (s *Store) Yield(ctx context.Context, holder string, names ...string) error {
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for n, names := range byPlace(names) {
			args := []any{"yield", holder}
			for _, name := range names {
				args = append(args, name)
			}
			s.eval(ctx, p, leaseScript, s.place(n), args...)
		}
	})
	if err != nil {
		return fmt.Errorf("yield leases: %w", err)
	}
	return nil
}

// Held gives the leases that stand.
func (s *Store) Held(ctx context.Context, prefix string) ([]store.Lease, error) {
	first, last := 0, otherPlace
	const ofShards = "shard/"
	switch {
	case strings.HasPrefix(prefix, ofShards):
	case !strings.HasPrefix(ofShards, prefix): // no shard's lease begins so
		first = otherPlace
	}
	all, err := s.leases(ctx, first, last, func(int) []any { return []any{"look"} })
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return slices.DeleteFunc(all, func(l store.Lease) bool { return !strings.HasPrefix(l.Name, prefix) }), nil
}

// leases calls the script at some places and gives what stands there, in order of name.
func (s *Store) leases(ctx context.Context, first, last int, args func(place int) []any) ([]store.Lease, error) {
	var cmds []*goredis.Cmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		cmds = cmds[:0]
		for n := first; n <= last; n++ {
			cmds = append(cmds, s.eval(ctx, p, leaseScript, s.place(n), args(n)...))
		}
	})
	if err != nil {
		return nil, err
	}
	var out []store.Lease
	for _, c := range cmds {
		for l := range slices.Chunk(texts(c.Val()), 5) {
			fence, err := strconv.ParseInt(l[2], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("lease %s has the fence %q", l[0], l[2])
			}
			left, err := strconv.ParseInt(l[3], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("lease %s has %q ms left", l[0], l[3])
			}
			out = append(out, store.Lease{Name: l[0], Holder: l[1], Fence: fence, Left: time.Duration(left) * time.Millisecond, Info: infoOf(l[4])})
		}
	}
	slices.SortFunc(out, func(a, b store.Lease) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func infoOf(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}
