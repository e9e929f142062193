package starlib

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/starlib/guard"
)

// This file holds the predeclared functions that belong to no module: sum, has, sleep.

// sum adds numbers, from start on.
func sum(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Iterable
	total := starlark.Value(starlark.MakeInt(0))
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "iterable", &list, "start?", &total); err != nil {
		return nil, err
	}
	i := 0
	for x := range starlark.Elements(list) {
		if !isNumber(x) {
			return nil, fmt.Errorf("%s: element %d is %s; sum adds numbers", b.Name(), i, x.Type())
		}
		if i%64 == 63 { // a sum beyond 32 bits takes as long as four steps
			if err := guard.Of(thread).Work(thread, 256); err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name(), err)
			}
		}
		next, err := guard.Binary(thread, syntax.PLUS, total, x)
		if err != nil {
			return nil, fmt.Errorf("%s: element %d: %w", b.Name(), i, err)
		}
		total = next
		i++
	}
	return total, nil
}

// has tells whether a dict's key or an attribute exists; "a.b" goes down.
func has(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var path string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "x", &x, "path", &path); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Work(thread, len(path)); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if d, ok := x.(*starlark.Dict); ok { // a key may have dots in it
		if _, found, err := d.Get(starlark.String(path)); found || err != nil {
			return starlark.Bool(found), err
		}
	}
	for name := range strings.SplitSeq(path, ".") {
		next, err := member(x, name)
		if err != nil || next == nil {
			return starlark.False, err
		}
		x = next
	}
	return starlark.True, nil
}

// member gives nil when there is none.
func member(x starlark.Value, name string) (starlark.Value, error) {
	switch x := x.(type) {
	case *starlark.Dict:
		v, _, err := x.Get(starlark.String(name))
		return v, err
	case starlark.HasAttrs:
		v, err := x.Attr(name)
		if _, none := err.(starlark.NoSuchAttrError); none {
			return nil, nil
		}
		return v, err
	}
	return nil, nil
}

// sleep blocks the handler, at most Limits.Sleep in all; longer waits are transitions.
func sleep(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "seconds", &v); err != nil {
		return nil, err
	}
	s, err := scopeOf(thread, b.Name())
	if err != nil {
		return nil, err
	}
	f, err := number(b.Name(), "seconds", v)
	if err != nil {
		return nil, err
	}
	if f < 0 {
		return nil, fmt.Errorf("%s: seconds is %s; it cannot be negative", b.Name(), v)
	}
	d := time.Duration(math.Min(f, MaxWait) * float64(time.Second))
	if s.slept+d > s.Limits.Sleep {
		return nil, &LimitError{Code: CodeSleep, Text: fmt.Sprintf("sleep(%s): a handler sleeps at most %s in all; for a longer wait use actions.transition_to(state, after_seconds=%s), which waits without holding anything", v, s.Limits.Sleep, v)}
	}
	s.slept += d
	nap := s.Host.Sleep
	if nap == nil {
		nap = realSleep
	}
	// Only the end of the run wakes it early.
	if _, err := Call(s, HostCall{Name: b.Name(), Kind: naps}, func(ctx context.Context) (struct{}, error) { return struct{}{}, nap(ctx, d) }); err != nil {
		return nil, err
	}
	return starlark.None, nil
}

func realSleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
