package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"orrery/engine/store/postgres/pgtest"
)

// This file tests how the schema is made and raised.

// raised are the migrations of a newer Orrery.
var raised = append(slices.Clone(migrations), migration{"add a table", "CREATE TABLE added (n integer); INSERT INTO added VALUES (1)"})

// openAll opens a store several times at once and closes them.
func openAll(t *testing.T, address string, opts Options) {
	t.Helper()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := Open(context.Background(), address, opts)
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestServersThatStartAtOnceRaiseTheSchemaOnce(t *testing.T) {
	address := freshURL(t)
	openAll(t, address, Options{})
	if n := pgtest.Number(t, address, "SELECT count(*)*10+max(version) FROM schema_version"); n != int64(11*len(migrations)) {
		t.Errorf("after the first starts: %d", n)
	}
	openAll(t, address, Options{migrations: raised})
	if n := pgtest.Number(t, address, "SELECT max(version)*10+(SELECT count(*) FROM added) FROM schema_version"); n != int64(10*len(raised)+1) {
		t.Errorf("after the newer ones: %d", n)
	}
}

func TestSchemasGoForwardOnly(t *testing.T) {
	ctx := context.Background()
	address := freshURL(t)
	open(t, address, Options{migrations: raised})
	if s, err := Open(ctx, address, Options{}); err == nil || !strings.Contains(err.Error(), "start the newer Orrery again") {
		t.Errorf("an older Orrery on a newer schema: %v, %v", s, err)
	}
	if n := pgtest.Number(t, address, "SELECT max(version) FROM schema_version"); n != int64(len(raised)) {
		t.Errorf("the schema is now %d", n)
	}
	had, err := Schema(ctx, address)
	if err != nil || had.Have != len(raised) || had.Want != len(migrations) || len(had.Steps) != 0 {
		t.Errorf("seen from outside: %+v, %v", had, err)
	}
	if f := schemaFinding("orrery", len(raised)); f.Remedy == "" {
		t.Errorf("doctor: %+v", f)
	}
}

func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	ctx := context.Background()
	address := freshURL(t)
	open(t, address, Options{})
	bad := append(slices.Clone(raised), migration{"fail", "SELECT 1/0"})
	if s, err := Open(ctx, address, Options{migrations: bad}); err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("%v, %v", s, err)
	}
	if n := pgtest.Number(t, address, "SELECT count(*) FROM information_schema.tables WHERE table_schema=current_schema() AND table_name='added'"); n != 0 {
		t.Error("half of it was done")
	}
	open(t, address, Options{migrations: raised})
}

func TestAForeignSchemaIsLeftAlone(t *testing.T) {
	address := freshURL(t)
	pgtest.Exec(t, pgtest.Shared(t), "CREATE SCHEMA "+SchemaName(address))
	pgtest.Exec(t, address, "CREATE TABLE jobs (theirs integer)")
	s, err := Open(context.Background(), address, Options{})
	var away interface{ Unavailable() bool }
	if err == nil || !strings.Contains(err.Error(), "not Orrery's") || errors.As(err, &away) {
		t.Errorf("%v, %v", s, err)
	}
	if n := pgtest.Number(t, address, "SELECT count(*) FROM information_schema.tables WHERE table_schema=current_schema()"); n != 1 {
		t.Errorf("it has %d tables now", n)
	}
}
