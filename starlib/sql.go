package starlib

import (
	"context"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"go.starlark.net/starlarkstruct"
	"orrery/engine/job"

	"orrery/starlib/border"
)

// This file holds the module sql: databases that the operator named.
//
//	db = sql.connect("reports")
//	db.exec("INSERT INTO runs VALUES (?, ?)", context.step_id, {"status": "ok"})
//	for row in db.query("SELECT id, data FROM runs WHERE id = ?", context.step_id): ...
//	db.tx(lambda tx: [tx.exec(...), tx.exec(...)])

// Databases are those that the operator named.
type Databases interface {
	// Open gives a database by its name. Its error says which names there are, and is Lasting.
	Open(ctx context.Context, name string) (Database, error)
}

// Database is one of them. Arguments and answers are nil, bool, int64, float64, string, []byte
// or JSON; all errors that repeating would not mend are Lasting.
type Database interface {
	SQLConn
	Begin(ctx context.Context) (SQLTx, error)
}

// SQLConn runs one statement.
type SQLConn interface {
	// Query gives at most so many rows and bytes; more is an error.
	Query(ctx context.Context, text string, args []any, rows, bytes int) (SQLRows, error)
	// Exec gives the number of rows that were changed.
	Exec(ctx context.Context, text string, args []any) (int64, error)
}

// SQLTx is a transaction. Rollback after Commit does nothing.
type SQLTx interface {
	SQLConn
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
}

// SQLRows is an answer.
type SQLRows struct {
	Columns []string
	Values  [][]any
}

// JSON is a value of a JSON column, as text.
type JSON []byte

// KindDatabase is the kind of a caught refusal by a database; its details have the code.
const KindDatabase = "database"

// sqlRows is the most rows of one answer.
const sqlRows = 10_000

// rollbackTime bounds the end of a transaction that failed.
const rollbackTime = 5 * time.Second

func sqlModule() *starlarkstruct.Module {
	return &starlarkstruct.Module{Name: "sql", Members: starlark.StringDict{"connect": starlark.NewBuiltin("sql.connect", sqlConnect)}}
}

func sqlConnect(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	s, err := scopeOf(thread, b.Name())
	if err != nil {
		return nil, err
	}
	if s.Host.Databases == nil {
		return nil, fmt.Errorf("%s(%q): no database has been named here; the operator does it in the section [sql] of orrery.toml, or by SQL_DATABASE_%s", b.Name(), job.Clip(name, MaxName), upper(job.Clip(name, MaxName)))
	}
	db, err := Call(s, HostCall{Name: b.Name(), Kind: Reads}, func(ctx context.Context) (Database, error) {
		return s.Host.Databases.Open(ctx, name)
	})
	if err != nil {
		return nil, err
	}
	return &sqlValue{s: s, name: name, conn: db, db: db}, nil
}

// upper is the form of a database's name in an environment variable.
func upper(name string) string {
	out := []byte(name)
	for i, b := range out {
		if b >= 'a' && b <= 'z' {
			out[i] = b - 32
		}
	}
	return string(out)
}

// sqlValue is a database, or a transaction of it (db nil).
type sqlValue struct {
	s     *Scope
	name  string
	conn  SQLConn
	db    Database
	ended bool // of a transaction
}

var sqlMethods = map[string]*starlark.Builtin{
	"query":     starlark.NewBuiltin("query", sqlQuery),
	"query_one": starlark.NewBuiltin("query_one", sqlQueryOne),
	"exec":      starlark.NewBuiltin("exec", sqlExec),
	"tx":        starlark.NewBuiltin("tx", sqlTransaction),
}

var _ starlark.HasAttrs = (*sqlValue)(nil)

func (v *sqlValue) String() string        { return "<database " + v.name + ">" }
func (v *sqlValue) Type() string          { return "database" }
func (*sqlValue) Freeze()                 {}
func (*sqlValue) Truth() starlark.Bool    { return starlark.True }
func (v *sqlValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", v.Type()) }

// AttrNames lists the methods, sorted; a transaction has no further ones inside.
func (v *sqlValue) AttrNames() []string {
	names := builtinNames(sqlMethods)
	if v.db == nil {
		return names[:len(names)-1] // without tx
	}
	return names
}

// Attr gives a method.
func (v *sqlValue) Attr(name string) (starlark.Value, error) {
	if m, ok := sqlMethods[name]; ok && (v.db != nil || name != "tx") {
		return m.BindReceiver(v), nil
	}
	return nil, nil
}

// call is the name of a method for messages and history.
func (v *sqlValue) call(b *starlark.Builtin) string {
	if v.db == nil {
		return "sql.tx." + b.Name()
	}
	return "sql." + b.Name()
}

// statement reads the text and its parameters, which come one by one after it.
func (v *sqlValue) statement(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (text string, params []any, err error) {
	if len(kwargs) > 0 || len(args) == 0 {
		return "", nil, fmt.Errorf("%s: write %s(\"... WHERE id = ?\", id): the statement, then its parameters", v.call(b), b.Name())
	}
	text, ok := starlark.AsString(args[0])
	if !ok {
		return "", nil, fmt.Errorf("%s: the statement is %s, not text", v.call(b), args[0].Type())
	}
	if v.ended {
		return "", nil, fmt.Errorf("%s: the transaction has ended; use it inside the function that tx was given", v.call(b))
	}
	for i, arg := range args[1:] {
		p, err := v.param(arg, fmt.Sprintf("parameter %d", i+1))
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", v.call(b), err)
		}
		params = append(params, p)
	}
	return text, params, nil
}

// param turns a value into what a database takes; lists and dicts become JSON.
func (v *sqlValue) param(x starlark.Value, where string) (any, error) {
	switch x := x.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(x), nil
	case starlark.Int:
		n, ok := x.Int64()
		if !ok {
			return nil, fmt.Errorf("%s does not fit into 64 bits", where)
		}
		return n, nil
	case starlark.Float:
		return float64(x), nil
	case starlark.String:
		return string(x), nil
	case starlark.Bytes:
		return []byte(x), nil
	}
	text, err := v.s.encode(x, where, v.s.Limits.DataBytes, CodeData)
	return JSON(text), err
}

