package redistest

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// This file holds a Redis Cluster.

// Cluster is three masters with a replica each.
type Cluster struct {
	Servers []*Server // the first three begin as masters
	t       testing.TB
}

// StartCluster starts six servers, joins them, and returns when all slots are served and
// every replica has its master's data. settings are as for Start.
func StartCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	cli := find(t, "redis-cli")
	c := &Cluster{t: t}
	settings = append([]string{
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
	}, settings...)
	args := []string{"--cluster", "create"}
	for range 6 {
		s := start(t, "redis-server", settings)
		c.Servers = append(c.Servers, s)
		args = append(args, s.Addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if text, err := exec.CommandContext(ctx, cli, append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, text)
	}
	Until(t, "the cluster is whole", c.Whole)
	return c
}

// Whole reports whether every server that runs serves in a cluster without gaps, and every
// master has a replica.
func (c *Cluster) Whole() bool {
	masters := 0
	for _, s := range c.Servers {
		info, err := s.ask(func(ctx context.Context, r *goredis.Client) *goredis.StringCmd { return r.ClusterInfo(ctx) })
		if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
			return false
		}
		if s.IsMaster() {
			masters++
			if s.Replicas() < 1 {
				return false
			}
		}
	}
	return masters == 3
}

// MasterOf gives the server that has the slot of a key.
func (c *Cluster) MasterOf(key string) *Server {
	c.t.Helper()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: c.addrs(), Protocol: 2, DisableIdentity: true})
	defer client.Close()
	var found *Server
	Until(c.t, "somebody serves "+key, func() bool {
		node, err := client.MasterForKey(context.Background(), key)
		for _, s := range c.Servers {
			if err == nil && s.Addr == node.Options().Addr {
				found = s
			}
		}
		return found != nil
	})
	return found
}

// MoveSlot moves the slot of a key to another master, five keys at a time, as an operator's tool does it.
func (c *Cluster) MoveSlot(key string) {
	c.t.Helper()
	ctx := context.Background()
	from := c.MasterOf(key)
	var to *Server
	for _, s := range c.Servers {
		if s != from && s.IsMaster() {
			to = s
		}
	}
	src, dst := from.Client(), to.Client()
	defer src.Close()
	defer dst.Close()
	slot, err := src.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	do := func(client *goredis.Client, args ...any) {
		c.t.Helper()
		if err := client.Do(ctx, args...).Err(); err != nil {
			c.t.Fatalf("%v: %v", args, err)
		}
	}
	id := func(client *goredis.Client) string {
		c.t.Helper()
		text, err := client.Do(ctx, "cluster", "myid").Text()
		if err != nil {
			c.t.Fatal(err)
		}
		return text
	}
	do(dst, "cluster", "setslot", slot, "importing", id(src))
	do(src, "cluster", "setslot", slot, "migrating", id(dst))
	host, port, _ := strings.Cut(to.Addr, ":")
	for {
		keys, err := src.ClusterGetKeysInSlot(ctx, int(slot), 5).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", host, port, "", 0, 5000, "keys"}
		for _, key := range keys {
			args = append(args, key)
		}
		do(src, args...)
	}
	do(dst, "cluster", "setslot", slot, "node", id(dst))
	do(src, "cluster", "setslot", slot, "node", id(dst))
}

func (c *Cluster) addrs() (all []string) {
	for _, s := range c.Servers {
		all = append(all, s.Addr)
	}
	return all
}

// URL is the STORE_URL, with settings such as "prefix=x".
func (c *Cluster) URL(settings ...string) string {
	return withSettings("redis-cluster://"+strings.Join(c.addrs(), ","), settings)
}
