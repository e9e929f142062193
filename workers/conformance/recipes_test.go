// The workers of the recipes that are about workers, as a reader of the cookbook starts them:
// with the unmodified Python SDK, against a server with all examples.

package conformance

import (
	"bytes"
	"net/http"
	"path/filepath"
	"testing"
)

func TestWorkersOfTheRecipes(t *testing.T) {
	t.Parallel()
	const sdk = "1.0b20"
	venvs := needPython(t)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	s := newMortal(t, ".", "WORKERS_CONFIG_PATH="+filepath.Join(examples, "24-worker-tokens", "workers.toml"))
	for _, c := range []struct {
		folder, id string
		env        []string
		endpoint   string
		data       map[string]any
		result     string // in state_history, and the name of the worker in it
	}{
		{"06-dispatch-strategies", "fair", []string{`COST_PER_SKILL={"critical_computation": 0.05}`, "WARM=1"}, "jobs/try_strategy", map[string]any{"strategy": "cheapest", "n": 3}, "computed_by"},
		{"08-cheapest-worker", "cheap", []string{`COST_PER_SKILL={"image_compression": 0.03}`}, "jobs/cost_optimized_flow", map[string]any{"image": "a.png"}, "compressed_by"},
		{"16-partial-worker-status", "measured", nil, "jobs/measured_flow", map[string]any{"seconds": 0.1}, "reported_by"},
		{"19-resource-requirements", "studio", []string{"GPU_MODEL=NVIDIA T4", "GPU_VRAM_GB=16", `INSTALLED_ARTIFACTS=[{"name": "stable-diffusion", "version": "1.5"}]`}, "jobs/gpu_flow", map[string]any{"clip": "a.mp4"}, "cut_by"},
		{"24-worker-tokens", "worker-001", []string{"WORKER_INDIVIDUAL_TOKEN=super-secret-token-for-worker-1"}, "jobs/guarded_flow", map[string]any{"document": "a.csv"}, "read_by"},
	} {
		startProcess(t, process{
			name: "worker of " + c.folder, path: filepath.Join(venvs, sdk, "bin", "python"), args: []string{filepath.Join(examples, c.folder, "worker.py")}, dir: t.TempDir(),
			env: append([]string{
				"ORCHESTRATOR_URL=" + s.base, "WORKER_ID=" + c.id, "WORKER_TOKEN=" + sharedToken, "HEARTBEAT_INTERVAL=1", "TASK_POLL_TIMEOUT=2",
				"WORKER_SHUTDOWN_TIMEOUT=2", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
			}, c.env...),
		})
		s.awaitWorker(t, c.id)
		j := s.awaitEnd(t, s.create(t, c.endpoint, c.data))
		if j.Status != "finished" || j.History[c.result] != c.id {
			t.Errorf("%s ended as %s, want it finished by %s", c.folder, j, c.id)
		}
	}
	// What the workers said is there, and the one field of recipe 16 beside it.
	status, text, _ := call(t, http.MethodGet, s.base+"/api/v1/workers", map[string]string{"X-Client-Token": clientToken}, nil)
	for _, want := range []string{`"load":0`, `"NVIDIA T4"`, `"hot_skills":["critical_computation"]`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("HTTP %d: the workers lack %s: %s", status, want, text)
		}
	}
}
