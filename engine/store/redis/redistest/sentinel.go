package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// This file holds a master with replicas that Sentinels watch.

// masterName is what the Sentinels call their master.
const masterName = "orders"

// Sentinel is one master, two replicas, and three Sentinels of which two must agree that the
// master is gone. They notice within a second.
type Sentinel struct {
	Servers   []*Server // the first one begins as the master
	Sentinels []*Server
	t         testing.TB
}

// StartSentinel starts all and returns when the Sentinels know each other and the replicas.
// settings are those of the servers, as for Start.
func StartSentinel(t testing.TB, settings ...string) *Sentinel {
	t.Helper()
	find(t, "redis-sentinel")
	s := &Sentinel{t: t}
	settings = append([]string{"--repl-diskless-sync-delay", "0", "--repl-timeout", "5", "--repl-ping-replica-period", "1"}, settings...)
	master := start(t, "redis-server", settings)
	host, port, _ := strings.Cut(master.Addr, ":")
	s.Servers = append(s.Servers, master)
	for range 2 {
		s.Servers = append(s.Servers, start(t, "redis-server", append([]string{"--replicaof", host, port}, settings...)))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, startSentinel(t, host, port))
	}
	Until(t, "the Sentinels know each other and the replicas", s.Whole)
	return s
}

func startSentinel(t testing.TB, host, port string) *Server {
	t.Helper()
	s := &Server{t: t, program: find(t, "redis-sentinel"), dir: t.TempDir()}
	mine := fmt.Sprint(freePort(t))
	s.Addr = "127.0.0.1:" + mine
	file := filepath.Join(s.dir, "sentinel.conf") // it writes its own state there
	text := strings.Join([]string{
		"port " + mine, "bind 127.0.0.1", "dir " + s.dir, "logfile " + filepath.Join(s.dir, "log"),
		"sentinel monitor " + masterName + " " + host + " " + port + " 2",
		"sentinel down-after-milliseconds " + masterName + " 1000",
		"sentinel failover-timeout " + masterName + " 3000",
		"sentinel parallel-syncs " + masterName + " 2", "",
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{file}
	s.Begin()
	t.Cleanup(s.Kill)
	return s
}

// Whole reports whether the Sentinels know each other and the replicas, and all of these follow
// the same master.
func (s *Sentinel) Whole() bool {
	for _, one := range s.Sentinels {
		c := goredis.NewSentinelClient(&goredis.Options{Addr: one.Addr, Protocol: 2, DisableIdentity: true})
		m, err := c.Master(context.Background(), masterName).Result()
		c.Close()
		if err != nil || m["num-slaves"] != fmt.Sprint(len(s.Servers)-1) || m["num-other-sentinels"] != fmt.Sprint(len(s.Sentinels)-1) {
			return false
		}
	}
	return s.Master().Replicas() == len(s.Servers)-1
}

// Master gives the server that the Sentinels hold for the master now.
func (s *Sentinel) Master() *Server {
	s.t.Helper()
	var found *Server
	Until(s.t, "the Sentinels name a master", func() bool {
		for _, one := range s.Sentinels {
			c := goredis.NewSentinelClient(&goredis.Options{Addr: one.Addr, Protocol: 2, DisableIdentity: true})
			at, err := c.GetMasterAddrByName(context.Background(), masterName).Result()
			c.Close()
			for _, server := range s.Servers {
				if err == nil && server.Addr == strings.Join(at, ":") {
					found = server
					return true
				}
			}
		}
		return false
	})
	return found
}

// Replicas gives the servers that are not the master now.
func (s *Sentinel) Replicas() (all []*Server) {
	s.t.Helper()
	master := s.Master()
	for _, one := range s.Servers {
		if one != master {
			all = append(all, one)
		}
	}
	return all
}

// URL is the STORE_URL, with settings such as "prefix=x".
func (s *Sentinel) URL(settings ...string) string {
	var hosts []string
	for _, one := range s.Sentinels {
		hosts = append(hosts, one.Addr)
	}
	return withSettings("redis-sentinel://"+strings.Join(hosts, ",")+"/"+masterName, settings)
}
