package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the workers' routes against the real hub.

const (
	b7 = "1.0b3"  // X-RXON-Version of age B
	c  = "1.0b17" // and of age C
)

// offer queues a task and gives the job's id.
func (b *bench) offer(taskType string) string {
	id := job.NewID(epoch, 9)
	b.hub.Offer(job.Task{JobID: id, N: 1, State: job.TaskQueued, Type: taskType, Params: json.RawMessage(`{"n":1}`), Queued: epoch})
	return id
}

// worker sends a request as the worker w1 of age B.
func (b *bench) worker(method, path, body string, headers ...string) answer {
	b.t.Helper()
	return b.do(method, path, body, append([]string{"X-Worker-Token", "w-shared", "X-RXON-Version", b7}, headers...)...)
}

func (b *bench) register(id string, skills string) {
	b.t.Helper()
	b.worker("POST", "/_worker/workers/register", `{"worker_id":"`+id+`","worker_type":"t","supported_skills":[`+skills+`]}`).ok(b.t, http.StatusOK, nil)
}

// take polls and gives the fence of the task.
func (b *bench) take(worker string) string {
	b.t.Helper()
	var task struct {
		TaskID string         `json:"task_id"`
		Params map[string]int `json:"params"`
	}
	a := b.worker("GET", "/_worker/workers/"+worker+"/tasks/next", "")
	a.ok(b.t, http.StatusOK, &task)
	if task.TaskID == "" || task.Params["n"] != 1 || a.header.Get("Content-Type") != "application/json" {
		b.t.Fatalf("task %s", a)
	}
	return task.TaskID
}

func TestWorkerLife(t *testing.T) {
	b := newBench(t)
	b.register("w1", `"echo"`)
	id := b.offer("echo")
	fence := b.take("w1")
	for _, path := range []string{"/_worker/workers/w1", "/_worker/workers/w1/status"} {
		got := b.worker("PATCH", path, `{"worker_id":"w1","status":"busy","current_tasks":["`+fence+`"],"supported_skills":[]}`)
		got.ok(t, http.StatusOK, nil)
		if strings.Contains(got.body, fence) {
			t.Errorf("a cancel that nobody asked for: %s", got)
		}
	}
	var state struct{ Cancelled bool }
	b.worker("GET", "/_worker/tasks/"+fence+"/cancelled", "").ok(t, http.StatusOK, &state)
	if state.Cancelled {
		t.Error("cancelled before anybody asked")
	}
	if n := b.hub.AskCancel(id); n != 1 {
		t.Fatalf("%d at workers", n)
	}
	b.worker("GET", "/_worker/tasks/"+fence+"/cancelled?worker_id=w1", "").ok(t, http.StatusOK, &state)
	if !state.Cancelled {
		t.Error("not cancelled")
	}
	got := b.worker("PATCH", "/_worker/workers/w1", `{"worker_id":"w1","status":"busy","current_tasks":["`+fence+`"],"supported_skills":[]}`)
	if !strings.Contains(got.body, `"cancel_task_ids":["`+fence+`"]`) {
		t.Errorf("heartbeat: %s", got)
	}
	result := `{"job_id":"` + id + `","task_id":"` + fence + `","worker_id":"w1","status":"success","data":{"a":1},"error":null}`
	got = b.worker("POST", "/_worker/tasks/result", result)
	got.ok(t, http.StatusOK, nil)
	if len(b.desk.returned) != 1 || b.desk.returned[0].Status != "success" || string(b.desk.returned[0].Data) != `{"a":1}` || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("returned %+v, reply %s", b.desk.returned, got)
	}
	var views []map[string]any
	b.as("operator", "GET", "/api/v1/workers", "").ok(t, http.StatusOK, &views)
	if len(views) != 1 || views[0]["worker_id"] != "w1" {
		t.Errorf("workers %v", views)
	}
}

// TestOldestPaths: the first SDKs send two slashes.
func TestOldestPaths(t *testing.T) {
	b := newBench(t)
	got := b.do("POST", "//_worker/workers/register", `{"worker_id":"a1","supported_tasks":["echo"]}`, "X-Worker-Token", "w-shared")
	got.ok(t, http.StatusOK, nil)
	if len(b.hub.Snapshot()) != 1 {
		t.Error("the worker is not registered")
	}
}

