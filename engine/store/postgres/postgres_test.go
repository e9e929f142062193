package postgres

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"orrery/engine/store"
	"orrery/engine/store/storetest"
)

// This file puts the driver through the suites, on a real server. Every store of a test has a
// schema of its own.

// serverURL gives the server's address, or skips the test.
func serverURL(t testing.TB) string {
	t.Helper()
	address := os.Getenv("ORRERY_TEST_POSTGRES")
	if address == "" {
		t.Skip("ORRERY_TEST_POSTGRES names no PostgreSQL server; scripts/test starts one")
	}
	return address
}

var schemas atomic.Int64

// freshURL gives the address of a schema that is not there yet, and goes with the test.
func freshURL(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("test_%d_%d", time.Now().UnixNano(), schemas.Add(1))
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	t.Cleanup(func() { sql(t, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	return u.String()
}

// sql runs a statement beside the store.
func sql(t testing.TB, text string, args ...any) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
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

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, freshURL(t), Options{}) })
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
