// A worker of several orchestrators, in both modes.

package client_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/workers/client"
	"orrery/workers/protocol"
)

// workerOf makes a worker of several servers; the first has the first priority.
func workerOf(mode client.Mode, servers ...*fakeServer) *client.Worker {
	cfg := servers[0].config()
	cfg.URL, cfg.Mode, cfg.PollTimeout = "", mode, time.Second
	for i, s := range slices.Backward(servers) { // the order of the list is not that of priority
		cfg.Orchestrators = append(cfg.Orchestrators, client.Orchestrator{URL: s.http.URL + "/", Priority: 1 + i})
	}
	w := client.New(cfg)
	w.Handle("echo", echo)
	return w
}

// serves gives the server a task and waits for its result, which must come to that server.
func (s *fakeServer) serves(id string) {
	s.t.Helper()
	s.hand(id, "echo", `{}`)
	if got := receive(s.t, s.results, "result of "+id); got.TaskID != id {
		s.t.Errorf("the result of %s came, want that of %s", got.TaskID, id)
	}
}

func TestSeveralServers(t *testing.T) {
	for _, mode := range []client.Mode{client.Failover, client.RoundRobin} {
		t.Run(string(mode), func(t *testing.T) {
			first, second := newFakeServer(t), newFakeServer(t)
			first.run(workerOf(mode, first, second))
			for _, s := range []*fakeServer{first, second} {
				receive(t, s.registrations, "registration")
				receive(t, s.heartbeats, "heartbeat")
			}
			first.serves("a1")
			second.serves("b1") // also while the first is well
			down := make(chan struct{})
			first.failWith(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/next") {
					select {
					case <-down:
					default:
						close(down)
					}
				}
				panic(http.ErrAbortHandler) // the connection breaks
			})
			receive(t, down, "poll of the server that is down")
			second.serves("b2")
			second.serves("b3")
			first.failWith(nil)
			first.serves("a2")
			second.serves("b4")
		})
	}
}

// A server that is down at the start does not keep the worker from the others, and is served
// once it is there.
func TestAServerThatComesLate(t *testing.T) {
	late, ready := newFakeServer(t), newFakeServer(t)
	refuse := make(chan struct{}, 100)
	late.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		refuse <- struct{}{}
		panic(http.ErrAbortHandler)
	})
	stop := late.run(workerOf(client.Failover, late, ready))
	receive(t, refuse, "try to register")
	ready.serves("b1")
	late.failWith(nil)
	receive(t, late.registrations, "registration")
	late.serves("a1")
	for len(ready.heartbeats) > 0 {
		<-ready.heartbeats
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, s := range []*fakeServer{late, ready} {
		until(t, s.heartbeats, "goodbye", func(h protocol.Heartbeat) bool { return h.Status == protocol.StatusOffline })
	}
}

func TestTurnsFollowTheWeights(t *testing.T) {
	a, b := newFakeServer(t), newFakeServer(t)
	cfg := a.config()
	cfg.URL, cfg.Mode, cfg.MaxConcurrent = "", client.RoundRobin, 1
	cfg.Orchestrators = []client.Orchestrator{{URL: a.http.URL, Weight: 3}, {URL: b.http.URL, Weight: 1}}
	asked := make(chan string, 1000)
	for name, s := range map[string]*fakeServer{"a": a, "b": b} {
		s.failWith(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/next") {
				asked <- name
				s.hand(name, "echo", `{}`) // there is always a task, so every turn is followed by one
			}
			return false
		})
	}
	w := client.New(cfg)
	w.Handle("echo", echo)
	a.run(w)
	receive(t, a.registrations, "registration")
	receive(t, b.registrations, "registration")
	for len(asked) > 0 { // turns before both were there
		<-asked
	}
	turns := map[string]int{}
	for range 40 {
		turns[receive(t, asked, "poll")]++
	}
	if turns["a"] < 28 || turns["a"] > 32 {
		t.Errorf("turns %v, want about 30 to 10", turns)
	}
}

func TestSeveralFromTheEnvironment(t *testing.T) {
	a, b := newFakeServer(t), newFakeServer(t)
	t.Setenv("ORCHESTRATORS_CONFIG", `[{"url": "`+a.http.URL+`"}, {"url": "`+b.http.URL+`", "token": "`+testToken+`", "weight": 2}]`)
	t.Setenv("MULTI_ORCHESTRATOR_MODE", "round_robin")
	cfg := a.config()
	cfg.URL = ""
	w := client.New(cfg)
	w.Handle("echo", echo)
	a.run(w)
	a.serves("a1")
	b.serves("b1")
	for env, want := range map[string]string{
		`[{"url": "nowhere"}]`:                            "ORCHESTRATORS_CONFIG",
		`[{"url": "http://x:1", "weight": -1}]`:           "weight -1",
		`[{"url": "http://x:1"}, {"url": "http://x:1/"}]`: "must stand once",
		`{"url": "http://x:1"}`:                           "ORCHESTRATORS_CONFIG is not the JSON",
	} {
		t.Setenv("ORCHESTRATORS_CONFIG", env)
		t.Setenv("MULTI_ORCHESTRATOR_MODE", "SIDEWAYS")
		err := client.New(cfg).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "SIDEWAYS") {
			t.Errorf("%s: %v, want %q", env, err, want)
		}
	}
}
