package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests `orrery port` as a user calls it.

const pythonFlow = `from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="flow")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    actions.transition_to("finished")
`

// portDir makes a folder of Python files.
func portDir(t *testing.T, files map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed; orrery port reads Python with it")
	}
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// portRun runs the command and gives its exit code and output.
func portRun(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr strings.Builder
	p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: os.LookupEnv}
	code := p.main(append([]string{"port"}, args...))
	return code, stdout.String(), stderr.String()
}

func TestPortWritesBesideAndElsewhere(t *testing.T) {
	dir := portDir(t, map[string]string{"flow.py": pythonFlow})
	code, out, errs := portRun(t, filepath.Join(dir, "flow.py"))
	if code != 0 || !strings.Contains(out, "written, 0 remarks") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "flow.star"))
	if err != nil || !strings.Contains(string(text), `bp.handler_for("start", is_start = True)(start)`) {
		t.Errorf("%v\n%s", err, text)
	}
	into := filepath.Join(dir, "new", "blueprints")
	if code, out, errs := portRun(t, filepath.Join(dir, "flow.py"), "-o", into); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	again, err := os.ReadFile(filepath.Join(into, "flow.star"))
	if err != nil || string(again) != string(text) {
		t.Errorf("another text in the folder: %v", err)
	}
	p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: new(strings.Builder), stderr: new(strings.Builder), env: os.LookupEnv}
	if code := p.main([]string{"fmt", "--check", into}); code != 0 {
		t.Error("what is written is not formatted as orrery fmt does")
	}
}

func TestPortRefusesWhole(t *testing.T) {
	dir := portDir(t, map[string]string{
		"good.py":   pythonFlow,
		"worker.py": "def work(params):\n    return {}\n",
		"bad.py":    strings.Replace(pythonFlow, "    actions", "    yield 1\n    actions", 1),
		"broken.py": "def f(:\n",
	})
	names := []string{"good.py", "worker.py", "bad.py", "broken.py"}
	var args []string
	for _, n := range names {
		args = append(args, filepath.Join(dir, n))
	}
	code, out, errs := portRun(t, args...)
	if code != 1 || !strings.HasPrefix(errs, "3 of 4 files did not come through") {
		t.Errorf("exit %d, %s", code, errs)
	}
	for _, want := range []string{"worker.py:1: refused", "no blueprint in this file", "bad.py:8: refused: yield 1: Starlark has no generators", "broken.py:1: refused: def f(:: not Python that can be read"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.star*"))
	if err != nil || len(found) != 1 || filepath.Base(found[0]) != "good.star" {
		t.Errorf("written: %v %v", found, err)
	}
}

func TestPortCheckWritesNothing(t *testing.T) {
	dir := portDir(t, map[string]string{"flow.py": pythonFlow, "open.py": strings.Replace(pythonFlow, ", is_start=True", "", 1)})
	code, out, _ := portRun(t, "--check", "--format", "json", filepath.Join(dir, "flow.py"), filepath.Join(dir, "open.py"))
	var report struct {
		Files []struct {
			Python     string
			Written    bool
			Blueprints []string
			Entries    []any
			Findings   []struct{ Rule string }
		}
		OK bool `json:"ok"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if code != 1 || report.OK || len(report.Files) != 2 || report.Files[0].Written || len(report.Files[0].Findings) != 0 || report.Files[0].Blueprints[0] != "flow" {
		t.Errorf("exit %d, %+v", code, report)
	}
	if f := report.Files[1].Findings; len(f) != 1 || f[0].Rule != "no-start" {
		t.Errorf("findings %+v", f)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*.star")); len(found) != 0 {
		t.Errorf("written: %v", found)
	}
}

func TestPortLoadsAmongFiles(t *testing.T) {
	dir := portDir(t, map[string]string{
		"flows/flow.py":         strings.Replace(pythonFlow, "\n\nbp", "\nfrom .lib.words import END, shout as cry\nfrom .lib import words\n\nbp", 1) + "    print(cry(END), words.twice(2))\n",
		"flows/lib/words.py":    "END = \"finished\"\n\n\ndef shout(s: str) -> str:\n    return s.upper()\n\n\ndef twice(n):\n    return 2 * n\n",
		"flows/lib/__init__.py": "",
	})
	code, out, errs := portRun(t, filepath.Join(dir, "flows", "flow.py"), filepath.Join(dir, "flows", "lib", "words.py"))
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "flows", "flow.star"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`load("//lib/words.star", "END", "twice", cry = "shout")`, "print(cry(END), twice(2))"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

func TestPortWrongUsage(t *testing.T) {
	dir := portDir(t, map[string]string{"flow.txt": "x"})
	for _, args := range [][]string{{filepath.Join(dir, "flow.txt")}, {dir}, {filepath.Join(dir, "none.py")}, {}} {
		if code, _, errs := portRun(t, args...); code != 2 || errs == "" {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}
