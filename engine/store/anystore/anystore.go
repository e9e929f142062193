// Package anystore lets suites that need some store run over each of them.
//
// The variable ORRERY_TEST_STORE names it as STORE_URL does: "sqlite:", "postgres://..." or
// "redis://..."; without it the store is in memory. Every store of a test begins empty, in a
// file, schema or under a prefix of its own. scripts/test runs the suites once for each.
package anystore

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/postgres"
	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/redis"
	"orrery/engine/store/sqlite"
)

// Variable names the store.
const Variable = "ORRERY_TEST_STORE"

var made atomic.Int64

// New opens an empty store that ends with the test.
func New(t testing.TB) store.Store {
	t.Helper()
	s, err := open(t, os.Getenv(Variable))
	if err != nil {
		t.Fatalf("the store that %s names: %v", Variable, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

func open(t testing.TB, address string) (store.Store, error) {
	quiet := slog.New(slog.DiscardHandler)
	scheme, _, _ := strings.Cut(address, ":")
	switch scheme {
	case "":
		return memory.New(), nil
	case "sqlite":
		return sqlite.Open(file(t), sqlite.Options{Log: quiet})
	case "postgres", "postgresql":
		return postgres.Open(context.Background(), pgtest.Emptied(t, address), postgres.Options{Log: quiet, Writers: 1, ReadConns: 2})
	case "redis", "redis-cluster", "redis-sentinel":
		return redis.Open(ownPrefix(address), redis.Options{Log: quiet})
	}
	return nil, fmt.Errorf("there is no store %q", scheme)
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }

// ownPrefix gives the address of a place in a Redis that is not there yet.
func ownPrefix(address string) string {
	joint := "?"
	if strings.Contains(address, "?") {
		joint = "&"
	}
	return fmt.Sprintf("%s%sprefix=test%x-%d", address, joint, time.Now().UnixNano(), made.Add(1))
}

// URL is New for a server that is a process of its own: the STORE_URL of an empty store. A run
// that is about no store keeps it in a SQLite file.
func URL(t testing.TB) string {
	t.Helper()
	address := os.Getenv(Variable)
	scheme, _, _ := strings.Cut(address, ":")
	switch scheme {
	case "", "sqlite":
		return "sqlite:" + file(t)
	case "postgres", "postgresql":
		return pgtest.Emptied(t, address)
	}
	return ownPrefix(address)
}
