package sqlite

import (
	"path/filepath"
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/storetest"
)

// This file puts the driver through the suite.

func open(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	s, err := Open(path, opts)
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
	storetest.Run(t, func(t testing.TB) store.Store {
		return open(t, filepath.Join(t.TempDir(), "sub", "o.db"), Options{})
	})
}

func BenchmarkSuite(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) store.Store {
		return open(t, filepath.Join(t.TempDir(), "o.db"), Options{})
	})
}

// BenchmarkAlone commits every write by itself, to see what batches gain.
func BenchmarkAlone(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) store.Store {
		return open(t, filepath.Join(t.TempDir(), "o.db"), Options{MaxBatch: 1})
	})
}

func TestDurable(t *testing.T) {
	storetest.Durable(t, func(t testing.TB) (store.Store, func() store.Store) {
		path := filepath.Join(t.TempDir(), "o.db")
		s := open(t, path, Options{})
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, path, Options{})
		}
	})
}
