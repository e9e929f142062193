package guard

import (
	"fmt"
	"math/big"
	"strconv"

	"go.starlark.net/syntax"
)

// This file rewrites statements of a parsed file; rewrite_expr.go its expressions.

// maxTree is how deep a syntax tree may be: what comes after the parser recurses over it.
const maxTree = 1000

// Rewrite puts the checked operations into a parsed file, in place, before it is resolved
// and compiled. The file is to be compiled with Names beside its own predeclared names. The
// error is a syntax.Error: nesting too deep, or an integer that is too large.
func Rewrite(f *syntax.File, limits Limits) (err error) {
	r := &rewriter{limits: limits.filled()}
	defer func() {
		if p := recover(); p != nil {
			bad, ours := p.(syntax.Error)
			if !ours {
				panic(p)
			}
			err = bad
		}
	}()
	f.Stmts = r.stmts(f.Stmts)
	return nil
}

type rewriter struct {
	limits Limits
	depth  int  // of the tree
	again  int  // loops and functions around: what stands here may run more than once
	fast   bool // in a function's body, which has a hand: see fast.go
	hands  int  // operations of the function that use it, and its calls
	size   int  // nodes of the function's tree
}

func (r *rewriter) fail(pos syntax.Position, format string, args ...any) {
	panic(syntax.Error{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// enter counts the depth of the tree; leave undoes it.
func (r *rewriter) enter(n syntax.Node) {
	r.size++
	if r.depth++; r.depth > maxTree {
		// Span walks the tree too, so the place is the nearest that is cheap to tell.
		r.fail(position(n), "nested more than %d deep (%s)", maxTree, CodeDepth)
	}
}

func (r *rewriter) leave() { r.depth-- }

// position gives a node's own place without walking into the node.
func position(n syntax.Node) syntax.Position {
	switch n := n.(type) {
	case *syntax.BinaryExpr:
		return n.OpPos
	case *syntax.CallExpr:
		return n.Lparen
	case *syntax.DotExpr:
		return n.Dot
	case *syntax.IndexExpr:
		return n.Lbrack
	case *syntax.SliceExpr:
		return n.Lbrack
	case *syntax.CondExpr:
		return n.If
	case *syntax.IfStmt:
		return n.If
	case *syntax.ForStmt:
		return n.For
	case *syntax.DefStmt:
		return n.Def
	case *syntax.AssignStmt:
		return n.OpPos
	case *syntax.ExprStmt:
		return position(n.X)
	case *syntax.ReturnStmt:
		return n.Return
	}
	start, _ := n.Span()
	return start
}

// call makes a call of a checked builtin. Its place is the operator's, as it was.
func call(name string, pos syntax.Position, args ...syntax.Expr) *syntax.CallExpr {
	return &syntax.CallExpr{Fn: hidden(name, pos), Lparen: pos, Args: args, Rparen: pos}
}

// by makes what takes one value: an operator of the hand, or a call.
func (r *rewriter) by(name string, op syntax.Token, pos syntax.Position, x syntax.Expr) syntax.Expr {
	if !r.fast {
		return call(name, pos, x)
	}
	r.hands++
	return &syntax.BinaryExpr{X: hidden(nameHand, pos), OpPos: pos, Op: op, Y: x}
}

// both makes an operation on two values: by the hand, which remembers the left one, or a call.
func (r *rewriter) both(name string, kind, op syntax.Token, pos syntax.Position, x, y syntax.Expr) syntax.Expr {
	if !r.fast {
		return call(name, pos, x, y)
	}
	return &syntax.BinaryExpr{X: r.by(name, kind, pos, x), OpPos: pos, Op: op, Y: y}
}

func hidden(name string, pos syntax.Position) *syntax.Ident {
	return &syntax.Ident{NamePos: pos, Name: name}
}

func (r *rewriter) stmts(list []syntax.Stmt) []syntax.Stmt {
	out := make([]syntax.Stmt, 0, len(list))
	for _, s := range list {
		out = append(out, r.stmt(s))
		if def, ok := s.(*syntax.DefStmt); ok && r.again > 0 {
			out = append(out, &syntax.ExprStmt{X: call(opFunction, def.Def, hidden(def.Name.Name, def.Def))})
		}
	}
	return out
}

func (r *rewriter) stmt(s syntax.Stmt) syntax.Stmt {
	r.enter(s)
	defer r.leave()
	switch s := s.(type) {
	case *syntax.AssignStmt:
		return r.assign(s)
	case *syntax.ExprStmt:
		s.X = r.expr(s.X)
		if c, ok := s.X.(*syntax.CallExpr); ok {
			if dot, ok := c.Fn.(*syntax.DotExpr); ok && lazyMethod[dot.Name.Name] {
				c.Fn = call(opUnused, dot.Dot, dot)
			}
		}
	case *syntax.ReturnStmt:
		s.Result = r.expr(s.Result)
	case *syntax.IfStmt:
		s.Cond = r.expr(s.Cond)
		s.True, s.False = r.stmts(s.True), r.stmts(s.False)
		if len(s.False) == 0 {
			s.False = nil
		}
	case *syntax.ForStmt:
		s.X, s.Vars = r.passing(s.X), r.target(s.Vars)
		s.Body = r.body(s.Body)
	case *syntax.WhileStmt:
		s.Cond = r.expr(s.Cond)
		s.Body = r.body(s.Body)
	case *syntax.DefStmt:
		more := r.params(s.Params)
		r.function(s)
		if more != nil {
			s.Body = afterDoc(s.Body, &syntax.ExprStmt{X: more})
		}
	}
	return s
}

// function rewrites a body, which takes the hand first when it uses it.
func (r *rewriter) function(s *syntax.DefStmt) {
	fast, hands, size := r.fast, r.hands, r.size
	r.fast, r.hands, r.size = true, 0, paramNodes*len(s.Params)
	s.Body = r.body(s.Body)
	if large := r.large(s.Def); r.hands > 0 || large != nil {
		s.Body = afterDoc(s.Body, &syntax.AssignStmt{OpPos: s.Def, Op: syntax.EQ, LHS: hidden(nameHand, s.Def), RHS: call(opHand, s.Def, large...)})
	}
	r.fast, r.hands, r.size = fast, hands, size
}

// paramNodes is what a parameter counts as in a function's size: each call looks for its
// value, whether it is given or not.
const paramNodes = 8

// large gives the size of the function that was gone through, when its calls are to be
// charged by it: no function has more variables, or longer lists, than nodes.
func (r *rewriter) large(pos syntax.Position) []syntax.Expr {
	if r.size < 1000 {
		return nil
	}
	return []syntax.Expr{&syntax.Literal{Token: syntax.INT, TokenPos: pos, Raw: strconv.Itoa(r.size), Value: int64(r.size)}}
}

// body rewrites what may run more than once.
func (r *rewriter) body(list []syntax.Stmt) []syntax.Stmt {
	r.again++
	defer func() { r.again-- }()
	return r.stmts(list)
}

// afterDoc puts a statement first, but after a function's documentation.
func afterDoc(body []syntax.Stmt, s syntax.Stmt) []syntax.Stmt {
	at := 0
	if first, ok := body[0].(*syntax.ExprStmt); ok {
		if lit, ok := first.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			at = 1
		}
	}
	out := append([]syntax.Stmt{}, body[:at]...)
	return append(append(out, s), body[at:]...)
}

// params rewrites defaults, and gives a call that charges what * and ** parameters hold.
func (r *rewriter) params(list []syntax.Expr) *syntax.CallExpr {
	var held []syntax.Expr
	var pos syntax.Position
	for _, p := range list {
		switch p := p.(type) {
		case *syntax.BinaryExpr:
			p.Y = r.expr(p.Y)
		case *syntax.UnaryExpr:
			if id, ok := p.X.(*syntax.Ident); ok {
				pos = p.OpPos
				held = append(held, hidden(id.Name, pos))
			}
		}
	}
	if held == nil {
		return nil
	}
	return call(opParams, pos, held...)
}

// augmented are the checked builtins of x op= y.
var augmented = map[syntax.Token]string{
	syntax.PLUS_EQ: "+=", syntax.MINUS_EQ: "-=", syntax.STAR_EQ: "*=", syntax.SLASH_EQ: "/=", syntax.SLASHSLASH_EQ: "//=",
	syntax.PERCENT_EQ: "%=", syntax.AMP_EQ: "&=", syntax.PIPE_EQ: "|=", syntax.CIRCUMFLEX_EQ: "^=", syntax.LTLT_EQ: "<<=", syntax.GTGT_EQ: ">>=",
}

func (r *rewriter) assign(s *syntax.AssignStmt) syntax.Stmt {
	if s.Op == syntax.EQ {
		if _, several := s.LHS.(*syntax.TupleExpr); several {
			s.RHS = r.passing(s.RHS)
		} else {
			s.RHS = r.expr(s.RHS)
		}
		s.LHS = r.target(s.LHS)
		return s
	}
	lhs := s.LHS
	for {
		paren, ok := lhs.(*syntax.ParenExpr)
		if !ok {
			break
		}
		lhs = paren.X
	}
	name, right := augmented[s.Op], s.RHS
	op := s.Op - syntax.PLUS_EQ + syntax.PLUS
	if s.Op == syntax.PERCENT_EQ {
		right = r.passing(right)
	} else {
		right = r.expr(right)
	}
	switch lhs := lhs.(type) {
	case *syntax.IndexExpr: // container and key are evaluated once, the old value is read first
		old := call(opPlace, lhs.Lbrack, r.expr(lhs.X), r.expr(lhs.Y))
		return &syntax.ExprStmt{X: r.both(name, handAugment, op, s.OpPos, old, right)}
	case *syntax.DotExpr: // no value has fields that can be set
		old := call(opField, lhs.Dot, r.expr(lhs))
		return &syntax.ExprStmt{X: r.both(name, handAugment, op, s.OpPos, old, right)}
	case *syntax.Ident:
		s.Op, s.LHS = syntax.EQ, lhs
		s.RHS = r.both(name, handAugment, op, s.OpPos, hidden(lhs.Name, lhs.NamePos), right)
	}
	return s
}

// target rewrites what is assigned to: a dict may grow by it.
func (r *rewriter) target(e syntax.Expr) syntax.Expr {
	r.enter(e)
	defer r.leave()
	switch e := e.(type) {
	case *syntax.ParenExpr:
		e.X = r.target(e.X)
	case *syntax.TupleExpr:
		r.targets(e.List)
	case *syntax.ListExpr:
		r.targets(e.List)
	case *syntax.IndexExpr:
		e.X, e.Y = r.by(opTarget, handTarget, e.Lbrack, r.expr(e.X)), r.expr(e.Y)
	case *syntax.DotExpr:
		e.X = r.expr(e.X)
	}
	return e
}

func (r *rewriter) targets(list []syntax.Expr) {
	for i := range list {
		list[i] = r.target(list[i])
	}
}

func (r *rewriter) literal(e *syntax.Literal) {
	if n, ok := e.Value.(*big.Int); ok && n.BitLen() > r.limits.IntegerBits {
		r.fail(e.TokenPos, "an integer has at most %d bits, and this has %d (%s)", r.limits.IntegerBits, n.BitLen(), CodeInteger)
	}
}
