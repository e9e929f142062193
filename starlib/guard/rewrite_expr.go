package guard

import "go.starlark.net/syntax"

// This file rewrites expressions.

// checked are the operators that make or compare values without bound.
var checked = map[syntax.Token]string{
	syntax.PLUS: "+", syntax.MINUS: "-", syntax.STAR: "*", syntax.SLASHSLASH: "//", syntax.PERCENT: "%", syntax.AMP: "&",
	syntax.PIPE: "|", syntax.CIRCUMFLEX: "^", syntax.LTLT: "<<", syntax.GTGT: ">>", syntax.EQL: "==", syntax.NEQ: "!=",
	syntax.LT: "<", syntax.LE: "<=", syntax.GT: ">", syntax.GE: ">=", syntax.IN: "in", syntax.NOT_IN: "not in",
}

func (r *rewriter) list(list []syntax.Expr) {
	for i := range list {
		list[i] = r.expr(list[i])
	}
}

// expr rewrites an expression; nil stays nil.
func (r *rewriter) expr(e syntax.Expr) syntax.Expr {
	if e == nil {
		return nil
	}
	r.enter(e)
	defer r.leave()
	switch e := e.(type) {
	case *syntax.Literal:
		r.literal(e)
	case *syntax.ParenExpr:
		e.X = r.expr(e.X)
	case *syntax.UnaryExpr:
		return r.unary(e)
	case *syntax.BinaryExpr:
		return r.binary(e)
	case *syntax.CallExpr:
		r.callExpr(e)
	case *syntax.CondExpr:
		e.Cond, e.True, e.False = r.expr(e.Cond), r.expr(e.True), r.expr(e.False)
	case *syntax.DictEntry:
		e.Key, e.Value = r.expr(e.Key), r.expr(e.Value)
	case *syntax.DictExpr:
		r.list(e.List)
		return r.by(opDict, handDict, e.Lbrace, e)
	case *syntax.DotExpr:
		e.X = r.expr(e.X)
		if guardedMethod[e.Name.Name] {
			if r.fast { // the hand finds the checked method at once
				e.X = r.by(opMethod, handAttr, e.Dot, e.X)
				return e
			}
			return call(opMethod, e.Dot, e)
		}
	case *syntax.IndexExpr:
		e.X, e.Y = r.expr(e.X), r.expr(e.Y)
		if _, written := e.Y.(*syntax.Literal); !written {
			e.Y = r.by(opLookup, handLookup, e.Lbrack, e.Y)
		}
	case *syntax.ListExpr:
		r.list(e.List)
		return r.by(opList, handList, e.Lbrack, e)
	case *syntax.TupleExpr:
		r.list(e.List)
		if len(e.List) > 0 {
			return r.by(opTuple, handTuple, position(e), e)
		}
	case *syntax.SliceExpr:
		return r.slice(e)
	case *syntax.Comprehension:
		return r.comprehension(e)
	case *syntax.LambdaExpr:
		return r.lambda(e)
	}
	return e
}

// passing rewrites an expression whose value is only looked at: a list or tuple that is
// written there is taken apart at once, and nothing keeps it.
func (r *rewriter) passing(e syntax.Expr) syntax.Expr {
	r.enter(e)
	defer r.leave()
	switch x := e.(type) {
	case *syntax.ParenExpr:
		x.X = r.passing(x.X)
		return x
	case *syntax.TupleExpr:
		r.list(x.List)
		return x
	case *syntax.ListExpr:
		r.list(x.List)
		return x
	}
	return r.expr(e)
}

func (r *rewriter) unary(e *syntax.UnaryExpr) syntax.Expr {
	e.X = r.expr(e.X)
	if _, lit := e.X.(*syntax.Literal); lit || e.Op == syntax.NOT || e.Op == syntax.PLUS {
		return e
	}
	if e.Op == syntax.TILDE {
		return call(opInvert, e.OpPos, e.X)
	}
	return call(opNegate, e.OpPos, e.X)
}

