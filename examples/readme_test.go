package examples

// This file holds the project's README to its word: the blueprint that it shows first works.

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/engine/simulate"
	"orrery/engine/startest"
)

// block gives the indented block of a Markdown text that begins with the given line.
func block(t *testing.T, text, first string) string {
	t.Helper()
	const indent = "    "
	_, rest, found := strings.Cut(text, "\n"+indent+first)
	if !found {
		t.Fatalf("no block begins with %q", first)
	}
	var b strings.Builder
	for _, line := range strings.Split(first+rest, "\n") {
		if b.Len() > 0 && line != "" && !strings.HasPrefix(line, indent) {
			break
		}
		b.WriteString(strings.TrimPrefix(line, indent) + "\n")
	}
	return b.String()
}

func TestFirstBlueprintOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"greet.star": block(t, string(readme), "greet = StateMachineBlueprint(")}
	result, err := analysis.File(func(name string) ([]byte, error) { return []byte(texts[name]), nil }, "greet.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Findings {
		t.Errorf("%s:%d:%d: %s", f.File, f.Line, f.Col, f.Message)
	}
	program, err := blueprint.Compile("greet.star", texts)
	if err != nil {
		t.Fatal(err)
	}
	scenario, err := simulate.ParseScenario([]byte(`{"initial_data": {"name": "Ada"},
		"replies": [{"task_type": "make_greeting", "reply": {"data": {"greeting": "Hello, Ada!"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := run(t, simulate.Options{Catalog: book{program}, Blueprint: "greet", Scenario: scenario})
	if got.Status != "finished" || len(got.Log) != 1 || got.Log[0].Message != "The worker said: Hello, Ada!" {
		t.Errorf("ends %s with the log %v, want finished and one line with the greeting", got.Status, got.Log)
	}
}

// The test file that the README shows passes with the blueprint that it shows.
func TestFirstTestOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, first := range map[string]string{"greet.star": "greet = StateMachineBlueprint(", "greet_test.star": "def test_worker_dies_and_another_greets():"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(block(t, string(readme), first)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	result, err := startest.Run(t.Context(), []startest.File{{Root: dir, Name: "greet_test.star", Shown: "greet_test.star"}}, startest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := startest.Text(&b, result, true); err != nil {
		t.Fatal(err)
	}
	if passed, failed := result.Counts(); passed != 1 || failed != 0 {
		t.Error(b.String())
	}
}
