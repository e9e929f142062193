package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	names, rows, err := s.messageRows(ctx, found)
	if err != nil {
		return nil, err
	}
	var out []job.Message
	var passed store.Unreadable
	for i, text := range rows {
		var m job.Message
		if err := decode(text, &m); err != nil {
			if err := passed.Pass(store.NameOfMessage(names[i]), err); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, m)
	}
	return out, passed.Any()
}

// GivenUp gives messages that nobody tries any more.
func (s *Store) GivenUp(ctx context.Context, after string, limit int) ([]job.Message, error) {
	found, err := s.merged(ctx, store.AllShards(), limit, older, byText(ctx, goneList, after))
	if err != nil {
		return nil, fmt.Errorf("messages given up: %w", err)
	}
	return s.messages(ctx, found)
}

// messages reads messages by their ids, all or none.
func (s *Store) messages(ctx context.Context, of []item) ([]job.Message, error) {
	_, rows, err := s.messageRows(ctx, of)
	if err != nil {
		return nil, err
	}
	return decodeAll[job.Message](rows)
}

// messageRows reads messages by their ids; those that are gone meanwhile are left out.
func (s *Store) messageRows(ctx context.Context, of []item) (ids, rows []string, err error) {
	cmds := make([]*goredis.StringCmd, len(of))
	err = s.pipe(ctx, func(p goredis.Pipeliner) {
		for i, it := range of {
			bucket, _ := bucketOf(it.text)
			cmds[i] = p.HGet(ctx, messagesKey(s.keys.shard(it.shard), bucket), it.text)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read messages: %w", err)
	}
	for i, c := range cmds {
		if text := c.Val(); c.Err() == nil {
			ids, rows = append(ids, of[i].text), append(rows, text[min(numberWidth, len(text)):])
		}
	}
	return ids, rows, nil
}

// MessagesOf gives the messages of a job.
func (s *Store) MessagesOf(ctx context.Context, jobID string) ([]job.Message, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if _, ok := job.ParseID(jobID); !ok {
		return nil, nil // no job, no messages
	}
	var cmd *goredis.StringSliceCmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.HVals(ctx, messagesKey(s.keys.of(jobID), jobID)) })
	if err != nil {
		return nil, fmt.Errorf("messages of job %s: %w", jobID, err)
	}
	var rows []string
	for _, text := range cmd.Val() {
		rows = append(rows, text[numberWidth:])
	}
	out, err := decodeAll[job.Message](rows)
	slices.SortFunc(out, func(a, b job.Message) int { return strings.Compare(a.ID, b.ID) })
	return out, err
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
