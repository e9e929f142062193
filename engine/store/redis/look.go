package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
)

// This file looks at how the servers are set up: what a crash would lose, and what else
// does not suit a store.

// Look is what the servers say of themselves.
type Look struct {
	Masters []Master
	Latency time.Duration // of a lone call, the median of several
	Wait    int           // replicas that writes wait for
}

// Master is one server that takes writes. Settings that the server does not tell (managed
// ones may refuse CONFIG) are "".
type Master struct {
	Addr     string
	Version  string
	AOF      bool          // appendonly
	Fsync    string        // appendfsync: always, everysec or no
	Eviction string        // maxmemory-policy
	Used     int64         // bytes of memory
	Most     int64         // maxmemory, 0 for no limit
	Replicas int           // connected
	Skew     time.Duration // its clock minus ours
}

// Look asks every master.
func (s *Store) Look(ctx context.Context) (Look, error) {
	if err := s.begin(ctx); err != nil {
		return Look{}, err
	}
	return s.look(ctx)
}

func (s *Store) look(ctx context.Context) (l Look, err error) {
	l.Wait = s.target.wait
	var mu sync.Mutex
	err = s.eachMaster(ctx, func(ctx context.Context, c *goredis.Client) error {
		m, err := lookAtMaster(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		l.Masters = append(l.Masters, m)
		return err
	})
	if err != nil {
		return l, s.readError(ctx, err)
	}
	l.Latency, err = s.latency(ctx)
	return l, err
}

// eachMaster asks all masters, side by side.
func (s *Store) eachMaster(ctx context.Context, one func(context.Context, *goredis.Client) error) error {
	switch c := s.client.(type) {
	case *goredis.ClusterClient:
		return c.ForEachMaster(ctx, one)
	case *goredis.Client:
		return one(ctx, c)
	}
	return nil
}

var _ store.Kept = (*Store)(nil)

// Keeper gives the run ids of the masters: every start of a server has one of its own.
func (s *Store) Keeper(ctx context.Context) (string, error) {
	if err := s.begin(ctx); err != nil {
		return "", err
	}
	var mu sync.Mutex
	var runs []string
	err := s.eachMaster(ctx, func(ctx context.Context, c *goredis.Client) error {
		info, err := c.Info(ctx, "server").Result()
		if err != nil {
			return err
		}
		_, run, found := strings.Cut(info, "run_id:")
		if run, _, _ = strings.Cut(run, "\r\n"); !found || run == "" {
			return fmt.Errorf("INFO of %s names no run_id", c.Options().Addr)
		}
		mu.Lock()
		defer mu.Unlock()
		runs = append(runs, run)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("find out who keeps the store: %w", s.readError(ctx, err))
	}
	slices.Sort(runs)
	return strings.Join(runs, " "), nil
}

func (s *Store) latency(ctx context.Context) (time.Duration, error) {
	var fastest []time.Duration
	for range 5 {
		began := time.Now()
		if err := s.client.Exists(ctx, s.keys.schema()).Err(); err != nil {
			return 0, s.readError(ctx, err)
		}
		fastest = append(fastest, time.Since(began))
	}
	return median(fastest), nil
}

func median(d []time.Duration) time.Duration {
	for i := range d { // few: sorted by insertion
		for j := i; j > 0 && d[j] < d[j-1]; j-- {
			d[j], d[j-1] = d[j-1], d[j]
		}
	}
	return d[len(d)/2]
}

func lookAtMaster(ctx context.Context, c *goredis.Client) (Master, error) {
	m := Master{Addr: c.Options().Addr}
	began := time.Now()
	now, err := c.Time(ctx).Result()
	if err != nil {
		return m, err
	}
	m.Skew = now.Sub(began.Add(time.Since(began) / 2))
	info, err := c.Info(ctx).Result()
	if err != nil {
		return m, err
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		name, v, _ := strings.Cut(line, ":")
		switch name {
		case "redis_version":
			m.Version = v
		case "aof_enabled":
			m.AOF = v == "1"
		case "maxmemory_policy":
			m.Eviction = v
		case "used_memory":
			m.Used, err = strconv.ParseInt(v, 10, 64)
		case "maxmemory":
			m.Most, err = strconv.ParseInt(v, 10, 64)
		case "connected_slaves":
			m.Replicas, err = strconv.Atoi(v)
		}
		if err != nil {
			return m, fmt.Errorf("INFO of %s: %w", m.Addr, err)
		}
	}
	if found, err := c.ConfigGet(ctx, "appendfsync").Result(); err == nil { // refused: it stays ""
		m.Fsync = found["appendfsync"]
	}
	return m, nil
}

// durable: it keeps a file and syncs it before it answers.
func (m *Master) durable() bool { return m.AOF && (m.Fsync == "always" || m.Fsync == "") }

// keeps: it throws nothing away.
func (m *Master) keeps() bool { return m.Eviction == "" || m.Eviction == "noeviction" }

func (m *Master) onTime() bool { return m.Skew <= skewTold && m.Skew >= -skewTold }

// filled is the share of its memory that is in use, in percent.
func (m *Master) filled() int64 {
	if m.Most == 0 {
		return 0
	}
	return 100 * m.Used / m.Most
}

// fullTold is the share that is worth a word.
const fullTold = 80

// Durable reports whether what was committed survives a crash of every server: each keeps
// a file and syncs it before it answers.
func (l Look) Durable() bool {
	for _, m := range l.Masters {
		if !m.durable() {
			return false
		}
	}
	return len(l.Masters) > 0
}

// skewTold is the difference of clocks that is worth a word.
const skewTold = 2 * time.Second

// Warnings say what does not suit a store, each with its remedy.
func (l Look) Warnings() (all []string) {
	add := func(m Master, format string, args ...any) {
		all = append(all, m.Addr+": "+fmt.Sprintf(format, args...))
	}
	for _, m := range l.Masters {
		switch {
		case !m.AOF:
			add(m, "it keeps no append-only file: a crash loses all since its last snapshot; set appendonly yes and appendfsync always")
		case m.Fsync == "everysec":
			add(m, "it syncs its file once a second: a crash of the machine may lose the last second; set appendfsync always to lose nothing")
		case m.Fsync == "no":
			add(m, "it leaves syncing its file to the system: a crash of the machine may lose half a minute; set appendfsync always to lose nothing")
		}
		if !m.keeps() {
			add(m, "its maxmemory-policy is %s: when its memory is full it throws data away; set noeviction", m.Eviction)
		}
		switch {
		case m.Replicas < l.Wait:
			add(m, "%d replicas follow it, and STORE_URL has wait=%d: it takes no write; start more replicas, or lower wait=", m.Replicas, l.Wait)
		case l.Wait > 0 && m.Replicas == l.Wait:
			add(m, "%d replicas follow it, as many as wait= asks for: with one less it takes no write; start one more", m.Replicas)
		case m.Replicas > 0 && l.Wait == 0:
			add(m, "it has replicas, and writes do not wait for them: a failover may lose the last ones; put wait=1 into STORE_URL, or bound the loss by min-replicas-to-write 1 and min-replicas-max-lag 10")
		}
		if m.filled() >= fullTold {
			add(m, "%d %% of its maxmemory are in use: when it is full starts and results are refused; raise maxmemory", m.filled())
		}
		if !m.onTime() {
			add(m, "its clock differs by %s from this machine's; let both follow the same time servers", m.Skew.Round(time.Millisecond))
		}
		if major, _, _ := strings.Cut(m.Version, "."); major != "" && len(major) == 1 && major < "6" {
			add(m, "it is Redis %s; 6 or newer is supported", m.Version)
		}
	}
	return all
}
