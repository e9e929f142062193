package starlib

import (
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
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
		"sleep":                 starlark.NewBuiltin("sleep", sleep),
		"has":                   starlark.NewBuiltin("has", has),
		"struct":                starlark.NewBuiltin("struct", starlarkstruct.Make),
		"range":                 starlark.NewBuiltin("range", boundedRange), // shadows the language's own
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
