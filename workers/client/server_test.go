// A small orchestrator for the tests: it checks what comes with the server's
// own parsers and hands everything to the test over channels.

package client_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"orrery/workers/client"
	"orrery/workers/protocol"
)

const (
	testToken = "sample-token"
	patience  = 10 * time.Second
)

type fakeServer struct {
	t    *testing.T
	http *httptest.Server

	registrations chan protocol.Registration
	heartbeats    chan protocol.Heartbeat
	results       chan protocol.Result
	events        chan protocol.Event // over HTTP
	frames        chan protocol.Event // over the WebSocket
	tasks         chan []byte
	sockets       chan *websocket.Conn

	mu      sync.Mutex
	cancels []string // answered to the next heartbeats
	// fail, when set, answers a request in the server's place.
	fail func(w http.ResponseWriter, r *http.Request) bool
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	s := &fakeServer{
		t:             t,
		registrations: make(chan protocol.Registration, 100),
		heartbeats:    make(chan protocol.Heartbeat, 1000),
		results:       make(chan protocol.Result, 100),
		events:        make(chan protocol.Event, 100),
		frames:        make(chan protocol.Event, 100),
		tasks:         make(chan []byte, 100),
		sockets:       make(chan *websocket.Conn, 10),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_worker/workers/register", s.register)
	mux.HandleFunc("PATCH /_worker/workers/{id}", s.heartbeat)
	mux.HandleFunc("GET /_worker/workers/{id}/tasks/next", s.poll)
	mux.HandleFunc("POST /_worker/tasks/result", s.result)
	mux.HandleFunc("POST /_worker/events", s.event)
	mux.HandleFunc("GET /_worker/tasks/{task}/cancelled", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"cancelled": true}`)
	})
	mux.HandleFunc("POST /_worker/auth/token", func(w http.ResponseWriter, r *http.Request) {
		w.Write(protocol.TokenReply(protocol.Token{Access: "fresh", ExpiresIn: 60, WorkerID: "w-go"}))
	})
	mux.HandleFunc("GET /_worker/ws/{id}", s.socket)
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.checkHeaders(r)
		s.mu.Lock()
		fail := s.fail
		s.mu.Unlock()
		if fail == nil || !fail(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.http.Close)
	return s
}

func (s *fakeServer) failWith(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	s.fail = f
	s.mu.Unlock()
}

func (s *fakeServer) checkHeaders(r *http.Request) {
	if got := protocol.DetectAge(r.Header.Get, nil); got != protocol.AgeC18 {
		s.t.Errorf("%s: age %v, want %v", r.URL.Path, got, protocol.AgeC18)
	}
	if token := r.Header.Get(protocol.HeaderToken); token != testToken && token != "fresh" {
		s.t.Errorf("%s: token %q", r.URL.Path, token)
	}
}

// body reads and verifies a signed message.
func (s *fakeServer) body(r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.verify(body)
	return body
}

func (s *fakeServer) verify(body []byte) {
	if err := protocol.Verify(body, testToken); err != nil {
		s.t.Errorf("%v in %s", err, body)
	}
}

func (s *fakeServer) register(w http.ResponseWriter, r *http.Request) {
	m, err := protocol.ParseRegister(s.body(r))
	if err != nil {
		s.t.Error(err)
	}
	s.registrations <- m
	w.Write(protocol.RegisterReply("", ""))
}

func (s *fakeServer) heartbeat(w http.ResponseWriter, r *http.Request) {
	m, err := protocol.ParseHeartbeat(s.body(r))
	if err != nil {
		s.t.Error(err)
	}
	select {
	case s.heartbeats <- m:
	default: // a test that does not look at them
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Write(protocol.HeartbeatReply(s.cancels, false))
}

func (s *fakeServer) poll(w http.ResponseWriter, r *http.Request) {
	hold := time.NewTimer(time.Second)
	defer hold.Stop()
	select {
	case task := <-s.tasks:
		w.Write(task)
	case <-hold.C:
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}

func (s *fakeServer) result(w http.ResponseWriter, r *http.Request) {
	m, err := protocol.ParseResult(s.body(r))
	if err != nil {
		s.t.Error(err)
	}
	w.Write(protocol.ResultReply(protocol.Outcome{}))
	s.results <- m
}

func (s *fakeServer) event(w http.ResponseWriter, r *http.Request) {
	m, err := protocol.ParseEvent(s.body(r))
	if err != nil {
		s.t.Error(err)
	}
	w.Write(protocol.EventReply())
	s.events <- m
}

func (s *fakeServer) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.sockets <- conn
	for {
		_, frame, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		s.verify(frame)
		m, err := protocol.ParseEvent(frame)
		if err != nil {
			s.t.Error(err)
		}
		s.frames <- m
	}
}

// hand gives a task to the next poll.
func (s *fakeServer) hand(taskID, taskType, params string) {
	s.t.Helper()
	body, err := protocol.EncodeTask(protocol.Task{JobID: "job-" + taskID, TaskID: taskID, Type: taskType, Params: []byte(params)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.tasks <- body
}

// config is a quick worker of this server.
func (s *fakeServer) config() client.Config {
	return client.Config{
		URL: s.http.URL, Token: testToken, ID: "w-go", HeartbeatInterval: 50 * time.Millisecond,
		RetryDelay: time.Millisecond, ShutdownTimeout: patience, WebSockets: "false",
		Logger: slog.New(slog.NewTextHandler(logWriter{s.t}, nil)),
	}
}

// run starts the worker; stop ends it and returns what Run said.
func (s *fakeServer) run(w *client.Worker) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = receive(s.t, done, "the worker's end")
		})
		return err
	}
	s.t.Cleanup(func() {
		if err := stop(); err != nil {
			s.t.Log(err)
		}
	})
	return stop
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
		panic("unreachable")
	}
}

// until receives values until one fits.
func until[T any](t *testing.T, from <-chan T, what string, fits func(T) bool) T {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case v := <-from:
			if fits(v) {
				return v
			}
		case <-deadline:
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}

// logWriter sends the worker's log to the test's.
type logWriter struct{ t *testing.T }

func (l logWriter) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
