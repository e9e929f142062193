package guard

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// This file holds the operators that make values.

// Binary is starlark.Binary within the thread's account. It is for Go code that applies an
// operator for a script. Comparisons are Compare's.
func Binary(thread *starlark.Thread, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if op == syntax.IN || op == syntax.NOT_IN {
		return contains(thread, Of(thread), op, x, y)
	}
	if z := smallArith(op, x, y); z != nil {
		return z, nil
	}
	return binary(thread, Of(thread), op, x, y)
}

func binary(thread *starlark.Thread, a *Account, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	switch x := x.(type) {
	case starlark.Int:
		if y, ok := y.(starlark.Int); ok {
			if err := integers(a, op, x, y); err != nil {
				return nil, err
			}
			return starlark.Binary(op, x, y)
		}
		if op == syntax.STAR {
			return product(thread, a, y, x, x, y)
		}
	case starlark.Float:
	case starlark.String:
		switch op {
		case syntax.PLUS:
			if y, ok := y.(starlark.String); ok {
				return a.concat(x, y)
			}
		case syntax.PERCENT:
			n, err := interpolated(thread, a, string(x), y)
			if err != nil {
				return nil, err
			}
			if err := a.Text("%", n); err != nil {
				return nil, err
			}
		case syntax.STAR:
			return product(thread, a, x, y, x, y)
		}
	default:
		if op == syntax.STAR {
			return product(thread, a, x, y, x, y)
		}
		return joined(thread, a, op, x, y)
	}
	return starlark.Binary(op, x, y)
}

// bitLen counts an integer's bits, almost always without a copy of it.
func bitLen(x starlark.Int) int {
	if n, ok := x.Int64(); ok {
		return bits.Len64(uint64(max(n, -n)))
	}
	return x.BigInt().BitLen()
}

func integers(a *Account, op syntax.Token, x, y starlark.Int) error {
	if op == syntax.LTLT {
		by, ok := y.Int64()
		if !ok || by < 0 || by >= 512 {
			return nil // the language refuses it
		}
		return a.Integer("<<", bitLen(x)+int(by))
	}
	if small(x) && small(y) { // at most 128 bits come out
		return nil
	}
	n, m := bitLen(x), bitLen(y)
	switch op {
	case syntax.STAR:
		if n == 0 || m == 0 {
			return nil
		}
		return a.Integer("*", n+m-1)
	case syntax.PLUS, syntax.MINUS:
		// The result can be one bit longer than the longer one, but an integer at its
		// limit may be subtracted from: only the charge counts here.
		n = max(n, m)
		if n < a.limits.IntegerBits {
			return a.Integer(op.String(), n)
		}
		var z starlark.Int
		if op == syntax.PLUS {
			z = x.Add(y)
		} else {
			z = x.Sub(y)
		}
		return a.Integer(op.String(), bitLen(z))
	}
	return a.Alloc(max(n, m)/8 + 64)
}

func small(x starlark.Int) bool {
	_, ok := x.Int64()
	return ok
}

func unary(a *Account, op syntax.Token, x starlark.Value) (starlark.Value, error) {
	if n, ok := x.(starlark.Int); ok && !small(n) {
		if err := a.Alloc(bitLen(n)/8 + 64); err != nil {
			return nil, err
		}
	}
	return starlark.Unary(op, x)
}

