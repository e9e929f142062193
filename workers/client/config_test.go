// Configuration from the environment, and its faults.

package client_test

import (
	"strings"
	"testing"

	"orrery/workers/client"
)

func TestConfigurationFromTheEnvironment(t *testing.T) {
	s := newFakeServer(t)
	for name, value := range map[string]string{
		"ORCHESTRATOR_URL": s.http.URL + "/", "WORKER_TOKEN": "shared", "WORKER_INDIVIDUAL_TOKEN": testToken,
		"WORKER_ID": "w-env", "MAX_CONCURRENT_TASKS": "3", "HEARTBEAT_INTERVAL": "0.05", "WORKER_ENABLE_WEBSOCKETS": "False",
		"COST_PER_SKILL": `{"echo": 2}`, "INSTALLED_MODELS": `[{"name": "sd", "version": "1.5"}]`,
		"WORKER_EXTRA_REGION": "eu", "WORKER_EXTRA_ZONES": `["a"]`, "GPU_MODEL": "NVIDIA T4", "GPU_VRAM_GB": "16",
	} {
		t.Setenv(name, value)
	}
	w := client.New(client.Config{})
	w.Handle("echo", echo)
	s.run(w)
	r := receive(t, s.registrations, "registration")
	if r.ID != "w-env" || r.MaxConcurrent != 3 || r.Extra["region"] != "eu" || len(r.InstalledModels) != 1 || r.WebSockets {
		t.Errorf("registered as %+v", r)
	}
	if zones, ok := r.Extra["zones"].([]any); !ok || len(zones) != 1 || r.PerSkill["echo"] != 2 {
		t.Errorf("extra %+v, prices %v", r.Extra, r.PerSkill)
	}
}

func TestRunNamesEveryFault(t *testing.T) {
	for name, value := range map[string]string{
		"ORCHESTRATOR_URL": "localhost:8080", "WORKER_TOKEN": "", "WORKER_INDIVIDUAL_TOKEN": "", "WORKER_ID": "a b",
		"MAX_CONCURRENT_TASKS": "many", "HEARTBEAT_INTERVAL": "-1", "COST_PER_SKILL": "[]", "WORKER_ENABLE_WEBSOCKETS": "yes",
	} {
		t.Setenv(name, value)
	}
	w := client.New(client.Config{})
	w.Handle("echo", echo)
	err := w.Run(t.Context())
	if err == nil {
		t.Fatal("a worker without a token ran")
	}
	for _, name := range []string{"ORCHESTRATOR_URL", "WORKER_TOKEN", "WORKER_ID", "MAX_CONCURRENT_TASKS", "HEARTBEAT_INTERVAL", "COST_PER_SKILL", "WORKER_ENABLE_WEBSOCKETS"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}

func TestRunWithoutHandlers(t *testing.T) {
	err := client.New(client.Config{Token: "x", URL: "http://localhost:1", ID: "w"}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Handle") {
		t.Errorf("%v", err)
	}
}
