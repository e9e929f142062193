package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// This file holds one connection with its prepared statements. It speaks to the driver
// without database/sql: a statement costs about a third less that way, and the writer
// wants one connection of its own anyway.

// conn is used by one goroutine at a time.
type conn struct {
	c interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ExecerContext
		sqlite.DBStatus
	}
	stmts map[string]*stmt // by their text
	last  int64            // key of the row that was inserted last
}

type stmt struct {
	s interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
	args []driver.NamedValue // used again by every run
}

// Waits inside a statement are bounded by busy_timeout, and no statement runs long, so the
// caller's context is looked at between statements instead of costing a goroutine in each.
var unhurried = context.Background()

func dial(path string) (*conn, error) { return dialWith(path, "") }

// dialWith passes parameters of SQLite on.
func dialWith(path, query string) (*conn, error) {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}
	dc, err := new(sqlite.Driver).Open(u.String())
	if err != nil {
		return nil, err
	}
	c := &conn{stmts: map[string]*stmt{}}
	var ok bool
	if c.c, ok = dc.(interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ExecerContext
		sqlite.DBStatus
	}); !ok {
		return nil, fmt.Errorf("the SQLite driver's connection %T lacks what the store uses", dc)
	}
	return c, nil
}

// script runs statements that give nothing back, such as a schema.
func (c *conn) script(text string) error {
	_, err := c.c.ExecContext(unhurried, text, nil)
	return err
}

func (c *conn) prepare(text string, args []driver.Value) (*stmt, error) {
	st := c.stmts[text]
	if st == nil {
		ds, err := c.c.PrepareContext(unhurried, text)
		if err != nil {
			return nil, fmt.Errorf("prepare %q: %w", text, err)
		}
		st = &stmt{args: make([]driver.NamedValue, len(args))}
		var ok bool
		if st.s, ok = ds.(interface {
			driver.Stmt
			driver.StmtExecContext
			driver.StmtQueryContext
		}); !ok {
			return nil, fmt.Errorf("the SQLite driver's statement %T lacks what the store uses", ds)
		}
		for i := range st.args {
			st.args[i].Ordinal = i + 1
		}
		c.stmts[text] = st
	}
	for i := range args {
		st.args[i].Value = args[i]
	}
	return st, nil
}

// exec runs a statement and gives the number of rows that it changed.
func (c *conn) exec(text string, args ...driver.Value) (int64, error) {
	st, err := c.prepare(text, args)
	if err != nil {
		return 0, err
	}
	res, err := st.s.ExecContext(unhurried, st.args)
	if err != nil {
		return 0, err
	}
	if c.last, err = res.LastInsertId(); err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// each calls fn with every row, until it says errEnough. The row is used again for the next one; its texts and blobs
// are not. fn must not use the connection.
func (c *conn) each(text string, fn func(r row) error, args ...driver.Value) (err error) {
	st, err := c.prepare(text, args)
	if err != nil {
		return err
	}
	rows, err := st.s.QueryContext(unhurried, st.args)
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	r := make(row, len(rows.Columns()))
	for {
		if err := rows.Next(r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
}

// errEnough is how a callback of each asks for no more rows.
var errEnough = errors.New("no more rows are wanted")

// one gives the first row; ok is false when there is none.
func (c *conn) one(text string, args ...driver.Value) (first row, ok bool, err error) {
	err = c.each(text, func(r row) error {
		if !ok {
			first, ok = append(row{}, r...), true
		}
		return nil
	}, args...)
	return first, ok, err
}

func (c *conn) close() error {
	for _, st := range c.stmts {
		if err := st.s.Close(); err != nil {
			return err
		}
	}
	return c.c.Close()
}

// row is what a query gives; NULL reads as the zero value.
type row []driver.Value

func (r row) int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

func (r row) text(i int) string {
	s, _ := r[i].(string)
	return s
}

func (r row) blob(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}
