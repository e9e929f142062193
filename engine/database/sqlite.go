package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// This file is SQLite: one file, a few connections.

const (
	sqliteConns = 8
	// busyWait is how long a statement waits for another that writes, in milliseconds.
	busyWait = 5000
)

type sqliteDB struct{ pool *sql.DB }

var _ DB = (*sqliteDB)(nil)

func openSQLite(path string) (DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the database can not be made: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the database can not be opened: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(" + strconv.Itoa(busyWait) + ")", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)"},
	}.Encode()}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(sqliteConns)
	pool.SetConnMaxIdleTime(time.Minute)
	return &sqliteDB{pool}, nil
}

// Kind tells that it is SQLite.
func (*sqliteDB) Kind() Kind { return SQLite }

// Close ends all connections.
func (d *sqliteDB) Close() error { return d.pool.Close() }

// conn takes a connection that can open no further file.
func (d *sqliteDB) conn(ctx context.Context) (*sql.Conn, error) {
	c, err := d.pool.Conn(ctx)
	if err != nil {
		return nil, sqliteFault(ctx, err)
	}
	if _, err := sqlite.Limit(c, lib.SQLITE_LIMIT_ATTACHED, 0); err != nil {
		return nil, errors.Join(sqliteFault(ctx, err), c.Close())
	}
	return c, nil
}

// Query runs one statement.
func (d *sqliteDB) Query(ctx context.Context, text string, args []any, most Most) (*Rows, error) {
	c, err := d.conn(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return sqliteQuery(ctx, c, text, args, most)
}

// Exec runs one statement.
func (d *sqliteDB) Exec(ctx context.Context, text string, args []any) (int64, error) {
	c, err := d.conn(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return sqliteExec(ctx, c, text, args)
}

// Script runs several statements.
func (d *sqliteDB) Script(ctx context.Context, text string) error {
	_, err := d.pool.ExecContext(ctx, text)
	return sqliteFault(ctx, err)
}

// Begin takes the right to write at once, so that no statement in the middle is refused for
// another writer.
func (d *sqliteDB) Begin(ctx context.Context) (Tx, error) {
	c, err := d.conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, errors.Join(sqliteFault(ctx, err), c.Close())
	}
	return &sqliteTx{c}, nil
}

type sqliteTx struct{ c *sql.Conn }

// Query runs one statement of the transaction.
func (t *sqliteTx) Query(ctx context.Context, text string, args []any, most Most) (*Rows, error) {
	return sqliteQuery(ctx, t.c, text, args, most)
}

// Exec runs one statement of the transaction.
func (t *sqliteTx) Exec(ctx context.Context, text string, args []any) (int64, error) {
	return sqliteExec(ctx, t.c, text, args)
}

// Commit ends it and keeps what it did.
func (t *sqliteTx) Commit(ctx context.Context) error {
	if _, err := t.c.ExecContext(ctx, "COMMIT"); err != nil {
		return errors.Join(sqliteFault(ctx, err), t.Rollback(context.WithoutCancel(ctx)))
	}
	return t.c.Close()
}

// Rollback ends it and keeps nothing. A connection that can not do that is not used again.
func (t *sqliteTx) Rollback(ctx context.Context) error {
	if _, err := t.c.ExecContext(ctx, "ROLLBACK"); err != nil {
		_ = t.c.Raw(func(any) error { return errBroken })
	}
	if err := t.c.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// errBroken makes the pool throw a connection away.
var errBroken = fmt.Errorf("a transaction did not end: %w", errBadConn)

func sqliteExec(ctx context.Context, c *sql.Conn, text string, args []any) (int64, error) {
	if err := check(text); err != nil {
		return 0, err
	}
	result, err := c.ExecContext(ctx, numbered(text), sqliteArgs(args)...)
	if err != nil {
		return 0, sqliteFault(ctx, err)
	}
	n, err := result.RowsAffected()
	return n, sqliteFault(ctx, err)
}

func sqliteArgs(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if j, ok := a.(JSON); ok {
			a = string(j)
		}
		out[i] = a
	}
	return out
}

func sqliteQuery(ctx context.Context, c *sql.Conn, text string, args []any, most Most) (*Rows, error) {
	if err := check(text); err != nil {
		return nil, err
	}
	rows, err := c.QueryContext(ctx, numbered(text), sqliteArgs(args)...)
	if err != nil {
		return nil, sqliteFault(ctx, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	out, held := &Rows{Columns: names}, counter{most: most}
	for rows.Next() {
		cells, at := make([]any, len(names)), make([]any, len(names))
		for i := range cells {
			at[i] = &cells[i]
		}
		if err := rows.Scan(at...); err != nil {
			return nil, err
		}
		for i := range cells {
			cells[i] = sqliteValue(cells[i], types[i].DatabaseTypeName())
		}
		if err := held.add(cells); err != nil {
			return nil, err
		}
		out.Values = append(out.Values, cells)
	}
	return out, sqliteFault(ctx, rows.Err())
}

// sqliteValue turns what the driver gives into one of the values of Conn. A column that was
// declared JSONB gives its value, as in PostgreSQL; one declared JSON is text.
func sqliteValue(v any, declared string) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(dateForm)
	case string:
		if strings.EqualFold(declared, "JSONB") {
			return JSON(v)
		}
	case int64:
		if (declared == "BOOLEAN" || declared == "BOOL") && (v == 0 || v == 1) {
			return v == 1
		}
	}
	return v
}

// dateForm is RFC 3339 in milliseconds.
const dateForm = "2006-01-02T15:04:05.000Z07:00"

// sqliteFault puts the driver's error into the form of this package.
func sqliteFault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return &Error{Code: "sqlite", Message: err.Error(), cause: err}
	}
	code := e.Code() & 0xff
	return &Error{Code: strconv.Itoa(e.Code()), Message: err.Error(), cause: err,
		Passing: code == lib.SQLITE_BUSY || code == lib.SQLITE_LOCKED || code == lib.SQLITE_IOERR || code == lib.SQLITE_FULL}
}

// counter bounds an answer while it is read.
type counter struct {
	most  Most
	rows  int
	bytes int
}

func (c *counter) add(cells []any) error {
	c.rows++
	for _, v := range cells {
		c.bytes += 32
		switch v := v.(type) {
		case string:
			c.bytes += len(v)
		case []byte:
			c.bytes += len(v)
		case JSON:
			c.bytes += len(v)
		}
	}
	if c.most.Rows > 0 && c.rows > c.most.Rows {
		return refusedf("the answer has more than %d rows; add LIMIT, or let the database count and sum", c.most.Rows)
	}
	if c.most.Bytes > 0 && c.bytes > c.most.Bytes {
		return refusedf("the answer has more than %d bytes; select fewer columns or rows", c.most.Bytes)
	}
	return nil
}
