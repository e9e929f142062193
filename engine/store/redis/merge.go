package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
)

// This file joins the ordered lists of many shards to one: each is read a little way, and
// further only where the others show that it must be.

// item is an entry of a list: by its score, then by its text.
type item struct {
	at    int64
	text  string
	shard byte
}

func older(a, b item) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.text, b.text)) }
func newer(a, b item) int { return strings.Compare(b.text, a.text) }

// source is the list of one shard.
type source struct {
	shard byte
	key   string // of the shard
	items []item // read so far, in order
	last  string // where the reading stands; "" at the beginning
	moved bool   // last is further than the last item: nothing between them was wanted
	ended bool   // there is no more
	chunk int    // items to ask for next
}

// reach is the place up to which the source has said all it has.
func (s *source) reach() item {
	if s.moved || len(s.items) == 0 {
		return item{text: s.last, shard: s.shard}
	}
	return s.items[len(s.items)-1]
}

// reading reads the next part of one source: ask puts the command into a pipeline and gives
// what takes its reply.
type reading func(p goredis.Pipeliner, from *source) (take func() error)

// firstChunk is the least that is read of a list at once, lastChunk the most.
const (
	firstChunk = 8
	lastChunk  = 1000
)

// merged gives the first limit items of all shards in the set.
func (s *Store) merged(ctx context.Context, in store.ShardSet, limit int, order func(a, b item) int, ask reading) ([]item, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	n := in.Len()
	if n == 0 || limit < 1 {
		return nil, nil
	}
	sources := make([]*source, 0, n)
	for shard := range in.Each {
		sources = append(sources, &source{shard: shard, key: s.keys.shard(shard), chunk: min(limit, lastChunk, max(firstChunk, 2*limit/n))})
	}
	for behind := sources; ; {
		if err := s.advance(ctx, behind, ask); err != nil {
			return nil, err
		}
		all := sorted(sources, order)
		bound := item{}
		cut := len(all) >= limit
		if cut {
			bound = all[limit-1]
		}
		behind = behind[:0:0]
		for _, src := range sources {
			if !src.ended && (!cut || order(src.reach(), bound) < 0) {
				behind = append(behind, src)
			}
		}
		if len(behind) == 0 {
			return all[:min(len(all), limit)], nil
		}
	}
}

func sorted(sources []*source, order func(a, b item) int) (all []item) {
	for _, src := range sources {
		all = append(all, src.items...)
	}
	slices.SortFunc(all, order)
	return all
}

// advance reads one part more of each of the sources.
func (s *Store) advance(ctx context.Context, sources []*source, ask reading) error {
	takes := make([]func() error, len(sources))
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for i, src := range sources {
			takes[i] = ask(p, src)
		}
	})
	if err != nil {
		return err
	}
	for i, take := range takes {
		if err := take(); err != nil {
			return err
		}
		sources[i].chunk = min(4*sources[i].chunk, lastChunk)
	}
	return nil
}

// byDate reads a list of dates up to now, in milliseconds.
func byDate(ctx context.Context, list string, now int64) reading {
	return func(p goredis.Pipeliner, from *source) func() error {
		asked := from.chunk
		cmd := p.ZRangeByScoreWithScores(ctx, from.key+":"+list, &goredis.ZRangeBy{
			Min: "-inf", Max: fmt.Sprint(now), Offset: int64(len(from.items)), Count: int64(asked),
		})
		return func() error {
			found := cmd.Val()
			for _, z := range found {
				text, _ := z.Member.(string)
				from.items = append(from.items, item{int64(z.Score), text, from.shard})
			}
			from.ended = len(found) < asked
			return nil
		}
	}
}

// byText reads a list of ids or names in their order, after the given one.
func byText(ctx context.Context, list, after string) reading {
	return func(p goredis.Pipeliner, from *source) func() error {
		asked, least := from.chunk, "-"
		if at := cmp.Or(from.last, after); at != "" {
			least = "(" + at
		}
		cmd := p.ZRangeByLex(ctx, from.key+":"+list, &goredis.ZRangeBy{Min: least, Max: "+", Count: int64(asked)})
		return func() error {
			found := cmd.Val()
			for _, text := range found {
				from.items, from.last = append(from.items, item{0, text, from.shard}), text
			}
			from.ended = len(found) < asked
			return nil
		}
	}
}
