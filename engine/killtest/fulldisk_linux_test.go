package killtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"orrery/workers/client"
)

// This file fills the disk under a server that works, and frees it again: what can not be
// kept is refused in time to be asked again, what was accepted is there, and nobody has to
// restart anything.

const (
	jobsBefore     = 80
	slowTask       = -7              // "n" of the jobs whose first tasks return on the full disk
	slowTasks      = 8               // one may still find room: freed pages, the rest of the WAL
	longestRefusal = 2 * time.Second // an answer with 503, or a read while the disk is full
	shortestFull   = 3 * time.Second
	longestFull    = 12 * time.Second // until all that the test looks for was seen
)

func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers on full disks are left out by -short")
	}
	t.Run("tmpfs", func(t *testing.T) {
		dir := smallDisk(t)
		t.Log("a mounted tmpfs of 64 MiB is filled with a file")
		s := newServer(t, program(t, ""))
		s.dir = dir
		fillUp(t, s, tmpfsRoom(dir), "store_full")
	})
	t.Run("rlimit", func(t *testing.T) {
		room := limitRoom(t)
		t.Log("RLIMIT_FSIZE is set on the running server by prlimit")
		fillUp(t, newServer(t, program(t, "")), room, "store_unavailable")
	})
}

// fillUp runs jobs while the disk of s is filled and freed by room.
func fillUp(t *testing.T, s *server, r room, wantCode string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s.start()
	spy := watchedWorker(t, s.addr)
	load := feed(ctx, t, s)
	first, err := s.submit(ctx, "jobs/kill_mixed", "before", map[string]any{"n": 0})
	if err != nil {
		t.Fatal(err)
	}
	load.take(first)
	s.drained(ctx, t, []string{first}, 20*time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	load.slow(ctx, t, s, spy)
	for load.count() < jobsBefore {
		<-tick.C
	}

	filled := time.Now()
	r.fill(t, s)
	refused, kept := 0, 0
	for n := 0; refused < 20 || !spy.held(time.Second) || time.Since(filled) < shortestFull; n++ {
		<-tick.C
		if time.Since(filled) > longestFull {
			t.Fatalf("after %s on a full disk %d creates were refused and %d accepted; a result is held: %v", longestFull, refused, kept, spy.held(time.Second))
		}
		code, id := s.createOnce(ctx, t, fmt.Sprintf("full-%d", n), wantCode)
		if code == http.StatusAccepted { // there was a little room left
			kept++
			load.take(id)
		} else if refused++; !spy.held(0) { // refused: a result that returns now finds no room either
			select {
			case spy.full <- struct{}{}:
			default: // none is left, or the worker is about to see the last one
			}
		}
		s.mustRead(ctx, t, "/api/v1/jobs/"+first)
		s.mustRead(ctx, t, "/api/v1/jobs?limit=5")
		s.mustRead(ctx, t, "/_public/status")
	}
	freeing := time.Now()
	r.free(t, s)
	close(spy.full)
	freed := time.Now()
	t.Logf("full for %s: %d creates refused, %d accepted", freed.Sub(filled).Round(time.Millisecond), refused, kept)

	for code := 0; code != http.StatusAccepted; {
		var id string
		if code, id = s.createOnce(ctx, t, "after", wantCode); code == http.StatusAccepted {
			load.take(id)
		} else if time.Since(freed) > 10*time.Second {
			t.Fatal("10 s after there was room again, creates are still refused")
		} else {
			<-tick.C
		}
	}
	t.Logf("a create was accepted %s after there was room", time.Since(freed).Round(time.Millisecond))
	accepted := load.end()
	checkAll(ctx, t, s, accepted, len(accepted))
	t.Logf("%d jobs, all ended as they should", len(accepted))
	if n := spy.keptUntil(t, freeing); n == 0 {
		t.Error("no result was held until there was room")
	} else {
		t.Logf("%d results were held until there was room", n)
	}
}

// createOnce asks for a job once; it must be accepted, or refused so that a client knows
// when to ask again.
func (s *server) createOnce(ctx context.Context, t *testing.T, key, wantCode string) (code int, id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/api/v1/jobs/kill_mixed", bytes.NewReader([]byte(`{"n": 1}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Client-Token", clientToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	defer resp.Body.Close()
	var answer struct {
		JobID string `json:"job_id"`
		Code  string `json:"code"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("create: %v", err)
	}
	switch {
	case resp.StatusCode == http.StatusAccepted:
	case resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || answer.Code != wantCode:
		t.Errorf("a create that can not be kept gives %d %q with Retry-After %q, want 503 %s", resp.StatusCode, answer.Code, resp.Header.Get("Retry-After"), wantCode)
	case time.Since(began) > longestRefusal:
		t.Errorf("a create was refused after %s only", time.Since(began))
	}
	return resp.StatusCode, answer.JobID
}

// mustRead demands an answer to a read, soon.
func (s *server) mustRead(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	began := time.Now()
	code, err := s.call(ctx, http.MethodGet, path, "", nil, nil)
	if err != nil || code != http.StatusOK || time.Since(began) > longestRefusal {
		t.Errorf("GET %s gives %d (%v) after %s", path, code, err, time.Since(began))
	}
}

// feeding sends jobs in the background, as good clients do.
type feeding struct {
	mu       sync.Mutex
	accepted []string
	stop     func()
	senders  sync.WaitGroup
}

func feed(ctx context.Context, t *testing.T, s *server) *feeding {
	over := make(chan struct{})
	f := &feeding{stop: sync.OnceFunc(func() { close(over) })}
	t.Cleanup(func() { f.end() })
	for i := range 3 {
		f.senders.Go(func() {
			tick := time.NewTicker(40 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("feed-%d-%d", i, n), map[string]any{"n": n})
				if err != nil {
					t.Errorf("a sender: %v", err)
					return
				}
				f.take(id)
				select {
				case <-over:
					return
				case <-tick.C:
				}
			}
		})
	}
	return f
}

// slow has the tasks begun that return when the disk is full.
func (f *feeding) slow(ctx context.Context, t *testing.T, s *server, spy *resultSpy) {
	for i := range slowTasks {
		id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("slow-%d", i), map[string]any{"n": slowTask})
		if err != nil {
			t.Fatal(err)
		}
		f.take(id)
		<-spy.begun
	}
}

func (f *feeding) take(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted = append(f.accepted, id)
}

func (f *feeding) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.accepted)
}

// end lets each sender have its last job accepted, and gives all that were.
func (f *feeding) end() []string {
	f.stop()
	f.senders.Wait()
	return f.accepted
}

// resultSpy sees how the server answers the results of a worker.
type resultSpy struct {
	begun, full chan struct{} // a slow task has begun; one may return, for the disk is full

	mu      sync.Mutex
	flights map[*flight]bool
	ended   []*flight
}

type flight struct {
	began, ended time.Time
	status       int
	retryAfter   string
}

// watchedWorker runs a worker whose results are looked at.
func watchedWorker(t *testing.T, addr string) *resultSpy {
	spy := &resultSpy{begun: make(chan struct{}, slowTasks), full: make(chan struct{}), flights: map[*flight]bool{}}
	w := client.New(client.Config{
		URL: "http://" + addr, Token: workerToken, ID: "watched", MaxConcurrent: slowTasks + 8,
		HeartbeatInterval: time.Second, PollTimeout: 5 * time.Second, ShutdownTimeout: time.Second,
		RetryDelay: 50 * time.Millisecond, ResultAttempts: 20, Logger: slog.New(slog.DiscardHandler),
		HTTPClient: &http.Client{Transport: spy},
	})
	w.Handle("kill_work", func(ctx context.Context, task *client.Task) (map[string]any, error) {
		if fmt.Sprint(task.Params["n"]) == fmt.Sprint(slowTask) {
			select {
			case spy.begun <- struct{}{}:
			default: // it is tried again
			}
			select {
			case <-spy.full:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return map[string]any{"worked": true}, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() {
		if err := w.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("worker: %v", err)
		}
	})
	return spy
}

// RoundTrip sends a request and notes how long the answer to a result takes.
func (p *resultSpy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/_worker/tasks/result" {
		return http.DefaultTransport.RoundTrip(r)
	}
	f := &flight{began: time.Now()}
	p.mu.Lock()
	p.flights[f] = true
	p.mu.Unlock()
	resp, err := http.DefaultTransport.RoundTrip(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flights, f)
	f.ended = time.Now()
	if err == nil {
		f.status, f.retryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	}
	p.ended = append(p.ended, f)
	return resp, err
}

// held tells whether the server has kept a result waiting for so long.
func (p *resultSpy) held(d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.flights {
		if time.Since(f.began) > d {
			return true
		}
	}
	return false
}

// keptUntil counts the results that waited for at least a second until the disk was freed, and
// were taken then. The answer to every other must be one after which a worker sends again.
func (p *resultSpy) keptUntil(t *testing.T, freeing time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.ended {
		switch {
		case f.status == http.StatusServiceUnavailable && f.retryAfter == "":
			t.Error("a result was refused without Retry-After")
		case f.status != http.StatusOK && f.status != http.StatusServiceUnavailable && f.status != 0:
			t.Errorf("a result was answered with %d", f.status)
		case f.status == http.StatusOK && f.began.Before(freeing.Add(-time.Second)) && f.ended.After(freeing):
			n++
		}
	}
	return n
}

var _ http.RoundTripper = (*resultSpy)(nil)

// room takes the disk of a server away and gives it back.
type room struct{ fill, free func(t *testing.T, s *server) }

// tmpfsRoom fills the folder with one file.
func tmpfsRoom(dir string) room {
	name := dir + "/filler"
	return room{
		fill: func(t *testing.T, _ *server) {
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for piece := make([]byte, 1<<20); len(piece) > 0; { // smaller and smaller pieces, to the last byte
				if _, err := f.Write(piece); err != nil {
					piece = piece[:len(piece)/2]
				}
			}
		},
		free: func(t *testing.T, _ *server) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		},
	}
}
