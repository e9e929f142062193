package killtest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/redis/redistest"
	"orrery/workers/client"
)

// This file runs three servers on one store, and kills, pauses and stops some of them under
// load: the same invariants hold.

const (
	// nodeJobs is how many jobs meet the faults of nodes; ORRERY_NODE_JOBS sets another number.
	nodeJobs    = 2000
	nodeClients = 48
	pausedFor   = 16 * time.Second // a node's leases last 10 s
)

// cluster is servers on one store.
type cluster struct {
	t       *testing.T
	servers []*server
}

func newCluster(t *testing.T, store string) *cluster {
	t.Helper()
	bin := program(t, "")
	c := &cluster{t: t}
	for range 3 {
		s := newServer(t, bin)
		s.store, s.patience = store, 4*time.Minute // three servers and their store share two processors here
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

// flood submits jobs in the background, and tells of each on begun.
func (c *cluster) flood(ctx context.Context, n int) (begun <-chan struct{}, done func() []string) {
	ids, told, next := make([]string, n), make(chan struct{}, n), make(chan int)
	var group sync.WaitGroup
	for range nodeClients {
		group.Go(func() {
			for i := range next {
				id, err := c.submit(ctx, i)
				if err != nil {
					c.t.Errorf("job %d: %v", i, err)
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

func pass(d time.Duration) { <-time.NewTimer(d).C }

func nodeJobCount(t *testing.T) int {
	text := os.Getenv("ORRERY_NODE_JOBS")
	if text == "" {
		return nodeJobs
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 8 {
		t.Fatalf("ORRERY_NODE_JOBS=%q: give a number of jobs, 8 or more", text)
	}
	return n
}

// breakNodes lets jobs meet a node that is killed, one that is stopped, and one that is paused
// for longer than its leases last.
func breakNodes(t *testing.T, store string) {
	if testing.Short() {
		t.Skip("three servers under load are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	random := rand.New(rand.NewPCG(number, 17))
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	c := newCluster(t, store)
	c.crowd(4)
	n := nodeJobCount(t)
	began := time.Now()
	told, done := c.flood(ctx, n)
	some := func() {
		for range n / 5 {
			<-told
		}
	}
	order := random.Perm(3)
	killed, stopped, paused := c.servers[order[0]], c.servers[order[1]], c.servers[order[2]]
	some()
	killed.kill()
	t.Logf("after %s: node %d killed", time.Since(began).Round(time.Millisecond), order[0])
	pass(2 * time.Second)
	killed.start()
	some()
	at := time.Now()
	stopped.stop(t)
	t.Logf("after %s: node %d stopped, in %s", at.Sub(began).Round(time.Millisecond), order[1], time.Since(at).Round(time.Millisecond))
	stopped.start()
	some()
	paused.signal(syscall.SIGSTOP)
	t.Logf("after %s: node %d paused", time.Since(began).Round(time.Millisecond), order[2])
	pass(pausedFor)
	paused.signal(syscall.SIGCONT)
	accepted := done()
	t.Logf("after %s: %d jobs are accepted", time.Since(began).Round(time.Millisecond), n)
	defer func() { t.Logf("after %s: all is checked", time.Since(began).Round(time.Millisecond)) }()
	checkAll(ctx, t, killed, accepted, n)
}

func TestRedisNodes(t *testing.T) {
	breakNodes(t, redistest.Start(t).URL())
}

func TestPostgresNodes(t *testing.T) {
	breakNodes(t, pgtest.Fresh(t, pgtest.Start(t).URL()))
}
