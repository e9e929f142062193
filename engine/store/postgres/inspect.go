package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"orrery/engine/store"
)

// This file looks at a store from outside, for `orrery doctor` and `orrery store`: nothing is
// changed there, and no schema is made.

// outside connects without opening the store. The caller closes the connection.
func outside(ctx context.Context, address string) (*Store, *config, *pgx.Conn, error) {
	opts := Options{Log: slog.New(slog.DiscardHandler)}.withDefaults()
	conf, err := parse(address, opts)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("the store's URL %w", err)
	}
	s := &Store{name: conf.name, opts: conf.opts}
	c, err := pgx.ConnectConfig(ctx, conf.conn.Copy())
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", s.name, s.explain(err))
	}
	return s, conf, c, nil
}

// Inspect tells what the server behind a URL says of itself.
func Inspect(ctx context.Context, address string) []store.Finding {
	s, conf, c, err := outside(ctx, address)
	if err != nil {
		return []store.Finding{store.Bad("postgres", err.Error(), "start the server, or correct STORE_URL")}
	}
	f, err := lookAt(ctx, c)
	have := 0
	if err == nil {
		have, err = schemaIn(ctx, c, conf.schema)
	}
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return []store.Finding{store.Bad("postgres", fmt.Sprintf("%s: %v", s.name, s.explain(err)), "look at the server's log")}
	}
	if err := f.refusal(); err != nil {
		return []store.Finding{store.Bad("version", s.name+": "+err.Error(), "correct STORE_URL")}
	}
	all := []store.Finding{store.Fine("version", fmt.Sprintf("%s: PostgreSQL %s", s.name, f.shown)), schemaFinding(conf.schema, have)}
	return append(append(all, f.settings()...), f.room(conf.opts.connections())...)
}

// connections is how many a store has at most: one more opens it.
func (o Options) connections() int { return o.Writers + o.ReadConns + 1 }

func schemaFinding(schema string, have int) store.Finding {
	switch newest := len(migrations); {
	case have > newest:
		return store.Bad("schema", fmt.Sprintf("%s has version %d, this Orrery knows versions up to %d", schema, have, newest), "start the newer Orrery again, or restore the backup made before it")
	case have == 0:
		return store.Fine("schema", schema+" is not there yet; the first start makes it")
	case have < newest:
		return store.Warn("schema", fmt.Sprintf("%s has version %d; the next start raises it to %d", schema, have, newest), "make a backup first: there is no way back")
	default:
		return store.Fine("schema", fmt.Sprintf("%s, version %d", schema, have))
	}
}

// Schema tells the version of the tables.
func Schema(ctx context.Context, address string) (found store.Schema, err error) {
	found.Want = len(migrations)
	s, conf, c, err := outside(ctx, address)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	if found.Have, err = schemaIn(ctx, c, conf.schema); err != nil {
		return found, fmt.Errorf("%s: %w", s.name, s.explain(err))
	}
	for v := found.Have; v < found.Want; v++ {
		found.Steps = append(found.Steps, migrations[v].about)
	}
	return found, nil
}

// schemaIn reads the version in one view; 0 is none.
func schemaIn(ctx context.Context, c *pgx.Conn, schema string) (version int, err error) {
	tx, err := c.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return 0, err
	}
	version, err = schemaVersion(ctx, tx, schema)
	return version, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
}
