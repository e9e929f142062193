package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds the outbox. A message is in the shard of its job, which its id names; only
// of messages with other ids every shard must be asked.

// numberWidth is the length of the number before a message's text and in the list of dates.
const numberWidth = 16

// Messages gives what is due, in the order of arrival among equal dates of a shard.
func (s *Store) Messages(ctx context.Context, now time.Time, limit int) ([]job.Message, error) {
	return s.MessagesIn(ctx, store.AllShards(), now, limit)
}

// MessagesIn is Messages of some shards.
func (s *Store) MessagesIn(ctx context.Context, in store.ShardSet, now time.Time, limit int) ([]job.Message, error) {
	found, err := s.merged(ctx, in, limit, older, byDate(ctx, outList, now.UnixMilli()))
	if err != nil {
		return nil, fmt.Errorf("messages due: %w", err)
	}
	for i := range found {
		found[i].text = found[i].text[numberWidth:]
	}
	var passed store.Unreadable
	out, err := s.messages(ctx, found, &passed)
	if err != nil {
		return nil, err
	}
	return out, passed.Any()
}

// GivenUp gives messages that nobody tries any more.
func (s *Store) GivenUp(ctx context.Context, after string, limit int) ([]job.Message, error) {
	var passed store.Unreadable
	out, err := store.Fill(limit, func(n int) ([]job.Message, int, error) {
		found, err := s.merged(ctx, store.AllShards(), n, older, byText(ctx, goneList, after))
		if err != nil {
			return nil, 0, fmt.Errorf("messages given up: %w", err)
		}
		if len(found) > 0 {
			after = found[len(found)-1].text
		}
		part, err := s.messages(ctx, found, &passed)
		return part, len(found), err
	})
	if err != nil {
		return nil, err
	}
	return out, passed.Any()
}

// messages reads messages by their ids; those that are gone meanwhile are left out, and those
// that can not be read noted.
func (s *Store) messages(ctx context.Context, of []item, passed *store.Unreadable) (out []job.Message, err error) {
	cmds := make([]*goredis.StringCmd, len(of))
	err = s.pipe(ctx, func(p goredis.Pipeliner) {
		for i, it := range of {
			bucket, _ := bucketOf(it.text)
			cmds[i] = p.HGet(ctx, messagesKey(s.keys.shard(it.shard), bucket), it.text)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	for i, c := range cmds {
		if c.Err() != nil {
			continue
		}
		if out, err = appendMessage(out, of[i].text, c.Val(), passed); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// appendMessage appends what stands in a message's field, a number and the row.
func appendMessage(out []job.Message, id, text string, passed *store.Unreadable) ([]job.Message, error) {
	var m job.Message
	if err := decode(text[min(numberWidth, len(text)):], &m); err != nil {
		return out, passed.Pass(store.NameOfMessage(id), err)
	}
	return append(out, m), nil
}

// MessagesOf gives the messages of a job.
func (s *Store) MessagesOf(ctx context.Context, jobID string) ([]job.Message, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if _, ok := job.ParseID(jobID); !ok {
		return nil, nil // no job, no messages
	}
	var cmd *goredis.MapStringStringCmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.HGetAll(ctx, messagesKey(s.keys.of(jobID), jobID)) })
	if err != nil {
		return nil, fmt.Errorf("messages of job %s: %w", jobID, err)
	}
	var out []job.Message
	var passed store.Unreadable
	for _, id := range slices.Sorted(maps.Keys(cmd.Val())) {
		if out, err = appendMessage(out, id, cmd.Val()[id], &passed); err != nil {
			return nil, err
		}
	}
	return out, passed.Any()
}

// shardsOf gives the shards in which a message with an id may be.
func shardsOf(id string) (bucket string, in store.ShardSet) {
	bucket, ofJob := bucketOf(id)
	if !ofJob {
		return bucket, store.AllShards()
	}
	in.Add(job.ShardOf(bucket))
	return bucket, in
}

// Delivered removes messages, those of a job in one act.
func (s *Store) Delivered(ctx context.Context, ids ...string) error {
	type place struct {
		bucket string
		in     store.ShardSet
	}
	var order []place
	groups := map[string][]any{}
	for _, id := range ids {
		bucket, in := shardsOf(id)
		if groups[bucket] == nil {
			order = append(order, place{bucket, in})
			groups[bucket] = []any{bucket}
		}
		groups[bucket] = append(groups[bucket], id)
	}
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for _, at := range order {
			for shard := range at.in.Each {
				s.eval(ctx, p, deliveredScript, s.keys.shard(shard), groups[at.bucket]...)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("remove messages: %w", err)
	}
	return nil
}

// Postpone replaces a message that is still there.
func (s *Store) Postpone(ctx context.Context, m job.Message) error {
	text, err := row(&m)
	if err != nil {
		return err
	}
	due := strconv.FormatInt(m.Due.UnixMilli(), 10)
	if m.Parked() {
		due = ""
	}
	bucket, in := shardsOf(m.ID)
	var cmds []*goredis.Cmd
	err = s.pipe(ctx, func(p goredis.Pipeliner) {
		cmds = nil
		for shard := range in.Each {
			cmds = append(cmds, s.eval(ctx, p, postponeScript, s.keys.shard(shard), bucket, m.ID, due, flag(m.GivenUp != nil), text, strconv.FormatInt(m.Fence, 10)))
		}
	})
	if err != nil {
		return fmt.Errorf("put off message %s: %w", m.ID, err)
	}
	for _, c := range cmds {
		if became, _ := c.Int(); became < 0 {
			return store.FencedMessage(&m)
		}
	}
	return nil
}
