// Package examples has only tests: they run every recipe in this folder and compare what happens with
// what the recipe promises. The recipes themselves are the .star files beside.
//
// Words: a scenario (NAME.scenario.json, the form of `orrery run --scenario`) says what the outside of a
// job does; its expectation (NAME.expect.json beside it) names the blueprint file and what must come out.
package examples

// This file checks the texts: every .star file is plain Starlark in the dialect of blueprints.

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/syntax"
)

// dialect is the one of semantics part 1: no while, no recursion, no reassignment of globals.
var dialect = syntax.FileOptions{Set: true, TopLevelControl: true}

func TestRecipesAreStarlark(t *testing.T) {
	count := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".star") {
			return err
		}
		count++
		_, err = dialect.Parse(name, nil, 0)
		if err != nil {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 14 {
		t.Errorf("%d .star files found, at least 14 are meant to be here", count)
	}
}