// product multiplies; of is the sequence, by the number, in whatever order x and y are.
func product(thread *starlark.Thread, a *Account, of, by, x, y starlark.Value) (starlark.Value, error) {
	if _, swapped := by.(starlark.Int); !swapped {
		of, by = by, of
	}
	times, ok := by.(starlark.Int)
	n := starlark.Len(of)
	if !ok || n <= 0 || times.Sign() <= 0 {
		return starlark.Binary(syntax.STAR, x, y)
	}
	count := int64(1) << 40
	if t, ok := times.Int64(); ok && t < count {
		count = t
	}
	total := int(count) * n
	switch of := of.(type) {
	case starlark.String, starlark.Bytes:
		if err := a.Text("*", total); err != nil {
			return nil, err
		}
	case *starlark.List:
		if err := a.Elements("*", total, 16); err != nil {
			return nil, err
		}
	case starlark.Tuple:
		if err := a.Elements("*", total, 16); err != nil {
			return nil, err
		}
		if err := a.heavy(thread, of, int(count)); err != nil {
			return nil, err
		}
	}
	if err := a.Work(thread, total/64); err != nil {
		return nil, err
	}
	return starlark.Binary(syntax.STAR, x, y)
}

// joined charges + | & ^ - of bytes, lists, tuples, dicts, sets and structs.
func joined(thread *starlark.Thread, a *Account, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	n := max(starlark.Len(x), 0) + max(starlark.Len(y), 0)
	var err error
	switch x := x.(type) {
	case starlark.Bytes:
		err = a.Text(op.String(), n)
	case *starlark.List:
		err = a.Elements(op.String(), n, 16)
	case starlark.Tuple:
		err = a.Elements(op.String(), n, 16)
	case *starlark.Dict, *starlark.Set:
		// Common keys count once, which only the result tells; the work is bounded here.
		if err = a.Work(thread, n); err == nil {
			err = errors.Join(a.keys(thread, x), a.keys(thread, y))
		}
		if err == nil {
			err = a.Elements(op.String(), max(starlark.Len(x), starlark.Len(y)), entryBytes)
		}
	case *starlarkstruct.Struct:
		n = x.Len() // which starlark.Len does not know
		if y, ok := y.(*starlarkstruct.Struct); ok {
			n += y.Len()
		}
		if err = a.Work(thread, 4*n); err == nil {
			err = a.Alloc(dictBytes + n*64)
		}
	default:
		return starlark.Binary(op, x, y)
	}
	if err != nil {
		return nil, err
	}
	z, err := starlark.Binary(op, x, y)
	if err != nil {
		return nil, err
	}
	switch z := z.(type) {
	case starlark.Tuple:
		err = a.heavy(thread, z, 1)
	case *starlarkstruct.Struct:
		if err = narrow(z.Len()); err == nil {
			err = a.heavy(thread, starlark.Tuple{z}, 1)
		}
	case *starlark.Dict, *starlark.Set:
		if m := starlark.Len(z); m > a.limits.Elements {
			err = a.Elements(op.String(), m, 0)
		}
		if err == nil {
			err = a.Alloc(dictBytes)
		}
	}
	return z, err
}

// augment is x op= y: lists and dicts change in place. x may be a place.
func augment(thread *starlark.Thread, a *Account, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	at, placed := x.(*place)
	if placed {
		x = at.old
	}
	z, err := inPlace(thread, a, op, x, y)
	if err != nil || !placed {
		return z, err
	}
	return starlark.None, at.set(thread, a, z)
}

func inPlace(thread *starlark.Thread, a *Account, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	switch x := x.(type) {
	case *starlark.List:
		if more, ok := y.(starlark.Iterable); ok && op == syntax.PLUS {
			return x, extend(thread, a, x, more)
		}
	case *starlark.Dict:
		if more, ok := y.(*starlark.Dict); ok && op == syntax.PIPE {
			if err := mutable(x, "apply |= to"); err != nil {
				return nil, err
			}
			return x, mergeDict(thread, a, x, more)
		}
	}
	return binary(thread, a, op, x, y)
}

// place is where x[k] op= y writes to.
type place struct {
	in, key, old starlark.Value // in is nil for a field
}

func (p *place) String() string        { return "place" }
func (p *place) Type() string          { return "place" }
func (p *place) Freeze()               {}
func (p *place) Truth() starlark.Bool  { return true }
func (p *place) Hash() (uint32, error) { return 0, errors.New("unhashable: place") }

func fieldOf(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return &place{old: args[0]}, nil
}

