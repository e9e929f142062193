package sqlite

import (
	"path/filepath"
	"slices"
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/storetest"
)

// This file puts moves through the suite, and keeps them whole when tables are added.

func TestMove(t *testing.T) {
	storetest.RunMove(t, func(t testing.TB) store.Store {
		return open(t, filepath.Join(t.TempDir(), "o.db"), Options{})
	})
}

// TestEveryTableIsMoved fails when a migration adds a table: Export and Import must know it,
// and store.Row needs a kind for it in most cases.
func TestEveryTableIsMoved(t *testing.T) {
	moved := []string{"claims", "data_stores", "jobs", "numbers", "outbox", "parts", "progress", "results", "revisions", "source_files", "workers"}
	s := open(t, filepath.Join(t.TempDir(), "o.db"), Options{})
	var tables []string
	err := s.read(t.Context(), func(c *conn) error {
		return c.each("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name", func(r row) error {
			tables = append(tables, r.text(0))
			return nil
		})
	})
	if err != nil || !slices.Equal(tables, moved) {
		t.Errorf("the file has the tables %v, a move carries %v (%v)", tables, moved, err)
	}
}
