package guard

import (
	"fmt"
	"math"
	"sort"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// This file holds what makes lists, tuples, dicts and sets: literals, comprehensions, and
// the language's builtins.

func madeDict(_ *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	return x, a.Alloc(dictBytes + max(0, x.(*starlark.Dict).Len()-8)*entryBytes)
}

func madeList(_ *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	return x, a.Alloc(listBytes + 16*x.(*starlark.List).Len())
}

func madeTuple(thread *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	t := x.(starlark.Tuple)
	if err := a.Alloc(tupleBytes + 16*len(t)); err != nil {
		return nil, err
	}
	return x, a.heavy(thread, t, 1)
}

func entryKey(_ *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	return x, a.Alloc(entryBytes)
}

func item(_ *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	return x, a.Alloc(placeBytes(x))
}

// placeBytes is what a place in a list takes, with what was not charged when it was made: a
// bound method.
func placeBytes(x starlark.Value) int {
	switch x.(type) {
	case *starlark.Builtin, *appending:
		return appendBytes + 160
	}
	return appendBytes
}

// comprehended checks a comprehension's length; its elements are charged already.
func comprehended(thread *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	if d, ok := x.(*starlark.Dict); ok {
		if err := a.crowded(thread, d.Len(), d.Entries()); err != nil {
			return nil, err
		}
	}
	return x, a.Elements("comprehension", starlark.Len(x), 0)
}

// spread checks what f(*x) or f(**x) hands on.
func spread(thread *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	n, err := a.length(thread, "call", x)
	if err != nil {
		return nil, err
	}
	return x, a.Elements("call", n, 64)
}

func params(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	a := Of(thread)
	for _, x := range args {
		var err error
		switch x := x.(type) {
		case *starlark.Dict:
			_, err = madeDict(thread, a, x)
		case starlark.Tuple:
			_, err = madeTuple(thread, a, x)
		}
		if err != nil {
			return nil, err
		}
	}
	return starlark.True, nil
}

// function charges a closure: def gives none, lambda gives itself.
func function(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if err := Of(thread).Alloc(functionBytes); err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return starlark.None, nil
	}
	return args[0], nil
}

func mergeDict(thread *starlark.Thread, a *Account, d *starlark.Dict, from starlark.IterableMapping) error {
	var c Crowd
	for _, kv := range from.Items() {
		if err := a.setKey(thread, d, kv[0], kv[1], &c); err != nil {
			return err
		}
	}
	return nil
}

// updateDict is what dict(x, **kwargs) and d.update(x, **kwargs) have in common.
func updateDict(thread *starlark.Thread, a *Account, call string, d *starlark.Dict, args starlark.Tuple, kwargs []starlark.Tuple) error {
	if len(args) == 1 {
		var err error
		if m, ok := args[0].(starlark.IterableMapping); ok {
			err = mergeDict(thread, a, d, m)
		} else {
			err = updatePairs(thread, a, d, args[0])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	given := make(map[string]bool, len(kwargs))
	for _, kv := range kwargs {
		name, _ := starlark.AsString(kv[0])
		if given[name] {
			return fmt.Errorf("%s: duplicate keyword arg: %q", call, name)
		}
		given[name] = true
		if err := a.setKey(thread, d, kv[0], kv[1], nil); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	return nil
}

func updatePairs(thread *starlark.Thread, a *Account, d *starlark.Dict, from starlark.Value) error {
	iter := starlark.Iterate(from)
	if iter == nil {
		return fmt.Errorf("got %s, want iterable", from.Type())
	}
	defer iter.Done()
	var pair starlark.Value
	var c Crowd
	for i := 0; iter.Next(&pair); i++ {
		two := starlark.Iterate(pair)
		if two == nil {
			return fmt.Errorf("dictionary update sequence element #%d is not iterable (%s)", i, pair.Type())
		}
		n := starlark.Len(pair)
		var k, v starlark.Value
		if n == 2 {
			two.Next(&k)
			two.Next(&v)
		}
		two.Done()
		if n < 0 {
			return fmt.Errorf("dictionary update sequence element #%d has unknown length (%s)", i, pair.Type())
		}
		if n != 2 {
			return fmt.Errorf("dictionary update sequence element #%d has length %d, want 2", i, n)
		}
		if err := a.setKey(thread, d, k, v, &c); err != nil {
			return err
		}
	}
	return nil
}

func dictOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("dict: got %d arguments, want at most 1", len(args))
	}
	a, d := Of(thread), new(starlark.Dict)
	if err := a.Alloc(dictBytes); err != nil {
		return nil, err
	}
	return d, updateDict(thread, a, b.Name(), d, args, kwargs)
}

func setOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var from starlark.Iterable
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 0, &from); err != nil {
		return nil, err
	}
	a, s := Of(thread), new(starlark.Set)
	if err := a.Alloc(dictBytes); err != nil || from == nil {
		return s, err
	}
	iter := from.Iterate()
	defer iter.Done()
	var x starlark.Value
	var c Crowd
	for iter.Next(&x) {
		if err := a.insert(thread, s, x, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
	}
	return s, nil
}

