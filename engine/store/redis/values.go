package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads the data stores of blueprints, each of which is in one shard.

// parseValue reads a version and the value's text.
func parseValue(kept string) (json.RawMessage, int64, error) {
	head, text, _ := strings.Cut(kept, " ")
	version, err := strconv.ParseInt(head, 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("a value begins with %.20q, where its version belongs", kept)
	}
	return json.RawMessage(text), version, nil
}

// Value gives a key of a data store.
func (s *Store) Value(ctx context.Context, blueprint, name, key string) (json.RawMessage, int64, error) {
	var cmd *goredis.StringCmd
	err := s.pipeValues(ctx, s.keys.home(blueprint), func(p goredis.Pipeliner) {
		cmd = p.HGet(ctx, valuesKey(s.keys.home(blueprint), valueStore(blueprint, name)), key)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read store %s, key %q: %w", name, key, err)
	}
	if cmd.Err() == goredis.Nil {
		return nil, 0, nil
	}
	return parseValue(cmd.Val())
}

// ValueKeys gives the keys of a data store in order.
func (s *Store) ValueKeys(ctx context.Context, blueprint, name string) ([]string, error) {
	var cmd *goredis.StringSliceCmd
	err := s.pipeValues(ctx, s.keys.home(blueprint), func(p goredis.Pipeliner) {
		cmd = p.ZRange(ctx, valueOrderKey(s.keys.home(blueprint), valueStore(blueprint, name)), 0, -1)
	})
	if err != nil {
		return nil, fmt.Errorf("keys of store %s: %w", name, err)
	}
	return cmd.Val(), nil
}

// valuesAtOnce bounds the values that are read together, which may be large.
const valuesAtOnce = 16

// ValuePage gives the next values of a data store.
func (s *Store) ValuePage(ctx context.Context, blueprint, name, from string, limit int) (page []store.Value, more bool, err error) {
	home, kept := s.keys.home(blueprint), valueStore(blueprint, name)
	least := "-"
	if from != "" {
		least = "[" + from
	}
	var order *goredis.StringSliceCmd
	err = s.pipeValues(ctx, home, func(p goredis.Pipeliner) {
		order = p.ZRangeByLex(ctx, valueOrderKey(home, kept), &goredis.ZRangeBy{Min: least, Max: "+", Count: int64(limit) + 1})
	})
	if err != nil {
		return nil, false, fmt.Errorf("read store %s: %w", name, err)
	}
	read := store.Part[store.Value]{Limit: limit}
	for keys := range slices.Chunk(order.Val(), valuesAtOnce) {
		var cmd *goredis.SliceCmd
		if err := s.pipeValues(ctx, home, func(p goredis.Pipeliner) { cmd = p.HMGet(ctx, valuesKey(home, kept), keys...) }); err != nil {
			return nil, false, fmt.Errorf("read store %s: %w", name, err)
		}
		for i, text := range texts(cmd.Val()) {
			if text == "" {
				continue // it was removed meanwhile
			}
			if read.Full() {
				return read.Rows, true, nil
			}
			v := store.Value{Key: keys[i]}
			if v.Text, v.Version, err = parseValue(text); err != nil {
				return nil, false, fmt.Errorf("read store %s, key %q: %w", name, v.Key, err)
			}
			read.Add(v, len(v.Text))
		}
	}
	return read.Rows, false, nil
}

// ValueStores counts the keys of every data store.
func (s *Store) ValueStores(ctx context.Context) ([]store.ValueStore, error) {
	names := make([]*goredis.StringSliceCmd, job.Shards)
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for i := range names {
			names[i] = p.SMembers(ctx, s.keys.shard(byte(i))+":"+stores)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	var all []store.ValueStore
	var sizes []*goredis.IntCmd
	err = s.pipe(ctx, func(p goredis.Pipeliner) {
		all, sizes = nil, nil
		for i, found := range names {
			for _, kept := range found.Val() {
				all = append(all, parseStore(kept))
				sizes = append(sizes, p.HLen(ctx, valuesKey(s.keys.shard(byte(i)), kept)))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	for i := range all {
		all[i].Keys = sizes[i].Val()
	}
	slices.SortFunc(all, func(a, b store.ValueStore) int {
		return cmp.Or(strings.Compare(a.Blueprint, b.Blueprint), strings.Compare(a.Store, b.Store))
	})
	return all, nil
}

// parseStore reads what valueStore wrote.
func parseStore(kept string) store.ValueStore {
	head, rest, _ := strings.Cut(kept, ":")
	n, _ := strconv.Atoi(head) // written by us
	n = min(n, len(rest))
	return store.ValueStore{Blueprint: rest[:n], Store: rest[n:]}
}
