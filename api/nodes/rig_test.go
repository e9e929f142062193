package nodes

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"orrery/api"
	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/node"
	"orrery/engine/store/memory"
	"orrery/workers"
)

// This file puts servers together on one store, as `orrery serve` does.

//go:embed testdata/flows.star
var flows string

const (
	clientToken = "client-token"
	workerToken = "worker-token"
	ttl         = 2 * time.Second // of the nodes' leases
	patience    = 30 * time.Second
)

var secret = []byte("of the cluster, for tests only")

// cluster is servers on one store.
type cluster struct {
	t     testing.TB
	rows  memory.Shared
	nodes map[string]*server
	http  *http.Client
	rates api.Rates // of servers that are started from now on
	quota *int64    // of the client's jobs in a month
	// arrive is how long a node may keep a task of another before its worker has it.
	arrive time.Duration
}

func newCluster(t testing.TB, ids ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, rows: memory.NewShared(time.Now), nodes: map[string]*server{}, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(c.http.CloseIdleConnections)
	for _, id := range ids {
		c.start(id)
	}
	return c
}

// server is one node.
type server struct {
	*cluster
	id     string
	url    string
	rows   *gated
	engine *engine.Engine
	hub    *workers.Hub
	peers  *peers.Peers
	node   *node.Node
	http   *api.Server
	wire   *wire
	served chan error
	ended  bool
	runs   sync.WaitGroup
	cancel context.CancelFunc
}

// start joins a node to the cluster, and waits until the shards are shared out.
func (c *cluster) start(id string) *server {
	c.t.Helper()
	return c.startAt(id, "127.0.0.1:0")
}

func (c *cluster) startAt(id, addr string) *server {
	c.t.Helper()
	s := &server{cluster: c, id: id, rows: newGated(c.rows), served: make(chan error, 1)}
	s.join(addr)
	s.cancel = s.begin()
	c.nodes[id] = s
	c.t.Cleanup(s.end)
	c.agree()
	return s
}

func (s *server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) join(addr string) {
	s.t.Helper()
	ctx := s.t.Context()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("ORRERY_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", s.id)
	}
	ln, err := net.Listen("tcp", addr)
	s.check(err)
	s.wire = &wire{Listener: ln, open: map[net.Conn]bool{}}
	s.url = "http://" + ln.Addr().String()
	catalog, err := blueprint.LoadFS(ctx, fstest.MapFS{"flows.star": {Data: []byte(flows)}}, nil)
	s.check(err)
	if bad := catalog.Status().Errors(); len(bad) > 0 {
		s.t.Fatalf("testdata/flows.star: %v", bad)
	}
	catalog.UseStore(s.rows)
	s.peers, err = peers.New(peers.Config{ID: s.id, Secret: secret, Log: log})
	s.check(err)
	s.hub, err = workers.New(ctx, workers.Config{Clock: clock.Real{}, Records: s.rows, Log: log, SharedToken: workerToken, Neighbors: s.peers, Arrive: s.arrive})
	s.check(err)
	s.engine, err = engine.New(engine.Config{Store: s.rows, Blueprints: catalog, Dispatcher: s.hub, Log: log, Nodes: s.peers})
	s.check(err)
	s.hub.Attach(s.engine)
	s.node, err = node.New(node.Config{ID: s.id, URL: s.url, Leases: s.rows, Shards: s.engine, TTL: ttl, Tell: s.peers.Tell, Log: log, Work: []string{"schedules"}})
	s.check(err)
	s.peers.Bind(s.node, s.engine, s.hub)
	s.http, err = api.New(
		api.Deps{Jobs: s.engine, Blueprints: prints{catalog}, Editions: catalog, Hub: s.hub, Peers: s.peers, Paces: s.rows, Sessions: api.Sessions{Secret: secret, Keys: s.rows}, Log: log},
		api.Config{Clients: []api.Client{{Name: "ann", Token: clientToken, Role: "admin", Attempts: s.quota}}, ClientAPI: true, PollHold: patience, Rates: s.rates})
	s.check(err)
}

