// Package redistest starts real Redis servers for tests: single ones, a master with replicas
// and Sentinels, a Cluster. They listen on free loopback ports, keep their files in the
// test's folder and end with the test.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// This file holds one server.

// Required is the variable that makes a missing redis-server a failure: scripts/test sets it.
const Required = "ORRERY_REQUIRE_REDIS"

// Server is one process.
type Server struct {
	Addr string // 127.0.0.1:PORT

	t       testing.TB
	args    []string
	program string
	dir     string
	process *exec.Cmd
	ended   chan struct{}
}

// quiet takes what the client library would print of servers that are away on purpose.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { goredis.SetLogger(quiet{}) }

// find gives the path of a program, or skips the test and says what is missing.
func find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv(Required) != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed (Debian: apt-get install redis-server redis-sentinel); scripts/test runs this", program)
	return ""
}

// Start starts a server that loses nothing: an append-only file, synced before each answer.
// More settings are given as in redis.conf, "--name", "value".
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	return start(t, "redis-server", settings)
}

func start(t testing.TB, program string, settings []string) *Server {
	t.Helper()
	s := &Server{t: t, program: find(t, program), dir: t.TempDir()}
	s.Addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s.args = append([]string{
		"--port", s.Addr[strings.LastIndexByte(s.Addr, ':')+1:], "--bind", "127.0.0.1", "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(s.dir, "log"),
	}, settings...)
	s.Begin()
	t.Cleanup(s.Kill)
	return s
}

// freePort gives a port whose partner for the cluster's bus is a port, too.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port > 55_000 {
			continue
		}
		bus, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10_000))
		if err != nil {
			continue
		}
		bus.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// Begin starts the process again after Kill, with the files that it left.
func (s *Server) Begin() {
	s.t.Helper()
	s.process = exec.Command(s.program, s.args...)
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		_ = s.process.Wait() // it is killed, mostly
		close(ended)
	}()
	c := s.Client()
	defer c.Close()
	Until(s.t, "the server answers", func() bool {
		select {
		case <-ended:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("%s ended at once: %s", s.program, text)
		default:
		}
		return c.Ping(context.Background()).Err() == nil
	})
}

// Client speaks to this very server; the caller closes it.
func (s *Server) Client() *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: s.Addr, Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1})
}

// Kill ends the process at once, as a crash would.
func (s *Server) Kill() { s.signal(syscall.SIGKILL); <-s.ended }

// Snapshot copies the server's files as they are now, while it runs, and gives a function that
// kills the server and starts it on that copy: what was written meanwhile is lost, as in a failover
// to a replica that had not received it.
func (s *Server) Snapshot() (goBack func()) {
	s.t.Helper()
	files, kept := filepath.Join(s.dir, "appendonlydir"), filepath.Join(s.t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(files)); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.Kill()
		if err := errors.Join(os.RemoveAll(files), os.CopyFS(files, os.DirFS(kept))); err != nil {
			s.t.Fatal(err)
		}
		s.Begin()
	}
}

// Pause and Continue stop the process and let it go on.
func (s *Server) Pause()    { s.signal(syscall.SIGSTOP) }
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) { _ = s.process.Process.Signal(sig) } // it may have ended

// URL is the STORE_URL of a single server, with settings such as "prefix=x".
func (s *Server) URL(settings ...string) string { return withSettings("redis://"+s.Addr, settings) }

func withSettings(url string, settings []string) string {
	if len(settings) == 0 {
		return url
	}
	return url + "?" + strings.Join(settings, "&")
}

// ask puts one question to this very server.
func (s *Server) ask(question func(context.Context, *goredis.Client) *goredis.StringCmd) (string, error) {
	c := s.Client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return question(ctx, c).Result()
}

// info gives one value of the section about replication; "" when the server does not answer.
func (s *Server) info(name string) string {
	text, err := s.ask(func(ctx context.Context, c *goredis.Client) *goredis.StringCmd { return c.Info(ctx, "replication") })
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(text, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// Replicas counts the replicas that have caught up with this server at least once.
func (s *Server) Replicas() (n int) {
	for i := range 9 {
		if strings.Contains(s.info(fmt.Sprintf("slave%d", i)), "state=online") {
			n++
		}
	}
	return n
}

// IsMaster reports whether the server runs as one.
func (s *Server) IsMaster() bool { return s.info("role") == "master" }

// patience bounds every wait.
const patience = 30 * time.Second

// Until waits for a condition that other processes make true, half a minute at most.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come true that %s", what)
		}
	}
}
