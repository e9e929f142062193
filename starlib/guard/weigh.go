package guard

import (
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// This file bounds what is nested. A tuple in a tuple in a tuple, each twice, is small in
// memory and endless to hash, so tuples and structs are weighed when they are made; lists
// and dicts cannot be hashed. Freezing goes through all of them: see Freezable.

// maxWeight is how many values a tuple may hold when everything in it is counted as often
// as it is reached; 16 bytes of text count as one more.
const maxWeight = 1 << 20

// heavy refuses a tuple that, so many times over, is too deep or too heavy to hash.
func (a *Account) heavy(thread *starlark.Thread, t starlark.Tuple, times int) error {
	w := weigher{limit: maxWeight, depth: a.limits.Depth}
	var err error
	for _, x := range t {
		switch x := x.(type) {
		case starlark.String:
			w.sum += 1 + len(x)/16
		case starlark.Bytes:
			w.sum += 1 + len(x)/16
		case *starlark.Function: // its name is hashed
			w.sum += 1 + len(x.Name())/16
		case starlark.Tuple, *starlarkstruct.Struct:
			if err = w.value(x, 2); err != nil {
				return err
			}
		default:
			w.sum++
		}
	}
	if w.sum > 64 {
		if err = a.Work(thread, w.sum/16); err != nil {
			return err
		}
	}
	if w.sum*times > maxWeight {
		return w.over(w.sum * times)
	}
	return nil
}

type weigher struct {
	sum, limit, depth int
}

func (w *weigher) over(n int) error {
	return limitf(CodeElements, "a tuple or struct holds at most %d values, counted as often as they are reached (16 bytes of text count as one more); this one holds %d or more", w.limit, n)
}

func (w *weigher) value(v starlark.Value, depth int) error {
	if depth > w.depth {
		return tooDeep(w.depth)
	}
	w.sum++
	switch v := v.(type) {
	case starlark.String:
		w.sum += len(v) / 16
	case starlark.Bytes:
		w.sum += len(v) / 16
	case *starlark.Function:
		w.sum += len(v.Name()) / 16
	case starlark.Tuple:
		for _, x := range v {
			if err := w.value(x, depth+1); err != nil {
				return err
			}
		}
	case *starlarkstruct.Struct:
		for _, x := range v.Entries() {
			if err := w.value(x, depth+1); err != nil {
				return err
			}
		}
	}
	if w.sum > w.limit {
		return w.over(w.sum)
	}
	return nil
}

func tooDeep(limit int) error {
	return limitf(CodeDepth, "lists, dicts, tuples and structs may be nested %d deep, and more was asked for, or a value contains itself", limit)
}

// MaxFields is how many fields a struct may have: where one is missing, the interpreter looks
// through all of them for a name that is near.
const MaxFields = 1000

func narrow(fields int) error {
	if fields > MaxFields {
		return limitf(CodeElements, "a struct has at most %d fields, and %d were asked for; a dict has more", MaxFields, fields)
	}
	return nil
}

// Light checks a struct that Go code makes of a script's values.
func Light(thread *starlark.Thread, s *starlarkstruct.Struct) error {
	if err := narrow(s.Len()); err != nil {
		return err
	}
	a := Of(thread)
	if err := a.Alloc(dictBytes/2 + 64*s.Len()); err != nil {
		return err
	}
	return a.heavy(thread, starlark.Tuple{s}, 1)
}

// Freezable tells whether values can be frozen: freezing recurses into them, and into
// functions that hold each other without end. The error is a *LimitError.
func (a *Account) Freezable(values ...starlark.Value) error {
	f := freezer{limit: a.limits.Depth, seen: map[any]bool{}, left: 8 * a.limits.Elements}
	for _, v := range values {
		if err := f.value(v, 0); err != nil {
			return err
		}
	}
	return nil
}

// freezer goes the way that Freeze goes: lists, dicts and sets are entered once.
type freezer struct {
	limit, left int
	seen        map[any]bool
}

func (f *freezer) value(v starlark.Value, depth int) error {
	if f.left--; f.left < 0 {
		return limitf(CodeElements, "the values at a file's top level are too many to be frozen, counted as often as they are reached")
	}
	var parts func(func(starlark.Value) bool)
	switch v := v.(type) {
	case *starlark.List:
		parts = f.once(v, v.Elements())
	case *starlark.Set:
		parts = f.once(v, v.Elements())
	case *starlark.Dict:
		parts = f.once(v, func(yield func(starlark.Value) bool) {
			for k, x := range v.Entries() {
				if !yield(k) || !yield(x) {
					return
				}
			}
		})
	case starlark.Tuple:
		parts = v.Elements()
	case *starlarkstruct.Struct:
		parts = func(yield func(starlark.Value) bool) {
			for _, x := range v.Entries() {
				if !yield(x) {
					return
				}
			}
		}
	case *starlark.Function:
		f.left -= 32 // it is slower to look into than a list
		parts = held(v)
	case *appending:
		return f.value(v.list, depth+1)
	case *starlark.Builtin:
		if v.Receiver() != nil {
			return f.value(v.Receiver(), depth+1)
		}
	}
	if parts == nil {
		return nil
	}
	if depth >= f.limit {
		return tooDeep(f.limit)
	}
	var err error
	parts(func(x starlark.Value) bool {
		err = f.value(x, depth+1)
		return err == nil
	})
	return err
}

func (f *freezer) once(key any, parts func(func(starlark.Value) bool)) func(func(starlark.Value) bool) {
	if f.seen[key] {
		return nil
	}
	f.seen[key] = true
	return parts
}

// held gives what a function keeps alive beside its file: defaults and captured variables.
func held(fn *starlark.Function) func(func(starlark.Value) bool) {
	return func(yield func(starlark.Value) bool) {
		for i := range fn.NumParams() {
			if d := fn.ParamDefault(i); d != nil && !yield(d) {
				return
			}
		}
		for i := range fn.NumFreeVars() {
			if _, x := fn.FreeVar(i); x != nil && !yield(x) {
				return
			}
		}
	}
}