func (s *server) begin() context.CancelFunc {
	s.t.Helper()
	s.check(s.engine.Start(s.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	s.runs.Go(func() { s.hub.Run(ctx) })
	s.runs.Go(func() { s.node.Run(ctx) })
	go func() { s.served <- s.http.Serve(s.wire) }()
	return cancel
}

// stop ends a node in order, up to where its shards are others'. The rest waits for idle
// connections.
func (s *server) stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.hub.Close()
	if err := s.node.Leave(ctx); err != nil {
		s.t.Errorf("node %s leaves: %v", s.id, err)
	}
	delete(s.cluster.nodes, s.id)
}

// kill lets nothing be heard of a node any more.
func (s *server) kill() {
	s.rows.shut(true)
	s.wire.cut()
	delete(s.cluster.nodes, s.id)
}

// end takes a node apart. One that was killed or paused has its store back for it, so that
// what waits can end; its leases are others' by then.
func (s *server) end() {
	if s.ended {
		return
	}
	s.ended = true
	delete(s.cluster.nodes, s.id)
	s.rows.open()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.hub.Close()
	if err := s.http.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		s.t.Errorf("node %s shuts down: %v", s.id, err)
	}
	s.cancel()
	s.runs.Wait()
	s.peers.Close()
	if err := s.engine.Stop(ctx); err != nil {
		s.t.Errorf("the engine of node %s stops: %v", s.id, err)
	}
	<-s.served
}

// agree waits until every shard is with a node that is alive, and each has its share.
func (c *cluster) agree() {
	c.t.Helper()
	c.until("the shards are shared out", func() bool {
		sum := 0
		for _, s := range c.nodes {
			n := len(s.node.Fences())
			if n == 0 || len(s.node.All()) != len(c.nodes) {
				return false
			}
			sum += n
		}
		return sum == job.Shards
	})
}

