// Package starfmt gives Starlark files their one form: that of buildifier, which every tool of
// the Starlark world knows. It alone imports buildifier's code.
//
// A *text* goes in and its formatted text comes out. What does not parse is refused with the
// place, and never touched; so is a text whose formatted form would not be the same program.
package starfmt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"go.starlark.net/syntax"

	"orrery/engine/analysis"
	"orrery/starlib/guard"
)

// This file is all of it: parse, print, and compare the two programs.

// Error is a text that can not be formatted. Line and Col count from 1; 0 when there is no place.
type Error struct {
	File      string
	Line, Col int
	Message   string
}

// Error names the place.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
}

// Source formats a file's text. The error is an *Error.
func Source(name string, text []byte) ([]byte, error) {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if err := guard.CheckSource(name, string(text)); err != nil { // neither parser has a bound on nesting
		return nil, fault(name, err)
	}
	before, err := analysis.Dialect.Parse(name, text, 0)
	if err != nil {
		return nil, fault(name, err)
	}
	tree, err := build.ParseDefault(name, text)
	if err != nil {
		return nil, fault(name, err)
	}
	out := build.Format(tree)
	after, err := analysis.Dialect.Parse(name, out, 0)
	if err != nil {
		return nil, &Error{File: name, Message: fmt.Sprintf("the formatter's own text does not parse (%v), so the file is left as it is", err)}
	}
	if !bytes.Equal(shape(before), shape(after)) {
		return nil, &Error{File: name, Message: "the formatted text would be another program, so the file is left as it is"}
	}
	return out, nil
}

// fault finds the place in the errors of both parsers.
func fault(name string, err error) *Error {
	var ours syntax.Error
	var theirs build.ParseError
	switch {
	case errors.As(err, &ours):
		return &Error{name, int(ours.Pos.Line), int(ours.Pos.Col), ours.Msg}
	case errors.As(err, &theirs):
		return &Error{name, theirs.Pos.Line, theirs.Pos.LineRune, theirs.Message}
	}
	return &Error{File: name, Message: err.Error()}
}

// shape writes what a program does, without its layout: names, values, operators and the
// nesting of nodes. Parentheses and the indentation of docstrings do not count; load
// statements may stand in another order, which buildifier sorts, so they are left out.
func shape(tree *syntax.File) []byte {
	var b bytes.Buffer
	var open []bool // the nodes around the present one: whether each is written
	syntax.Walk(tree, func(n syntax.Node) bool {
		if n == nil {
			if open[len(open)-1] {
				b.WriteByte(')')
			}
			open = open[:len(open)-1]
			return false
		}
		written, inside := describe(&b, n)
		if inside {
			open = append(open, written)
		}
		return inside
	})
	return b.Bytes()
}

// describe writes a node; inside says whether what it holds is to be seen too.
func describe(b *bytes.Buffer, n syntax.Node) (written, inside bool) {
	switch n := n.(type) {
	case *syntax.LoadStmt:
		return false, false
	case *syntax.ParenExpr:
		return false, true
	case *syntax.ExprStmt:
		if doc, ok := n.X.(*syntax.Literal); ok && doc.Token == syntax.STRING {
			fmt.Fprintf(b, "(doc %q)", strings.Fields(doc.Value.(string)))
			return false, false
		}
		b.WriteString("(do")
	case *syntax.Ident:
		fmt.Fprintf(b, "(%s", n.Name)
	case *syntax.Literal:
		fmt.Fprintf(b, "(%v %v", n.Token, n.Value)
	case *syntax.BinaryExpr:
		fmt.Fprintf(b, "(%v", n.Op)
	case *syntax.UnaryExpr:
		fmt.Fprintf(b, "(%v", n.Op)
	case *syntax.AssignStmt:
		fmt.Fprintf(b, "(%v", n.Op)
	case *syntax.BranchStmt:
		fmt.Fprintf(b, "(%v", n.Token)
	default:
		fmt.Fprintf(b, "(%T", n)
	}
	return true, true
}
