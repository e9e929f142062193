package when

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/starlib/guard"
)

// This file checks, at load, that a condition uses only what Eval knows.

// Expr is a checked condition.
type Expr struct {
	Text string
	root syntax.Expr
}

// Problem says what is wrong with a condition and at which character of its text (1-based).
type Problem struct {
	Text string // the condition
	Col  int
	Msg  string
}

// Error shows the condition with the place.
func (p *Problem) Error() string {
	return fmt.Sprintf("condition %q, character %d: %s", p.Text, p.Col, p.Msg)
}

// literals are the names that stand for values, in the spelling of Python and of JSON.
var literals = map[string]any{
	"True": true, "true": true, "False": false, "false": false, "None": nil, "null": nil,
}

// Compile parses and checks a condition. Its errors are *Problem.
func Compile(text string) (*Expr, error) {
	if err := guard.CheckSource("condition", "("+text+")"); err != nil {
		p := &Problem{Text: guard.Show(starlark.String(text), 80), Col: 1, Msg: err.Error()}
		var se syntax.Error
		if errors.As(err, &se) {
			p.Msg = se.Msg
		}
		return nil, p
	}
	// Line breaks inside the text would end the expression; inside parentheses they do not.
	root, err := (&syntax.FileOptions{}).ParseExpr("condition", "("+text+"\n)", 0)
	if err != nil {
		p := &Problem{Text: text, Col: 1, Msg: err.Error()}
		if se, ok := err.(syntax.Error); ok {
			p.Msg = strings.TrimPrefix(se.Msg, "condition: ")
			p.Col = column(text, se.Pos)
		}
		return nil, p
	}
	paren, one := root.(*syntax.ParenExpr)
	if one {
		_, list := paren.X.(*syntax.TupleExpr) // nothing at all, or a list without brackets
		one = !list
	}
	if !one {
		return nil, &Problem{Text: text, Col: 1, Msg: "a condition is one expression, such as context.initial_data.n > 3"}
	}
	e := &Expr{Text: text, root: root}
	if err := e.check(root); err != nil {
		return nil, err
	}
	return e, nil
}

// column undoes the parenthesis that Compile put before the text.
func column(text string, pos syntax.Position) int {
	col := int(pos.Col)
	if pos.Line == 1 {
		col--
	}
	for line := int32(1); line < pos.Line; line++ {
		head, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return len([]rune(text)) + col // at the very end
		}
		col += len([]rune(head)) + 1
		text = rest
	}
	return max(1, col)
}

func (e *Expr) problem(n syntax.Node, format string, args ...any) error {
	start, _ := n.Span()
	return &Problem{Text: e.Text, Col: column(e.Text, start), Msg: fmt.Sprintf(format, args...)}
}

func (e *Expr) check(n syntax.Expr) error {
	switch n := n.(type) {
	case *syntax.ParenExpr:
		return e.check(n.X)
	case *syntax.Ident:
		if _, ok := literals[n.Name]; ok || n.Name == "context" {
			return nil
		}
		return e.problem(n, "nothing defines the name %s; a condition begins with context, such as context.initial_data.%s", n.Name, n.Name)
	case *syntax.Literal:
		return nil
	case *syntax.DotExpr:
		return e.check(n.X)
	case *syntax.IndexExpr:
		return e.all(n.X, n.Y)
	case *syntax.ListExpr:
		return e.all(n.List...)
	case *syntax.TupleExpr:
		return e.all(n.List...)
	case *syntax.UnaryExpr:
		if n.Op != syntax.NOT && n.Op != syntax.MINUS && n.Op != syntax.PLUS {
			return e.problem(n, "the operator %s cannot stand in a condition", n.Op)
		}
		return e.check(n.X)
	case *syntax.BinaryExpr:
		switch n.Op {
		case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE, syntax.IN, syntax.NOT_IN,
			syntax.AND, syntax.OR, syntax.PLUS, syntax.MINUS, syntax.STAR, syntax.SLASH, syntax.SLASHSLASH, syntax.PERCENT:
			return e.all(n.X, n.Y)
		}
		if n.Op == syntax.EQ {
			return e.problem(n, "write == to compare")
		}
		return e.problem(n, "the operator %s cannot stand in a condition", n.Op)
	case *syntax.CallExpr:
		return e.checkCall(n)
	}
	return e.problem(n, "a condition cannot use this; give .when a function of context instead")
}

func (e *Expr) all(list ...syntax.Expr) error {
	for _, x := range list {
		if err := e.check(x); err != nil {
			return err
		}
	}
	return nil
}

// checkCall lets len(x), has(x) and x.get(key[, default]) pass.
func (e *Expr) checkCall(n *syntax.CallExpr) error {
	for _, a := range n.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			return e.problem(a, "a condition's calls take no keywords")
		}
	}
	switch fn := n.Fn.(type) {
	case *syntax.Ident:
		if fn.Name != "len" && fn.Name != "has" {
			return e.problem(n, "a condition can call len(), has() and .get() only; give .when a function of context instead")
		}
		if len(n.Args) != 1 {
			return e.problem(n, "%s takes one value", fn.Name)
		}
		return e.check(n.Args[0])
	case *syntax.DotExpr:
		if fn.Name.Name != "get" {
			return e.problem(fn.Name, "a condition can call len(), has() and .get() only; give .when a function of context instead")
		}
		if len(n.Args) < 1 || len(n.Args) > 2 {
			return e.problem(n, "get takes a key and, if wanted, a default")
		}
		return e.all(append([]syntax.Expr{fn.X}, n.Args...)...)
	}
	return e.problem(n, "a condition can call len(), has() and .get() only")
}
