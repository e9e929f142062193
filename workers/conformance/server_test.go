// The server under test: the built binary as a process of its own, and its
// public HTTP interface.

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"orrery/engine/store/anystore"
)

const (
	clientToken = "conformance-client-token"
	sharedToken = "conformance-shared-token"
	// patience bounds every wait that has no limit of its own to prove.
	patience = 60 * time.Second
	pollStep = 20 * time.Millisecond
)

// binary builds orrery once for all tests, into a folder that TestMain removes.
// ORRERY_BINARY names one that is built already, such as a release.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ORRERY_BINARY"); path != "" {
		return path, nil
	}
	path := filepath.Join(buildDir, "orrery")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "orrery-conformance-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(buildDir)
	os.Exit(code)
}

// server is a running "orrery serve".
type server struct {
	t    *testing.T
	base string // http://127.0.0.1:port
}

// blueprintFile is one more blueprint, and what the server needs for it.
type blueprintFile struct {
	name, text string
	env        []string
}

// startServer starts a server with a store and blueprints of its own: one set
// of blueprints for each suffix, and the individual worker tokens given.
func startServer(t *testing.T, suffixes []string, individual map[string]string, files ...blueprintFile) *server {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	blueprints := filepath.Join(dir, "blueprints")
	if err := os.Mkdir(blueprints, 0o700); err != nil {
		t.Fatal(err)
	}
	template := readFile(t, filepath.Join("testdata", "age.star"))
	for _, suffix := range suffixes {
		writeFile(t, filepath.Join(blueprints, suffix+".star"), strings.ReplaceAll(template, "AGE", suffix))
	}
	var more []string
	for _, f := range files {
		writeFile(t, filepath.Join(blueprints, f.name), f.text)
		more = append(more, f.env...)
	}
	var tokens strings.Builder
	for id, token := range individual {
		fmt.Fprintf(&tokens, "[%s]\ntoken = %q\n", id, token)
	}
	writeFile(t, filepath.Join(dir, "workers.toml"), tokens.String())

	port := freePort(t)
	s := &server{t: t, base: "http://127.0.0.1:" + port}
	startProcess(t, process{
		name: "orrery serve", path: path, args: []string{"serve"}, dir: dir,
		env: append(more,
			"API_HOST=127.0.0.1", "API_PORT="+port, "STORE_URL="+anystore.URL(t),
			"BLUEPRINTS_DIR="+blueprints, "WORKERS_CONFIG_PATH="+filepath.Join(dir, "workers.toml"),
			"CLIENT_TOKEN="+clientToken, "GLOBAL_WORKER_TOKEN="+sharedToken, "LOG_LEVEL=INFO",
		),
	})
	waitFor(t, patience, "the server to answer /_public/status", func() (string, bool) {
		resp, err := http.Get(s.base + "/_public/status")
		if err != nil {
			return err.Error(), false
		}
		resp.Body.Close()
		return resp.Status, resp.StatusCode == http.StatusOK
	})
	return s
}

// process is a program that a test starts and that ends with the test.
type process struct {
	name string
	path string
	args []string
	dir  string
	env  []string // all of it, but for PATH, HOME and a UTF-8 locale
	// endsWithInput is a program that ends when its standard input is closed.
	endsWithInput bool
}

// startProcess starts p. Its output is shown when the test fails. Its standard
// input stays open until the test ends, so that workers can tell.
func startProcess(t *testing.T, p process) {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}, p.env...)
	cmd.Stdout, cmd.Stderr = output, output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if p.endsWithInput {
			stdin.Close()
			awaitExit(t, p.name, cmd, ended)
		} else {
			terminate(t, p.name, cmd, ended)
			stdin.Close()
		}
		output.Close()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, tail(readFile(t, output.Name()), 80))
		}
	})
}

// terminate asks a process to end.
func terminate(t *testing.T, name string, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("%s ended before the test did: %v", name, err)
	}
	awaitExit(t, name, cmd, ended)
}

