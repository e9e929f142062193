// Package database speaks SQL to the databases that the operator named: for scripts (the sql
// module) and for the copy of the jobs' history.
//
// Words: a DB is one database with its pool of connections; a statement has parameters and
// never text put together from values. Two kinds are known: SQLite files and PostgreSQL
// servers, chosen by the address (sqlite:PATH, postgresql://...).
//
// Who is authoritative: the database. This package keeps nothing but connections.
package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// This file holds what both kinds offer, and addresses.

// Conn runs statements: a DB each in a transaction of its own, a Tx all in one.
//
// Arguments are nil, bool, int64, float64, string, []byte or JSON. Results are the same; dates
// are text (RFC 3339, UTC).
type Conn interface {
	Query(ctx context.Context, text string, args []any, most Most) (*Rows, error)
	// Exec gives the number of rows that were changed.
	Exec(ctx context.Context, text string, args []any) (int64, error)
}

// DB is an open database.
type DB interface {
	Conn
	Begin(ctx context.Context) (Tx, error)
	// Script runs the program's own statements, several at once and of any kind.
	Script(ctx context.Context, text string) error
	Kind() Kind
	Close() error
}

// Tx is one transaction; it ends with Commit or Rollback, whatever becomes of the context with
// which it was begun.
type Tx interface {
	Conn
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
}

// JSON is a value of a JSON column, as text.
type JSON []byte

// Rows is an answer.
type Rows struct {
	Columns []string
	Values  [][]any
}

// Most bounds an answer; zero fields do not.
type Most struct {
	Rows  int
	Bytes int // of texts, about
}

// Kind tells the two apart.
type Kind string

// The kinds.
const (
	SQLite   Kind = "sqlite"
	Postgres Kind = "postgresql"
)

// Error is a refusal by the database, or a failure on the way to it.
type Error struct {
	Code    string // SQLSTATE, or SQLite's number
	Message string
	Passing bool // the same may work later
	cause   error
}

// Error gives the database's own words.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the driver's error.
func (e *Error) Unwrap() error { return e.cause }

// refusedf is an error of the statement itself, found before the database sees it.
func refusedf(format string, args ...any) error {
	return &Error{Code: "refused", Message: fmt.Sprintf(format, args...)}
}

// Parse reads an address without opening anything: the kind, and for SQLite the file's path.
// Its errors do not show the address, which may hold a password.
func Parse(address string) (Kind, string, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		// sqlite:///abs/path and sqlite://rel/path are how other programs write it.
		path = strings.TrimPrefix(path, "//")
		if path == "" || strings.ContainsAny(path, "?#\x00") || path == ":memory:" {
			return "", "", errors.New("sqlite: needs the path of a file, without ? and #")
		}
		return SQLite, path, nil
	}
	if strings.HasPrefix(address, "postgresql://") || strings.HasPrefix(address, "postgres://") {
		return Postgres, "", nil
	}
	return "", "", errors.New("the address is neither sqlite:PATH nor postgresql://user:password@host/database")
}

// SameFile reports whether two paths lead to one file, by whatever links.
func SameFile(a, b string) bool {
	if x, err := os.Stat(a); err == nil {
		if y, err := os.Stat(b); err == nil {
			return os.SameFile(x, y)
		}
	}
	return settled(a) == settled(b)
}

// settled gives the true name of a file that need not exist yet.
func settled(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		return filepath.Join(dir, filepath.Base(abs))
	}
	return abs
}

// CheckName checks a name: 1 to 32 lower-case letters, digits and _, a letter first.
func CheckName(name string) error {
	for i, r := range name {
		if (r < 'a' || r > 'z') && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			name = ""
			break
		}
	}
	if name == "" || len(name) > 32 {
		return errors.New("a database's name has 1 to 32 lower-case letters, digits and _, and begins with a letter")
	}
	return nil
}

// Open opens a database. A PostgreSQL server need not be there yet. A SQLite file is made,
// private to the user, with its folder.
func Open(address string) (DB, error) {
	kind, path, err := Parse(address)
	switch {
	case err != nil:
		return nil, err
	case kind == SQLite:
		return openSQLite(path)
	}
	return openPostgres(address)
}
