package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers/client"
)

// This file runs several servers on one store, each behind a proxy of its own where the store
// has one address, and looks at what they hold in the store itself.

const (
	clusterSize = 3
	nodeClients = 48
	leaseTime   = 10 * time.Second // a node's leases last so long
	recoverIn   = 90 * time.Second // with three servers and their store on two processors that others use too
)

// cluster is servers on one store.
type cluster struct {
	t       *testing.T
	name    string // of the store, for people
	servers []*server
	ways    []*faultproxy.Proxy // of each server to the store; nil where the store has several addresses
	rows    store.Shared        // the store, without a proxy
	looking sync.WaitGroup      // at what goes on after faults
	sent    int                 // jobs
}

// newCluster starts servers on a store; url says how the store is reached through an address.
func newCluster(t *testing.T, name string, rows store.Shared, addr string, url func(addr string) string) *cluster {
	t.Helper()
	tags := ""
	if long() {
		tags = "killpoints" // clocks can be set then
	}
	bin := program(t, tags)
	c := &cluster{t: t, name: name, rows: rows}
	t.Cleanup(func() { rows.Close() })
	for range clusterSize {
		s := newServer(t, bin)
		s.store, s.patience = url(addr), 4*time.Minute
		if long() {
			s.patience = longPatience
		}
		if addr != "" {
			way, err := faultproxy.Start(addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { way.Close() })
			s.store, c.ways = url(way.Addr()), append(c.ways, way)
		}
		s.start()
		c.servers = append(c.servers, s)
	}
	return c
}

// submit sends a job to one node after another until it is accepted, with one idempotency key.
func (c *cluster) submit(ctx context.Context, n int) (string, error) {
	key, data := fmt.Sprintf("node-%d", n), map[string]any{"n": n}
	for try := n; ; try++ {
		var answer struct {
			JobID string `json:"job_id"`
		}
		within, cancel := context.WithTimeout(ctx, 3*time.Second) // a paused node says nothing
		code, err := c.servers[try%len(c.servers)].call(within, http.MethodPost, "/api/v1/jobs/kill_mixed", key, data, &answer)
		cancel()
		switch {
		case err == nil && code == http.StatusAccepted:
			return answer.JobID, nil
		case err == nil && code < 500 && code != http.StatusConflict:
			return "", fmt.Errorf("create was refused with %d", code)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// flood submits that many more jobs in the background, and tells of each on begun.
func (c *cluster) flood(ctx context.Context, n int) (begun <-chan struct{}, done func() []string) {
	ids, told, next := make([]string, n), make(chan struct{}, n), make(chan int)
	from := c.sent
	c.sent += n
	var group sync.WaitGroup
	for range nodeClients {
		group.Go(func() {
			for i := range next {
				id, err := c.submit(ctx, from+i)
				if err != nil {
					c.t.Errorf("job %d: %v", from+i, err)
				}
				ids[i] = id
				told <- struct{}{}
			}
		})
	}
	group.Go(func() {
		defer close(next)
		for i := range n {
			next <- i
		}
	})
	return told, func() []string { group.Wait(); return ids }
}

// crowd runs workers that know all nodes.
func (c *cluster) crowd(n int) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	c.t.Cleanup(func() { cancel(); group.Wait() })
	var all []client.Orchestrator
	for _, s := range c.servers {
		all = append(all, client.Orchestrator{URL: "http://" + s.addr, Token: workerToken})
	}
	for i := range n {
		w := client.New(client.Config{
			Orchestrators: all, Mode: client.RoundRobin, Token: workerToken, ID: fmt.Sprintf("node-worker-%d", i), MaxConcurrent: 4,
			HeartbeatInterval: time.Second, PollTimeout: 5 * time.Second, ShutdownTimeout: time.Second,
			RetryDelay: 50 * time.Millisecond, ResultAttempts: 20, Logger: slog.New(slog.DiscardHandler),
		})
		w.Handle("kill_work", func(context.Context, *client.Task) (map[string]any, error) {
			return map[string]any{"worked": true}, nil
		})
		group.Go(func() {
			if err := w.Run(ctx); err != nil && ctx.Err() == nil {
				c.t.Errorf("worker: %v", err)
			}
		})
	}
}

func pass(d time.Duration) {
	if d > 0 {
		<-time.NewTimer(d).C
	}
}

// jobCount reads a number of jobs from the environment.
func jobCount(t *testing.T, name string, missing, least int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return missing
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		t.Fatalf("%s=%q: give a number of jobs, %d or more", name, text, least)
	}
	return n
}

// shardsOf gives the shards that a server's process holds by the store, to whose node it belongs.
func (c *cluster) shardsOf(i int) (in store.ShardSet) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	held, err := c.rows.Held(ctx, "shard/")
	for err != nil && ctx.Err() == nil { // the store is in trouble too: a failover asks for patience
		pass(100 * time.Millisecond)
		held, err = c.rows.Held(ctx, "shard/")
	}
	if err != nil {
		c.t.Errorf("whose shards are whose: %v", err)
	}
	for _, l := range held {
		var beside struct{ URL string }
		if err := json.Unmarshal(l.Info, &beside); err != nil || !strings.HasSuffix(beside.URL, c.servers[i].addr) {
			continue
		}
		if shard, err := strconv.ParseUint(strings.TrimPrefix(l.Name, "shard/"), 16, 8); err == nil {
			in.Add(byte(shard))
		}
	}
	return in
}