// rows runs a query and gives its rows as dicts.
func (v *sqlValue) rows(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) ([]starlark.Value, error) {
	text, params, err := v.statement(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	most := v.s.Limits.TextBytes
	answer, err := Call(v.s, HostCall{Name: v.call(b), Kind: Reads, Detail: text}, func(ctx context.Context) (SQLRows, error) {
		return v.conn.Query(ctx, text, params, sqlRows, most)
	})
	if err != nil {
		return nil, err
	}
	out := make([]starlark.Value, len(answer.Values))
	for i, cells := range answer.Values {
		row := starlark.NewDict(len(cells))
		if err := v.s.account.Dict(); err != nil {
			return nil, err
		}
		for k, cell := range cells {
			value, err := v.value(cell, answer.Columns[k])
			if err == nil {
				err = v.s.account.Alloc(len(answer.Columns[k]) + 96)
			}
			if err == nil {
				err = row.SetKey(starlark.String(answer.Columns[k]), value)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.call(b), err)
			}
		}
		out[i] = row
	}
	return out, nil
}

// value turns a cell into a value of the script.
func (v *sqlValue) value(cell any, column string) (starlark.Value, error) {
	switch x := cell.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(x), nil
	case int64:
		return starlark.MakeInt64(x), nil
	case float64:
		return starlark.Float(x), nil
	case string:
		return starlark.String(x), v.s.account.Alloc(len(x))
	case []byte:
		return starlark.Bytes(x), v.s.account.Alloc(len(x))
	case JSON:
		return border.DecodeWithin(v.s.meter(), x, column)
	}
	return nil, fmt.Errorf("the column %s has a value of the type %T, which scripts do not know; cast it to text", column, cell)
}

func sqlQuery(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	rows, err := b.Receiver().(*sqlValue).rows(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return starlark.NewList(rows), nil
}

// sqlQueryOne gives the first row, or None.
func sqlQueryOne(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	rows, err := b.Receiver().(*sqlValue).rows(b, args, kwargs)
	if err != nil || len(rows) == 0 {
		return starlark.None, err
	}
	return rows[0], nil
}

// sqlExec acts. History shows the statement and never the parameters, which may be secrets.
func sqlExec(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v := b.Receiver().(*sqlValue)
	text, params, err := v.statement(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	n, err := Call(v.s, HostCall{Name: v.call(b), Kind: Acts, Detail: v.name + ": " + text}, func(ctx context.Context) (int64, error) {
		return v.conn.Exec(ctx, text, params)
	})
	if err != nil {
		return nil, err
	}
	return starlark.MakeInt64(n), nil
}

// sqlTransaction calls a function with a transaction: what it did is kept when it returns, and
// undone when it fails.
func sqlTransaction(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var fn starlark.Callable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "fn", &fn); err != nil {
		return nil, err
	}
	v := b.Receiver().(*sqlValue)
	tx, err := Call(v.s, HostCall{Name: "sql.tx", Kind: Acts, Detail: v.name + ": BEGIN"}, v.db.Begin)
	if err != nil {
		return nil, err
	}
	inside := &sqlValue{s: v.s, name: v.name, conn: tx}
	// Not by Call: the run may have been stopped, and the transaction must not outlive it.
	defer func() {
		inside.ended = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.s.Ctx), rollbackTime)
		defer cancel()
		_ = tx.Rollback(ctx) // after a commit it does nothing; a lost connection has undone it already
	}()
	out, err := starlark.Call(thread, fn, starlark.Tuple{inside}, nil)
	if err != nil {
		return nil, err
	}
	_, err = Call(v.s, HostCall{Name: "sql.tx", Kind: Acts, Detail: v.name + ": COMMIT"}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, tx.Commit(ctx)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DatabaseRefusal makes the error of a statement that the database does not take: kind
// "database", with the database's code in its details.
func DatabaseRefusal(code, message string) error {
	return Lasting(&Raised{Kind: KindDatabase, Message: message, Details: fmt.Appendf(nil, `{"code":%q}`, code)})
}