// listOf is list and reversed.
func listOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 1 {
		a := Of(thread)
		n, err := a.length(thread, b.Name(), args[0])
		if err == nil {
			err = a.Elements(b.Name(), n, slotBytes)
		}
		if err != nil {
			return nil, err
		}
	}
	return universe(thread, b, args, kwargs)
}

func tupleOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := listOf(thread, b, args, kwargs)
	if t, ok := v.(starlark.Tuple); ok && err == nil {
		err = Of(thread).heavy(thread, t, 1)
	}
	return v, err
}

// pairs is enumerate and zip.
func pairs(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	a, n := Of(thread), math.MaxInt
	for i, x := range args {
		if i > 0 && b.Name() == "enumerate" {
			break
		}
		m, err := a.length(thread, b.Name(), x)
		if err != nil {
			return nil, err
		}
		n = min(n, m)
	}
	if len(args) > 0 {
		each := 40 + 2*slotBytes
		if b.Name() == "zip" {
			each = 40 + len(args)*slotBytes
		}
		if err := a.Elements(b.Name(), n, each); err != nil {
			return nil, err
		}
	}
	v, err := universe(thread, b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return v, a.tuplesOf(thread, v)
}

// tuplesOf weighs the tuples that a builtin has put into a list.
func (a *Account) tuplesOf(thread *starlark.Thread, v starlark.Value) error {
	list, ok := v.(*starlark.List)
	if !ok {
		return nil
	}
	for x := range list.Elements() {
		if t, ok := x.(starlark.Tuple); ok {
			if err := a.heavy(thread, t, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// sorted is the language's own, with every comparison counted.
func sorted(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var from starlark.Iterable
	var key starlark.Callable
	var reverse bool
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "iterable", &from, "key?", &key, "reverse?", &reverse); err != nil {
		return nil, err
	}
	a := Of(thread)
	n, err := a.length(thread, b.Name(), from)
	if err == nil {
		err = a.Elements(b.Name(), n, 3*slotBytes) // elements and what they are sorted by
	}
	if err != nil {
		return nil, err
	}
	s := &sorting{thread: thread, a: a, op: syntax.LT, values: make([]starlark.Value, 0, n)}
	if reverse { // equal elements keep their order
		s.op = syntax.GT
	}
	iter := from.Iterate()
	var x starlark.Value
	for iter.Next(&x) {
		s.values = append(s.values, x)
	}
	defer iter.Done()
	s.ranks = s.values
	if key != nil {
		s.ranks = make([]starlark.Value, len(s.values))
		for i, x := range s.values {
			if s.ranks[i], err = ranked(thread, a, key, x); err != nil {
				return nil, err
			}
		}
	} else {
		s.ranks = nil
	}
	if err := a.Work(thread, len(s.values)*bitsOf(len(s.values))/2); err != nil {
		return nil, err
	}
	return starlark.NewList(s.values), s.sort()
}

func bitsOf(n int) int {
	b := 0
	for ; n > 1; n /= 2 {
		b++
	}
	return b
}

type sorting struct {
	thread        *starlark.Thread
	a             *Account
	op            syntax.Token
	values, ranks []starlark.Value // ranks nil: the values themselves
}

// sort ends early with a panic of its own, since package sort knows no errors.
func (s *sorting) sort() (err error) {
	defer func() {
		if p := recover(); p != nil {
			failed, ok := p.(sortFailed)
			if !ok {
				panic(p)
			}
			err = failed.err
		}
	}()
	sort.Stable(s)
	return nil
}

type sortFailed struct{ err error }

func (s *sorting) Len() int { return len(s.values) }

func (s *sorting) Less(i, j int) bool {
	by := s.ranks
	if by == nil {
		by = s.values
	}
	ok, err := Compare(s.thread, s.op, by[i], by[j])
	if err == nil {
		err = s.a.Stopped()
	}
	if err != nil {
		panic(sortFailed{err})
	}
	return ok
}

func (s *sorting) Swap(i, j int) {
	s.values[i], s.values[j] = s.values[j], s.values[i]
	if s.ranks != nil {
		s.ranks[i], s.ranks[j] = s.ranks[j], s.ranks[i]
	}
}

func intOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	a := Of(thread)
	if len(args) > 0 {
		// The shortest digits, binary ones, take one byte a bit; a sign and a prefix more.
		if s, ok := starlark.AsString(args[0]); ok && len(s) > a.limits.IntegerBits+16 {
			return nil, a.Integer(b.Name(), len(s))
		}
	}
	v, err := universe(thread, b, args, kwargs)
	if n, ok := v.(starlark.Int); ok && err == nil {
		err = a.Integer(b.Name(), bitLen(n))
	}
	return v, err
}

func bytesOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 1 {
		a := Of(thread)
		n, err := starlark.Len(args[0]), error(nil)
		if _, text := args[0].(starlark.String); !text {
			n, err = a.length(thread, b.Name(), args[0])
		}
		if err == nil {
			err = a.Text(b.Name(), n)
		}
		if err != nil {
			return nil, err
		}
	}
	return universe(thread, b, args, kwargs)
}

func rangeOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := universe(thread, b, args, kwargs)
	if err != nil {
		return nil, err
	}
	if n, limit := starlark.Len(v), Of(thread).limits.Elements; n > limit || n < 0 {
		return nil, limitf(CodeElements, "range: a range has at most %d elements, and %d were asked for", limit, n)
	}
	return v, nil
}

func getattr(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := universe(thread, b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return method(v), nil
}

// maxKey is how long a key may be that is looked up: when it is missing, the interpreter
// quotes it in the error, with up to four bytes for one.
const maxKey = 1 << 20

func looked(thread *starlark.Thread, a *Account, k starlark.Value) (starlark.Value, error) {
	n := 0
	switch k := k.(type) {
	case starlark.String:
		n = len(k)
	case starlark.Bytes:
		n = len(k)
	case starlark.Tuple, *starlarkstruct.Struct: // charged by the length of its text
		var err error
		if n, err = a.textLen(thread, k); err != nil {
			return nil, err
		}
		return k, looking(n)
	}
	if n < 64 {
		return k, nil
	}
	if err := looking(n); err != nil {
		return nil, err
	}
	return k, a.Work(thread, n/64)
}

func looking(n int) error {
	if n > maxKey {
		return limitf(CodeText, "a key that is looked up has at most %s of text, and this has %d bytes", Size(maxKey), n)
	}
	return nil
}

// dirOf is dir, absOf abs.
func dirOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := universe(thread, b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return v, Of(thread).Elements(b.Name(), starlark.Len(v), 2*slotBytes) // what made and sorted the names is gone, and cost as much
}

func absOf(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 1 {
		if n, ok := args[0].(starlark.Int); ok && !small(n) {
			if err := Of(thread).Alloc(bitLen(n)/8 + 64); err != nil {
				return nil, err
			}
		}
	}
	return universe(thread, b, args, kwargs)
}
