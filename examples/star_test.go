package examples

// This file runs the tests that stand beside the recipes, as `orrery test examples` does, and
// holds every recipe to having some that go every way.

import (
	"path"
	"slices"
	"strings"
	"testing"

	"orrery/engine/startest"
	"orrery/workers"
	"orrery/workers/emulate"
)

// testFiles gives the *_test.star below this folder.
func testFiles(t *testing.T) []startest.File {
	t.Helper()
	var files []startest.File
	for _, name := range everyStarFile(t) {
		if strings.HasSuffix(name, startest.Suffix) {
			files = append(files, startest.File{Root: ".", Name: name, Shown: name})
		}
	}
	return files
}

func TestStarTests(t *testing.T) {
	files := testFiles(t)
	result, err := startest.Run(t.Context(), files, startest.Options{Fits: workers.Fits, Emulate: emulate.Reply})
	if err != nil {
		t.Fatal(err)
	}
	if passed, failed := result.Counts(); failed > 0 || passed < 60 {
		var b strings.Builder
		if err := startest.Text(&b, result, false); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%d passed, %d failed; want 60 or more and none\n%s", passed, failed, b.String())
	}
	for _, c := range result.Coverage {
		states, edges := c.Missing()
		for _, s := range states {
			t.Errorf("%s: %s: no test enters the state %s", c.File, c.Graph.Name, s.Name)
		}
		for _, e := range edges {
			t.Errorf("%s:%d: %s: no test goes from %s to %s [%s] %s", c.File, e.Line, c.Graph.Name, e.From, e.To, e.Label, e.Condition)
		}
	}
	for _, g := range analysed(t).Graphs {
		if !slices.ContainsFunc(result.Coverage, func(c *startest.Coverage) bool { return c.File == path.Clean(g.File) && c.Graph.Name == g.Name }) {
			t.Errorf("%s: the blueprint %s has no tests; put them into %s", g.File, g.Name, strings.TrimSuffix(g.File, ".star")+startest.Suffix)
		}
	}
}

func BenchmarkCases(b *testing.B) {
	file := startest.File{Root: ".", Name: "13-error-types/blueprint_test.star", Shown: "13"}
	cases := 0
	for b.Loop() {
		result, err := startest.Run(b.Context(), []startest.File{file}, startest.Options{})
		if err != nil {
			b.Fatal(err)
		}
		passed, _ := result.Counts()
		cases += passed
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(cases), "µs/case")
}
