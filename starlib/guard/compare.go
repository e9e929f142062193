package guard

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// This file compares nested values, counting the work: the language's own comparison goes
// through a value as often as it is reached, and cannot be stopped.

// Compare is starlark.Compare within the thread's account.
func Compare(thread *starlark.Thread, op syntax.Token, x, y starlark.Value) (bool, error) {
	switch x := x.(type) {
	case *starlark.List, starlark.Tuple, *starlark.Dict, *starlarkstruct.Struct, *starlark.Set:
	case starlark.String:
		if len(x) <= 4096 {
			return starlark.Compare(op, x, y)
		}
	case starlark.Int:
		if _, float := y.(starlark.Float); !float {
			return starlark.Compare(op, x, y)
		}
	case starlark.Float:
		if _, int := y.(starlark.Int); !int {
			return starlark.Compare(op, x, y)
		}
	default:
		if textBytes(x) <= 4096 {
			return starlark.Compare(op, x, y)
		}
	}
	return compared(thread, Of(thread), op, x, y)
}

func compared(thread *starlark.Thread, a *Account, op syntax.Token, x, y starlark.Value) (bool, error) {
	switch x := x.(type) {
	case *starlark.List, starlark.Tuple, *starlark.Dict, *starlarkstruct.Struct, *starlark.Set:
		c := comparer{thread: thread, a: a}
		return c.compare(op, x, y)
	case starlark.Int, starlark.Float:
		if n := mixed(x, y); n > 0 {
			if err := a.Work(thread, n); err != nil {
				return false, err
			}
		}
	default:
		if n := textBytes(x); n > 4096 {
			if err := a.Work(thread, n/64); err != nil {
				return false, err
			}
		}
	}
	return starlark.Compare(op, x, y)
}

// mixed is the work of comparing a long integer with a float, which makes fractions of both.
func mixed(x, y starlark.Value) int {
	n, ok := x.(starlark.Int)
	_, float := y.(starlark.Float)
	if !ok {
		n, ok = y.(starlark.Int)
		_, float = x.(starlark.Float)
	}
	if !ok || !float || small(n) {
		return 0
	}
	return 48 + bitLen(n)/128
}

// textBytes gives the length of a text, of bytes, and of what elems and the like make of
// them: such values are compared byte by byte.
func textBytes(x starlark.Value) int {
	switch x := x.(type) {
	case starlark.String:
		return len(x)
	case starlark.Bytes:
		return len(x)
	case starlark.Int, starlark.Float, starlark.Bool, starlark.NoneType, *starlark.Function, *starlark.Builtin:
		return 0
	}
	if !partial(x) {
		return 0
	}
	if n := starlark.Len(x); n >= 0 {
		return n
	}
	return unknownBytes
}

// unknownBytes stands for the length of a text that could only be counted.
const unknownBytes = 16 << 20

type comparer struct {
	thread *starlark.Thread
	a      *Account
	done   int // work that is not charged yet
}

func (c *comparer) compare(op syntax.Token, x, y starlark.Value) (bool, error) {
	ok, err := c.apply(op, x, y, 1)
	if err == nil {
		err = c.a.Work(c.thread, c.done)
	}
	return ok, err
}

func (c *comparer) apply(op syntax.Token, x, y starlark.Value, depth int) (bool, error) {
	switch op {
	case syntax.EQL, syntax.NEQ:
		same, err := c.equal(x, y, depth)
		return same == (op == syntax.EQL), err
	}
	a, b, ok := sequences(x, y)
	if !ok {
		if err := c.ordered(x, y); err != nil {
			return false, err
		}
		return starlark.CompareDepth(op, x, y, 2)
	}
	for i := range min(a.Len(), b.Len()) {
		u, v := a.Index(i), b.Index(i)
		same, err := c.equal(u, v, depth+1)
		if err != nil {
			return false, err
		}
		if !same {
			return c.apply(op, u, v, depth+1)
		}
	}
	return starlark.Compare(op, starlark.MakeInt(a.Len()), starlark.MakeInt(b.Len()))
}

// ordered charges < and its like of two values without parts, or of two sets.
func (c *comparer) ordered(x, y starlark.Value) error {
	for _, v := range []starlark.Value{x, y} {
		if set, ok := v.(*starlark.Set); ok {
			if err := c.set(set); err != nil {
				return err
			}
		}
	}
	return c.work(min(textBytes(x), textBytes(y)) / 64)
}

// set charges looking up all elements of a set.
func (c *comparer) set(x *starlark.Set) error {
	if err := c.work(x.Len()); err != nil {
		return err
	}
	return c.a.keys(c.thread, x)
}

// sequences gives two lists or two tuples.
func sequences(x, y starlark.Value) (a, b starlark.Indexable, ok bool) {
	switch x := x.(type) {
	case *starlark.List:
		if y, ok := y.(*starlark.List); ok {
			return x, y, true
		}
	case starlark.Tuple:
		if y, ok := y.(starlark.Tuple); ok {
			return x, y, true
		}
	}
	return nil, nil, false
}

func (c *comparer) work(n int) error {
	if c.done += n; c.done < 1000 {
		return nil
	}
	n, c.done = c.done, 0
	return c.a.Work(c.thread, n)
}

