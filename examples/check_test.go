// Package examples has only tests: they run every recipe in this folder and compare what happens with
// what the recipe promises. The recipes themselves are the .star files beside.
//
// Words: a scenario (NAME.scenario.json, the form of `orrery run --scenario`) says what the outside of a
// job does; its expectation (NAME.expect.json beside it) names the blueprint file and what must come out.
package examples

// This file checks the texts: the folder as a whole has no findings, and whoever looks around
// finds what the README promises.

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/engine/analysis"
	"orrery/engine/starfmt"
)

// recipes are the folders, one for each recipe that there is.
var recipes = []string{
	"01-linear-pipeline", "02-human-approval", "03-parallel", "04-several-orchestrators", "05-conditional-routing", "06-dispatch-strategies",
	"07-task-priority", "08-cheapest-worker", "09-data-stores",
	"10-cancel-running-task", "11-task-progress", "12a-task-files", "12b-large-files", "13-error-types", "14-sub-blueprints",
	"15-render-graph", "16-partial-worker-status",
	"17-client-configuration", "18-start-and-end", "19-resource-requirements", "20-tracing", "21-sqlite", "22-postgresql", "23-execution-history",
	"24-worker-tokens", "schedules",
}

// starFiles gives every blueprint file below this folder, with slashes.
func starFiles(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(everyStarFile(t), func(name string) bool { return strings.HasSuffix(name, "_test.star") })
}

// everyStarFile gives the blueprint files and their tests.
func everyStarFile(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".star") {
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// analysed is the whole folder read as one tree, as a server would load it.
func analysed(t *testing.T) *analysis.Result {
	t.Helper()
	read := func(name string) ([]byte, error) { return os.ReadFile(filepath.FromSlash(name)) }
	result, err := analysis.Tree(read, starFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestNoFindings(t *testing.T) {
	for _, f := range analysed(t).Findings {
		t.Errorf("%s:%d:%d: %s: %s [%s]", f.File, f.Line, f.Col, f.Severity, f.Message, f.Rule)
	}
}

// `orrery fmt examples` changes nothing.
func TestFormatted(t *testing.T) {
	for _, name := range everyStarFile(t) {
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := starfmt.Source(name, text); err != nil || string(out) != string(text) {
			t.Errorf("%s is not formatted (%v): orrery fmt examples does it", name, err)
		}
	}
}

func TestEveryBlueprintIsDescribed(t *testing.T) {
	graphs := analysed(t).Graphs
	if len(graphs) < 15 {
		t.Errorf("%d blueprints found, 15 or more are meant to be here", len(graphs))
	}
	for _, g := range graphs {
		if g.Description == "" {
			t.Errorf("%s:%d: blueprint %s has no description", g.File, g.Line, g.Name)
		}
	}
}

func TestEveryRecipeIsThere(t *testing.T) {
	files := starFiles(t)
	for _, folder := range recipes {
		if !slices.ContainsFunc(files, func(name string) bool { return path.Dir(name) == folder }) {
			t.Errorf("%s has no .star file", folder)
		}
		readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(readme), "go run . run examples/"+folder+"/") {
			t.Errorf("%s/README.md does not say how to start it in one line", folder)
		}
	}
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range recipes {
		if !strings.Contains(string(index), "("+folder+")") {
			t.Errorf("README.md does not list %s", folder)
		}
	}
}
