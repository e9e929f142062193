package guard

import (
	"errors"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// This file holds the checked operations of function bodies. A call of a builtin costs a
// frame, a tuple of arguments and a look for the account, four times as much as adding two
// numbers. An operator of a value that is not the language's own costs none of these, so a
// function first takes its run's hand into a hidden variable, and
//
//	x + y      becomes  (hand - x) + y
//	x == y     becomes  (hand * x) + y
//	x += y     becomes  x = (hand / x) + y
//	x.append   becomes  (hand + x).append
//	x[k]       becomes  x[hand << k]
//
// and so on: the first operator says what is to be done, and remembers x if there is a y to
// come. The order of evaluation stays: x is remembered before y is evaluated. Top levels and
// lambdas, which may run on other threads than the one on which they were made and have no
// first statement, call builtins.

// What the operator after the hand says.
const (
	handArith   = syntax.MINUS      // remember x for the operator that follows
	handCompare = syntax.STAR       // remember x for a comparison: see handComparisons
	handAugment = syntax.SLASH      // remember x for x op= y
	handAttr    = syntax.PLUS       // x whose methods are checked
	handTuple   = syntax.SLASHSLASH // a tuple as written
	handSlice   = syntax.PERCENT    // x[a:b]
	handTarget  = syntax.AMP        // what x[k] = v assigns into
	handList    = syntax.PIPE       // a list as written
	handDict    = syntax.CIRCUMFLEX // a dict as written
	handLookup  = syntax.LTLT       // the key of x[k]
	handItem    = syntax.GTGT       // an element of a comprehension
)

// handComparisons are the operators that stand for comparisons after handCompare.
var handComparisons = map[syntax.Token]syntax.Token{
	syntax.EQL: syntax.PLUS, syntax.NEQ: syntax.MINUS, syntax.LT: syntax.STAR, syntax.LE: syntax.SLASH,
	syntax.GT: syntax.SLASHSLASH, syntax.GE: syntax.PERCENT, syntax.IN: syntax.AMP, syntax.NOT_IN: syntax.PIPE,
}

// comparisonOf is the way back.
var comparisonOf = func() (of [syntax.NOT_IN + 1]syntax.Token) {
	for op, by := range handComparisons {
		of[by] = op
	}
	return of
}()

// The hand of a run and what it gives back are its account under other types, so that
// nothing is allocated.
type (
	hand       Account // in the hidden variable
	inArith    Account // x is remembered, and the operator follows
	inCompare  Account
	inAugment  Account
	withMember Account // the attribute that follows is x's
)

var (
	_ starlark.HasBinary = (*hand)(nil)
	_ starlark.HasBinary = (*inArith)(nil)
	_ starlark.HasBinary = (*inCompare)(nil)
	_ starlark.HasBinary = (*inAugment)(nil)
	_ starlark.HasAttrs  = (*withMember)(nil)
)

// takeHand gives a function its hand, unless it stands too deep in others.
func takeHand(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if err := calls(thread); err != nil {
		return nil, err
	}
	a := Of(thread)
	a.thread = thread
	if len(args) > 0 {
		if err := a.room(thread, args[0].(starlark.Int)); err != nil {
			return nil, err
		}
	}
	return (*hand)(a), nil
}

// remembered is a left operand whose right one is being evaluated.
type remembered struct {
	x     starlark.Value
	depth int // of the frame: one that ends with an error leaves its operands behind
}

func (a *Account) push(x starlark.Value) {
	a.stack = append(a.stack, remembered{x, a.thread.CallStackDepth()})
}

// pop gives the operand that the running frame pushed last, and drops what frames have left
// that it called: whoever caught their error need not know of this.
func (a *Account) pop() starlark.Value {
	n, depth := len(a.stack)-1, a.thread.CallStackDepth()
	for a.stack[n].depth > depth {
		a.stack[n].x = nil
		n--
	}
	x := a.stack[n].x
	a.stack[n].x = nil
	a.stack = a.stack[:n]
	return x
}

// Mark and Forget are for code that calls a script's function and goes on after its error:
// what was remembered since Mark is not kept any longer.
func (a *Account) Mark() int { return len(a.stack) }

// Forget drops what was remembered since Mark.
func (a *Account) Forget(mark int) {
	if mark < len(a.stack) {
		clear(a.stack[mark:])
		a.stack = a.stack[:mark]
	}
}

// Binary begins an operation on x.
func (h *hand) Binary(op syntax.Token, x starlark.Value, _ starlark.Side) (starlark.Value, error) {
	a := (*Account)(h)
	switch op {
	case handArith:
		a.push(x)
		return (*inArith)(h), nil
	case handCompare:
		a.push(x)
		return (*inCompare)(h), nil
	case handAugment:
		a.push(x)
		return (*inAugment)(h), nil
	case handAttr:
		a.owner = x
		return (*withMember)(h), nil
	case handLookup:
		return looked(a.thread, a, x)
	case handItem:
		return item(a.thread, a, x)
	case handList:
		return madeList(a.thread, a, x)
	case handTuple:
		return madeTuple(a.thread, a, x)
	case handDict:
		return madeDict(a.thread, a, x)
	case handSlice:
		return sliced(a, x, false)
	case handTarget:
		return a.targetOf(x), nil
	}
	return nil, nil
}

// Binary ends x op y.
func (p *inArith) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	a := (*Account)(p)
	x := a.pop()
	if z := smallArith(op, x, y); z != nil {
		return z, nil
	}
	return binary(a.thread, a, op, x, y)
}

