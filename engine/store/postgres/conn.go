package postgres

import (
	"context"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// This file says how a session behaves, and opens the first one.

// session gives the settings of a working connection. What the URL sets itself stands.
func (c *config) session() *pgx.ConnConfig {
	conf := c.conn.Copy()
	set := func(name, value string) {
		if _, given := conf.RuntimeParams[name]; !given {
			conf.RuntimeParams[name] = value
		}
	}
	conf.RuntimeParams["search_path"] = pgx.Identifier{c.schema}.Sanitize()
	set("application_name", "orrery")
	set("default_transaction_isolation", "read committed")
	// The server gives a statement up before the client stops listening, so that an answer comes.
	set("statement_timeout", millisText(c.opts.AnswerWait*4/5))
	set("lock_timeout", millisText(c.opts.AnswerWait/3))
	set("idle_in_transaction_session_timeout", millisText(c.opts.AnswerWait/3))
	// A machine that vanished must not hold locks for hours.
	set("tcp_keepalives_idle", "10")
	set("tcp_keepalives_interval", "5")
	set("tcp_keepalives_count", "3")
	for _, what := range []string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "enable_sort", "jit"} {
		set(what, "off")
	}
	set("plan_cache_mode", "force_generic_plan")
	for name, value := range c.extra {
		set(name, value)
	}
	return conf
}

func millisText(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// lockKeys are the first halves of this store's advisory locks: other schemas of the database
// have others.
type lockKeys struct{ schema, values, fences int32 }

func locksOf(schema string) lockKeys {
	return lockKeys{lockKey("orrery schema", schema), lockKey("orrery values", schema), lockKey("orrery fences", schema)}
}

// lockKey makes a number of some words. Two that share one wait for each other needlessly.
func lockKey(words ...string) int32 {
	h := fnv.New32a()
	for _, w := range words {
		h.Write([]byte(w)) // never fails
		h.Write([]byte{0})
	}
	return int32(h.Sum32())
}

// settle looks at the server and brings the schema up to date, on a connection of its own.
func (s *Store) settle(ctx context.Context, conf *config) error {
	c, err := pgx.ConnectConfig(ctx, conf.conn.Copy())
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if err := s.look(ctx, c, conf); err != nil {
		return err
	}
	return s.migrate(ctx, c, conf.schema)
}
