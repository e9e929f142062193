// The workers under test: Python SDKs as processes, the Go SDK in this one.

package conformance

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"orrery/workers/client"
)

// workerKind is one worker of the conformance test. Its name is the suffix of
// its task types and blueprints.
type workerKind struct {
	name       string
	sdk        string // version of the Python SDK; "" for the Go SDK
	script     string // in workers/
	webSockets bool
	individual bool // has a token of its own
	// progress and cancelWithin are what the age is able to do: whether progress
	// arrives at all, and how soon a cancel does.
	progress     bool
	cancelWithin time.Duration
}

const (
	// Workers with a WebSocket send so few heartbeats that a cancel which comes
	// in time cannot have come with one.
	rareHeartbeat  = 15 * time.Second
	quickHeartbeat = time.Second
	bySocket       = 2 * time.Second
	byHeartbeat    = quickHeartbeat + 2*time.Second
)

var kinds = []workerKind{
	{name: "b3", sdk: "1.0b3", script: "worker_a.py", webSockets: true, progress: true, cancelWithin: bySocket},
	{name: "b7ws", sdk: "1.0b7", script: "worker_b.py", webSockets: true, individual: true, progress: true, cancelWithin: bySocket},
	{name: "b7", sdk: "1.0b7", script: "worker_b.py", cancelWithin: byHeartbeat},
	{name: "b11ws", sdk: "1.0b11", script: "worker_c.py", webSockets: true, progress: true, cancelWithin: bySocket},
	{name: "b11", sdk: "1.0b11", script: "worker_c.py", progress: true, cancelWithin: byHeartbeat},
	{name: "b20ws", sdk: "1.0b20", script: "worker_c.py", webSockets: true, individual: true, progress: true, cancelWithin: bySocket},
	{name: "b20", sdk: "1.0b20", script: "worker_c.py", progress: true, cancelWithin: byHeartbeat},
}

var goKinds = []workerKind{
	{name: "gows", webSockets: true, individual: true, progress: true, cancelWithin: bySocket},
	{name: "go", progress: true, cancelWithin: byHeartbeat},
}

func (k workerKind) id() string        { return "sdk-" + k.name }
func (k workerKind) ownToken() string  { return "own-token-of-" + k.name }
func (k workerKind) heartbeat() string { return map[bool]string{true: "15", false: "1"}[k.webSockets] }

// needPython skips the test, or fails it when Python is required, unless the
// virtual environments of all SDKs are there. It returns their folder.
func needPython(t *testing.T) string {
	t.Helper()
	give := t.Skipf
	if os.Getenv("ORRERY_REQUIRE_PYTHON") == "1" {
		give = t.Fatalf
	}
	if testing.Short() {
		t.Skip("left out by -short: the unmodified Python worker SDKs")
	}
	venvs := os.Getenv("ORRERY_VENVS")
	if venvs == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			give("missing: a cache folder for virtual environments (%v); set ORRERY_VENVS", err)
		}
		venvs = filepath.Join(cache, "orrery-venvs")
	}
	checked := map[string]bool{}
	for _, k := range kinds {
		if checked[k.sdk] {
			continue
		}
		checked[k.sdk] = true
		python := filepath.Join(venvs, k.sdk, "bin", "python")
		if err := exec.Command(python, "-c", "import avtomatika_worker").Run(); err != nil {
			give("missing: the Python worker SDK %s in %s (%v); run scripts/python-sdks", k.sdk, filepath.Dir(python), err)
		}
	}
	return venvs
}

// startPython starts a worker of a Python SDK.
func startPython(t *testing.T, s *server, k workerKind, venvs, marks string) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("workers", k.script))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"ORCHESTRATOR_URL=" + s.base, "WORKER_ID=" + k.id(), "HEARTBEAT_INTERVAL=" + k.heartbeat(),
		"WORKER_SHUTDOWN_TIMEOUT=2", "WORKER_HEARTBEAT_COOLDOWN=0.2", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
		"ORRERY_SUFFIX=_" + k.name, "ORRERY_MARKS=" + marks,
	}
	if k.webSockets {
		env = append(env, "WORKER_ENABLE_WEBSOCKETS=true")
	}
	if k.individual {
		env = append(env, "WORKER_INDIVIDUAL_TOKEN="+k.ownToken())
	} else {
		env = append(env, "WORKER_TOKEN="+sharedToken)
	}
	startProcess(t, process{
		name: "worker " + k.name, path: filepath.Join(venvs, k.sdk, "bin", "python"), args: []string{script},
		dir: t.TempDir(), env: env, endsWithInput: true,
	})
}

// startGo runs a worker of the Go SDK with the same tasks until the test ends.
func startGo(t *testing.T, s *server, k workerKind, marks string) {
	t.Helper()
	cfg := client.Config{
		URL: s.base, ID: k.id(), Token: sharedToken, WebSockets: "false",
		HeartbeatInterval: quickHeartbeat, ShutdownTimeout: 2 * time.Second,
	}
	if k.individual {
		cfg.Token = k.ownToken()
	}
	if k.webSockets {
		cfg.WebSockets, cfg.HeartbeatInterval = "true", rareHeartbeat
	}
	w := client.New(cfg)
	goHandlers(w, "_"+k.name, marks)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("worker %s: %v", k.name, err)
		}
	})
}

// goHandlers are the tasks of the Python workers once more.
func goHandlers(w *client.Worker, suffix, marks string) {
	asAsked := errors.New("as asked")
	tries := map[string]int{} // by job, whose tries never overlap
	turn := make(chan struct{}, 1)
	w.Handle("echo"+suffix, func(_ context.Context, t *client.Task) (map[string]any, error) { return t.Params, nil })
	w.Handle("fail_transient"+suffix, func(_ context.Context, t *client.Task) (map[string]any, error) {
		turn <- struct{}{}
		tries[t.JobID]++
		n := tries[t.JobID]
		<-turn
		var p struct{ Failures int }
		if err := t.Decode(&p); err != nil {
			return nil, err
		}
		if n <= p.Failures {
			return nil, client.Transient(asAsked)
		}
		return map[string]any{"tries": n}, nil
	})
	w.Handle("fail_permanent"+suffix, func(context.Context, *client.Task) (map[string]any, error) {
		return nil, client.Permanent(asAsked)
	})
	w.Handle("fail_invalid"+suffix, func(context.Context, *client.Task) (map[string]any, error) {
		return nil, client.Invalid(asAsked)
	})
	w.Handle("needs_review"+suffix, func(_ context.Context, t *client.Task) (map[string]any, error) {
		t.EndWith("needs_review")
		return map[string]any{"score": 0.4}, nil
	})
	w.Handle("slow_with_progress"+suffix, func(ctx context.Context, t *client.Task) (map[string]any, error) {
		return slowWithProgress(ctx, t, marks)
	})
}

func slowWithProgress(ctx context.Context, t *client.Task, marks string) (map[string]any, error) {
	var p struct {
		Seconds float64
		Steps   int
	}
	if err := t.Decode(&p); err != nil {
		return nil, err
	}
	mark := func(event string) error { return os.WriteFile(filepath.Join(marks, t.JobID+"."+event), nil, 0o600) }
	if err := mark("started"); err != nil {
		return nil, err
	}
	step := time.NewTicker(time.Duration(p.Seconds / float64(p.Steps) * float64(time.Second)))
	defer step.Stop()
	for n := 1; n <= p.Steps; n++ {
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), mark("cancelled"))
		case <-step.C:
		}
		if err := t.Progress(ctx, float64(n)/float64(p.Steps), "step"); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	return map[string]any{"steps": p.Steps}, nil
}
