package startest

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"go.starlark.net/starlark"

	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file loads test files and the libraries they load.

// environment is what a test file finds defined: all that a blueprint does, and the names
// of tests.
var environment = func() starlark.StringDict {
	d := maps.Clone(starlib.Environment())
	maps.Copy(d, names())
	d.Freeze()
	return d
}()

// modules are the files of one test file, each loaded once.
type modules struct {
	root   string
	texts  map[string]string
	loaded map[string]starlark.StringDict // nil while it is being loaded
}

func newModules(f File) *modules {
	return &modules{root: f.Root, texts: map[string]string{}, loaded: map[string]starlark.StringDict{}}
}

// text gives the source of a loaded file.
func (m *modules) text(name string) (string, bool) {
	text, ok := m.texts[name]
	return text, ok
}

// load reads, checks and runs a file. chain holds the names from the test file to here.
func (m *modules) load(name string, chain []string) (starlark.StringDict, error) {
	if globals, known := m.loaded[name]; known {
		if globals == nil {
			return nil, fmt.Errorf("the files load each other in a circle: %s", strings.Join(append(chain, name), " -> "))
		}
		return globals, nil
	}
	if most := guard.Load().Depth; len(chain) > most {
		return nil, fmt.Errorf("files load each other more than %d deep (%s)", most, guard.CodeLoadDepth)
	}
	m.loaded[name] = nil
	raw, err := analysis.Folder(m.root)(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m.texts[name] = string(raw)
	if err := guard.CheckSource(name, string(raw)); err != nil {
		return nil, err
	}
	tree, err := analysis.Dialect.Parse(name, raw, 0)
	if err != nil {
		return nil, err
	}
	if err := guard.Rewrite(tree, guard.Limits{}); err != nil {
		return nil, err
	}
	program, err := starlark.FileProgram(tree, environment.Has)
	if err != nil {
		return nil, err
	}
	globals, err := m.run(name, program, append(chain, name))
	if err != nil {
		return nil, err
	}
	m.loaded[name] = globals
	return globals, nil
}

// run executes the top level. Blueprints that it makes are not run by tests from here: the
// book has them, loaded as a server would.
func (m *modules) run(name string, program *starlark.Program, chain []string) (globals starlark.StringDict, err error) {
	thread := newThread(name)
	thread.Load = func(_ *starlark.Thread, arg string) (starlark.StringDict, error) {
		target, err := blueprint.LoadName(arg)
		if err != nil {
			return nil, err
		}
		return m.load(target, chain)
	}
	new(starlib.Registry).Collect(thread)
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(err, fmt.Errorf("the interpreter failed: %v", r))
		}
	}()
	globals, err = program.Init(thread, environment)
	if err == nil {
		globals.Freeze()
	}
	return globals, err
}
