package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
	"orrery/engine/store/line"
)

// This file sends what is in line: each line has the shards of its share and one pipeline under
// way.

// write is one call of a script that changes a shard.
type write = line.Write[call]

// call is what is sent.
type call struct {
	script *script
	key    string
	args   []any
	told   func(reply any) error // what the reply means; nil: nothing
	home   string                // the shard of the data stores that it uses; "-": none
	across *crossing             // it is a commit of two shards; else nil
	cmd    *goredis.Cmd          // of the pipeline under way
	reply  string                // of one of two shards
	err    error
}

// startLines starts the goroutines that write.
func (s *Store) startLines() {
	for range s.opts.Writers {
		s.lines = append(s.lines, line.Start(line.Options[call]{
			Store: s.name, Log: s.opts.Log, MaxBatch: s.opts.MaxBatch, MaxBatchBytes: s.opts.MaxBatchBytes,
			Send: s.send, Passing: passing,
		}, s.closing))
	}
}

func (s *Store) lineOf(shard byte) *line.Line[call] { return s.lines[int(shard)%len(s.lines)] }

// send carries a batch out and says what came of it.
func (s *Store) send(batch []*write) []error {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	begin := 0
	for i, x := range batch { // one of two shards goes by itself, in its turn
		if c := &x.Data; c.across != nil {
			s.sendAll(ctx, batch[begin:i])
			c.reply, c.err = s.across(ctx, c.across)
			begin = i + 1
		}
	}
	s.sendAll(ctx, batch[begin:])
	verdicts := make([]error, len(batch))
	var failed error // of what a sync waits for, too
	for i, x := range batch {
		verdicts[i] = failed
		if x.Kind != line.Sync {
			verdicts[i] = s.verdict(&x.Data)
		}
		if passing(verdicts[i]) {
			failed = verdicts[i]
		}
		x.Data.cmd = nil
	}
	return verdicts
}

// sendAll sends what one pipeline can take, and again what met kept writes.
func (s *Store) sendAll(ctx context.Context, batch []*write) {
	s.exec(ctx, batch)
	s.settleMet(ctx, batch)
}

func (s *Store) exec(ctx context.Context, batch []*write) {
	p := s.client.Pipeline()
	for _, x := range batch {
		if c := &x.Data; x.Kind != line.Sync {
			c.cmd = s.eval(ctx, p, c.script, c.key, c.args...)
		}
	}
	s.carry(ctx, p)
}

// verdict reads the reply of one call.
func (s *Store) verdict(c *call) error {
	if c.across != nil {
		if c.err != nil {
			return c.err
		}
		return c.told(c.reply)
	}
	reply, err := c.cmd.Result()
	if err != nil {
		return s.classify(err)
	}
	if c.told != nil {
		return c.told(reply)
	}
	return nil
}

// Sync returns when all that was queued before it is written, held hand-outs included.
func (s *Store) Sync(ctx context.Context) error {
	if err := line.All(ctx, s.lines); err != nil {
		return fmt.Errorf("write what is in line: %w", err)
	}
	return nil
}

var _ store.Queuer = (*Store)(nil)
