// The worker against a small orchestrator: what it sends, and how it behaves
// when handlers fail, jobs are cancelled, the network breaks, and it is stopped.

package client_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"orrery/workers/client"
	"orrery/workers/protocol"
)

func echo(_ context.Context, t *client.Task) (map[string]any, error) { return t.Params, nil }

func TestRegistersAndDoesATask(t *testing.T) {
	s := newFakeServer(t)
	cfg := s.config()
	cfg.CostPerSkill = map[string]float64{"echo": 0.5}
	cfg.GPU = protocol.GPU{Model: "NVIDIA T4", VRAMGB: 16}
	cfg.Artifacts = []protocol.Artifact{{Name: "sd", Version: "1.5"}}
	cfg.Extra = map[string]any{"region": "eu"}
	w := client.New(cfg)
	w.Handle("echo", echo)
	s.run(w)

	r := receive(t, s.registrations, "registration")
	if r.ID != "w-go" || !slices.Equal(r.Skills, []string{"echo"}) || !slices.Equal(r.AvailableSkills, r.Skills) || r.WebSockets {
		t.Errorf("registered as %+v", r)
	}
	if price, ok := r.Costs.For("echo"); !ok || price != 0.5 || r.MaxConcurrent != 10 || r.Extra["region"] != "eu" {
		t.Errorf("costs, size or extra: %+v", r)
	}
	if !slices.Equal(r.Resources.GPUs, []protocol.GPU{{Model: "NVIDIA T4", VRAMGB: 16}}) || len(r.InstalledModels) != 1 {
		t.Errorf("hardware: %+v %+v", r.Resources.GPUs, r.InstalledModels)
	}
	s.hand("t1", "echo", `{"text":"héllo <&>","n":2.5}`)
	got := receive(t, s.results, "result")
	if got.TaskID != "t1" || got.JobID != "job-t1" || got.Status != "success" || string(got.Data) != `{"n":2.5,"text":"héllo \u003c\u0026\u003e"}` {
		t.Errorf("result %+v with data %s", got, got.Data)
	}
}

func TestFailuresCarryTheirCode(t *testing.T) {
	s := newFakeServer(t)
	w := client.New(s.config())
	boom := errors.New("boom")
	handlers := map[string]client.Handler{
		"plain":     func(context.Context, *client.Task) (map[string]any, error) { return nil, boom },
		"transient": func(context.Context, *client.Task) (map[string]any, error) { return nil, client.Transient(boom) },
		"permanent": func(context.Context, *client.Task) (map[string]any, error) { return nil, client.Permanent(boom) },
		"invalid": func(_ context.Context, t *client.Task) (map[string]any, error) {
			var p struct{ N int }
			return nil, t.Decode(&p)
		},
		"own": func(context.Context, *client.Task) (map[string]any, error) {
			return nil, &client.Failure{Code: protocol.ErrDependency, Err: boom, Details: map[string]any{"host": "db"}}
		},
		"panics": func(context.Context, *client.Task) (map[string]any, error) { panic("boom") },
		"endless": func(context.Context, *client.Task) (map[string]any, error) {
			return map[string]any{"f": func() {}}, nil
		},
	}
	want := map[string]string{
		"plain": protocol.ErrTransient, "transient": protocol.ErrTransient, "permanent": protocol.ErrPermanent,
		"invalid": protocol.ErrInvalidInput, "own": protocol.ErrDependency, "panics": protocol.ErrInternal,
		"endless": protocol.ErrPermanent, "unknown": protocol.ErrPermanent,
	}
	for name, h := range handlers {
		w.Handle(name, h)
	}
	s.run(w)
	for name := range want {
		s.hand(name, name, `{"n":"text"}`)
	}
	for range want {
		got := receive(t, s.results, "result")
		if got.Status != "failure" || got.Error == nil || got.Error.Code != want[got.TaskID] || got.Error.Message == "" {
			t.Errorf("%s: %s %+v, want code %s", got.TaskID, got.Status, got.Error, want[got.TaskID])
		}
		if got.TaskID == "own" && string(got.Error.Details) != `{"host":"db"}` {
			t.Errorf("details %s", got.Error.Details)
		}
	}
}

func TestCustomStatus(t *testing.T) {
	s := newFakeServer(t)
	w := client.New(s.config())
	w.Handle("review", func(_ context.Context, task *client.Task) (map[string]any, error) {
		task.EndWith("needs_review")
		return map[string]any{"score": 0.4}, nil
	})
	s.run(w)
	s.hand("t1", "review", `{}`)
	if got := receive(t, s.results, "result"); got.Status != "needs_review" || string(got.Data) != `{"score":0.4}` {
		t.Errorf("%+v %s", got, got.Data)
	}
}