func TestPollIsHeld(t *testing.T) {
	b := newBench(t)
	b.register("w1", `"echo"`)
	for _, how := range []struct {
		end    func()
		status int
	}{
		{func() { b.clock.Advance(30 * time.Second) }, http.StatusNoContent},
		{func() { b.offer("echo") }, http.StatusOK},
	} {
		got := make(chan answer, 1)
		go func() { got <- b.worker("GET", "/_worker/workers/w1/tasks/next", "") }()
		<-b.clock.Armed()
		waitFor(t, func() bool { return b.hub.Stats().Polling == 1 })
		how.end()
		if a := <-got; a.status != how.status {
			t.Errorf("got %s, want %d", a, how.status)
		}
	}
	got := make(chan answer, 1)
	go func() { got <- b.worker("GET", "/_worker/workers/w1/tasks/next", "") }()
	waitFor(t, func() bool { return b.hub.Stats().Polling == 1 })
	b.s.release()
	if a := <-got; a.status != http.StatusNoContent || a.body != "" {
		t.Errorf("at a shutdown: %s", a)
	}
}

// waitFor yields until the condition holds; it is for states without a signal.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("it never became true")
		}
		<-time.After(time.Millisecond)
	}
}

// TestRefusedPolls: ages that would hammer wait for their refusal, the others do not.
func TestRefusedPolls(t *testing.T) {
	b := newBench(t)
	b.do("GET", "/_worker/workers/w1/tasks/next", "", "X-Worker-Token", "wrong", "X-RXON-Version", c).want(t, http.StatusUnauthorized, "unauthorized")
	got := make(chan answer, 1)
	go func() {
		got <- b.do("GET", "/_worker/workers/w1/tasks/next", "", "X-Worker-Token", "wrong", "X-RXON-Version", b7)
	}()
	<-b.clock.Armed()
	select {
	case a := <-got:
		t.Fatalf("not held back: %s", a)
	default:
	}
	b.clock.Advance(2 * time.Second)
	(<-got).want(t, http.StatusUnauthorized, "unauthorized")
}

func TestWorkerTokens(t *testing.T) {
	b := newBench(t)
	register := `{"worker_id":"own","supported_skills":["echo"]}`
	b.worker("POST", "/_worker/workers/register", register).want(t, http.StatusUnauthorized, "unauthorized")
	b.worker("POST", "/_worker/workers/register", register, "X-Worker-Token", "w-own").ok(t, http.StatusOK, nil)
	b.worker("POST", "/_worker/workers/register", `{"worker_id":"w2","supported_skills":[]}`, "X-Worker-Token", "w-own").want(t, http.StatusUnauthorized, "unauthorized")
	b.worker("POST", "/_worker/workers/register", `{"worker_id":"w 2"}`).want(t, http.StatusBadRequest, "bad_request")
	got := b.worker("POST", "/_worker/workers/register", `{`)
	got.want(t, http.StatusBadRequest, "bad_request")
	if got.header.Get("Content-Type") != "application/json" {
		t.Errorf("a worker's error is %s", got.header.Get("Content-Type"))
	}
	var token struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	b.worker("POST", "/_worker/auth/token", "", "X-Worker-Token", "w-own").ok(t, http.StatusOK, &token)
	b.worker("PATCH", "/_worker/workers/own", `{}`, "X-Worker-Token", token.Access).ok(t, http.StatusOK, nil)
	b.worker("POST", "/_worker/auth/token/refresh", `{"refresh_token":"`+token.Refresh+`"}`).ok(t, http.StatusOK, nil)
	b.worker("POST", "/_worker/auth/token/refresh", `{"refresh_token":"`+token.Refresh+`"}`).want(t, http.StatusUnauthorized, "unauthorized")
}

func TestUnknownWorkerOfAgeC(t *testing.T) {
	b := newBench(t)
	got := b.worker("PATCH", "/_worker/workers/c1", `{"worker_id":"c1","status":"idle"}`, "X-RXON-Version", c, "X-Worker-ID", "c1")
	got.want(t, http.StatusNotFound, "not_found")
	if !strings.Contains(strings.ToLower(got.body), "not found") {
		t.Errorf("C reads the text: %s", got)
	}
}

