package database

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// This file is PostgreSQL: a pool, answers in their text form.

// errBadConn is what database/sql takes for a connection that is not to be used again.
var errBadConn = driver.ErrBadConn

const (
	postgresConns = 8
	// connectWait bounds how long the way to a server may take.
	connectWait = 5 * time.Second
)

type postgresDB struct{ pool *pgxpool.Pool }

var _ DB = (*postgresDB)(nil)

func openPostgres(address string) (DB, error) {
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil { // the driver's own words may hold the address
		return nil, errors.New("the address is not of the form postgresql://user:password@host:port/database")
	}
	cfg.MaxConns, cfg.MaxConnIdleTime = postgresConns, time.Minute
	cfg.ConnConfig.ConnectTimeout = connectWait
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "orrery"
	}
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// No statement is prepared under a name, so that DISCARD ALL can clean a connection: a
	// function such as set_config, or a temporary table, must not reach the next job.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	cfg.AfterRelease = func(c *pgx.Conn) bool {
		ctx, cancel := context.WithTimeout(context.Background(), connectWait)
		defer cancel()
		_, err := c.PgConn().Exec(ctx, "DISCARD ALL; SET timezone TO 'UTC'").ReadAll()
		return err == nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, errors.New("the address can not be used")
	}
	return &postgresDB{pool}, nil
}

// Kind tells that it is PostgreSQL.
func (*postgresDB) Kind() Kind { return Postgres }

// Close ends all connections.
func (d *postgresDB) Close() error { d.pool.Close(); return nil }

// Query runs one statement.
func (d *postgresDB) Query(ctx context.Context, text string, args []any, most Most) (*Rows, error) {
	return postgresQuery(ctx, d.pool, text, args, most)
}

// Exec runs one statement.
func (d *postgresDB) Exec(ctx context.Context, text string, args []any) (int64, error) {
	return postgresExec(ctx, d.pool, text, args)
}

// Script runs several statements.
func (d *postgresDB) Script(ctx context.Context, text string) error {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return postgresFault(ctx, err)
	}
	defer c.Release()
	_, err = c.Conn().PgConn().Exec(ctx, text).ReadAll()
	return postgresFault(ctx, err)
}

// Begin opens a transaction.
func (d *postgresDB) Begin(ctx context.Context) (Tx, error) {
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return nil, postgresFault(ctx, err)
	}
	return postgresTx{tx}, nil
}

type postgresTx struct{ tx pgx.Tx }

// Query runs one statement of the transaction.
func (t postgresTx) Query(ctx context.Context, text string, args []any, most Most) (*Rows, error) {
	return postgresQuery(ctx, t.tx, text, args, most)
}

// Exec runs one statement of the transaction.
func (t postgresTx) Exec(ctx context.Context, text string, args []any) (int64, error) {
	return postgresExec(ctx, t.tx, text, args)
}

// Commit ends it and keeps what it did.
func (t postgresTx) Commit(ctx context.Context) error { return postgresFault(ctx, t.tx.Commit(ctx)) }

// Rollback ends it and keeps nothing.
func (t postgresTx) Rollback(ctx context.Context) error {
	if err := t.tx.Rollback(ctx); !errors.Is(err, pgx.ErrTxClosed) {
		return postgresFault(ctx, err)
	}
	return nil
}

// runner is a pool or a transaction.
type runner interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
}

func postgresExec(ctx context.Context, c runner, text string, args []any) (int64, error) {
	if err := check(text); err != nil {
		return 0, err
	}
	tag, err := c.Exec(ctx, text, postgresArgs(args)...)
	return tag.RowsAffected(), postgresFault(ctx, err)
}

// postgresArgs gives JSON as text, which the server reads as what the column is.
func postgresArgs(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if j, ok := a.(JSON); ok {
			a = string(j)
		}
		out[i] = a
	}
	return out
}

func postgresQuery(ctx context.Context, c runner, text string, args []any, most Most) (*Rows, error) {
	if err := check(text); err != nil {
		return nil, err
	}
	// The text form of every type is documented and stable.
	rows, err := c.Query(ctx, text, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, postgresArgs(args)...)...)
	if err != nil {
		return nil, postgresFault(ctx, err)
	}
	defer rows.Close()
	out, held := &Rows{}, counter{most: most}
	fields := rows.FieldDescriptions()
	for _, f := range fields {
		out.Columns = append(out.Columns, f.Name)
	}
	for rows.Next() {
		raw := rows.RawValues()
		cells := make([]any, len(raw))
		for i, text := range raw {
			if text == nil {
				continue
			}
			if cells[i], err = postgresValue(string(text), fields[i].DataTypeOID); err != nil {
				return nil, refusedf("the column %s: %v", fields[i].Name, err)
			}
		}
		if err := held.add(cells); err != nil {
			return nil, err
		}
		out.Values = append(out.Values, cells)
	}
	return out, postgresFault(ctx, rows.Err())
}

// postgresValue reads the text form of a type; types that have no value of their own here stay
// text, arrays among them. A flat switch over the types.
func postgresValue(text string, oid uint32) (any, error) {
	switch oid {
	case pgtype.BoolOID:
		return text == "t", nil
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return strconv.ParseInt(text, 10, 64)
	case pgtype.Float4OID, pgtype.Float8OID:
		return finite(text)
	case pgtype.NumericOID:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		return finite(text)
	case pgtype.JSONBOID:
		return JSON(text), nil
	case pgtype.ByteaOID:
		return hex.DecodeString(strings.TrimPrefix(text, `\x`))
	case pgtype.TimestamptzOID:
		return date(text, "2006-01-02 15:04:05.999999999Z07")
	case pgtype.TimestampOID:
		return date(text, "2006-01-02 15:04:05.999999999")
	}
	return text, nil
}

// finite refuses what JSON can not say.
func finite(text string) (any, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = fmt.Errorf("%s is no finite number", text)
	}
	return f, err
}

// date gives RFC 3339; what Go's dates can not say (infinity, BC) stays text.
func date(text, form string) (any, error) {
	at, err := time.Parse(form, text)
	if err != nil {
		return text, nil
	}
	return at.UTC().Format(dateForm), nil
}

// postgresFault puts the driver's error into the form of this package. Passing are a server
// that is not there, is starting or stopping, is full, or chose this transaction as a victim.
func postgresFault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		class := e.Code[:min(len(e.Code), 2)]
		return &Error{Code: e.Code, Message: e.Message + " (SQLSTATE " + e.Code + ")", cause: err,
			Passing: class == "08" || class == "53" || class == "57" || class == "58" || e.Code == "40001" || e.Code == "40P01"}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return &Error{Code: "08000", Message: "the PostgreSQL server can not be reached", Passing: true, cause: err}
	}
	if strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF") {
		return &Error{Code: "08006", Message: "the connection to the PostgreSQL server broke", Passing: true, cause: err}
	}
	return &Error{Code: "driver", Message: err.Error(), cause: err}
}
