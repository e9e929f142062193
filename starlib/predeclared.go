package starlib

import (
	"maps"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/starlib/guard"
)

// This file holds the one table of names that every blueprint file finds defined.

// predeclared is built once and frozen: its values keep nothing of a run.
var predeclared = func() starlark.StringDict {
	d := starlark.StringDict{
		"StateMachineBlueprint": starlark.NewBuiltin("StateMachineBlueprint", newBlueprint),
		"blueprint":             starlark.NewBuiltin("blueprint", newBlueprint),
		"catch":                 starlark.NewBuiltin("catch", catch),
		"fail_with":             starlark.NewBuiltin("fail_with", failWith),
		"sum":                   starlark.NewBuiltin("sum", sum),
		"round":                 starlark.NewBuiltin("round", round),
		"pow":                   starlark.NewBuiltin("pow", pow),
		"format":                starlark.NewBuiltin("format", formatValue),
		"sleep":                 starlark.NewBuiltin("sleep", sleep),
		"has":                   starlark.NewBuiltin("has", has),
		"struct":                starlark.NewBuiltin("struct", makeStruct),
		"range":                 guard.Names()["range"], // shadows the language's own
		"json":                  jsonModule(),
		"re":                    reModule(),
		"time":                  timeModule(),
		"math":                  mathModule(),
		"random":                randomModule(),
		"uuid":                  uuidModule(),
		"logging":               loggingModule(),
		"env":                   envModule(),
		"sql":                   sqlModule(),
		"http":                  httpModule(),
	}
	d.Freeze()
	return d
}()

// Predeclared gives the names that every blueprint file finds defined beside the
// language's own. It is frozen and shared; do not change it.
func Predeclared() starlark.StringDict { return predeclared }

// Environment gives all that a rewritten file is compiled and run with: Predeclared, and
// the checked operations of guard. It is frozen and shared; do not change it.
func Environment() starlark.StringDict { return environment }

var environment = func() starlark.StringDict {
	d := maps.Clone(guard.Names())
	maps.Copy(d, predeclared)
	return d
}()

// makeStruct is struct(**fields). A struct can be hashed, so it must be light.
func makeStruct(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := starlarkstruct.Make(thread, b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return v, guard.Light(thread, v.(*starlarkstruct.Struct))
}
