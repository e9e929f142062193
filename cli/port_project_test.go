package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests `orrery port --project` on a small project.

const pythonWorker = `from worker_sdk import Worker

worker = Worker()


@worker.task("work")
async def work(params, **kwargs):
    return {"status": "success"}
`

const pythonMain = `import asyncio

from orchestrator.engine import OrchestratorEngine

from flows.flow import bp

engine = OrchestratorEngine()
engine.register_blueprint(bp)

if __name__ == "__main__":
    asyncio.run(engine.run())
`

func projectFiles() map[string]string {
	return map[string]string{
		"main.py":           pythonMain,
		"worker.py":         pythonWorker,
		"flows/__init__.py": "",
		"flows/words.py":    "def shout(s):\n    return s.upper()\n",
		"flows/flow.py": strings.Replace(strings.Replace(pythonFlow, "\n\nbp", "\nimport os\nfrom .words import shout\n\nbp", 1), "    actions",
			"    print(shout(os.environ.get(\"REGION\", \"eu\")))\n    actions", 1),
		"clients.toml":   "[client_a]\ntoken = \"token-of-client-a\"\nplan = \"free\"\nmonthly_attempts = 5\n",
		"workers.toml":   "[worker-001]\ntoken = \"token-of-worker-1\"\n",
		"schedules.toml": "[nightly]\nblueprint = \"flow\"\ninterval_seconds = 60\n",
		".env":           "# ours\nexport API_PORT=9000\nREDIS_HOST=redis\nREGION=us\nUNKNOWN_THING=1\nCLIENT_TOKEN=\"a-secret-of-ours\"\n",
		".venv/lib/x.py": "def broken(:\n",
	}
}

func TestPortProject(t *testing.T) {
	dir := portDir(t, projectFiles())
	code, out, errs := portRun(t, "--project", dir)
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	made := filepath.Join(dir, "orrery")
	flow, err := os.ReadFile(filepath.Join(made, "blueprints", "flow.star"))
	if err != nil || !strings.Contains(string(flow), `load("//words.star", "shout")`) || !strings.Contains(string(flow), `env.get("REGION", "eu")`) {
		t.Errorf("%v\n%s", err, flow)
	}
	env, err := os.ReadFile(filepath.Join(made, "orrery.env"))
	if err != nil || string(env) != "# ours\nAPI_PORT=9000\nREDIS_HOST=redis\nREGION=us\nUNKNOWN_THING=1\nCLIENT_TOKEN=\"a-secret-of-ours\"\n\n# What blueprints may read with env.get.\nBLUEPRINT_ENV=REGION\nBLUEPRINTS_DIR=blueprints\n" {
		t.Errorf("%v\n%s", err, env)
	}
	page, err := os.ReadFile(filepath.Join(made, "PORTING.md"))
	if err != nil || string(page) != out {
		t.Errorf("%v: the page is not what was printed", err)
	}
	for _, want := range []string{"`flow.py`: ported", "`clients.toml`: copied as it is: 1 entry", "`workers.toml`: copied as it is: 1 entry", "`schedules.toml`: copied as it is: 1 entry",
		"UNKNOWN_THING: kept; orrery has no setting", "jobs are kept in redis://redis:6379 as before", "- `worker.py`", "- `main.py`", "orrery check blueprints"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "secret-of-ours") || strings.Contains(out, "token-of") {
		t.Error("the page shows a secret")
	}
	info, err := os.Stat(filepath.Join(made, "clients.toml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("clients.toml: %v %v", err, info)
	}
	p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: new(strings.Builder), stderr: new(strings.Builder), env: os.LookupEnv}
	if code := p.main([]string{"check", filepath.Join(made, "blueprints")}); code != 0 {
		t.Error("the new folder does not pass orrery check")
	}
	if code, _, errs := portRun(t, "--project", dir); code != 2 || !strings.Contains(errs, "is not empty") {
		t.Errorf("a second time: exit %d, %s", code, errs)
	}
}

func TestPortProjectSaysWhatIsWrong(t *testing.T) {
	files := projectFiles()
	files["clients.toml"] = "[client_a]\nplan = \"free\"\n"
	files["flows/other.py"] = strings.Replace(strings.Replace(pythonFlow, "\"flow\"", "\"other\"", 1), "    actions", "    yield 1\n    actions", 1)
	dir := portDir(t, files)
	code, out, errs := portRun(t, "--project", dir, "--check")
	if code != 1 || !strings.HasPrefix(errs, "a person must look at 2 files") {
		t.Errorf("exit %d, %s", code, errs)
	}
	for _, want := range []string{"`other.py`: **not ported**", "Starlark has no generators", "`clients.toml`: to be mended:"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page lacks %q:\n%s", want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "orrery")); err == nil {
		t.Error("--check wrote something")
	}
}
