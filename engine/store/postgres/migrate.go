package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// This file brings the schema up to date. Several nodes may start at once: one does it, the
// others wait for it.

// migrateWait bounds the opening of a store, with what it does to the schema.
const migrateWait = 10 * time.Minute

func (s *Store) migrate(ctx context.Context, c *pgx.Conn, schema string) (err error) {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := tx.Rollback(context.WithoutCancel(ctx)); err == nil && !errors.Is(e, pgx.ErrTxClosed) {
			err = e
		}
	}()
	// A lock that the transaction's end gives back, so that a node that dies here blocks nobody.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1, 0)", s.locks.schema); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, tx, schema)
	if err != nil {
		return err
	}
	newest := len(s.opts.migrations)
	switch {
	case version > newest:
		return &ours{fmt.Errorf("%s has schema %d, this Orrery knows schemas up to %d: start the newer Orrery again, or restore the backup made before it", schema, version, newest)}
	case version == newest:
		return nil
	}
	if err := bringUp(ctx, tx, schema, s.opts.migrations, version); err != nil {
		return fmt.Errorf("raise %s from schema %d to %d: %w", schema, version, newest, err)
	}
	return tx.Commit(ctx)
}

// schemaVersion gives 0 for a schema that is not there yet, and refuses one of somebody else.
func schemaVersion(ctx context.Context, tx pgx.Tx, schema string) (version int, err error) {
	var there, foreign bool
	err = tx.QueryRow(ctx, `SELECT to_regclass(quote_ident($1)||'.schema_version') IS NOT NULL, to_regclass(quote_ident($1)||'.jobs') IS NOT NULL`, schema).Scan(&there, &foreign)
	switch {
	case err != nil:
		return 0, err
	case !there && foreign:
		return 0, &ours{fmt.Errorf("the schema %s has a table jobs that is not Orrery's: name another schema with ?search_path=NAME in STORE_URL", schema)}
	case !there:
		return 0, nil
	}
	err = tx.QueryRow(ctx, "SELECT max(version) FROM "+pgx.Identifier{schema, "schema_version"}.Sanitize()).Scan(&version)
	return version, err
}

func bringUp(ctx context.Context, tx pgx.Tx, schema string, migrations []migration, version int) error {
	if version == 0 {
		// Asked first: the right to make a schema is not needed where somebody has made it.
		var there bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname=$1)", schema).Scan(&there); err != nil {
			return err
		}
		if !there {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize()); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec(ctx, "SELECT set_config('search_path', quote_ident($1), true)", schema); err != nil {
		return err
	}
	if version == 0 {
		if _, err := tx.Exec(ctx, "CREATE TABLE schema_version (version integer PRIMARY KEY, since timestamptz NOT NULL DEFAULT now())"); err != nil {
			return err
		}
	}
	for i, m := range migrations[version:] {
		if _, err := tx.Conn().PgConn().Exec(ctx, m.text).ReadAll(); err != nil { // several statements
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO schema_version(version) VALUES($1)", version+i+1); err != nil {
			return err
		}
	}
	return nil
}
