package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// This file holds commits that touch two shards of a Cluster: a job is not in the shard of its
// blueprint's data stores when it began before the blueprint had any. No script reaches both,
// so it goes in three acts. The reads are checked, and the writes kept, where the data stores
// are (prepare); the job is committed, and its token noted beside it as done; the writes are
// done (settle). Whoever meets kept writes, in a commit or a read, settles them by asking the
// job's shard for the token's fate, and a token that is not there is void from then on: its
// commit is refused should it still come. So a crash between two acts leaves nothing half done.

// crossing is a commit of two shards.
type crossing struct {
	home, shard string // of the data stores, of the job
	prepare     []any  // arguments; the token is the first
	commit      []any  // arguments; the token is the second
}

// crossTries bounds how often an act meets another commit's kept writes.
const crossTries = 5

// across does the three acts and gives the reply of the one that refused, or "".
func (s *Store) across(ctx context.Context, c *crossing) (reply string, err error) {
	for try := range crossTries {
		if try > 0 {
			c.prepare[0] = s.token()
			c.commit[1] = c.prepare[0]
		}
		token, _ := c.prepare[0].(string)
		reply, err = s.answer(ctx, prepareScript, c.home, c.prepare)
		switch {
		case err != nil:
			return "", err
		case strings.HasPrefix(reply, pending):
			if err := s.settlePending(ctx, c.home, reply); err != nil {
				return "", err
			}
			continue
		case reply != "":
			return reply, nil
		}
		reply, err = s.answer(ctx, commitScript, c.shard, c.commit)
		if err != nil {
			return "", err // in doubt: whoever comes next settles it
		}
		fate := "done"
		if reply != "" {
			if fate, err = s.answer(ctx, decideScript, c.shard, []any{token}); err != nil {
				return "", err
			}
		}
		// The job is written or refused whatever comes of this: what it leaves, the next one settles.
		if err := s.settle(ctx, c.home, c.shard, token, fate); err != nil {
			s.opts.Log.Warn("data stores are written when they are used next", "store", s.name, "error", err)
		}
		if reply != "void" {
			return reply, nil
		}
		select { // somebody else settled it in between
		case <-time.After(time.Duration(try+1) * leastPause):
		case <-ctx.Done():
		}
	}
	return "", s.contended()
}

func (s *Store) contended() error {
	return &unavailable{fmt.Sprintf("%s: commits of two shards stand in each other's way; try again", s.name)}
}

// pending begins the reply of a script that met kept writes.
const pending = "pending "

// settlePending settles what a reply names.
func (s *Store) settlePending(ctx context.Context, home, reply string) error {
	token, shard, ok := strings.Cut(strings.TrimPrefix(reply, pending), " ")
	if !ok {
		return fmt.Errorf("the script answered %q", reply)
	}
	fate, err := s.answer(ctx, decideScript, shard, []any{token})
	if err != nil {
		return err
	}
	return s.settle(ctx, home, shard, token, fate)
}

// settle does or drops kept writes, and forgets the fate of what was done.
func (s *Store) settle(ctx context.Context, home, shard, token, fate string) error {
	if _, err := s.call(ctx, settleScript, home, token, fate); err != nil {
		return err
	}
	if fate != "done" {
		return nil // it stays for a day, for a commit that comes late
	}
	return s.pipe(ctx, func(p goredis.Pipeliner) { p.Del(ctx, fateKey(shard, token)) })
}

func (s *Store) answer(ctx context.Context, sc *script, key string, args []any) (string, error) {
	reply, err := s.call(ctx, sc, key, args...)
	text, _ := reply.(string)
	return text, err
}

// pipeValues is pipe for what reads data stores: kept writes are settled before.
func (s *Store) pipeValues(ctx context.Context, home string, fill func(p goredis.Pipeliner)) error {
	if !s.cluster {
		return s.pipe(ctx, fill)
	}
	for range crossTries {
		var kept *goredis.SliceCmd
		err := s.pipe(ctx, func(p goredis.Pipeliner) {
			kept = p.HMGet(ctx, pendKey(home), "t", "j")
			fill(p)
		})
		if err != nil {
			return err
		}
		found := texts(kept.Val())
		if found[0] == "" {
			return nil
		}
		if err := s.settlePending(ctx, home, pending+found[0]+" "+found[1]); err != nil {
			return err
		}
	}
	return s.contended()
}

// settleMet settles the kept writes that calls of a batch met, and sends those again.
func (s *Store) settleMet(ctx context.Context, batch []*write) {
	for range crossTries {
		var met []*write
		reply := ""
		for _, x := range batch {
			c := &x.Data
			if c.cmd == nil {
				continue
			}
			if text, err := c.cmd.Text(); err == nil && strings.HasPrefix(text, pending) {
				met, reply = append(met, x), text
			}
		}
		if len(met) == 0 {
			return
		}
		if err := s.settlePending(ctx, met[len(met)-1].Data.home, reply); err != nil {
			return // the reply stands: see refusal
		}
		s.exec(ctx, met)
		batch = met
	}
}