func placeOf(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	x, y := args[0], args[1]
	switch x := x.(type) {
	case starlark.Mapping:
		old, found, err := x.Get(y)
		if err == nil && !found {
			err = fmt.Errorf("key %s not in %s", Show(y, 200), x.Type())
		}
		return &place{x, y, old}, err
	case starlark.Indexable:
		i, err := starlark.AsInt32(y)
		if err != nil {
			return nil, fmt.Errorf("%s index: %w", x.Type(), err)
		}
		at, n := i, x.Len()
		if at < 0 {
			at += n
		}
		switch {
		case at >= 0 && at < n:
			return &place{x, starlark.MakeInt(at), x.Index(at)}, nil
		case n == 0:
			return nil, fmt.Errorf("index %d out of range: empty %s", i, x.Type())
		}
		return nil, fmt.Errorf("%s index %d out of range [%d:%d]", x.Type(), i, -n, n-1)
	}
	return nil, fmt.Errorf("unhandled index operation %s[%s]", x.Type(), y.Type())
}

func (p *place) set(thread *starlark.Thread, a *Account, z starlark.Value) error {
	switch x := p.in.(type) {
	case nil:
		return errors.New("can't assign to a field of this value")
	case *starlark.Dict:
		return a.setKey(thread, x, p.key, z, nil)
	case starlark.HasSetKey:
		return x.SetKey(p.key, z)
	case starlark.HasSetIndex:
		i, err := starlark.AsInt32(p.key)
		if err == nil && i >= x.Len() {
			err = fmt.Errorf("%s index %d out of range", x.Type(), i)
		}
		if err != nil {
			return err
		}
		return x.SetIndex(i, z)
	}
	return fmt.Errorf("%s value does not support item assignment", p.in.Type())
}

// growing stands for a dict that is assigned into.
type growing struct {
	*starlark.Dict
	thread *starlark.Thread
	a      *Account
}

var _ starlark.HasSetKey = (*growing)(nil)

// SetKey charges a new key. It ends the assignment that the value was made for.
func (g *growing) SetKey(k, v starlark.Value) error {
	d := g.Dict
	if g.Dict = nil; len(g.a.targets) < 8 {
		g.a.targets = append(g.a.targets, g)
	}
	return g.a.setKey(g.thread, d, k, v, nil)
}

func target(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if d, ok := args[0].(*starlark.Dict); ok {
		return &growing{d, thread, Of(thread)}, nil
	}
	return args[0], nil
}

// targetOf is target for functions: what it gives is used again after the assignment.
func (a *Account) targetOf(x starlark.Value) starlark.Value {
	d, ok := x.(*starlark.Dict)
	if !ok {
		return x
	}
	n := len(a.targets) - 1
	if n < 0 {
		return &growing{d, a.thread, a}
	}
	g := a.targets[n]
	a.targets = a.targets[:n]
	g.Dict, g.thread = d, a.thread
	return g
}

// sliced charges what x[a:b] made, which is never more than x. A part of a text shares its
// bytes; with a step it is a copy.
func sliced(a *Account, x starlark.Value, step bool) (starlark.Value, error) {
	switch v := x.(type) {
	case *starlark.List, starlark.Tuple:
		n := starlark.Len(v)
		if err := a.Work(a.thread, n/64); err != nil {
			return nil, err
		}
		return x, a.Elements("[:]", n, 16)
	case starlark.String, starlark.Bytes:
		if n := starlark.Len(v); step {
			return x, a.Text("[:]", n)
		}
		return x, a.Alloc(16)
	}
	return x, nil
}

// mutable tells whether a dict may be changed now. Deleting what no dict can hold changes
// nothing, and the dict looks first whether it may be changed at all.
func mutable(d *starlark.Dict, verb string) error {
	_, _, err := d.Delete(&place{})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot delete from ") {
		return nil
	}
	return errors.New(strings.Replace(err.Error(), "delete from", verb, 1))
}