func (r *rewriter) binary(e *syntax.BinaryExpr) syntax.Expr {
	if constant(e) {
		return e // the compiler joins texts that are written out
	}
	e.X = r.expr(e.X)
	switch e.Op {
	case syntax.IN, syntax.NOT_IN, syntax.PERCENT:
		e.Y = r.passing(e.Y)
	default:
		e.Y = r.expr(e.Y)
	}
	name, ok := checked[e.Op]
	if !ok {
		return e
	}
	switch e.Op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		if quick(e.X) || quick(e.Y) {
			return e
		}
	}
	if by, compares := handComparisons[e.Op]; compares {
		return r.both(name, handCompare, by, e.OpPos, e.X, e.Y)
	}
	return r.both(name, handArith, e.Op, e.OpPos, e.X, e.Y)
}

// quick tells whether nothing takes long to compare with what is written: a text or a small
// number. A float and a long integer become fractions for it.
func quick(e syntax.Expr) bool {
	lit, ok := e.(*syntax.Literal)
	if !ok {
		return false
	}
	_, small := lit.Value.(int64)
	return small || lit.Token == syntax.STRING || lit.Token == syntax.BYTES
}

// constant tells whether an expression is texts that are joined by +.
func constant(e syntax.Expr) bool {
	for depth := 0; depth < maxTree; depth++ {
		b, ok := e.(*syntax.BinaryExpr)
		if !ok {
			lit, ok := e.(*syntax.Literal)
			return ok && lit.Token == syntax.STRING
		}
		right, ok := b.Y.(*syntax.Literal)
		if b.Op != syntax.PLUS || !ok || right.Token != syntax.STRING {
			return false
		}
		e = b.X
	}
	return false
}

func (r *rewriter) callExpr(e *syntax.CallExpr) {
	r.hands++ // which is where a function looks how deep calls are: see maxCalls
	e.Fn = r.expr(e.Fn)
	for i, arg := range e.Args {
		switch a := arg.(type) {
		case *syntax.BinaryExpr:
			if a.Op == syntax.EQ {
				a.Y = r.expr(a.Y)
				continue
			}
		case *syntax.UnaryExpr:
			if a.Op == syntax.STAR || a.Op == syntax.STARSTAR {
				a.X = call(opSpread, a.OpPos, r.expr(a.X))
				continue
			}
		}
		e.Args[i] = r.expr(arg)
	}
}

func (r *rewriter) slice(e *syntax.SliceExpr) syntax.Expr {
	e.X, e.Lo, e.Hi, e.Step = r.expr(e.X), r.expr(e.Lo), r.expr(e.Hi), r.expr(e.Step)
	if e.Step != nil {
		return call(opStride, e.Lbrack, e)
	}
	return r.by(opSlice, handSlice, e.Lbrack, e)
}

func (r *rewriter) comprehension(e *syntax.Comprehension) syntax.Expr {
	if len(e.Clauses) > MaxNesting {
		r.fail(e.Lbrack, "a comprehension has at most %d clauses, and this has %d (%s)", MaxNesting, len(e.Clauses), CodeDepth)
	}
	for _, c := range e.Clauses {
		switch c := c.(type) {
		case *syntax.ForClause:
			c.X, c.Vars = r.passing(c.X), r.target(c.Vars)
		case *syntax.IfClause:
			c.Cond = r.expr(c.Cond)
		}
	}
	if entry, ok := e.Body.(*syntax.DictEntry); ok {
		entry.Key, entry.Value = call(opKey, entry.Colon, r.expr(entry.Key)), r.expr(entry.Value)
	} else {
		e.Body = r.by(opItem, handItem, e.Lbrack, r.expr(e.Body))
	}
	return call(opMade, e.Lbrack, e)
}

// lambda has no statements, so what its * parameters hold is charged by a condition that
// is always true; so is how deep it stands, when it calls something.
func (r *rewriter) lambda(e *syntax.LambdaExpr) syntax.Expr {
	more := r.params(e.Params)
	fast, hands, size := r.fast, r.hands, r.size
	r.again, r.fast, r.hands, r.size = r.again+1, false, 0, paramNodes*len(e.Params)
	e.Body = r.expr(e.Body)
	if large := r.large(e.Lambda); more == nil && (r.hands > 0 || large != nil) {
		more = call(opParams, e.Lambda, large...)
	} else if more != nil {
		more.Args = append(more.Args, large...)
	}
	r.again, r.fast, r.hands, r.size = r.again-1, fast, hands, size
	if more != nil {
		e.Body = &syntax.CondExpr{If: e.Lambda, ElsePos: e.Lambda, Cond: more, True: e.Body, False: hidden(nameNone, e.Lambda)}
	}
	return call(opFunction, e.Lambda, e)
}
