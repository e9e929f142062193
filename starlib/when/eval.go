package when

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/starlib/guard"
)

// This file evaluates a condition over one job's context.

// Seen is one value that a condition looked at, for the message when none was true.
type Seen struct {
	Path  string // as written: context.initial_data.language
	Value string // as the language prints it, or "missing"
}

// missing is what a path that does not exist gives. It never leaves this package.
type missing struct{}

func (missing) String() string        { return "missing" }
func (missing) Type() string          { return "missing" }
func (missing) Freeze()               {}
func (missing) Truth() starlark.Bool  { return starlark.False }
func (missing) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: missing") }

var _ starlark.Value = missing{}

// Eval tells whether the condition holds. seen may be nil; otherwise it receives every
// path that was read, in order. Errors name the part of the condition and the values.
//
// What it makes is charged to the account of the thread.
func (e *Expr) Eval(thread *starlark.Thread, context starlark.Value, seen *[]Seen) (bool, error) {
	v := evaluation{expr: e, thread: thread, context: context, seen: seen}
	x, err := v.eval(e.root)
	if err != nil {
		return false, fmt.Errorf("condition %q: %w", e.Text, err)
	}
	return bool(x.Truth()), nil
}

type evaluation struct {
	expr    *Expr
	thread  *starlark.Thread
	context starlark.Value
	seen    *[]Seen
}

func (v *evaluation) eval(n syntax.Expr) (starlark.Value, error) {
	switch n := n.(type) {
	case *syntax.ParenExpr:
		return v.eval(n.X)
	case *syntax.Ident:
		if n.Name == "context" {
			return v.context, nil
		}
		switch literals[n.Name] {
		case true:
			return starlark.True, nil
		case false:
			return starlark.False, nil
		}
		return starlark.None, nil
	case *syntax.Literal:
		return literal(n)
	case *syntax.DotExpr, *syntax.IndexExpr:
		x, err := v.path(n)
		if err == nil {
			v.note(n, x)
		}
		return x, err
	case *syntax.ListExpr:
		return v.list(n.List)
	case *syntax.TupleExpr:
		return v.list(n.List)
	case *syntax.UnaryExpr:
		return v.unary(n)
	case *syntax.BinaryExpr:
		return v.binary(n)
	case *syntax.CallExpr:
		return v.call(n)
	}
	return nil, fmt.Errorf("%T cannot be evaluated", n) // Compile lets nothing else pass
}

func literal(n *syntax.Literal) (starlark.Value, error) {
	switch x := n.Value.(type) {
	case string:
		if n.Token == syntax.BYTES {
			return starlark.Bytes(x), nil
		}
		return starlark.String(x), nil
	case int64:
		return starlark.MakeInt64(x), nil
	case float64:
		return starlark.Float(x), nil
	}
	return nil, fmt.Errorf("%s is too large", n.Raw)
}

func (v *evaluation) note(n syntax.Expr, x starlark.Value) {
	if v.seen == nil {
		return
	}
	path := source(n)
	for _, s := range *v.seen {
		if s.Path == path {
			return
		}
	}
	text := guard.Show(x, 80)
	*v.seen = append(*v.seen, Seen{Path: path, Value: text})
}

// path reads a.b and a[b]. Steps before the last are not noted: they only lead there.
func (v *evaluation) path(n syntax.Expr) (starlark.Value, error) {
	switch n := n.(type) {
	case *syntax.ParenExpr:
		return v.path(n.X)
	case *syntax.DotExpr:
		x, err := v.path(n.X)
		if err != nil {
			return nil, err
		}
		return dot(x, n.Name.Name)
	case *syntax.IndexExpr:
		x, err := v.path(n.X)
		if err != nil {
			return nil, err
		}
		key, err := v.eval(n.Y)
		if err != nil {
			return nil, err
		}
		return index(x, key)
	}
	return v.eval(n)
}

// dot reads a dict's key, or an attribute of anything else.
func dot(x starlark.Value, name string) (starlark.Value, error) {
	if d, ok := x.(*starlark.Dict); ok {
		return found(d.Get(starlark.String(name)))
	}
	if a, ok := x.(starlark.HasAttrs); ok {
		y, err := a.Attr(name)
		if err != nil {
			if _, none := err.(starlark.NoSuchAttrError); none {
				return missing{}, nil
			}
			return nil, err
		}
		if _, method := y.(*starlark.Builtin); y == nil || method {
			return missing{}, nil
		}
		return y, nil
	}
	return missing{}, nil
}

func index(x, key starlark.Value) (starlark.Value, error) {
	switch x := x.(type) {
	case starlark.Mapping:
		if _, gone := key.(missing); gone {
			return missing{}, nil
		}
		return found(x.Get(key))
	case starlark.Indexable:
		i, err := starlark.AsInt32(key)
		if err != nil {
			return missing{}, nil
		}
		if i < 0 {
			i += x.Len()
		}
		if i >= 0 && i < x.Len() {
			return x.Index(i), nil
		}
	}
	return missing{}, nil
}

