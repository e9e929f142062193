package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file holds a server that belongs to one test.

// Required is the variable that makes a missing PostgreSQL a failure: scripts/test sets it.
const Required = "ORRERY_REQUIRE_POSTGRES"

// Server is one server with its files.
type Server struct {
	Addr string // 127.0.0.1:PORT

	t        testing.TB
	bin      string // folder of the programs
	dir      string
	settings []string
	as       *syscall.Credential // nil: who runs the test
	process  *exec.Cmd
	ended    chan struct{}
}

// programs finds the newest installed server; "" when there is none. Debian keeps the programs
// off the path.
func programs() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is good
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return filepath.Dir(path)
}

func version(path string) int {
	n, err := strconv.Atoi(strings.Split(path, "/")[4])
	if err != nil {
		return 0
	}
	return n
}

// Start makes and starts a server that ends with the test. It does not sync: what a crash of the
// whole machine would lose is not what tests here can see. More settings are given as NAME=VALUE.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{t: t, bin: programs(), settings: settings}
	if s.bin == "" {
		if os.Getenv(Required) != "" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed (Debian: apt-get install postgresql); scripts/test runs this")
	}
	s.makeFolder()
	s.run("initdb", "-D", s.data(), "-U", "orrery", "-A", "trust", "-E", "UTF8", "--no-sync")
	s.Addr = freeAddr(t)
	s.Begin()
	t.Cleanup(s.Crash)
	return s
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// makeFolder makes a folder for the user of the server, who can not be root.
func (s *Server) makeFolder() {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "orrery-pg-") // not t.TempDir, which only its own user may enter
	if err != nil {
		s.t.Fatal(err)
	}
	s.dir = dir
	s.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			s.t.Error(err)
		}
	})
	if os.Geteuid() != 0 {
		return
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		s.t.Fatalf("PostgreSQL does not run as root, and there is no other user to run it: %v", err)
	}
	uid, err := strconv.Atoi(who.Uid)
	gid, err2 := strconv.Atoi(who.Gid)
	if err = errors.Join(err, err2, os.Chown(dir, uid, gid)); err != nil {
		s.t.Fatal(err)
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, program), args...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	return c
}

func (s *Server) run(program string, args ...string) {
	s.t.Helper()
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Begin starts the server again after Crash or Stop, with the files that it left, and waits until
// it takes connections.
func (s *Server) Begin() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr) // made by freeAddr
	args := []string{"-D", s.data(), "-p", port, "-k", s.dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"}
	for _, set := range s.settings {
		args = append(args, "-c", set)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.process = s.command("postgres", args...)
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func(p *exec.Cmd) {
		_ = p.Wait() // how it ended is in its log
		close(ended)
	}(s.process)
	Until(s.t, "PostgreSQL takes connections", func() bool {
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			s.t.Fatalf("PostgreSQL ended at once: %s", text[max(0, len(text)-2000):])
		default:
		}
		return TryExec(s.URL(), "SELECT 1") == nil
	})
}

// Crash ends all processes at once; the next start repairs the files. It does nothing when the
// server is not there.
func (s *Server) Crash() { s.end(syscall.SIGQUIT) }

// Stop ends the server in order, cutting its connections.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

func (s *Server) end(sig syscall.Signal) {
	_ = s.process.Process.Signal(sig) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.process.Process.Kill()
		<-s.ended
		s.t.Errorf("PostgreSQL did not end on %s", sig)
	}
}

// URL is the STORE_URL of the server's own database.
func (s *Server) URL() string { return fmt.Sprintf("postgres://orrery@%s/postgres", s.Addr) }

// SmallDisk makes a database whose tables, and not the server's log, stand on a disk of their own
// with so much room ("24m"), and gives its STORE_URL and the folder of the disk.
func (s *Server) SmallDisk(room string) (address, folder string) {
	s.t.Helper()
	folder, err := os.MkdirTemp(s.dir, "disk-")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+room); err != nil {
		s.t.Skipf("mounting a small disk is not allowed here (%v): run it as root", err)
	}
	s.t.Cleanup(func() {
		s.Crash() // its files on the disk are open
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			s.t.Errorf("unmount %s: %v", folder, err)
		}
	})
	if s.as != nil {
		err = os.Chown(folder, int(s.as.Uid), int(s.as.Gid))
	}
	if err = errors.Join(err, os.Chmod(folder, 0o700)); err != nil {
		s.t.Fatal(err)
	}
	Exec(s.t, s.URL(), "CREATE TABLESPACE small LOCATION '"+folder+"'")
	Exec(s.t, s.URL(), "CREATE DATABASE small TABLESPACE small")
	return fmt.Sprintf("postgres://orrery@%s/small", s.Addr), folder
}

// patience bounds what other processes are waited for.
const patience = 30 * time.Second

// Until waits for a condition that other processes make true.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("it did not come true that %s", what)
		}
	}
}

// Follower makes and starts a server that follows this one, which does not wait for it.
func (s *Server) Follower() *Server {
	s.t.Helper()
	b := &Server{t: s.t, bin: s.bin, settings: s.settings, Addr: freeAddr(s.t)}
	b.makeFolder()
	host, port, _ := net.SplitHostPort(s.Addr) // made by freeAddr
	b.run("pg_basebackup", "-D", b.data(), "-h", host, "-p", port, "-U", "orrery", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	b.Begin()
	b.t.Cleanup(b.Crash)
	Until(s.t, "the standby follows", func() bool {
		return Number(s.t, s.URL(), "SELECT count(*) FROM pg_stat_replication WHERE state='streaming'") == 1
	})
	return b
}

// Deaf lets a standby hear no more of its master.
func (s *Server) Deaf() {
	s.t.Helper()
	Exec(s.t, s.URL(), "ALTER SYSTEM SET primary_conninfo=''")
	Exec(s.t, s.URL(), "ALTER SYSTEM SET wal_retrieve_retry_interval='100ms'") // until it looks whether it is promoted
	Exec(s.t, s.URL(), "SELECT pg_reload_conf()")
	Until(s.t, "the standby hears nothing", func() bool {
		return Number(s.t, s.URL(), "SELECT count(*) FROM pg_stat_wal_receiver") == 0
	})
}

// Standby is a Follower that this server waits for at every commit: what was committed is then at
// both.
func (s *Server) Standby() *Server {
	s.t.Helper()
	b := s.Follower()
	Exec(s.t, s.URL(), "ALTER SYSTEM SET synchronous_standby_names='*'")
	Exec(s.t, s.URL(), "SELECT pg_reload_conf()")
	Until(s.t, "the standby is waited for", func() bool {
		return Number(s.t, s.URL(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state='sync'") == 1
	})
	return b
}

// Promote makes a standby the server that takes writes.
func (s *Server) Promote() {
	s.t.Helper()
	// Its former master's wait for a standby came with the files; there is none now.
	Exec(s.t, s.URL(), "SELECT pg_promote()")
	Exec(s.t, s.URL(), "ALTER SYSTEM RESET synchronous_standby_names")
	Exec(s.t, s.URL(), "SELECT pg_reload_conf()")
}
