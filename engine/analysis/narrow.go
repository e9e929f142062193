// This file narrows what a variable may be within the branches of a condition that asks about it: after `if where == None: return`, where is no longer None.

package analysis

import "go.starlark.net/syntax"

// narrow keeps those alternatives of the variables in cond for which it may be as wanted.
func (in *interp) narrow(f *frame, cond syntax.Expr, wanted bool) {
	switch x := cond.(type) {
	case *syntax.ParenExpr:
		in.narrow(f, x.X, wanted)
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			in.narrow(f, x.X, !wanted)
		}
	case *syntax.Ident:
		keep(f, x.Name, func(v value) bool {
			t, known := truth(v)
			return !known || t == wanted
		})
	case *syntax.BinaryExpr:
		switch {
		case x.Op == syntax.AND && wanted, x.Op == syntax.OR && !wanted:
			in.narrow(f, x.X, wanted)
			in.narrow(f, x.Y, wanted)
		case x.Op == syntax.EQL || x.Op == syntax.NEQ || x.Op == syntax.IN || x.Op == syntax.NOT_IN:
			in.narrowBy(f, x, wanted)
		}
	}
}

// narrowBy narrows by a comparison of a variable with something that does not act.
func (in *interp) narrowBy(f *frame, x *syntax.BinaryExpr, wanted bool) {
	id, other := x.X, x.Y
	if _, ok := id.(*syntax.Ident); !ok && (x.Op == syntax.EQL || x.Op == syntax.NEQ) {
		id, other = other, id
	}
	name, ok := id.(*syntax.Ident)
	if !ok || !quiet(other) {
		return
	}
	compared := in.eval(f, other)
	keep(f, name.Name, func(v value) bool {
		t, known := truth(in.binary(x.Op, v, compared))
		return !known || t == wanted
	})
}

// quiet tells whether evaluating an expression again can do nothing.
func quiet(e syntax.Expr) bool {
	switch x := e.(type) {
	case *syntax.Literal, *syntax.Ident:
		return true
	case *syntax.DotExpr:
		return quiet(x.X)
	case *syntax.ListExpr:
		return allQuiet(x.List)
	case *syntax.TupleExpr:
		return allQuiet(x.List)
	case *syntax.ParenExpr:
		return quiet(x.X)
	}
	return false
}

func allQuiet(list []syntax.Expr) bool {
	for _, e := range list {
		if !quiet(e) {
			return false
		}
	}
	return true
}

// keep drops the alternatives of a variable of this frame that can not be. If none were left, the condition was misjudged, and all stay.
func keep(f *frame, name string, may func(value) bool) {
	u, ok := f.vars[name].(*union)
	if !ok {
		return
	}
	var left value
	for _, alt := range u.of {
		if may(alt) {
			left = join(left, alt)
		}
	}
	if left != nil {
		f.vars[name] = left
	}
}
