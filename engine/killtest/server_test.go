package killtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// This file builds the program and keeps one server process that can be killed.

const (
	clientToken = "kill-client-token"
	workerToken = "kill-worker-token"
	clockFile   = "clock"          // says by how much the clock of a server of the test build is off
	readyWithin = 20 * time.Second // bar R1 is 2 s on a machine with nothing else to do, where it takes a tenth of that; this bound finds a hang
)

var (
	buildMu sync.Mutex
	built   = map[string]string{}
)

// program builds the binary once a test run for each set of tags.
func program(t *testing.T, tags string) string {
	t.Helper()
	buildMu.Lock()
	defer buildMu.Unlock()
	if path := built[tags]; path != "" {
		return path
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "orrery-kill-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "orrery")
	cmd := exec.Command("go", "build", "-tags", tags, "-o", path, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	built[tags] = path
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, path := range built {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// server is one server process after another on the same store and port.
type server struct {
	t    *testing.T
	bin  string
	dir  string
	addr string
	cmd  *exec.Cmd
	log  *os.File
	died chan error // of the present process

	blueprints string        // their folder; "": testdata/blueprints
	store      string        // STORE_URL; "": a file in dir
	starting   func()        // is called before each start; may be nil
	patience   time.Duration // with jobs that are still to end after the last fault; 0: patience
}

func newServer(t *testing.T, bin string) *server {
	t.Helper()
	s := &server{t: t, bin: bin, dir: t.TempDir(), addr: freeAddr(t)}
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	s.log = log
	t.Cleanup(func() {
		s.kill()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name()) // only to help the reader of a failure
			t.Logf("the end of the server's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a process and waits until it answers; it gives how long that took.
func (s *server) start(env ...string) time.Duration {
	s.t.Helper()
	began := time.Now()
	if err := s.launch(env...); err != nil {
		s.t.Fatal(err)
	}
	for {
		if resp, err := http.Get("http://" + s.addr + "/_public/status"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began)
			}
		}
		select {
		case err := <-s.died:
			s.t.Fatalf("the server died while starting: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(began) > 30*time.Second {
			s.t.Fatal("the server did not become ready within 30 s")
		}
	}
}

func (s *server) launch(env ...string) error {
	host, port, _ := net.SplitHostPort(s.addr) // made by freeAddr
	blueprints, err := filepath.Abs(cmp.Or(s.blueprints, "testdata/blueprints"))
	if err != nil {
		return err
	}
	if s.starting != nil {
		s.starting()
	}
	s.cmd = exec.Command(s.bin, "serve")
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), append([]string{
		"API_HOST=" + host, "API_PORT=" + port, "BLUEPRINTS_DIR=" + blueprints,
		"STORE_URL=" + cmp.Or(s.store, "sqlite:"+filepath.Join(s.dir, "kill.db")), "CLIENT_TOKEN=" + clientToken,
		"GLOBAL_WORKER_TOKEN=" + workerToken, "LOG_LEVEL=warn", "WORKER_TTL_SECONDS=4", "CANCEL_GRACE_SECONDS=2",
		"ORRERY_TEST_CLOCK=" + filepath.Join(s.dir, clockFile),
	}, env...)...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	died := make(chan error, 1)
	go func(c *exec.Cmd) { died <- c.Wait() }(s.cmd)
	s.died = died
	return nil
}

// kill sends SIGKILL and waits until the process is gone.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill() // an error means that it is gone already
	<-s.died
	s.cmd = nil
}

// call does one request; network errors come back as errors, as a client sees a kill.
func (s *server) call(ctx context.Context, method, path, key string, body, into any) (int, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		payload = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, payload)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Client-Token", clientToken)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if into != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(text, into); err != nil {
			return resp.StatusCode, fmt.Errorf("%s %s: %w: %.200s", method, path, err, text)
		}
	}
	return resp.StatusCode, nil
}

// submit sends a job until it is accepted, with one idempotency key, as a good client does.
func (s *server) submit(ctx context.Context, endpoint, key string, data any) (string, error) {
	for {
		var answer struct {
			JobID string `json:"job_id"`
		}
		code, err := s.call(ctx, http.MethodPost, "/api/v1/"+endpoint, key, data, &answer)
		switch {
		case err == nil && code == http.StatusAccepted:
			return answer.JobID, nil
		case err == nil && code < 500:
			return "", fmt.Errorf("create was refused with %d", code)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
