package redis

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
	"orrery/engine/store/storetest"
)

// This file puts the driver through the suites.

var prefixes atomic.Int64

// fresh is the setting for a place of its own on a server.
func fresh() string { return fmt.Sprintf("prefix=t%d", prefixes.Add(1)) }

func open(t testing.TB, url string) *Store {
	t.Helper()
	opts := Options{}
	if testing.Verbose() && os.Getenv("ORRERY_TEST_LOG") != "" {
		opts.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s, err := Open(url, opts)
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
	server := redistest.Start(t)
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, server.URL(fresh())) })
}

func TestShared(t *testing.T) {
	server := redistest.Start(t)
	storetest.RunShared(t, func(t testing.TB) store.Shared { return open(t, server.URL(fresh())) })
}

func TestMove(t *testing.T) {
	server := redistest.Start(t)
	storetest.RunMove(t, func(t testing.TB) store.Store { return open(t, server.URL(fresh())) })
}

// Every write waits for both replicas, so that all is tested with marks and waits between.
func TestSuiteOnSentinel(t *testing.T) {
	set := redistest.StartSentinel(t)
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, set.URL(fresh(), "wait=2")) })
	storetest.RunShared(t, func(t testing.TB) store.Shared { return open(t, set.URL(fresh(), "wait=2")) })
}

func TestSuiteOnCluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, cluster.URL(fresh())) })
	storetest.RunShared(t, func(t testing.TB) store.Shared { return open(t, cluster.URL(fresh())) })
	storetest.RunMove(t, func(t testing.TB) store.Store { return open(t, cluster.URL(fresh())) })
}

func TestDurable(t *testing.T) {
	server := redistest.Start(t)
	storetest.Durable(t, func(t testing.TB) (store.Store, func() store.Store) {
		url := server.URL(fresh())
		s := open(t, url)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			server.Kill()
			server.Begin()
			return open(t, url)
		}
	})
}

func BenchmarkSuite(b *testing.B) {
	server := redistest.Start(b)
	storetest.Benchmark(b, func(t testing.TB) store.Store { return open(t, server.URL(fresh())) })
}