func (c *comparer) equal(x, y starlark.Value, depth int) (bool, error) {
	if depth > c.a.limits.Depth {
		return false, tooDeep(c.a.limits.Depth)
	}
	if err := c.work(1); err != nil {
		return false, err
	}
	if a, b, ok := sequences(x, y); ok {
		if a.Len() != b.Len() {
			return false, nil
		}
		for i := range a.Len() {
			if same, err := c.equal(a.Index(i), b.Index(i), depth+1); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	switch x := x.(type) {
	case starlark.String:
		if y, ok := y.(starlark.String); ok && len(x) == len(y) {
			return x == y, c.work(len(x) / 64)
		}
		return false, nil
	case *starlark.Dict:
		if y, ok := y.(*starlark.Dict); ok {
			return c.dicts(x, y, depth)
		}
		return false, nil
	case starlark.Bytes:
		if y, ok := y.(starlark.Bytes); ok && len(x) == len(y) {
			return x == y, c.work(len(x) / 64)
		}
		return false, nil
	case *starlark.Set:
		if err := c.set(x); err != nil {
			return false, err
		}
	case starlark.Int, starlark.Float:
		if err := c.work(mixed(x, y)); err != nil {
			return false, err
		}
	case *starlarkstruct.Struct:
		if y, ok := y.(*starlarkstruct.Struct); ok {
			return c.structs(x, y, depth)
		}
		return false, nil
	default:
		if err := c.work(textBytes(x) / 64); err != nil {
			return false, err
		}
	}
	return starlark.EqualDepth(x, y, 2)
}

func (c *comparer) dicts(x, y *starlark.Dict, depth int) (bool, error) {
	if x.Len() != y.Len() {
		return false, nil
	}
	for k, u := range x.Entries() {
		if err := c.a.key(c.thread, k); err != nil {
			return false, err
		}
		v, found, err := y.Get(k)
		if !found || err != nil {
			return false, err
		}
		if same, err := c.equal(u, v, depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (c *comparer) structs(x, y *starlarkstruct.Struct, depth int) (bool, error) {
	if x.Len() != y.Len() {
		return false, nil
	}
	if same, err := c.equal(x.Constructor(), y.Constructor(), depth+1); !same || err != nil {
		return false, err
	}
	for i := range x.Len() {
		name, u := x.AttrAt(i)
		other, v := y.AttrAt(i)
		if name != other {
			return false, nil
		}
		if same, err := c.equal(u, v, depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// contains is in and not in.
func contains(thread *starlark.Thread, a *Account, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	var in bool
	switch y := y.(type) {
	case *starlark.List, starlark.Tuple:
		c := comparer{thread: thread, a: a}
		list := y.(starlark.Indexable)
		text, isText := x.(starlark.String)
		for i := 0; i < list.Len() && !in; i++ {
			if other, ok := list.Index(i).(starlark.String); ok && isText && len(other) < 64 {
				c.done++
				in = other == text
				continue
			}
			same, err := c.equal(list.Index(i), x, 1)
			if err != nil {
				return nil, err
			}
			in = same
		}
		if err := a.Work(thread, c.done); err != nil {
			return nil, err
		}
		return starlark.Bool(in == (op == syntax.IN)), nil
	case starlark.String:
		if err := a.Work(thread, len(y)/32); err != nil {
			return nil, err
		}
	case starlark.Bytes:
		if err := a.Work(thread, len(y)/32); err != nil {
			return nil, err
		}
	case *starlark.Dict, *starlark.Set:
		if err := a.key(thread, x); err != nil {
			return nil, err
		}
	}
	return starlark.Binary(op, x, y)
}

// extreme is min and max.
func extreme(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key starlark.Callable
	if err := starlark.UnpackArgs(b.Name(), nil, kwargs, "key?", &key); err != nil {
		return nil, err
	}
	op := syntax.LT
	if b.Name() == "max" {
		op = syntax.GT
	}
	var from starlark.Value = args
	switch len(args) {
	case 0:
		return nil, fmt.Errorf("%s requires at least one positional argument", b.Name())
	case 1:
		from = args[0]
	}
	iter := starlark.Iterate(from)
	if iter == nil {
		return nil, fmt.Errorf("%s: %s value is not iterable", b.Name(), from.Type())
	}
	defer iter.Done()
	a := Of(thread)
	var best, bestRank, x starlark.Value
	for iter.Next(&x) {
		if err := a.Work(thread, 1); err != nil {
			return nil, err
		}
		rank, err := ranked(thread, a, key, x)
		if err != nil {
			return nil, err
		}
		better := best == nil
		if !better {
			if better, err = Compare(thread, op, rank, bestRank); err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name(), err)
			}
		}
		if better {
			best, bestRank = x, rank
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%s: argument is an empty sequence", b.Name())
	}
	return best, nil
}

// ranked calls the key of a sort. What is no function of a script runs without any step of
// its own, and may hash its argument or go through it.
func ranked(thread *starlark.Thread, a *Account, key starlark.Callable, x starlark.Value) (starlark.Value, error) {
	if key == nil {
		return x, nil
	}
	if _, script := key.(*starlark.Function); !script {
		n := 0
		switch x.(type) {
		case starlark.String, starlark.Bytes: // charged as keys
		default:
			n = max(starlark.Len(x), 0) / 8
		}
		if err := a.Work(thread, 1+n); err != nil {
			return nil, err
		}
		if err := a.key(thread, x); err != nil {
			return nil, err
		}
	}
	return starlark.Call(thread, key, starlark.Tuple{x}, nil)
}
