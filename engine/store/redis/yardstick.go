package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store/yardstick"
)

// This file says what `orrery bench` wants to know of the servers: what they have used, and how
// fast they keep the same rows when nobody asks them anything.

// Yardstick is the servers behind a URL, as the benchmark sees them. Make it with NewYardstick.
type Yardstick struct {
	url    string
	target target
	client goredis.UniversalClient
}

var _ yardstick.Server = (*Yardstick)(nil)

// NewYardstick connects to the servers of a store's URL.
func NewYardstick(ctx context.Context, rawURL string) (*Yardstick, error) {
	t, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the store's URL %w", err)
	}
	y := &Yardstick{url: rawURL, target: t, client: t.client(2)}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := y.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", t.name(), err), y.client.Close())
	}
	return y, nil
}

// Kind names the kind of store.
func (y *Yardstick) Kind() string { return "redis" }

// Close ends the connections.
func (y *Yardstick) Close() error { return y.client.Close() }

// Place is the same URL with a prefix of its own.
func (y *Yardstick) Place(name string) string {
	base, query, _ := strings.Cut(y.url, "?")
	q, _ := url.ParseQuery(query) // it was read before
	q.Set("prefix", name)
	return base + "?" + q.Encode()
}

// masters calls do for each server that takes writes, one after the other.
func (y *Yardstick) masters(ctx context.Context, do func(ctx context.Context, c *goredis.Client) error) error {
	switch c := y.client.(type) {
	case *goredis.ClusterClient:
		var one sync.Mutex
		return c.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error {
			one.Lock()
			defer one.Unlock()
			return do(ctx, c)
		})
	case *goredis.Client:
		return do(ctx, c)
	}
	return fmt.Errorf("a client of the type %T is not known here", y.client)
}

// removedAtOnce is how many keys a look at the place removes.
const removedAtOnce = 2000

// Drop removes the keys of a place.
func (y *Yardstick) Drop(ctx context.Context, name string) error {
	return y.masters(ctx, func(ctx context.Context, c *goredis.Client) error {
		for from := uint64(0); ; {
			keys, next, err := c.Scan(ctx, from, literal(name)+":*", removedAtOnce).Result()
			if err != nil {
				return err
			}
			p := c.Pipeline() // one by one: in a Cluster a command has the keys of one slot
			for _, key := range keys {
				p.Unlink(ctx, key)
			}
			if _, err := p.Exec(ctx); err != nil && len(keys) > 0 {
				return err
			}
			if from = next; from == 0 {
				return nil
			}
		}
	})
}

// Used adds up what the masters say of themselves. Commits are the scripts lua/commit.lua: each
// appends to a history once, which nothing else of a benchmark does. A round trip is a read of the
// server's from a connection, of which a long pipeline may take several; bytes are those that came.
func (y *Yardstick) Used(ctx context.Context) (yardstick.Used, error) {
	var u yardstick.Used
	err := y.masters(ctx, func(ctx context.Context, c *goredis.Client) error {
		text, err := c.Info(ctx, "everything").Result()
		if err != nil {
			return err
		}
		said := readInfo(text)
		u.Commits += said.number("cmdstat_rpush")
		u.RoundTrips += said.number("total_reads_processed")
		u.Bytes += said.number("total_net_input_bytes")
		u.Kept += said.number("used_memory")
		for _, name := range []string{"used_cpu_user", "used_cpu_sys", "used_cpu_user_children", "used_cpu_sys_children"} {
			u.CPU += said.seconds(name)
		}
		return nil
	})
	return u, err
}

// info is what INFO says, by name.
type info map[string]string

func readInfo(text string) info {
	said := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			said[name] = value
		}
	}
	return said
}

// number gives a figure, or the calls of a command; 0 when nothing is said of it, as of a command
// that was never called.
func (i info) number(name string) int64 {
	value, _, _ := strings.Cut(strings.TrimPrefix(i[name], "calls="), ",")
	n, _ := strconv.ParseInt(value, 10, 64)
	return n
}

func (i info) seconds(name string) time.Duration {
	s, _ := strconv.ParseFloat(i[name], 64) // the server writes digits
	return time.Duration(s * float64(time.Second))
}

// limit writes the rows of jobs by plain commands, where a commit of Orrery is a script that
// checks version, token and fence before it writes the same.
type limit struct {
	client goredis.UniversalClient
	keys   keys
}

// Limit makes a place ready for the load without Orrery.
func (y *Yardstick) Limit(_ context.Context, name string) (yardstick.Limit, error) {
	return &limit{y.target.client(Options{}.withDefaults().Connections), keys{name}}, nil
}

// Lines is the number of a node's lines.
func (f *limit) Lines() int { return Options{}.withDefaults().Writers }

// Send writes a batch in one pipeline. The commands are those of lua/commit.lua, counted with INFO
// commandstats after jobs of the shape echo: of a job's two commits the first has five ZADD, the
// last five ZREM, and both have two HSET and an RPUSH of two records.
func (f *limit) Send(_ int, batch []yardstick.Step) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	p := f.client.Pipeline()
	for i := range batch {
		f.step(ctx, p, &batch[i])
	}
	_, err := p.Exec(ctx)
	return err
}

func (f *limit) step(ctx context.Context, p goredis.Pipeliner, s *yardstick.Step) {
	shard := f.keys.shard(job.ShardOf(s.ID))
	row, member, r := shard+":job:"+s.ID, s.ID+"/00000001", s.Rows
	fields := []any{"v", s.Number + 1, "s", "waiting_for_worker", "q", "0123456789-abc", "b", r.Head, "h", r.History}
	if s.Number == 0 {
		fields = append(fields, "i", r.Initial)
	}
	p.HSet(ctx, row, fields...)
	p.RPush(ctx, shard+":recs:"+s.ID, r.Records, r.Records)
	p.HSet(ctx, row, "t00000001", r.Task)
	if s.Number == 0 {
		p.ZAdd(ctx, shard+":open", goredis.Z{Member: member})
		for _, list := range []string{":all", ":live", ":bp:bench", ":cl:bench"} {
			p.ZAdd(ctx, shard+list, goredis.Z{Member: s.ID})
		}
	} else {
		p.HIncrBy(ctx, shard, "n:waiting_for_worker", -1)
		p.ZRem(ctx, shard+":due", member)
		p.ZRem(ctx, shard+":due", s.ID)
		p.ZRem(ctx, shard+":ready", s.ID)
	}
	if s.Last {
		p.ZRem(ctx, shard+":open", member)
		p.ZRem(ctx, shard+":live", s.ID)
	}
	p.HIncrBy(ctx, shard, "n:waiting_for_worker", 1)
}

// Close ends the connections.
func (f *limit) Close() error { return f.client.Close() }