// live gives the versions of the jobs in some shards that have not ended.
func (c *cluster) live(in store.ShardSet) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var running []job.Status
	for _, status := range job.Statuses {
		if !status.Terminal() {
			running = append(running, status)
		}
	}
	all := map[string]int64{}
	for cursor := ""; ; {
		page, err := c.rows.List(ctx, store.Query{Status: running, Limit: 1000, Cursor: cursor})
		if err != nil {
			return nil, err
		}
		for _, j := range page.Jobs {
			if in.Has(job.ShardOf(j.ID)) {
				all[j.ID] = j.Version
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return all, nil
		}
	}
}

// goOn measures in the background how long it takes from a fault until one of the jobs that it
// concerned has a further commit; the shards are those of the jobs. It must not take forever.
func (c *cluster) goOn(fault string, since time.Time, in store.ShardSet) {
	was, err := c.live(in)
	if err != nil {
		c.t.Errorf("%s: read the jobs that it concerns: %v", fault, err)
	}
	thin(was)
	if len(was) == 0 {
		return
	}
	c.looking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recoverIn)
		defer cancel()
		for ctx.Err() == nil {
			for id, version := range was {
				if j, err := c.rows.Job(ctx, id); err == nil && j.Version != version {
					measured.add(fault, c.name, time.Since(since))
					return
				}
			}
			pass(50 * time.Millisecond)
		}
		c.t.Errorf("%s: no job of %d that it concerned went on within %s", fault, len(was), recoverIn)
	})
}

// thin leaves some jobs, the oldest and newest among them: those at the end of a queue would go on
// much later than the first.
func thin(jobs map[string]int64) {
	const some = 64
	ids := slices.Sorted(maps.Keys(jobs))
	for i, id := range ids {
		if each := len(ids)/some + 1; i%each != 0 {
			delete(jobs, id)
		}
	}
}

// ended measures in the background how long it takes from a fault that concerns everybody until
// a job that is sent after it has ended.
func (c *cluster) ended(fault string, since time.Time, key string) {
	c.looking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recoverIn)
		defer cancel()
		id := ""
		for try := 0; ctx.Err() == nil; try++ {
			s := c.servers[try%len(c.servers)]
			within, cancel := context.WithTimeout(ctx, time.Second)
			var v jobView
			if id == "" {
				var answer struct {
					JobID string `json:"job_id"`
				}
				if code, err := s.call(within, http.MethodPost, "/api/v1/jobs/kill_probe", key, map[string]any{}, &answer); err == nil && code == http.StatusAccepted {
					id = answer.JobID
				}
			} else if code, err := s.call(within, http.MethodGet, "/api/v1/jobs/"+id, "", nil, &v); err == nil && code == http.StatusOK && v.Status.Terminal() {
				cancel()
				measured.add(fault, c.name, time.Since(since))
				return
			}
			cancel()
			pass(20 * time.Millisecond)
		}
		c.t.Errorf("%s: no new job ended within %s", fault, recoverIn)
	})
}

// lateCommits gives how many commits the present process of a server was refused because
// another had taken their shards over.
func (c *cluster) lateCommits(i int) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.servers[i].addr+"/_public/metrics", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Logf("metrics: %v", err)
		return 0
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Logf("metrics: %v", err)
		return 0
	}
	const name = "\norrery_late_commits_total "
	_, rest, ok := strings.Cut(string(text), name)
	if !ok && resp.StatusCode == http.StatusOK {
		c.t.Errorf("the metrics have no%s", name)
	}
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		return 0
	}
	return n
}

// setClock sets the clock of a server; only that of a test build can be.
func (c *cluster) setClock(i int, off time.Duration) {
	c.t.Helper()
	path := filepath.Join(c.servers[i].dir, clockFile)
	if err := os.WriteFile(path+".new", []byte(off.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("the clock of node %d is %s off", i, off)
}

// signalAll sends a signal to all servers but one.
func (c *cluster) signalAll(but int, sig syscall.Signal) {
	for i, s := range c.servers {
		if i != but {
			s.signal(sig)
		}
	}
}