func found(v starlark.Value, ok bool, err error) (starlark.Value, error) {
	if err != nil {
		return nil, err
	}
	if !ok {
		return missing{}, nil
	}
	return v, nil
}

func (v *evaluation) list(list []syntax.Expr) (starlark.Value, error) {
	out := make([]starlark.Value, len(list))
	for i, n := range list {
		x, err := v.eval(n)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return starlark.NewList(out), nil
}

func (v *evaluation) unary(n *syntax.UnaryExpr) (starlark.Value, error) {
	x, err := v.eval(n.X)
	if err != nil {
		return nil, err
	}
	if n.Op == syntax.NOT {
		return !x.Truth(), nil
	}
	if isMissing(x) {
		return x, nil
	}
	y, err := starlark.Unary(n.Op, x)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source(n), err)
	}
	return y, nil
}

func (v *evaluation) binary(n *syntax.BinaryExpr) (starlark.Value, error) {
	x, err := v.eval(n.X)
	if err != nil {
		return nil, err
	}
	switch n.Op {
	case syntax.AND:
		if !x.Truth() {
			return x, nil
		}
		return v.eval(n.Y)
	case syntax.OR:
		if x.Truth() {
			return x, nil
		}
		return v.eval(n.Y)
	}
	y, err := v.eval(n.Y)
	if err != nil {
		return nil, err
	}
	gone := isMissing(x) || isMissing(y)
	switch n.Op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		if gone {
			return starlark.False, nil
		}
		ok, err := guard.Compare(v.thread, n.Op, x, y)
		var limit *guard.LimitError
		if errors.As(err, &limit) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be compared: %s is %s and %s is %s", source(n), source(n.X), kind(x), source(n.Y), kind(y))
		}
		return starlark.Bool(ok), nil
	case syntax.IN, syntax.NOT_IN:
		if gone {
			return starlark.False, nil
		}
	}
	if gone {
		return missing{}, nil
	}
	z, err := guard.Binary(v.thread, n.Op, x, y)
	if err != nil {
		return nil, fmt.Errorf("%s: %s is %s and %s is %s: %w", source(n), source(n.X), kind(x), source(n.Y), kind(y), err)
	}
	return z, nil
}

func (v *evaluation) call(n *syntax.CallExpr) (starlark.Value, error) {
	args := make([]starlark.Value, len(n.Args))
	for i, a := range n.Args {
		x, err := v.eval(a)
		if err != nil {
			return nil, err
		}
		args[i] = x
	}
	if fn, ok := n.Fn.(*syntax.Ident); ok {
		if fn.Name == "has" {
			return starlark.Bool(!isMissing(args[0])), nil
		}
		if isMissing(args[0]) {
			return missing{}, nil
		}
		length := starlark.Len(args[0])
		if length < 0 {
			return nil, fmt.Errorf("%s: %s is %s, which has no length", source(n), source(n.Args[0]), kind(args[0]))
		}
		return starlark.MakeInt(length), nil
	}
	fn := n.Fn.(*syntax.DotExpr) // Compile lets nothing else pass
	x, err := v.path(fn.X)       // not noted: it only leads to the key
	if err != nil {
		return nil, err
	}
	got, err := index(x, args[0])
	if err != nil {
		return nil, err
	}
	if isMissing(got) && !isMissing(x) {
		got = starlark.None // as dict.get does
		if len(args) == 2 {
			got = args[1]
		}
	}
	v.note(n, got)
	return got, nil
}

func isMissing(v starlark.Value) bool { _, ok := v.(missing); return ok }

// kind names a value's type in words, with the value.
func kind(v starlark.Value) string {
	text := guard.Show(v, 40)
	switch v.(type) {
	case starlark.String:
		return "the text " + text
	case starlark.Int, starlark.Float:
		return "the number " + text
	}
	return "the " + v.Type() + " " + text
}

// source writes an expression back, for messages.
func source(n syntax.Expr) string {
	switch n := n.(type) {
	case *syntax.ParenExpr:
		return source(n.X)
	case *syntax.Ident:
		return n.Name
	case *syntax.Literal:
		return n.Raw
	case *syntax.DotExpr:
		return source(n.X) + "." + n.Name.Name
	case *syntax.IndexExpr:
		return source(n.X) + "[" + source(n.Y) + "]"
	case *syntax.UnaryExpr:
		if n.Op == syntax.NOT {
			return "not " + source(n.X)
		}
		return n.Op.String() + source(n.X)
	case *syntax.BinaryExpr:
		return source(n.X) + " " + n.Op.String() + " " + source(n.Y)
	case *syntax.ListExpr:
		return "[" + sources(n.List) + "]"
	case *syntax.TupleExpr:
		return "(" + sources(n.List) + ")"
	case *syntax.CallExpr:
		return source(n.Fn) + "(" + sources(n.Args) + ")"
	}
	return "?"
}

func sources(list []syntax.Expr) string {
	parts := make([]string, len(list))
	for i, n := range list {
		parts[i] = source(n)
	}
	return strings.Join(parts, ", ")
}