// awaitExit ends a process that does not end by itself in time.
func awaitExit(t *testing.T, name string, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Errorf("%s did not end within 15 s of being asked to, killed", name)
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// waitFor asks until ok, and fails the test when that takes longer than limit.
// check also says what it saw. The time it took is returned.
func waitFor(t *testing.T, limit time.Duration, what string, check func() (seen string, ok bool)) time.Duration {
	t.Helper()
	began := time.Now()
	step := time.NewTicker(pollStep)
	defer step.Stop()
	for {
		seen, ok := check()
		took := time.Since(began)
		if ok {
			return took
		}
		if took > limit {
			t.Fatalf("waited %s for %s; last seen: %s", limit, what, seen)
		}
		<-step.C
	}
}

// call sends a request and returns status, body and headers.
func call(t *testing.T, method, url string, headers map[string]string, body any) (int, []byte, http.Header) {
	t.Helper()
	var payload io.Reader
	if text, ok := body.(string); ok {
		payload = strings.NewReader(text)
	} else if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode, text, resp.Header
}

// client calls the client API and decodes the answer into out, if given.
func (s *server) client(t *testing.T, method, path string, body, out any) int {
	t.Helper()
	status, text, _ := call(t, method, s.base+path, map[string]string{"X-Client-Token": clientToken}, body)
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: HTTP %d: %v in %s", method, path, status, err, text)
		}
	}
	return status
}

// job is what GET /api/v1/jobs/{id} tells, as far as the tests look.
type job struct {
	ID           string         `json:"id"`
	CurrentState string         `json:"current_state"`
	Status       string         `json:"status"`
	History      map[string]any `json:"state_history"`
	TaskID       string         `json:"current_task_id"`
	Error        *struct {
		Code     string `json:"code"`
		Message  string `json:"message"`
		Attempts int    `json:"attempts"`
	} `json:"error"`
}

func (j job) String() string {
	text, err := json.Marshal(j)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (j job) ended() bool {
	switch j.Status {
	case "finished", "failed", "cancelled", "quarantined":
		return true
	}
	return false
}

// create starts a job and returns its id.
func (s *server) create(t *testing.T, endpoint string, initialData any) string {
	t.Helper()
	var reply struct {
		Status string `json:"status"`
		JobID  string `json:"job_id"`
	}
	status := s.client(t, http.MethodPost, "/api/v1/"+endpoint, map[string]any{"initial_data": initialData}, &reply)
	if status != http.StatusAccepted || reply.Status != "accepted" || reply.JobID == "" {
		t.Fatalf("POST %s: HTTP %d %+v", endpoint, status, reply)
	}
	return reply.JobID
}

// await waits until the job is as wanted.
func (s *server) await(t *testing.T, id, what string, limit time.Duration, fits func(job) bool) job {
	t.Helper()
	var j job
	waitFor(t, limit, "job "+id+" to be "+what, func() (string, bool) {
		j = job{}
		if status := s.client(t, http.MethodGet, "/api/v1/jobs/"+id, nil, &j); status != http.StatusOK {
			return fmt.Sprintf("HTTP %d", status), false
		}
		return j.String(), fits(j)
	})
	return j
}

func (s *server) awaitEnd(t *testing.T, id string) job {
	t.Helper()
	return s.await(t, id, "ended", patience, job.ended)
}

// awaitWorker waits until the server lists the worker.
func (s *server) awaitWorker(t *testing.T, id string) {
	t.Helper()
	waitFor(t, patience, "worker "+id+" to be listed", func() (string, bool) {
		status, text, _ := call(t, http.MethodGet, s.base+"/api/v1/workers", map[string]string{"X-Client-Token": clientToken}, nil)
		return fmt.Sprintf("HTTP %d %s", status, text), status == http.StatusOK && bytes.Contains(text, []byte(`"`+id+`"`))
	})
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
