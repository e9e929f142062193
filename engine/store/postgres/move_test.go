package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/move"
	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/storetest"
)

// This file puts moves through the suite, and keeps them whole when tables are added.

func TestMove(t *testing.T) {
	storetest.RunMove(t, func(t testing.TB) store.Store { return open(t, freshURL(t), Options{}) })
}

// TestEveryTableIsMoved fails when a migration adds a table: Export and Import must know it,
// and store.Row needs a kind for it in most cases. numbers is derived from the jobs.
func TestEveryTableIsMoved(t *testing.T) {
	moved := []string{"claims", "data_stores", "heads", "jobs", "numbers", "outbox", "progress", "records", "results", "revisions", "source_files", "tasks", "workers"}
	s := open(t, freshURL(t), Options{})
	var tables []string
	err := s.on(context.Background(), func(ctx context.Context, p *pgxpool.Pool) error {
		tables = nil
		return all(ctx, p, `SELECT table_name::text FROM information_schema.tables WHERE table_schema=current_schema() AND table_type='BASE TABLE'
			AND table_name NOT IN ('leases', 'schema_version') ORDER BY 1`, func(r pgx.Rows) error {
			var name string
			err := r.Scan(&name)
			tables = append(tables, name)
			return err
		})
	})
	if err != nil || !slices.Equal(tables, moved) {
		t.Errorf("the schema has the tables %v, a move carries %v (%v)", tables, moved, err)
	}
}

// A job of which a half is gone stops a copy and a check; it is not passed over.
func TestHalfAJobIsNotPassedOver(t *testing.T) {
	ctx := context.Background()
	for _, table := range []string{"heads", "jobs"} {
		address := freshURL(t)
		s := open(t, address, Options{})
		j := newJob()
		if err := s.Commit(ctx, j); err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, address, "DELETE FROM "+table)
		_, err := move.Copy(ctx, s, memory.New(), move.Options{Now: j.Job.CreatedAt})
		if err == nil || !strings.Contains(err.Error(), "half of job "+j.Job.ID) {
			t.Errorf("without its row in %s: %v", table, err)
		}
	}
}
