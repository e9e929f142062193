package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
)

// This file looks at a store from outside, for `orrery doctor`: nothing is changed there.

// outside is a store without writers, for looking.
func outside(url string) (*Store, error) {
	t, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("the store's URL %w", err)
	}
	return &Store{
		client: t.client(2), cluster: t.scheme == cluster, target: t, name: t.name(), keys: keys{t.prefix},
		opts: Options{}.withDefaults(), closing: make(chan struct{}),
	}, nil
}

// Inspect tells what the servers behind a URL say of themselves.
func Inspect(ctx context.Context, url string) []store.Finding {
	s, err := outside(url)
	if err != nil {
		return []store.Finding{store.Bad("redis", err.Error(), "correct STORE_URL")}
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	look, err := s.look(ctx)
	if err = errors.Join(err, s.client.Close()); err != nil {
		return []store.Finding{store.Bad("redis", err.Error(), "start the servers, or correct STORE_URL")}
	}
	var all []store.Finding
	fine := func(is bool, check, format string, args ...any) {
		if is {
			all = append(all, store.Fine(check, fmt.Sprintf(format, args...)))
		}
	}
	for _, m := range look.Masters { // what is not fine is among the warnings
		fine(true, "version", "%s: Redis %s with %d replicas; writes wait for %d", m.Addr, m.Version, m.Replicas, look.Wait)
		fine(m.durable(), "persistence", "%s: appendonly yes, appendfsync %s", m.Addr, orUntold(m.Fsync))
		fine(m.keeps() && m.filled() < fullTold, "memory", "%s: %d %% of maxmemory in use, maxmemory-policy %s", m.Addr, m.filled(), orUntold(m.Eviction))
		fine(m.onTime(), "clock", "%s: %s from this machine's", m.Addr, m.Skew.Round(time.Millisecond))
	}
	for _, w := range look.Warnings() {
		saw, remedy, _ := strings.Cut(w, "; ")
		all = append(all, store.Warn("redis settings", saw, remedy))
	}
	text := look.Latency.Round(time.Microsecond).String()
	if look.Latency > slowCall {
		return append(all, store.Warn("latency", text+" for a lone call: every step of a job waits for one or more", "run Orrery nearer to its Redis"))
	}
	return append(all, store.Fine("latency", text))
}

// slowCall is the time of a call that is worth a word.
const slowCall = 10 * time.Millisecond

// orUntold is a setting, which a managed server may keep to itself.
func orUntold(text string) string { return cmp.Or(text, "not told") }

// Schema tells the layout of the keys.
func Schema(ctx context.Context, url string) (store.Schema, error) {
	found := store.Schema{Want: schema}
	s, err := outside(url)
	if err != nil {
		return found, err
	}
	kept, err := s.client.Get(ctx, s.keys.schema()).Result()
	closed := s.client.Close()
	switch {
	case err == goredis.Nil:
		found.Steps = []string{"begin a store under the prefix " + s.target.prefix}
		return found, closed
	case err != nil:
		return found, errors.Join(s.readError(ctx, err), closed)
	}
	if found.Have, err = strconv.Atoi(kept); err != nil {
		return found, fmt.Errorf("%s: the key %s holds no number", s.name, s.keys.schema())
	}
	return found, closed
}