// waitForCancel blocks until its task is cancelled.
func waitForCancel(ctx context.Context, _ *client.Task) (map[string]any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestCancelByHeartbeat(t *testing.T) {
	s := newFakeServer(t)
	w := client.New(s.config())
	w.Handle("wait", waitForCancel)
	s.run(w)
	s.hand("t1", "wait", `{}`)
	until(t, s.heartbeats, "heartbeat that lists the task", func(h protocol.Heartbeat) bool {
		return slices.Equal(h.CurrentTasks, []string{"t1"})
	})
	s.mu.Lock()
	s.cancels = []string{"t1", "another"}
	s.mu.Unlock()
	if got := receive(t, s.results, "result"); got.Status != "cancelled" || got.TaskID != "t1" {
		t.Errorf("%+v", got)
	}
	until(t, s.heartbeats, "heartbeat without tasks", func(h protocol.Heartbeat) bool {
		return h.HasCurrentTasks && len(h.CurrentTasks) == 0 && h.HasAvailable
	})
}

func TestWebSocketCancelsAndCarriesProgress(t *testing.T) {
	s := newFakeServer(t)
	cfg := s.config()
	cfg.WebSockets = "true"
	w := client.New(cfg)
	w.Handle("wait", func(ctx context.Context, task *client.Task) (map[string]any, error) {
		if err := task.Progress(ctx, 0.25, "step 1/4"); err != nil {
			t.Error(err)
		}
		return waitForCancel(ctx, task)
	})
	s.run(w)
	conn := receive(t, s.sockets, "WebSocket")
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"command":"unknown"}`)); err != nil {
		t.Fatal(err)
	}
	// Only a worker that reads answers a ping, and from then on it also writes.
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.hand("t1", "wait", `{}`)
	e := receive(t, s.frames, "progress over the WebSocket")
	if e.TaskID != "t1" || e.JobID != "job-t1" || e.Progress != 0.25 || e.Message != "step 1/4" || e.WorkerID != "w-go" {
		t.Errorf("progress %+v", e)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, protocol.CancelFrame("t1", "job-t1")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, s.results, "result"); got.Status != "cancelled" {
		t.Errorf("%+v", got)
	}
	conn.CloseNow()
	receive(t, s.sockets, "second WebSocket after the first broke")
}

func TestEventsAndCancelQuestionOverHTTP(t *testing.T) {
	s := newFakeServer(t)
	w := client.New(s.config())
	w.Handle("ask", func(ctx context.Context, task *client.Task) (map[string]any, error) {
		if err := task.Event(ctx, "frame_ready", map[string]any{"n": 3}); err != nil {
			return nil, err
		}
		cancelled, err := task.Cancelled(ctx)
		return map[string]any{"cancelled": cancelled}, err
	})
	s.run(w)
	s.hand("t1", "ask", `{}`)
	if e := receive(t, s.events, "event"); e.Type != "frame_ready" || string(e.Payload) != `{"n":3}` || e.ID == "" {
		t.Errorf("event %+v", e)
	}
	if got := receive(t, s.results, "result"); string(got.Data) != `{"cancelled":true}` {
		t.Errorf("%+v %s", got, got.Data)
	}
}

func TestRetriesWhatTheServerRefuses(t *testing.T) {
	s := newFakeServer(t)
	var registers, results, polls atomic.Int32
	s.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/register") && registers.Add(1) <= 2,
			strings.HasSuffix(r.URL.Path, "/result") && results.Add(1) <= 2,
			strings.HasSuffix(r.URL.Path, "/next") && polls.Add(1) <= 2:
			http.Error(w, `{"error":"busy"}`, http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	w := client.New(s.config())
	w.Handle("echo", echo)
	s.run(w)
	s.hand("t1", "echo", `{}`)
	receive(t, s.registrations, "registration")
	receive(t, s.results, "result")
	if registers.Load() != 3 || results.Load() != 3 || polls.Load() < 3 {
		t.Errorf("%d registrations, %d results, %d polls", registers.Load(), results.Load(), polls.Load())
	}
}

func TestGivesUpOnAResultThatIsRefusedForGood(t *testing.T) {
	s := newFakeServer(t)
	var tries atomic.Int32
	s.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/result") {
			return false
		}
		tries.Add(1)
		http.Error(w, `{"error":"no"}`, http.StatusBadRequest)
		return true
	})
	w := client.New(s.config())
	w.Handle("echo", echo)
	stop := s.run(w)
	s.hand("t1", "echo", `{}`)
	until(t, s.heartbeats, "heartbeat with the task", func(h protocol.Heartbeat) bool { return len(h.CurrentTasks) == 1 || tries.Load() == 1 })
	if err := stop(); err != nil || tries.Load() != 1 {
		t.Errorf("%d tries, %v", tries.Load(), err)
	}
}

func TestRegistersAgainWhenForgotten(t *testing.T) {
	s := newFakeServer(t)
	var once atomic.Bool
	s.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || !once.CompareAndSwap(false, true) {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		w.Write(protocol.NotFoundReply())
		return true
	})
	w := client.New(s.config())
	w.Handle("echo", echo)
	s.run(w)
	receive(t, s.registrations, "registration")
	receive(t, s.registrations, "second registration")
}

func TestRenewsARefusedToken(t *testing.T) {
	s := newFakeServer(t)
	s.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get(protocol.HeaderToken) == "fresh" || strings.HasSuffix(r.URL.Path, "/auth/token") {
			return false
		}
		http.Error(w, `{"error":"expired"}`, http.StatusUnauthorized)
		return true
	})
	w := client.New(s.config())
	w.Handle("echo", echo)
	s.run(w)
	receive(t, s.registrations, "registration with the new token")
}

func TestStopLetsTasksFinish(t *testing.T) {
	s := newFakeServer(t)
	w := client.New(s.config())
	started, release := make(chan struct{}), make(chan struct{})
	w.Handle("slow", func(context.Context, *client.Task) (map[string]any, error) {
		close(started)
		<-release
		return map[string]any{"done": true}, nil
	})
	stop := s.run(w)
	s.hand("t1", "slow", `{}`)
	receive(t, started, "start of the task")
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	h := until(t, s.heartbeats, "offline heartbeat", func(h protocol.Heartbeat) bool { return h.Status == protocol.StatusOffline })
	if !slices.Equal(h.CurrentTasks, []string{"t1"}) || h.HasAvailable {
		t.Errorf("offline heartbeat %+v", h)
	}
	close(release)
	if got := receive(t, s.results, "result"); got.Status != "success" {
		t.Errorf("%+v", got)
	}
	if err := receive(t, stopped, "the worker's end"); err != nil {
		t.Error(err)
	}
}

func TestStopCutsTasksThatTakeTooLong(t *testing.T) {
	s := newFakeServer(t)
	cfg := s.config()
	cfg.ShutdownTimeout = 20 * time.Millisecond
	w := client.New(cfg)
	started := make(chan struct{})
	w.Handle("wait", func(ctx context.Context, task *client.Task) (map[string]any, error) {
		close(started)
		return waitForCancel(ctx, task)
	})
	stop := s.run(w)
	s.hand("t1", "wait", `{}`)
	receive(t, started, "start of the task")
	stopErr := stop()
	got := receive(t, s.results, "result")
	if got.Status != "failure" || got.Error.Code != protocol.ErrTransient || !strings.Contains(got.Error.Message, "stopped") {
		t.Errorf("%+v %+v (%v)", got, got.Error, stopErr)
	}
}

func TestRunsOnlyAsManyAsAllowed(t *testing.T) {
	s := newFakeServer(t)
	cfg := s.config()
	cfg.MaxConcurrent = 2
	w := client.New(cfg)
	var now, most atomic.Int32
	release := make(chan struct{})
	w.Handle("slow", func(context.Context, *client.Task) (map[string]any, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		<-release
		return nil, nil
	})
	s.run(w)
	for _, id := range []string{"t1", "t2", "t3"} {
		s.hand(id, "slow", `{}`)
	}
	h := until(t, s.heartbeats, "heartbeat of a full worker", func(h protocol.Heartbeat) bool { return h.Status == protocol.StatusFull })
	if len(h.CurrentTasks) != 2 || h.HasAvailable {
		t.Errorf("full with %v, available %v", h.CurrentTasks, h.AvailableSkills)
	}
	close(release)
	for range 3 {
		receive(t, s.results, "result")
	}
	if most.Load() != 2 {
		t.Errorf("%d tasks ran at once", most.Load())
	}
}

func TestUnsignedTaskIsRefusedWhenASecretIsSet(t *testing.T) {
	s := newFakeServer(t)
	cfg := s.config()
	cfg.SecretKey = "task-secret"
	w := client.New(cfg)
	w.Handle("echo", echo)
	s.run(w)
	s.hand("t1", "echo", `{}`)
	if got := receive(t, s.results, "result"); got.Status != "failure" || got.Error.Code != protocol.ErrSecurity {
		t.Errorf("unsigned: %+v", got)
	}
	signed, err := protocol.SignTask(protocol.Task{JobID: "j", TaskID: "t2", Type: "echo", Params: []byte(`{"x":2.0}`)}, "task-secret")
	if err != nil {
		t.Fatal(err)
	}
	s.tasks <- signed
	if got := receive(t, s.results, "result"); got.Status != "success" || got.TaskID != "t2" {
		t.Errorf("signed: %+v %+v", got, got.Error)
	}
}
