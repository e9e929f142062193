package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// This file starts the servers under test as processes of their own and reads what they use.

const (
	clientToken = "bench-client-token"
	workerToken = "bench-worker-token"
)

// target is one server process.
type target struct {
	name string
	url  string
	cmd  *exec.Cmd // nil: somebody else's
	dir  string

	clientToken, workerToken string
	given                    bool // by its URL
}

// givenTarget is a server that runs already.
func givenTarget(ctx context.Context, o Options) (*target, error) {
	t := &target{name: o.URL, url: strings.TrimRight(o.URL, "/"), clientToken: o.ClientToken, workerToken: o.WorkerToken, given: true}
	return t, t.ready(ctx)
}

// bareTarget is the name of the server with nothing behind its routes.
const bareTarget = "bare limit"

// startTarget runs this program's binary as the real server or as the bare one. storeURL "" is
// a new SQLite file.
func startTarget(ctx context.Context, name, storeURL string, sh shape) (*target, error) {
	bin, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "orrery-bench-")
	if err != nil {
		return nil, err
	}
	t := &target{name: name, url: "http://" + addr, dir: dir, clientToken: clientToken, workerToken: workerToken}
	if name == bareTarget {
		t.cmd = exec.Command(bin, "bench", "--bare", addr)
	} else {
		if err := prepare(ctx, dir, sh); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		host, port, _ := net.SplitHostPort(addr) // made by freeAddr
		t.cmd = exec.Command(bin, "serve")
		t.cmd.Env = append(os.Environ(), "API_HOST="+host, "API_PORT="+port, "BLUEPRINTS_DIR="+blueprintsDir(dir), "LOG_LEVEL=error",
			"STORE_URL="+cmp.Or(storeURL, "sqlite:"+storePath(dir)), "CLIENT_TOKEN="+clientToken, "GLOBAL_WORKER_TOKEN="+workerToken)
	}
	t.cmd.Dir, t.cmd.Stderr = dir, os.Stderr
	if err := t.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := t.ready(ctx); err != nil {
		return nil, errors.Join(err, t.stop())
	}
	return t, nil
}

func blueprintsDir(dir string) string { return filepath.Join(dir, "blueprints") }

func storePath(dir string) string { return filepath.Join(dir, "store", "bench.db") }

// prepare writes the blueprint and, for an aged store, the jobs of its past.
func prepare(ctx context.Context, dir string, sh shape) error {
	if err := os.Mkdir(blueprintsDir(dir), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(blueprintsDir(dir), "bench.star"), []byte(sh.blueprint()), 0o600); err != nil {
		return err
	}
	if sh.aged == 0 {
		return nil
	}
	return age(ctx, storePath(dir), sh.aged)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits until the server answers.
func (t *target) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if resp, err := http.Get(t.url + "/_public/status"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the %s server at %s did not become ready", t.name, t.url)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// stop ends the process and removes its files.
func (t *target) stop() error {
	if t.given {
		return nil
	}
	t.cmd.Process.Kill() // an error means that it has ended already
	t.cmd.Wait()         // the exit status of a killed process tells nothing
	return os.RemoveAll(t.dir)
}

// get asks the server as a client.
func (t *target) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Client-Token", t.clientToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// finished asks how many jobs have ended well.
func (t *target) finished(ctx context.Context) (int64, error) {
	text, err := t.get(ctx, "/api/v1/dashboard")
	if err != nil {
		return 0, err
	}
	var d struct {
		Jobs map[string]int64 `json:"jobs"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return 0, fmt.Errorf("dashboard of %s: %w", t.name, err)
	}
	return d.Jobs["finished"], nil
}

// answers asks how many requests the server has answered.
func (t *target) answers(ctx context.Context) (sum int64, err error) {
	text, err := t.get(ctx, "/_public/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "orrery_http_responses_total{"); ok {
			_, value, _ := strings.Cut(rest, "} ")
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("the metrics of %s: %w", t.name, err)
			}
			sum += n
		}
	}
	return sum, nil
}

// usage is what a server process has used since its start.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes of memory at most
	disk int64 // bytes sent to the disk
}

// usage reads /proc; on systems without it all figures are zero and say so in the report.
func (t *target) usage() usage {
	var u usage
	if t.given {
		return u
	}
	pid := strconv.Itoa(t.cmd.Process.Pid)
	if text, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		const utime, stime, tick = 11, 12, 10 * time.Millisecond // fields 14 and 15 of proc(5); 100 ticks a second on Linux
		user, _ := strconv.ParseInt(fields[utime], 10, 64)       // the kernel writes digits
		system, _ := strconv.ParseInt(fields[stime], 10, 64)
		u.cpu = time.Duration(user+system) * tick
	}
	u.peak = procFigure("/proc/"+pid+"/status", "VmHWM:") << 10
	u.disk = procFigure("/proc/"+pid+"/io", "write_bytes:")
	return u
}

func procFigure(path, key string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // the kernel writes digits
			return n
		}
	}
	return 0
}
