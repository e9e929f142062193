package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/storetest"
)

// This file puts the driver through the suites, on a real server. Every store of a test has a
// schema of its own.

// serverURL gives the server's address, or skips the test.
func serverURL(t testing.TB) string { t.Helper(); return pgtest.Shared(t) }

// freshURL gives the address of a schema that is not there yet, and goes with the test.
func freshURL(t testing.TB) string { t.Helper(); return pgtest.Fresh(t, pgtest.Shared(t)) }

// sql runs a statement beside the store.
func sql(t testing.TB, text string, args ...any) {
	t.Helper()
	pgtest.Exec(t, pgtest.Shared(t), text, args...)
}

func open(t testing.TB, address string, opts Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// newJob is the first change of a job.
func newJob() *job.Change {
	now := time.Now().UTC()
	return &job.Change{
		Job: job.Job{ID: job.NewID(now, job.NewShard()), Version: 1, Blueprint: "b", State: "start", Status: job.Pending,
			Ready: true, Records: 1, CreatedAt: now, UpdatedAt: now},
		Records: []job.Record{{N: 1, At: job.Time{Time: now}, Kind: job.RecCreated, State: "start", Status: job.Pending}},
	}
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, freshURL(t), Options{}) })
}

// An answer of the server is no fault of its connections.
func TestAMissingJobCostsNoConnection(t *testing.T) {
	s := open(t, freshURL(t), Options{})
	for range 20 {
		if _, err := s.Job(t.Context(), job.NewID(time.Now(), 1)); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("a job that is not there gives %v", err)
		}
	}
	if made := s.pool.Stat().NewConnsCount(); made > int64(s.opts.ReadConns) {
		t.Errorf("%d connections were made for 20 reads", made)
	}
}

func TestShared(t *testing.T) {
	storetest.RunShared(t, func(t testing.TB) store.Shared { return open(t, freshURL(t), Options{}) })
}

func TestDurable(t *testing.T) {
	storetest.Durable(t, func(t testing.TB) (store.Store, func() store.Store) {
		address := freshURL(t)
		s := open(t, address, Options{})
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, address, Options{})
		}
	})
}

func BenchmarkSuite(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) store.Store { return open(t, freshURL(t), Options{}) })
}
