package guard

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// This file holds the table of checked builtins. Those that a rewritten file alone can call
// have names that no script can write.

// Names of what is no operator of the language.
const (
	opDict     = "{}"    // a dict as written: charged
	opList     = "[]"    // a list as written
	opTuple    = "()"    // a tuple as written
	opSlice    = "[:]"   // x[a:b]
	opStride   = "[::]"  // x[a:b:c]
	opKey      = "{:}"   // the key of one entry of a comprehension
	opItem     = "[.]"   // one element of a comprehension
	opMade     = "[for]" // a whole comprehension
	opMethod   = ".()"   // a bound method: its checked form
	opUnused   = ".()_"  // a bound method whose result nobody uses
	opSpread   = "f(*)"  // what is spread over a call's arguments
	opParams   = "def*"  // what * parameters hold
	opFunction = "def"   // a function made again and again
	opTarget   = "[]="   // what x[k] = v assigns into
	opPlace    = "[]op=" // the place that x[k] op= v changes
	opLookup   = "x[]"   // the key of x[k]: its text may stand in an error
	opField    = ".op="  // the same for x.f op= v
	opNegate   = "-x"
	opInvert   = "~x"
	opHand     = "hand()" // gives a function its run's hand: see fast.go
	nameHand   = "(hand)" // the variable that holds it
	nameNone   = "()None"
)

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// operation makes the builtin of one operator. Finding the account costs as much as adding
// two numbers, so small numbers go without it.
func operation(op syntax.Token, do func(*starlark.Thread, *Account, syntax.Token, starlark.Value, starlark.Value) (starlark.Value, error)) builtin {
	return func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		x, y := args[0], args[1]
		if harmless(op, x, y) {
			return starlark.Binary(op, x, y)
		}
		return do(thread, Of(thread), op, x, y)
	}
}

// harmless tells whether an operator makes a small number of two small numbers.
func harmless(op syntax.Token, x, y starlark.Value) bool {
	switch x := x.(type) {
	case starlark.Int:
		y, ok := y.(starlark.Int)
		return ok && op != syntax.LTLT && small(x) && small(y)
	case starlark.Float:
		return true
	}
	return false
}

// comparison makes the builtin of one comparison.
func comparison(op syntax.Token) builtin {
	return func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		ok, err := Compare(thread, op, args[0], args[1])
		if err != nil {
			return nil, err
		}
		return starlark.Bool(ok), nil
	}
}

// one makes the builtin of something that takes one value and gives it back when it may be.
func one(do func(*starlark.Thread, *Account, starlark.Value) (starlark.Value, error)) builtin {
	return func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return do(thread, Of(thread), args[0])
	}
}

// hiddenNames are those that a rewritten file calls.
var hiddenNames = func() starlark.StringDict {
	d := starlark.StringDict{nameNone: starlark.None}
	add := func(name string, fn builtin) { d[name] = starlark.NewBuiltin(name, fn) }
	for op, name := range checked {
		switch op {
		case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
			add(name, comparison(op))
		case syntax.IN, syntax.NOT_IN:
			add(name, operation(op, contains))
		default:
			add(name, operation(op, binary))
		}
	}
	for op, name := range augmented {
		add(name, operation(op-syntax.PLUS_EQ+syntax.PLUS, augment))
	}
	add(opDict, one(madeDict))
	add(opList, one(madeList))
	add(opTuple, one(madeTuple))
	add(opSlice, one(func(thread *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
		a.thread = thread
		return sliced(a, x, false)
	}))
	add(opStride, one(func(thread *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
		a.thread = thread
		return sliced(a, x, true)
	}))
	add(opKey, one(entryKey))
	add(opItem, one(item))
	add(opMade, one(comprehended))
	add(opMethod, bound)
	add(opUnused, unused)
	add(opLookup, one(looked))
	add(opHand, takeHand)
	add(opSpread, one(spread))
	add(opParams, params)
	add(opFunction, function)
	add(opTarget, target)
	add(opPlace, placeOf)
	add(opField, fieldOf)
	add(opNegate, one(func(_ *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
		return unary(a, syntax.MINUS, x)
	}))
	add(opInvert, one(func(_ *starlark.Thread, a *Account, x starlark.Value) (starlark.Value, error) {
		return unary(a, syntax.TILDE, x)
	}))
	return d
}()

// shadows are the language's own builtins in their checked form.
var shadows = func() starlark.StringDict {
	d := starlark.StringDict{}
	for name, fn := range map[string]builtin{
		"abs": absOf, "all": truths, "any": truths, "bytes": bytesOf, "dir": dirOf, "dict": dictOf, "enumerate": pairs, "fail": printed,
		"float": readText, "getattr": getattr, "hasattr": hasAttr, "hash": readText, "int": intOf, "list": listOf, "ord": readText,
		"max": extreme, "min": extreme, "print": printed, "range": rangeOf, "repr": textOf, "reversed": listOf, "set": setOf,
		"sorted": sorted, "str": textOf, "tuple": tupleOf, "zip": pairs,
	} {
		d[name] = starlark.NewBuiltin(name, fn)
	}
	return d
}()

// Names gives what a rewritten file needs beside the names that its author knows: the
// checked operations, and the language's builtins in their checked form. Do not change it.
func Names() starlark.StringDict { return names }

var names = func() starlark.StringDict {
	d := starlark.StringDict{}
	for _, from := range []starlark.StringDict{hiddenNames, shadows} {
		for name, v := range from {
			d[name] = v
		}
	}
	d.Freeze()
	return d
}()

// Hidden tells whether a frame of this name is no call of the user's.
func Hidden(name string) bool { return hiddenNames.Has(name) }

// Trim drops the frames of checked operations from the end of an error's stack, so that a
// backtrace shows what the user wrote.
func Trim(e *starlark.EvalError) {
	for n := len(e.CallStack); n > 0 && Hidden(e.CallStack[n-1].Name); n-- {
		e.CallStack = e.CallStack[:n-1]
	}
}
