package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests `orrery test` as a user calls it.

const testedFlow = `
flow = blueprint(name = "flow", api_endpoint = "flow")

def begin(context, actions):
    actions.dispatch_task(task_type = env.get("TYPE", "work"), transitions = {"success": "finished", "failure": "failed"})

flow.handler_for("start", is_start = True)(begin)
`

// starFolder writes files into a folder of their own.
func starFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTestCommand(t *testing.T) {
	dir := starFolder(t, map[string]string{
		"a/flow.star": testedFlow,
		"a/flow_test.star": "def test_good():\n    run(workers = {\"work\": success()}).expect(status = \"finished\")\n\n" +
			"def test_bad():\n    run(workers = {\"work\": success()}).expect(status = \"failed\")\n",
	})
	got := orrery(t, "test", dir)
	if got.code != 1 || !strings.Contains(got.out, `status: got "finished", want "failed"`) || !strings.Contains(got.out, "a/flow_test.star:5:") ||
		!strings.Contains(got.out, "1 passed, 1 failed") || got.firstLine() != "1 case failed" {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "test", dir, "--run", "good"); got.code != 0 || !strings.Contains(got.out, "1 passed, 0 failed") {
		t.Errorf("--run: %+v", got)
	}
	if got := orrery(t, "test", dir, "--run", "nothing"); got.code != 1 || !strings.Contains(got.err, "no case has a name") {
		t.Errorf("--run that finds nothing: %+v", got)
	}
	got = orrery(t, "test", filepath.Join(dir, "a", "flow_test.star"), "--coverage", "--run", "good")
	if got.code != 0 || !strings.Contains(got.out, "not taken:   start -> failed [failure]") {
		t.Errorf("--coverage: %+v", got)
	}
	got = orrery(t, "test", dir, "--format", "json", "--coverage")
	var result struct {
		Passed, Failed int
		Coverage       []struct{ Taken, Of int }
	}
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || result.Passed != 1 || result.Failed != 1 || len(result.Coverage) != 1 || result.Coverage[0].Of != 5 {
		t.Errorf("json: %v %+v", err, result)
	}
	if got := orrery(t, "test", dir, "--format", "junit"); got.code != 1 || !strings.Contains(got.out, `<testsuites tests="2" failures="1"`) {
		t.Errorf("junit: %+v", got)
	}
	if got := orrery(t, "test", dir, "--env", "TYPE=other", "--run", "good"); got.code != 1 || !strings.Contains(got.out, `dispatched a task "other"`) {
		t.Errorf("--env: %+v", got)
	}
}

func TestTestCommandWrongUsage(t *testing.T) {
	dir := starFolder(t, map[string]string{"flow.star": testedFlow})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"test", dir}, "holds no *_test.star files"},
		{[]string{"test", filepath.Join(dir, "flow.star")}, "is no test file"},
		{[]string{"test", filepath.Join(dir, "nowhere_test.star")}, "can not be read"},
		{[]string{"test", "../examples", "--run", "("}, "--run"},
	} {
		if got := orrery(t, c.args...); got.code != 2 || !strings.Contains(got.err, c.want) {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}

func TestTestCommandDrawsCoverage(t *testing.T) {
	dir := starFolder(t, map[string]string{
		"flow.star":      testedFlow,
		"flow_test.star": "def test_good():\n    run(workers = {\"work\": success()}).expect(status = \"finished\")\n",
	})
	out := filepath.Join(dir, "pictures")
	if got := orrery(t, "test", dir, "--draw", out); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	svg, err := os.ReadFile(filepath.Join(out, "flow.svg"))
	if err != nil || !strings.Contains(string(svg), "not taken") {
		t.Errorf("%v: %.200s", err, svg)
	}
}
