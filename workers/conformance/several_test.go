// Recipe 4: one worker serves two servers, one of which is killed and comes back.

package conformance

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"orrery/workers/client"
)

// mortal is a server that can be killed and started again on its port and store.
type mortal struct {
	*server
	dir    string
	folder string   // of blueprints, below examples
	env    []string // beside the usual
	cmd    *exec.Cmd
}

func newMortal(t *testing.T, folder string, env ...string) *mortal {
	t.Helper()
	m := &mortal{server: &server{t: t, base: "http://127.0.0.1:" + freePort(t)}, dir: t.TempDir(), folder: folder, env: env}
	m.start()
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", m.base, tail(readFile(t, filepath.Join(m.dir, "log")), 60))
		}
	})
	return m
}

func (m *mortal) start() {
	m.t.Helper()
	path, err := binary()
	if err != nil {
		m.t.Fatal(err)
	}
	examples, err := filepath.Abs(filepath.Join("../../examples", m.folder))
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer out.Close()
	m.cmd = exec.Command(path, "serve", "--listen", m.base[len("http://"):], "--blueprints-dir", examples)
	m.cmd.Dir, m.cmd.Stdout, m.cmd.Stderr = m.dir, out, out
	m.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "CLIENT_TOKEN=" + clientToken, "GLOBAL_WORKER_TOKEN=" + sharedToken,
		"WORKER_TTL_SECONDS=8", "WORKER_POLL_TIMEOUT_SECONDS=1"}, m.env...)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	waitFor(m.t, patience, m.base+" to answer", func() (string, bool) {
		resp, err := http.Get(m.base + "/_public/status")
		if err != nil {
			return err.Error(), false
		}
		resp.Body.Close()
		return resp.Status, resp.StatusCode == http.StatusOK
	})
}

// kill is kill -9: nothing is said to anybody.
func (m *mortal) kill() {
	if m.cmd.ProcessState == nil {
		m.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
		m.cmd.Wait()         //nolint:errcheck // killed is what was asked for
	}
}

// jobs starts n jobs whose pages are told apart by their number.
func (m *mortal) jobs(from, n int) (ids []string) {
	m.t.Helper()
	for page := range n {
		ids = append(ids, m.create(m.t, "jobs/served_by_several", map[string]any{"page": from + page}))
	}
	return ids
}

// done waits for the end of jobs that jobs started.
func (m *mortal) done(ids []string, from int, worker string) {
	m.t.Helper()
	for i, id := range ids {
		j := m.awaitEnd(m.t, id)
		if j.Status != "finished" || j.History["rendered"] != float64(from+i) || j.History["rendered_by"] != worker {
			m.t.Errorf("page %d ended as %s", from+i, j)
		}
	}
}

// twoServers is the story of the recipe, for one worker that start starts.
func twoServers(t *testing.T, worker string, start func(first, second string)) {
	const folder = "04-several-orchestrators"
	first, second := newMortal(t, folder), newMortal(t, folder)
	start(first.base, second.base)
	first.awaitWorker(t, worker)
	second.awaitWorker(t, worker)
	a, b := first.jobs(100, 4), second.jobs(200, 4)
	first.done(a, 100, worker)
	second.done(b, 200, worker)

	// Killed with tasks at the worker and in the queue.
	a = first.jobs(300, 6)
	first.await(t, a[0], "at the worker", patience, func(j job) bool { return j.TaskID != "" || j.ended() })
	first.kill()
	b = second.jobs(400, 4)
	second.done(b, 400, worker)
	first.start()
	first.done(a, 300, worker)
	second.done(second.jobs(500, 2), 500, worker)
}

func TestSeveralServersPython(t *testing.T) {
	t.Parallel()
	venvs := needPython(t)
	script, err := filepath.Abs("../../examples/04-several-orchestrators/worker.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sdk, mode, script string }{
		{"1.0b20", "FAILOVER", script}, {"1.0b20", "ROUND_ROBIN", script},
	} {
		t.Run(c.sdk+" "+c.mode, func(t *testing.T) {
			t.Parallel()
			twoServers(t, "renderer", func(first, second string) {
				startProcess(t, process{
					name: "worker " + c.sdk, path: filepath.Join(venvs, c.sdk, "bin", "python"), args: []string{c.script}, dir: t.TempDir(),
					env: []string{
						fmt.Sprintf(`ORCHESTRATORS_CONFIG=[{"url": %q}, {"url": %q}]`, first, second), "MULTI_ORCHESTRATOR_MODE=" + c.mode,
						"WORKER_ID=renderer", "WORKER_TOKEN=" + sharedToken, "HEARTBEAT_INTERVAL=1", "TASK_POLL_TIMEOUT=2", "SECONDS_PER_PAGE=0.3",
						"MAX_CONCURRENT_TASKS=2", "WORKER_SHUTDOWN_TIMEOUT=2", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "POLL_BACKOFF_MAX=2", "RESULT_MAX_RETRIES=3",
					},
				})
			})
		})
	}
}

func TestSeveralServersGo(t *testing.T) {
	t.Parallel()
	for _, mode := range []client.Mode{client.Failover, client.RoundRobin} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			twoServers(t, "renderer", func(first, second string) {
				w := client.New(client.Config{
					Orchestrators: []client.Orchestrator{{URL: first}, {URL: second}}, Mode: mode, ID: "renderer", Token: sharedToken,
					MaxConcurrent: 2, HeartbeatInterval: time.Second, PollTimeout: 2 * time.Second, ShutdownTimeout: 2 * time.Second, WebSockets: "false",
				})
				w.Handle("render_page", func(ctx context.Context, task *client.Task) (map[string]any, error) {
					select {
					case <-time.After(300 * time.Millisecond): // stands for the work
						return map[string]any{"rendered": task.Params["page"], "rendered_by": w.ID()}, nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- w.Run(ctx) }()
				t.Cleanup(func() {
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				})
			})
		})
	}
}
