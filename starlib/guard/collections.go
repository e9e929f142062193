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
	list := x.(*starlark.List)
	bytes := listBytes + 16*list.Len()
	for i := range list.Len() {
		bytes += behind(list.Index(i))
	}
	return x, a.Alloc(bytes)
}

func madeTuple(thread *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
	t := x.(starlark.Tuple)
	bytes := tupleBytes + 16*len(t)
	for _, v := range t {
		bytes += behind(v)
	}
	if err := a.Alloc(bytes); err != nil {
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

// placeBytes is what a place in a list takes, with the value behind it.
func placeBytes(x starlark.Value) int { return appendBytes + behind(x) }

// behind is what a value takes that was not charged when it was made: a bound method, an
// integer beyond 32 bits, a range or a view of a text.
func behind(x starlark.Value) int {
	switch x := x.(type) {
	case starlark.String, *starlark.Dict, *starlark.List, starlark.Tuple, starlark.Float, starlark.Bool, starlark.NoneType:
	case starlark.Int:
		if n, ok := x.Int64(); !ok || n != int64(int32(n)) {
			return 80
		}
	case *starlark.Builtin, *appending:
		return 160
	case starlark.Bytes, *starlark.Function, *starlark.Set, *starlarkstruct.Struct:
	default:
		return 48
	}
	return 0
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
	if d, ok := x.(*starlark.Dict); ok { // what knows no such keyword says its name
		names := 0
		for k := range d.Entries() {
			if s, ok := k.(starlark.String); ok {
				names += len(s)
			}
		}
		if err := looking(names); err != nil {
			return nil, err
		}
	}
	return x, a.Elements("call", n, 64)
}

// room charges a call of a large function: it takes room for all its variables and for the
// longest list that is written there, also when it uses none of them.
func (a *Account) room(thread *starlark.Thread, size starlark.Int) error {
	n, _ := size.Int64() // Rewrite wrote it
	return a.Work(thread, int(n)/4)
}

// params charges what * and ** parameters hold. It is also where a lambda that calls
// something looks how deep it stands.
func params(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if err := calls(thread); err != nil {
		return nil, err
	}
	a := Of(thread)
	for _, x := range args {
		var err error
		switch x := x.(type) {
		case starlark.Int: // see large
			err = a.room(thread, x)
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

// maxCalls is how deep calls may be in each other, builtins included. No function calls
// itself, but a file may have thousands that call the next: each call looks through all that
// are under way, and takes room on the stack.
const maxCalls = 200

// calls refuses to go deeper.
func calls(thread *starlark.Thread) error {
	if thread.CallStackDepth() > maxCalls {
		return limitf(CodeDepth, "calls may be nested %d deep, and more was asked for", maxCalls)
	}
	return nil
}

// function charges a closure with all that it keeps.
func function(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	bytes := functionBytes
	if fn, ok := args[0].(*starlark.Function); ok {
		bytes += 16 * (fn.NumFreeVars() + fn.NumParams())
	}
	return args[0], Of(thread).Alloc(bytes)
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
		if s, ok := starlark.AsString(args[0]); ok {
			if len(s) > a.limits.IntegerBits+16 {
				return nil, a.Integer(b.Name(), len(s))
			}
			if err := a.digits(thread, len(s)); err != nil {
				return nil, err
			}
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
			if n, err = a.length(thread, b.Name(), args[0]); err == nil {
				err = a.Work(thread, n/2)
			}
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
	if err := attribute(thread, args); err != nil {
		return nil, err
	}
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

// attribute checks the name that getattr and hasattr look for, which stands in the error, and
// charges going through the names that a struct has.
func attribute(thread *starlark.Thread, args starlark.Tuple) error {
	if len(args) < 2 {
		return nil // the builtin says so
	}
	if name, ok := args[1].(starlark.String); ok {
		if err := looking(len(name)); err != nil {
			return err
		}
	}
	if s, ok := args[0].(*starlarkstruct.Struct); ok {
		return Of(thread).Work(thread, s.Len()/2)
	}
	return nil
}

func hasAttr(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := attribute(thread, args); err != nil {
		return nil, err
	}
	return universe(thread, b, args, kwargs)
}

// readText is float, hash and ord, which go through a text.
func readText(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		if n := textBytes(args[0]); n >= 32 {
			if err := Of(thread).Work(thread, n/32); err != nil {
				return nil, err
			}
		}
	}
	return universe(thread, b, args, kwargs)
}

// truths is any and all.
func truths(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Iterable
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &list); err != nil {
		return nil, err
	}
	iter := list.Iterate()
	defer iter.Done()
	sought := starlark.Bool(b.Name() == "any")
	a, each := Of(thread), 16
	if partial(list) { // each of its elements is made
		each = 64
	}
	var x starlark.Value
	for n := 1; iter.Next(&x); n++ {
		if x.Truth() == sought {
			return sought, nil
		}
		if n%64 == 0 {
			if err := a.Work(thread, each); err != nil {
				return nil, err
			}
		}
	}
	return !sought, nil
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