// until asks again and again, as somebody outside does.
func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	end := time.Now().Add(patience)
	for !is() {
		if time.Now().After(end) {
			c.t.Fatalf("it is not so within %s: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// prints shows blueprints to the API, without pictures.
type prints struct{ *blueprint.Catalog }

func (p prints) List() (all []api.Blueprint) {
	for _, b := range p.All() {
		all = append(all, api.Blueprint{Name: b.Name, Endpoint: b.Info().APIEndpoint, Version: b.Info().APIVersion})
	}
	return all
}

func (p prints) ByEndpoint(version, endpoint string) (string, bool) {
	b, ok := p.Catalog.ByEndpoint(version, endpoint)
	if !ok {
		return "", false
	}
	return b.Name, true
}

func (p prints) Faults() []blueprint.Finding { return nil }

func (p prints) Graph(context.Context, *blueprint.Blueprint, api.GraphLook) ([]byte, error) {
	return nil, errors.New("no pictures here")
}

func (p prints) JobGraph(context.Context, *job.Job, []job.Record, api.GraphLook) ([]byte, error) {
	return nil, errors.New("no pictures here")
}

// call sends a request to a node. headers are pairs.
func (s *server) call(method, path string, body any, headers ...string) (int, []byte) {
	s.t.Helper()
	status, out, err := s.try(s.t.Context(), method, path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s at %s: %v", method, path, s.id, err)
	}
	return status, out
}

func (s *server) try(ctx context.Context, method, path string, body any, headers ...string) (int, []byte, error) {
	var text io.Reader
	if body != nil {
		raw, ok := body.(string)
		if !ok {
			b, err := json.Marshal(body)
			if err != nil {
				return 0, nil, err
			}
			raw = string(b)
		}
		text = strings.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, text)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("X-Client-Token", clientToken)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.cluster.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, bytes.TrimSpace(out), err
}

// create starts a job at a node. Jobs of blueprints without data stores are the node's own.
func (s *server) create(flow string) (id string) {
	s.t.Helper()
	status, body := s.call("POST", "/api/v1/"+flow, `{"n": 1}`)
	var made struct {
		ID string `json:"job_id"`
	}
	if err := json.Unmarshal(body, &made); err != nil || status != http.StatusAccepted {
		s.t.Fatalf("create at %s: %d %s %v", s.id, status, body, err)
	}
	return made.ID
}

// view is what the tests look at of a job as a node shows it.
type view struct {
	Status job.Status `json:"status"`
}

func (s *server) view(id string) (v view) {
	s.t.Helper()
	status, body := s.call("GET", "/api/v1/jobs/"+id, nil)
	if err := json.Unmarshal(body, &v); err != nil || status != http.StatusOK {
		s.t.Fatalf("job %s at %s: %d %s %v", id, s.id, status, body, err)
	}
	return v
}

// is waits for a job's status, as the node shows it.
func (s *server) is(id string, want job.Status) {
	s.t.Helper()
	what := fmt.Sprintf("job %s is %s at %s", id, want, s.id)
	defer func() {
		if s.t.Failed() {
			_, now := s.call("GET", "/api/v1/jobs/"+id, nil)
			_, past := s.call("GET", "/api/v1/jobs/"+id+"/history", nil)
			s.t.Logf("%s: now %s\nits history: %s", what, now, past)
		}
	}()
	s.until(what, func() bool { return s.view(id).Status == want })
}

// owner is the node that has the job now.
func (c *cluster) owner(id string) *server {
	for _, s := range c.nodes {
		if p, ok := s.node.Owner(job.ShardOf(id)); ok && p.Self {
			return s
		}
	}
	return nil
}

// task is what a worker gets.
type task struct {
	Job  string `json:"job_id"`
	ID   string `json:"task_id"`
	Type string `json:"type"`
}

// ages of workers, by what their headers say.
var ageC = []string{"X-RXON-Version", "1.0"}

func (s *server) register(worker string, types ...string) {
	s.t.Helper()
	status, body := s.call("POST", "/_worker/workers/register", map[string]any{
		"worker_id": worker, "worker_type": "test", "supported_tasks": types, "resources": map[string]any{}, "installed_software": map[string]any{}, "installed_models": []any{}},
		"X-Worker-Token", workerToken, "X-Worker-ID", worker)
	if status != http.StatusOK {
		s.t.Fatalf("register at %s: %d %s", s.id, status, body)
	}
}

// poll asks a node for a task; ok is false when there was none.
func (s *server) poll(worker string) (got task, ok bool) {
	s.t.Helper()
	got, ok, err := s.tryPoll(s.t.Context(), worker)
	if err != nil {
		s.t.Fatalf("poll at %s: %v", s.id, err)
	}
	return got, ok
}

func (s *server) tryPoll(ctx context.Context, worker string) (got task, ok bool, err error) {
	status, body, err := s.try(ctx, "GET", "/_worker/workers/"+worker+"/tasks/next", nil, "X-Worker-Token", workerToken, "X-Worker-ID", worker)
	if err != nil || status == http.StatusNoContent {
		return got, false, err
	}
	if status != http.StatusOK {
		return got, false, fmt.Errorf("%d %s", status, body)
	}
	return got, true, json.Unmarshal(body, &got)
}

// take polls until there is a task.
func (s *server) take(worker string) task {
	s.t.Helper()
	got, ok := s.poll(worker)
	if !ok {
		s.t.Fatalf("a poll at %s has ended without a task", s.id)
	}
	return got
}

// answer sends a result to a node and gives its status and what it says of it.
func (s *server) answer(worker string, t task) (int, string) {
	s.t.Helper()
	status, body, err := s.tryAnswer(s.t.Context(), worker, t)
	if err != nil {
		s.t.Fatalf("result at %s: %v", s.id, err)
	}
	return status, body
}

func (s *server) tryAnswer(ctx context.Context, worker string, t task) (int, string, error) {
	status, body, err := s.try(ctx, "POST", "/_worker/tasks/result", map[string]any{
		"job_id": t.Job, "task_id": t.ID, "worker_id": worker, "status": "success", "data": map[string]any{"by": worker}},
		append([]string{"X-Worker-Token", workerToken, "X-Worker-ID", worker}, ageC...)...)
	var said struct{ Status, Reason string }
	if json.Unmarshal(body, &said) == nil && said.Status != "" {
		return status, strings.TrimSpace(said.Status + " " + said.Reason), err
	}
	return status, string(body), err
}

// accepted sends a result and wants it taken.
func (s *server) accepted(worker string, t task) {
	s.t.Helper()
	if status, said := s.answer(worker, t); status != http.StatusOK || said != "accepted" {
		s.t.Fatalf("the result of %s at %s: %d %s", t.ID, s.id, status, said)
	}
}
