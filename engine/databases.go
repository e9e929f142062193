package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"orrery/engine/database"
	"orrery/starlib"
)

// This file is the sql module as a handler sees it: the databases that the operator named,
// opened at their first use.

// Databases are named addresses. Its methods may be called from any goroutine.
type Databases struct {
	addresses map[string]string
	// StandIn gives the address for a name that nobody configured, for `dev` and `run`; nil
	// refuses such names.
	standIn func(name string) (address string)

	mu   sync.Mutex
	open map[string]database.DB
}

var _ starlib.Databases = (*Databases)(nil)

// NewDatabases names databases; standIn may be nil.
func NewDatabases(addresses map[string]string, standIn func(name string) string) *Databases {
	return &Databases{addresses: addresses, standIn: standIn, open: map[string]database.DB{}}
}

// Open gives a database by its name.
func (d *Databases) Open(_ context.Context, name string) (starlib.Database, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	db := d.open[name]
	if db == nil {
		address, ok := d.addresses[name]
		if !ok && d.standIn != nil && database.CheckName(name) == nil {
			address, ok = d.standIn(name), true
		}
		if !ok {
			return nil, starlib.Lasting(d.unknown(name))
		}
		var err error
		if db, err = database.Open(address); err != nil {
			return nil, starlib.Lasting(fmt.Errorf("the database %q can not be opened: %w", name, err))
		}
		d.open[name] = db
	}
	return sqlDatabase{sqlConn{db}, db}, nil
}

func (d *Databases) unknown(name string) error {
	known := make([]string, 0, len(d.addresses))
	for one := range d.addresses {
		known = append(known, one)
	}
	slices.Sort(known)
	list := strings.Join(known, ", ")
	if list == "" {
		list = "none"
	}
	return fmt.Errorf("there is no database %q; the operator has named: %s ([sql] in orrery.toml, or SQL_DATABASE_NAME)", name, list)
}

// Close closes all that were opened. It may be called on nil.
func (d *Databases) Close() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []error
	for name, db := range d.open {
		all = append(all, db.Close())
		delete(d.open, name)
	}
	return errors.Join(all...)
}

// sqlConn says which errors repeating would not mend, and translates values.
type sqlConn struct{ conn database.Conn }

// Query runs one statement.
func (c sqlConn) Query(ctx context.Context, text string, args []any, rows, bytes int) (starlib.SQLRows, error) {
	got, err := c.conn.Query(ctx, text, toDatabase(args), database.Most{Rows: rows, Bytes: bytes})
	if err != nil {
		return starlib.SQLRows{}, sqlFault(err)
	}
	for _, cells := range got.Values {
		for i, cell := range cells {
			if j, ok := cell.(database.JSON); ok {
				cells[i] = starlib.JSON(j)
			}
		}
	}
	return starlib.SQLRows{Columns: got.Columns, Values: got.Values}, nil
}

// Exec runs one statement.
func (c sqlConn) Exec(ctx context.Context, text string, args []any) (int64, error) {
	n, err := c.conn.Exec(ctx, text, toDatabase(args))
	return n, sqlFault(err)
}

func toDatabase(args []any) []any {
	for i, a := range args {
		if j, ok := a.(starlib.JSON); ok {
			args[i] = database.JSON(j)
		}
	}
	return args
}

func sqlFault(err error) error {
	var e *database.Error
	if errors.As(err, &e) && !e.Passing {
		return starlib.DatabaseRefusal(e.Code, e.Message)
	}
	return err
}

type sqlDatabase struct {
	sqlConn
	db database.DB
}

// Begin opens a transaction.
func (d sqlDatabase) Begin(ctx context.Context) (starlib.SQLTx, error) {
	tx, err := d.db.Begin(ctx)
	if err != nil {
		return nil, sqlFault(err)
	}
	return sqlTx{sqlConn{tx}, tx}, nil
}

type sqlTx struct {
	sqlConn
	tx database.Tx
}

// Commit keeps what the transaction did.
func (t sqlTx) Commit(ctx context.Context) error { return sqlFault(t.tx.Commit(ctx)) }

// Rollback undoes it.
func (t sqlTx) Rollback(ctx context.Context) error { return t.tx.Rollback(ctx) }