// TestResultWithAFullStore: C gets 503 and sends again, B's connection just ends.
func TestResultWithAFullStore(t *testing.T) {
	b := newBench(t)
	b.listen()
	b.register("w1", `"echo"`)
	b.desk.fail = store.ErrFull
	for _, age := range []struct{ version, id string }{{c, "w1"}, {b7, ""}} {
		id := b.offer("echo")
		fence := b.take("w1")
		r, err := http.NewRequest("POST", b.base+"/_worker/tasks/result", strings.NewReader(`{"job_id":"`+id+`","task_id":"`+fence+`","worker_id":"w1","status":"success"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.GetBody = nil // no repetition by the test's own client
		r.Header.Set("X-Worker-Token", "w-shared")
		r.Header.Set("X-RXON-Version", age.version)
		if age.id != "" {
			r.Header.Set("X-Worker-ID", age.id)
		}
		type reply struct {
			a   *http.Response
			err error
		}
		got := make(chan reply, 1)
		go func() {
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
			got <- reply{resp, err}
		}()
		var re reply
		for waiting := true; waiting; {
			select {
			case re = <-got:
				waiting = false
			case <-b.clock.Armed():
				b.clock.Advance(2 * time.Second) // the hub tries again, after 2 s at most, until its time is up
			}
		}
		switch {
		case age.version == c && re.err != nil:
			t.Errorf("C: %v", re.err)
		case age.version == c:
			read(t, re.a).want(t, http.StatusServiceUnavailable, "store_full")
		case re.err == nil:
			t.Errorf("B got an answer: %s", read(t, re.a))
		}
	}
}

func TestWorkerSocket(t *testing.T) {
	b := newBench(t)
	b.listen()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	dial := func(path, token string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(ctx, b.base+path, &websocket.DialOptions{HTTPHeader: http.Header{"X-Worker-Token": {token}}})
	}
	for _, path := range []string{"/_worker/ws", "/_worker/ws/w1", "/_worker/ws/own"} {
		token := "wrong"
		if path == "/_worker/ws/own" {
			token = "w-shared"
		}
		if _, resp, err := dial(path, token); err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with a wrong token: %v", path, err)
		}
	}
	b.register("w1", `"echo"`)
	for i, path := range []string{"/_worker/ws", "/_worker/ws/w1"} {
		conn, _, err := dial(path, "w-shared")
		if err != nil {
			t.Fatal(err)
		}
		id := b.offer("echo")
		fence := b.take("w1")
		progress := `{"event":"progress_update","task_id":"` + fence + `","job_id":"` + id + `","progress":0.5,"message":"half"}`
		if err := conn.Write(ctx, websocket.MessageText, []byte(progress)); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-b.desk.progress:
			if p.Progress != 0.5 || p.Message != "half" {
				t.Errorf("progress %+v", p)
			}
		case <-ctx.Done():
			t.Fatalf("%s: no progress came; log:\n%s", path, b.log)
		}
		b.hub.AskCancel(id)
		_, frame, err := conn.Read(ctx)
		if err != nil || !strings.Contains(string(frame), `"command":"cancel_task"`) || !strings.Contains(string(frame), fence) {
			t.Fatalf("frame %s, %v", frame, err)
		}
		if i == 0 {
			if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
			waitFor(t, func() bool { return b.hub.Stats().Links == 0 })
			continue
		}
		b.s.release()
		var end websocket.CloseError
		if _, _, err := conn.Read(ctx); !errors.As(err, &end) || end.Code != websocket.StatusGoingAway {
			t.Errorf("at a shutdown: %v", err)
		}
	}
}

func TestEventsOverHTTP(t *testing.T) {
	b := newBench(t)
	b.register("w1", `"echo"`)
	id := b.offer("echo")
	fence := b.take("w1")
	b.worker("POST", "/_worker/events", `{"event_type":"progress","worker_id":"w1","target_job_id":"`+id+`","target_task_id":"`+fence+`","payload":{"progress":0.25,"message":"q"}}`).ok(t, http.StatusOK, nil)
	if p := <-b.desk.progress; p.Progress != 0.25 || p.TaskID != fence {
		t.Errorf("progress %+v", p)
	}
}

// The oldest SDKs print the status alone, so the operator must see why.
func TestRefusedRegistrationsAreLoggedOnceASecond(t *testing.T) {
	b := newBench(t)
	count := func() int { return strings.Count(b.log.String(), "a worker was refused") }
	for range 3 {
		b.worker("POST", "/_worker/workers/register", `{"worker_id":"a.b"}`).want(t, http.StatusBadRequest, "bad_request")
	}
	if count() != 1 || !strings.Contains(b.log.String(), "worker_id") {
		t.Errorf("after three: %s", b.log)
	}
	b.clock.Advance(time.Second)
	b.do("POST", "/_worker/workers/register", `{"worker_id":"w1"}`, "X-Worker-Token", "geheim").want(t, http.StatusUnauthorized, "unauthorized")
	if count() != 2 || strings.Contains(b.log.String(), "geheim") {
		t.Errorf("a second later: %s", b.log)
	}
}
