package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"orrery/engine/store"
)

// This file bounds how often something may happen over all nodes. A pace is a key that ends by
// itself; no replica is waited for, and a copy of the store leaves it out.

// Draw takes turns of a pace.
func (s *Store) Draw(ctx context.Context, key string, p store.Pace, n, back int) (store.Drawn, error) {
	if err := s.begin(ctx); err != nil {
		return store.Drawn{}, err
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	reply, err := s.call(ctx, paceScript, s.keys.pace(key), number(max(1, p.Each.Microseconds())), number(p.Slack.Microseconds()), number(p.Debt.Microseconds()),
		strconv.Itoa(n), strconv.Itoa(back))
	if err != nil {
		return store.Drawn{}, fmt.Errorf("draw turns of %q: %w", key, err)
	}
	list, _ := reply.([]any)
	if len(list) != 2 {
		return store.Drawn{}, fmt.Errorf("draw turns of %q: the script answered %v", key, reply)
	}
	turns, _ := list[0].(int64)
	wait, _ := list[1].(int64)
	return store.Drawn{Turns: int(turns), Wait: time.Duration(wait) * time.Microsecond}, nil
}
