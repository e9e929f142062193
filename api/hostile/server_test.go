package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "orrery/cli" // it is built below; so a test's kept result ends with a change of the product
)

// This file builds the program, runs servers and asks them.

const (
	adminToken  = "hostile-admin-token"
	workerToken = "hostile-worker-token"
)

var (
	buildOnce sync.Once
	binary    string
	buildErr  error
	buildDir  string
)

// program builds the binary once a test run.
func program(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		root, err := filepath.Abs("../..")
		if err != nil {
			buildErr = err
			return
		}
		if buildDir, buildErr = os.MkdirTemp("", "orrery-hostile-"); buildErr != nil {
			return
		}
		binary = filepath.Join(buildDir, "orrery")
		cmd := exec.Command("go", "build", "-o", binary, ".")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("build the program: %w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return binary
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(buildDir)
	os.Exit(code)
}

// server is a process under attack.
type server struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
	died chan error
}

// start runs a server until the test ends; env are NAME=value.
func start(t *testing.T, env ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), addr: l.Addr().String(), died: make(chan error, 1)}
	l.Close()
	blueprints, err := filepath.Abs("testdata/blueprints")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(s.logPath())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command(program(t), "serve")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, log, log
	s.cmd.Env = append(os.Environ(), append([]string{
		"API_HOST=127.0.0.1", "API_PORT=" + port, "BLUEPRINTS_DIR=" + blueprints, "STORE_URL=sqlite:" + filepath.Join(s.dir, "hostile.db"),
		"CLIENT_TOKEN=" + adminToken, "GLOBAL_WORKER_TOKEN=" + workerToken, "LOG_LEVEL=WARNING", "WORKER_TTL_SECONDS=2",
	}, env...)...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.died <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.stop()
		log.Close()
		text := s.log()
		if strings.Contains(text, "panic") {
			t.Errorf("the server panicked:\n%s", tail(text))
		} else if t.Failed() {
			t.Logf("the end of the server's log:\n%s", tail(text))
		}
	})
	s.await("the server to be ready", 30*time.Second, func() bool {
		resp, err := http.Get(s.url("/_public/status"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

func tail(text string) string { return text[max(0, len(text)-3000):] }

// stop ends the process as an operator does, and tells how it ended.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-s.died:
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(40 * time.Second):
		s.cmd.Process.Kill()
		s.t.Errorf("the server did not stop within 40 s; it ended with %v", <-s.died)
	}
	s.cmd = nil
}

func (s *server) logPath() string { return filepath.Join(s.dir, "server.log") }

func (s *server) log() string {
	text, err := os.ReadFile(s.logPath())
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

func (s *server) url(path string) string { return "http://" + s.addr + path }

// await asks again and again until the condition holds.
func (s *server) await(what string, most time.Duration, holds func() bool) {
	s.t.Helper()
	end := time.After(most)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case err := <-s.died:
			s.died <- err
			s.t.Fatalf("the server died (%v) while waiting for %s\n%s", err, what, tail(s.log()))
		case <-end:
			s.t.Fatalf("waited %s in vain for %s", most, what)
		}
	}
}

// memory gives the process's present and peak resident memory in MiB.
func (s *server) memory() (now, peak int) {
	s.t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		s.t.Skipf("the memory of another process can not be read here (no /proc): %v", err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.Atoi(f[1]) // other lines hold no number
		switch f[0] {
		case "VmRSS:":
			now = n >> 10
		case "VmHWM:":
			peak = n >> 10
		}
	}
	return now, peak
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

var plain = &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// ask sends a request; headers are pairs. A network error gives status 0.
func ask(base, method, path, body string, headers ...string) answer {
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		return answer{body: err.Error()}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := plain.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// admin asks with the administrator's token.
func (s *server) admin(method, path, body string, headers ...string) answer {
	return ask("http://"+s.addr, method, path, body, append(headers, "X-Client-Token", adminToken)...)
}

// create starts a job and gives its id.
func (s *server) create(endpoint, data string) string {
	s.t.Helper()
	got := s.admin("POST", "/api/v1/jobs/"+endpoint, data)
	var made struct {
		JobID string `json:"job_id"`
	}
	if json.Unmarshal([]byte(got.body), &made) != nil || made.JobID == "" {
		s.t.Fatalf("no job: %s", got)
	}
	return made.JobID
}

// job is what a test looks at of a job.
type job struct {
	Status       string
	State        string          `json:"current_state"`
	StateHistory json.RawMessage `json:"state_history"`
	Error        *struct {
		Code, Message string
		Attempts      int
	}
}

func (s *server) job(id string) (j job) {
	s.t.Helper()
	got := s.admin("GET", "/api/v1/jobs/"+id, "")
	if err := json.Unmarshal([]byte(got.body), &j); err != nil {
		s.t.Fatalf("job %s: %v in %s", id, err, got)
	}
	return j
}

// runsThrough starts a job that needs nobody and waits for its end: the proof of life.
func (s *server) runsThrough() {
	s.t.Helper()
	id := s.create("hostile_quick", "{}")
	s.await("job "+id+" to finish", 20*time.Second, func() bool { return s.job(id).Status == "finished" })
}

// task is what a worker gets.
type task struct {
	JobID  string `json:"job_id"`
	TaskID string `json:"task_id"`
}

// register brings a worker of age C in, which lists its tasks.
func (s *server) register(id string) {
	s.t.Helper()
	got := s.worker(id, "POST", "/_worker/workers/register", `{"worker_id":"`+id+`","worker_type":"t","supported_skills":[{"name":"hostile_work"}],"available_skills":["hostile_work"]}`)
	if got.status != http.StatusOK {
		s.t.Fatalf("register %s: %s", id, got)
	}
}

// worker asks as a worker of age C.
func (s *server) worker(id, method, path, body string) answer {
	return ask("http://"+s.addr, method, path, body, "X-Worker-Token", workerToken, "X-Worker-ID", id, "X-RXON-Version", "1.0b17", "Content-Type", "application/json")
}

// poll takes a task; ok is false when there was none within the seconds.
func (s *server) poll(id string, seconds float64) (t task, ok bool) {
	s.t.Helper()
	got := s.worker(id, "GET", fmt.Sprintf("/_worker/workers/%s/tasks/next?timeout=%g&available_skills=hostile_work", id, seconds), "")
	switch got.status {
	case http.StatusNoContent:
		return t, false
	case http.StatusOK:
		if err := json.Unmarshal([]byte(got.body), &t); err != nil {
			s.t.Fatalf("poll of %s: %v in %s", id, err, got)
		}
		return t, true
	}
	s.t.Fatalf("poll of %s: %s", id, got)
	return t, false
}

// result makes the body of a result.
func result(t task, worker, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"job_id":%q,"task_id":%q,"worker_id":%q%s}`, t.JobID, t.TaskID, worker, more)
}

// raw sends bytes on a connection of its own and reads what comes until the server closes
// it or is silent for the time.
func (s *server) raw(request []byte, silence time.Duration) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		io.Copy(conn, bytes.NewReader(request)) // the server may close before it has all
	}()
	conn.SetReadDeadline(time.Now().Add(silence))
	text, _ := io.ReadAll(conn) // what came before an error is what counts
	conn.Close()
	<-written
	return string(text)
}
