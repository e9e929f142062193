// Package postgres is the store of several nodes on one PostgreSQL server.
//
// Words: a writer is a goroutine with a connection of its own; the jobs of a shard always have
// the same one, so that the order of one goroutine's calls is kept. A batch is what a writer
// commits at once: everything that is in line is sent in one round trip and as one transaction
// whose statements carry whole columns (unnest), so that a hundred steps cost the server four
// statements. A guard is what a change was built on: the job's version, the fence of its shard's
// lease, the versions of values it read. The server checks all guards of a batch in it; when one
// does not hold, the batch is rolled back and done again carefully: what the guards speak of is
// locked and read first, and what must be refused is left out.
//
// Who is authoritative: the rows. A writer remembers nothing of them between two batches.
//
// Plans never change with the data: sessions use generic plans and no sequential scans, so that
// each statement uses the index that the schema has for it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
)

// This file opens and closes a store.

// Options tune a store; zero fields take the defaults.
type Options struct {
	Writers       int           // connections for writing; default 4
	ReadConns     int           // connections for all else, at most; default 8
	MaxBatch      int           // writes in one transaction; default 256
	MaxBatchBytes int           // text in one transaction, about; default 1 MiB
	ConnectWait   time.Duration // how long the way to the server may take; default 5 s
	AnswerWait    time.Duration // how long an answer may take; the server gives up a little earlier; default 30 s
	Log           *slog.Logger  // for what nobody waits for; default slog.Default()

	migrations []migration // tests have others
}

func (o Options) withDefaults() Options {
	if o.Writers <= 0 {
		o.Writers = 4
	}
	if o.ReadConns <= 0 {
		o.ReadConns = 8
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 256
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = 1 << 20
	}
	if o.ConnectWait <= 0 {
		o.ConnectWait = 5 * time.Second
	}
	if o.AnswerWait <= 0 {
		o.AnswerWait = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.migrations == nil {
		o.migrations = migrations
	}
	return o
}

// Store is an open store. Make it with Open.
type Store struct {
	name    string // what it is called in logs and errors: host and database, no password
	opts    Options
	locks   lockKeys
	conf    *pgx.ConnConfig // of the writers
	pool    *pgxpool.Pool   // for reading, and for writes that are rare
	writers []*writer
	closing chan struct{} // closed by Close
	ended   sync.Once
	failed  error // of Close
}

var _ store.Shared = (*Store)(nil)

// Open connects to the server, brings the schema up to date and starts the writers. The tables
// stand in the schema "orrery", or in the first one of the URL's search_path. It fails when the
// server is not there, is too old, or when a newer Orrery has been at work in the schema.
// Errors never hold the URL, which may hold a password.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	conf, err := parse(url, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("the store's URL %w", err)
	}
	opts = conf.opts
	s := &Store{name: conf.name, opts: opts, locks: locksOf(conf.schema), closing: make(chan struct{})}
	if err := s.prepare(ctx, conf); err != nil {
		return nil, fmt.Errorf("open store %s: %w", s.name, err)
	}
	s.startWriters()
	return s, nil
}

// prepare looks at the server, brings the schema up to date and opens the pool.
func (s *Store) prepare(ctx context.Context, conf *config) error {
	ctx, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	if err := s.settle(ctx, conf); err != nil {
		return s.explain(err)
	}
	s.conf = conf.session()
	pool := conf.pool.Copy()
	pool.ConnConfig = conf.session()
	pool.MaxConns, pool.MaxConnIdleTime = int32(s.opts.ReadConns), time.Minute
	var err error
	s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), pool)
	return err
}

// Features says that it survives the process, and that several may use it.
func (s *Store) Features() store.Features {
	return store.Features{Name: "postgres", Durable: true, Shared: true}
}

// Close writes what is queued and ends all connections. It waits for reads under way. Closing
// again does nothing.
func (s *Store) Close() error {
	s.ended.Do(func() {
		close(s.closing)
		for _, w := range s.writers {
			<-w.Gone()
			s.failed = errors.Join(s.failed, w.hangUp())
		}
		s.pool.Close()
	})
	return s.failed
}
