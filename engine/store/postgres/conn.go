package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// This file reads the URL and says how a session behaves.

// defaultSchema holds the tables unless the URL says another.
const defaultSchema = "orrery"

// oldest is the first version that has all that the statements use.
const oldest = 130000

// config is what the URL says.
type config struct {
	pool   *pgxpool.Config // as the URL says, pool_max_conns and its like included
	conn   *pgx.ConnConfig // as the URL says, nothing added
	opts   Options
	schema string
	name   string
	extra  map[string]string // settings that depend on the server
}

// parse reads a URL. The driver's own words about a bad one may hold the password, so they are
// not passed on.
func parse(url string, opts Options) (*config, error) {
	pool, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the address is not of the form postgres://user:password@host:port/database (parameters as in PostgreSQL's own URLs)")
	}
	conn := pool.ConnConfig
	schema := strings.TrimSpace(strings.Split(conn.RuntimeParams["search_path"], ",")[0])
	schema = strings.Trim(schema, `"`)
	if schema == "" {
		schema = defaultSchema
	}
	conn.ConnectTimeout = opts.ConnectWait
	name := fmt.Sprintf("postgres %s:%d/%s", conn.Host, conn.Port, conn.Database)
	if schema != defaultSchema {
		name += " schema " + schema
	}
	return &config{pool: pool, conn: conn, opts: opts, schema: schema, name: name, extra: map[string]string{}}, nil
}

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

// look refuses a server on which the store can not keep its promises, warns of settings that
// weaken them, and mends what a session can mend.
func (s *Store) look(ctx context.Context, c *pgx.Conn, conf *config) error {
	var version int
	var replica bool
	var fsync, synchronous, encoding string
	err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('fsync'),
		current_setting('synchronous_commit'), current_setting('server_encoding')`).Scan(&version, &replica, &fsync, &synchronous, &encoding)
	if err != nil {
		return err
	}
	switch {
	case version < oldest:
		return fmt.Errorf("the server is PostgreSQL %d, the store needs %d or newer", version/10000, oldest/10000)
	case replica:
		return errors.New("the server is a replica, which can only be read: name the primary, or all of them with target_session_attrs=read-write")
	}
	if fsync == "off" {
		s.opts.Log.Warn("the server runs with fsync=off: a crash of its machine can destroy the database; set fsync=on", "store", s.name)
	}
	if synchronous == "off" {
		s.opts.Log.Warn("the server commits with synchronous_commit=off; the store turns it on for its own sessions, for what it has confirmed must last", "store", s.name)
		conf.extra["synchronous_commit"] = "on"
	}
	if version >= 170000 { // of a node that was stopped in the middle of sending, so that others need not wait for it
		conf.extra["transaction_timeout"] = millisText(s.opts.AnswerWait)
	}
	return nil
}
