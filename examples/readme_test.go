package examples

// This file holds the project's README to its word: the blueprint that it shows first works.

import (
	"os"
	"strings"
	"testing"

	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/engine/simulate"
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
