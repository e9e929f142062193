package startest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"orrery/starlib/stub"
)

// This file runs every example of the reference: each alone, in a job of its own.

const sampleFlow = `
bp = blueprint("sample", api_endpoint = "jobs/sample")

def start(context, actions):
    actions.dispatch_task(task_type = "greet", transitions = {"success": "finished", "failure": "failed"})

bp.handler_for("start", is_start = True)(start)
`

var acts = regexp.MustCompile(`(?m)^actions\.`)

// equation is a line of an example that says what is equal.
var equation = regexp.MustCompile(`(?m)^(.+) == (.+)$`)

// exampleFiles makes a blueprint and a test file of an example.
func exampleFiles(m *stub.Member) (flow, test string) {
	flow, test = sampleFlow, "def test_example():\n    run(emulate = True, data = {\"name\": \"Ada\", \"language\": \"en\"}, approvals = {\"start\": \"approved\"}).expect(status = lambda s: s in [\"finished\", \"failed\"], error = None)\n"
	body := m.Example
	switch {
	case m.Kind == stub.Test && strings.Contains(body, "test_"):
		test = body + "\n"
	case m.Kind == stub.Test:
		test = "def test_example():\n    " + strings.ReplaceAll(body, "\n", "\n    ") + "\n"
	case strings.Contains(body, "handler_for("):
		flow = body + "\n"
	default:
		body = equation.ReplaceAllString(body, "if not ($1 == $2):\n    fail(\"not equal\")")
		if !acts.MatchString(body) {
			body += "\nactions.transition_to(\"finished\")"
		}
		flow = "bp = blueprint(\"example\", api_endpoint = \"jobs/example\", data_stores = {\"counters\": {\"visits\": 0}})\n\ndef start(context, actions):\n    " +
			strings.ReplaceAll(body, "\n", "\n    ") + "\n\nbp.handler_for(\"start\", is_start = True)(start)\n"
	}
	return flow, test
}

func TestExamplesOfTheReference(t *testing.T) {
	ran := 0
	for _, page := range stub.All() {
		for _, m := range page.Members {
			if m.Example == "" {
				continue
			}
			ran++
			t.Run(m.Full(), func(t *testing.T) {
				flow, test := exampleFiles(m)
				dir := t.TempDir()
				for name, text := range map[string]string{"flow.star": flow, "flow_test.star": test} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				r, err := Run(t.Context(), []File{{Root: dir, Name: "flow_test.star", Shown: "flow_test.star"}}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if passed, failed := r.Counts(); passed == 0 || failed > 0 {
					var b strings.Builder
					_ = Text(&b, r, true)
					t.Errorf("%s\n--- the blueprint\n%s--- the test\n%s", b.String(), flow, test)
				}
			})
		}
	}
	if ran < 100 {
		t.Errorf("%d examples ran, there are more", ran)
	}
}

// The stubs of what only test files have are equal to it.
func TestStubsOfTests(t *testing.T) {
	for page, want := range map[string][]string{
		"test": names().Keys(), "expect": expectModule().AttrNames(), "job": (&jobValue{order: jobFields}).AttrNames(),
	} {
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(stub.Get(page).Names())); !slices.Equal(got, want) {
			t.Errorf("the stub %s has\n%s\nthere are\n%s", page, got, want)
		}
	}
	var job jobArgs
	var world worldArgs
	var keywords []string
	for _, x := range append(job.pairs(), world.pairs()...) {
		if name, ok := x.(string); ok {
			keywords = append(keywords, strings.TrimRight(name, "?"))
		}
	}
	slices.Sort(keywords)
	if got := slices.Sorted(slices.Values(stub.Get("test").Member("run").Keywords())); !slices.Equal(got, keywords) {
		t.Errorf("the stub of run() takes\n%s\nit takes\n%s", got, keywords)
	}
}