// smallArith adds, subtracts and multiplies small integers without the way through the
// language's switches; nil for everything else.
func smallArith(op syntax.Token, x, y starlark.Value) starlark.Value {
	u, ok := x.(starlark.Int)
	if !ok {
		return nil
	}
	v, ok := y.(starlark.Int)
	if !ok || !small(u) || !small(v) {
		return nil
	}
	switch op {
	case syntax.PLUS:
		return u.Add(v)
	case syntax.MINUS:
		return u.Sub(v)
	case syntax.STAR:
		return u.Mul(v)
	}
	return nil
}

// Binary ends a comparison.
func (p *inCompare) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	a := (*Account)(p)
	x, op := a.pop(), comparisonOf[op]
	if op == syntax.IN || op == syntax.NOT_IN {
		return contains(a.thread, a, op, x, y)
	}
	if u, ok := x.(starlark.Int); ok {
		if v, ok := y.(starlark.Int); ok {
			if u, ok := u.Int64(); ok {
				if v, ok := v.Int64(); ok {
					return starlark.Bool(ordered(op, u, v)), nil
				}
			}
		}
	}
	ok, err := compared(a.thread, a, op, x, y)
	if err != nil {
		return nil, err
	}
	return starlark.Bool(ok), nil
}

func ordered(op syntax.Token, u, v int64) bool {
	switch op {
	case syntax.EQL:
		return u == v
	case syntax.NEQ:
		return u != v
	case syntax.LT:
		return u < v
	case syntax.LE:
		return u <= v
	case syntax.GT:
		return u > v
	}
	return u >= v
}

// Binary ends x op= y.
func (p *inAugment) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	a := (*Account)(p)
	x := a.pop()
	if z := smallArith(op, x, y); z != nil {
		return z, nil
	}
	return augment(a.thread, a, op, x, y)
}

// Attr gives the checked form of a method, and any other attribute as it is. What it does
// not find keeps the owner: the interpreter asks for its type and names, for the error.
func (m *withMember) Attr(name string) (starlark.Value, error) {
	x := m.owner
	if list, ok := x.(*starlark.List); ok && name == "append" {
		m.owner = nil
		return &appending{list, (*Account)(m)}, nil
	}
	if g := guardedOf(x)[name]; g != nil {
		m.owner = nil
		return g.BindReceiver(x), nil
	}
	own, ok := x.(starlark.HasAttrs)
	if !ok {
		return nil, nil
	}
	v, err := own.Attr(name)
	if v == nil || err != nil {
		return nil, err
	}
	m.owner = nil
	return method(v), nil
}

// AttrNames lists the attributes of a value without the one that was asked for.
func (m *withMember) AttrNames() []string {
	if x, ok := m.owner.(starlark.HasAttrs); ok {
		return x.AttrNames()
	}
	return nil
}

// Type is that of the value, for errors.
func (m *withMember) Type() string {
	if m.owner == nil {
		return "value"
	}
	return m.owner.Type()
}

// None of these values can be reached by a script.
var errHidden = errors.New("unhashable: hidden value")

func (h *hand) String() string        { return "hand" }
func (h *hand) Type() string          { return "hand" }
func (h *hand) Freeze()               {}
func (h *hand) Truth() starlark.Bool  { return true }
func (h *hand) Hash() (uint32, error) { return 0, errHidden }

func (p *inArith) String() string        { return "hand" }
func (p *inArith) Type() string          { return "hand" }
func (p *inArith) Freeze()               {}
func (p *inArith) Truth() starlark.Bool  { return true }
func (p *inArith) Hash() (uint32, error) { return 0, errHidden }

func (p *inCompare) String() string        { return "hand" }
func (p *inCompare) Type() string          { return "hand" }
func (p *inCompare) Freeze()               {}
func (p *inCompare) Truth() starlark.Bool  { return true }
func (p *inCompare) Hash() (uint32, error) { return 0, errHidden }

func (p *inAugment) String() string        { return "hand" }
func (p *inAugment) Type() string          { return "hand" }
func (p *inAugment) Freeze()               {}
func (p *inAugment) Truth() starlark.Bool  { return true }
func (p *inAugment) Hash() (uint32, error) { return 0, errHidden }

func (m *withMember) String() string        { return "hand" }
func (m *withMember) Freeze()               {}
func (m *withMember) Truth() starlark.Bool  { return true }
func (m *withMember) Hash() (uint32, error) { return 0, errHidden }
