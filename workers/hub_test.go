package workers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/job"
	"orrery/engine/store/memory"
	"orrery/workers/protocol"
)

// This file tests the registry, tokens, connections and progress.

func TestRegistryOutlivesTheProcess(t *testing.T) {
	r := newRig(t)
	r.register(callA, "a", "echo", `"cost_per_skill":{"echo":0.5}`)
	r.clock.Advance(time.Hour)
	again := restart(t, r.clock, r.rows, r.desk.rows)
	again.offer(1, "echo")
	if g := again.mustTake(callA, "a"); g.Type != "echo" {
		t.Errorf("got %+v", g)
	}
	v := again.Snapshot()
	if len(v) != 1 || v[0].ID != "a" || v[0].Age != protocol.AgeA.String() || *ptr(v[0].For("echo")) != 0.5 || v[0].Status != "busy" || len(v[0].RunningTasks) != 1 {
		t.Errorf("snapshot %+v", v)
	}
	text, err := json.Marshal(v[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"worker_id":"a"`, `"cost_per_skill":{"echo":0.5}`, `"emulated":false`, `"reputation":1`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
}

func ptr(v float64, _ bool) *float64 { return &v }

func TestRegistryThatCanNotBeWritten(t *testing.T) {
	r := newRig(t)
	r.rows.fail = true
	r.register(callA, "a", "echo")
	r.offer(1, "echo")
	r.mustTake(callA, "a")
	r.rows.fail = false
	r.Sweep(r.ctx)
	if r.rows.rows["a"] == nil || string(r.rows.rows[servedRecord]) != `["echo"]` {
		t.Errorf("the sweep wrote %v", r.rows.rows)
	}
	r.clock.Advance(forgetAfter)
	r.answer(callA, success(got{TaskID: r.desk.handed[0].ID}, "a"))
	r.Sweep(r.ctx)
	if r.rows.rows["a"] == nil {
		t.Error("a worker that was just heard of is forgotten")
	}
	r.clock.Advance(forgetAfter)
	r.Sweep(r.ctx)
	if r.rows.rows["a"] != nil || len(r.Snapshot()) != 0 {
		t.Error("a worker unseen for a week is kept")
	}
}

func TestUnknownHeartbeats(t *testing.T) {
	r := newRig(t)
	if _, err := r.Heartbeat(r.ctx, as(callC, "c"), []byte(`{"status":"idle","current_tasks":[]}`)); !errors.Is(err, ErrUnknownWorker) || err.Error() != "Worker not found" {
		t.Errorf("an unknown C worker gets %v", err)
	}
	if _, err := r.Heartbeat(r.ctx, as(callC, "c"), nil); !errors.Is(err, ErrUnknownWorker) {
		t.Errorf("an empty one gets %v", err)
	}
	for id, c := range map[string]Caller{"a": callA, "b": callB7} {
		r.beatBody(c, id, `{"status":"idle","supported_tasks":["echo"],"hot_skills":null}`)
		r.beatBody(c, id, `{"status":"busy","supported_tasks":[]}`)
		if got := r.workers[id].reg.Skills; len(got) != 1 {
			t.Errorf("%s has the skills %v", id, got)
		}
	}
	r.register(callC, "c", "echo")
	if _, err := r.Heartbeat(r.ctx, as(callC, "c"), []byte(`{"worker_id":"other"}`)); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a heartbeat for another worker gives %v", err)
	}
	var refusal *Error
	if _, err := r.Heartbeat(r.ctx, as(callC, "c"), []byte(`[1]`)); !errors.As(err, &refusal) || refusal.Code != CodeBadRequest {
		t.Errorf("a list gives %v", err)
	}
}

func TestOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callB7, "w", "echo")
		r.offer(1, "echo")
		g := r.mustTake(callB7, "w")
		open := r.poll(r.ctx, callB7, "w", nil)
		r.beatBody(callB7, "w", `{"status":"offline","current_tasks":["`+g.TaskID+`"]}`)
		if body := <-open; body != nil {
			t.Errorf("the open poll answers %s", body)
		}
		r.offer(2, "echo")
		if _, ok := r.take(callB7, "w"); ok {
			t.Error("a worker that said goodbye got a task")
		}
		if status, _ := r.answer(callB7, success(g, "w")); status != "accepted" {
			t.Errorf("its last result is %s", status)
		}
		r.register(callB7, "w", "echo")
		r.mustTake(callB7, "w")
	})
}

func TestTokens(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		id, token string
		want      bool
	}{
		{"w", shared, true}, {"w", "wrong", false}, {"w", "", false}, {"", shared, false},
		{"own", "own-secret", true}, {"own", shared, false}, {"w", "own-secret", false},
	} {
		if got := r.Authenticate(c.id, c.token); got != c.want {
			t.Errorf("%q with %q: %v", c.id, c.token, got)
		}
	}
	for token, want := range map[string]string{shared: "", "own-secret": "own"} {
		if who, ok := r.WebSocketAuth(token); !ok || who.WorkerID != want {
			t.Errorf("%q is %+v %v", token, who, ok)
		}
	}
	if _, ok := r.WebSocketAuth("wrong"); ok {
		t.Error("a wrong token opens a socket")
	}
	if _, err := r.Register(r.ctx, callA, []byte(`{"worker_id":"own"}`)); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("another's id gives %v", err)
	}
}

func TestIssuedTokens(t *testing.T) {
	r := newRig(t)
	read := func(body []byte, err error) (tok protocol.Token) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, &tok); err != nil {
			t.Fatal(err)
		}
		return tok
	}
	tok := read(r.AuthToken(r.ctx, Caller{Token: "own-secret"}))
	if tok.WorkerID != "own" || tok.ExpiresIn != 3600 || !r.Authenticate("own", tok.Access) || r.Authenticate("w", tok.Access) || r.Authenticate("own", tok.Refresh) {
		t.Errorf("token %+v", tok)
	}
	refresh := []byte(`{"refresh_token":"` + tok.Refresh + `"}`)
	if _, err := r.AuthRefresh(r.ctx, Caller{WorkerID: "w"}, []byte(`{"refresh_token":"nonsense"}`)); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("nonsense gives %v", err)
	}
	next := read(r.AuthRefresh(r.ctx, Caller{WorkerID: "own"}, refresh))
	if !r.Authenticate("own", next.Access) {
		t.Error("the new token does not count")
	}
	if _, err := r.AuthRefresh(r.ctx, Caller{WorkerID: "own"}, refresh); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a refresh token counts twice: %v", err)
	}
	r.clock.Advance(accessLife)
	if r.Authenticate("own", next.Access) {
		t.Error("it never ends")
	}
	r.SetTokens(shared, map[string]Digest{"own": DigestOf("changed")})
	if r.Authenticate("own", "own-secret") || !r.Authenticate("own", "changed") {
		t.Error("the new table is not used")
	}
	if _, err := r.AuthRefresh(r.ctx, Caller{}, []byte(`{"refresh_token":"`+next.Refresh+`"}`)); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a token of before the change counts: %v", err)
	}
	if _, err := r.AuthToken(r.ctx, Caller{Token: shared}); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("the shared token without an id gives %v", err)
	}
	if n := len(r.auth.used); n != 1 {
		t.Errorf("%d used tokens are remembered, want 1", n)
	}
	r.clock.Advance(refreshLife)
	r.Sweep(r.ctx)
	if len(r.auth.used) != 0 {
		t.Error("ended tokens are remembered")
	}
}

func TestIssuedTokensCountAtEveryNode(t *testing.T) {
	rows := memory.New()
	node := func(secret string) *rig {
		r := newRig(t)
		h, err := New(r.ctx, Config{Clock: r.clock, Records: rows, SharedToken: shared, Secret: []byte(secret), Keys: rows})
		if err != nil {
			t.Fatal(err)
		}
		h.Attach(r.desk)
		r.Hub = h
		return r
	}
	a, b, stranger := node("of the store"), node("of the store"), node("of another")
	body, err := a.AuthToken(a.ctx, as(callC, "w"))
	var tok protocol.Token
	if err != nil || json.Unmarshal(body, &tok) != nil {
		t.Fatalf("%s, %v", body, err)
	}
	if !b.Authenticate("w", tok.Access) || b.Authenticate("v", tok.Access) || b.Authenticate("w", tok.Refresh) {
		t.Errorf("at another node: %+v", tok)
	}
	if stranger.Authenticate("w", tok.Access) || b.Authenticate("w", strings.Replace(tok.Access, ".w.", ".v.", 1)) || b.Authenticate("w", tok.Access[:len(tok.Access)-2]) {
		t.Error("a token that was not issued counts")
	}
	if who, ok := b.WebSocketAuth(tok.Access); !ok || who.WorkerID != "w" {
		t.Errorf("a connection with it is %+v, %v", who, ok)
	}
	refresh := []byte(`{"refresh_token":"` + tok.Refresh + `"}`)
	if _, err := b.AuthRefresh(b.ctx, Caller{WorkerID: "w"}, refresh); err != nil {
		t.Fatalf("renewed at another node: %v", err)
	}
	if _, err := a.AuthRefresh(a.ctx, Caller{WorkerID: "w"}, refresh); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a token that was used at another node counts again: %v", err)
	}
	b.SetTokens("changed", nil)
	if b.Authenticate("w", tok.Access) || !b.Authenticate("w", "changed") {
		t.Error("a token outlives the one that it was issued for")
	}
}

// conn is a connection that remembers what was sent.
type conn struct {
	mu     sync.Mutex
	frames []string
	closed int
	block  chan struct{} // not nil: Send waits for it
}

func (c *conn) Send(frame []byte) error {
	if c.block != nil {
		<-c.block
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, string(frame))
	return nil
}

func (c *conn) Close(code int, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = code
}

// sent gives what arrived once everything stands still; it empties the list.
func (c *conn) sent() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.frames
	c.frames = nil
	return out
}

func TestCancelIsPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callA, "a", "echo")
		r.register(callC, "c", "video")
		var anonymous, other, named, stranger conn
		for c, id := range map[*conn]string{&anonymous: "", &other: "", &named: "c", &stranger: "x"} {
			r.Connect(c, Identity{WorkerID: id})
		}
		r.offer(1, "echo")
		r.offer(2, "video")
		a, c := r.mustTake(callA, "a"), r.mustTake(callC, "c")
		r.AskCancel(a.JobID)
		want := fmt.Sprintf(`{"command":"cancel_task","type":"cancel_task","task_id":%q,"job_id":%q}`, a.TaskID, a.JobID)
		for _, x := range []*conn{&anonymous, &other} {
			if got := x.sent(); len(got) != 1 || got[0] != want {
				t.Errorf("an anonymous connection got %q", got)
			}
		}
		if got := append(named.sent(), stranger.sent()...); len(got) != 0 {
			t.Errorf("others got %q", got)
		}
		r.Withdraw(c.JobID, 1)
		if got := named.sent(); len(got) != 1 || !strings.Contains(got[0], c.TaskID) {
			t.Errorf("the worker's connection got %q", got)
		}
		if got := stranger.sent(); len(got) != 0 {
			t.Errorf("a stranger got %q", got)
		}
		r.Close()
		synctest.Wait()
		if named.closed != 1001 || r.Stats().Links != 0 {
			t.Error("closing leaves connections")
		}
	})
}

func TestResultIsNotCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callB7, "w", "echo")
		var c conn
		r.Connect(&c, Identity{})
		r.offer(1, "echo")
		r.answer(callB7, success(r.mustTake(callB7, "w"), "w")) // the engine withdraws it meanwhile
		if got := c.sent(); len(got) != 0 {
			t.Errorf("a worker that is done is told to stop: %q", got)
		}
		r.Close()
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callA, "a", "echo")
		r.offer(1, "echo")
		g := r.mustTake(callA, "a")
		var c conn
		link := r.Connect(&c, Identity{})
		frame := func(progress float64) []byte {
			return fmt.Appendf(nil, `{"type":"progress_update","task_id":%q,"job_id":%q,"progress":%g,"message":"m"}`, g.TaskID, g.JobID, progress)
		}
		r.clock.Advance(40 * time.Second)
		link.Frame(r.ctx, frame(0.25))
		link.Frame(r.ctx, []byte(`not json`))
		if p := r.desk.progress; len(p) != 1 || p[0].Progress != 0.25 || p[0].Message != "m" || p[0].TaskID != g.TaskID || !p[0].Timestamp.Equal(r.clock.Now()) {
			t.Fatalf("progress %+v", p)
		}
		for range 30 {
			link.Frame(r.ctx, frame(0.5))
		}
		if n := len(r.desk.progress); n != DefaultLimits().Progress {
			t.Errorf("%d reports of one second were taken", n)
		}
		r.clock.Advance(44 * time.Second) // the frame was a sign of life
		r.Sweep(r.ctx)
		if len(r.desk.lost) != 0 {
			t.Errorf("lost %v", r.desk.lost)
		}
		r.clock.Advance(time.Second)
		r.Sweep(r.ctx)
		if len(r.desk.lost) != 1 || !strings.Contains(r.desk.lost[0], "true") {
			t.Errorf("progress confirms a task, but lost is %v", r.desk.lost)
		}
		if got := c.sent(); len(got) != 0 {
			t.Errorf("before it was stale: %q", got)
		}
		link.Frame(r.ctx, frame(0.75))
		if got := c.sent(); len(got) != 1 || !strings.Contains(got[0], g.TaskID) {
			t.Errorf("a frame about a stale task is answered %q", got)
		}
		link.Gone()
		link.Gone()
	})
}

func TestEventsByHTTP(t *testing.T) {
	r := newRig(t)
	r.register(callC, "c", "echo")
	r.offer(1, "echo")
	g := r.mustTake(callC, "c")
	event := func(kind, worker string) []byte {
		return fmt.Appendf(nil, `{"event_id":"e","event_type":%q,"payload":{"progress":0.5,"message":"half"},"worker_id":%q,"target_task_id":%q,"target_job_id":%q}`, kind, worker, g.TaskID, g.JobID)
	}
	for _, kind := range []string{"progress", "custom"} {
		if reply, err := r.Event(r.ctx, callC, event(kind, "c")); err != nil || !json.Valid(reply) {
			t.Fatalf("%s: %s %v", kind, reply, err)
		}
	}
	if len(r.desk.progress) != 1 || r.desk.progress[0].Message != "half" {
		t.Errorf("progress %+v", r.desk.progress)
	}
	r.register(callC, "thief", "echo")
	if _, err := r.Event(r.ctx, callC, event("progress", "thief")); err != nil {
		t.Fatal(err)
	}
	if len(r.desk.progress) != 1 {
		t.Error("another worker's progress was taken")
	}
	if _, err := r.Event(r.ctx, Caller{Token: "wrong"}, event("progress", "c")); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a wrong token gives %v", err)
	}
}

func TestSlowConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callC, "c", "echo")
		c := conn{block: make(chan struct{})}
		r.Connect(&c, Identity{WorkerID: "c"})
		for n := 1; n <= linkBuffer+3; n++ {
			r.offer(1, "echo", func(t *job.Task) { t.N = n })
			r.mustTake(callC, "c")
		}
		r.AskCancel("0196a000-0000-7000-8000-000000000001") // must not block
		synctest.Wait()
		if r.Stats().Links != 0 || c.closed != 1008 {
			t.Errorf("a connection that takes nothing is kept: closed with %d", c.closed)
		}
		close(c.block)
	})
}

func TestErrorDelays(t *testing.T) {
	for age, delayed := range map[protocol.Age]bool{protocol.AgeA: true, protocol.AgeB46: true, protocol.AgeB7: true, protocol.AgeC: false, protocol.AgeC18: false} {
		d := DelayError(age)
		if delayed && (d < time.Second || d > 2*time.Second) || !delayed && d != 0 {
			t.Errorf("age %v is delayed by %s", age, d)
		}
	}
}

func TestUnserved(t *testing.T) {
	r := newRig(t)
	r.register(callB7, "real", "echo")
	r.offer(1, "echo")
	made := r.offer(2, "dream")
	task, ok, err := r.TakeUnserved(r.ctx)
	if err != nil || !ok || task.JobID != made.JobID || task.Worker != "emulated.dream" || task.State != job.TaskLeased {
		t.Fatalf("took %+v %v %v", task, ok, err)
	}
	if _, ok, _ := r.TakeUnserved(r.ctx); ok {
		t.Error("a type that a real worker has was taken")
	}
	again := restart(t, r.clock, r.rows, r.desk.rows)
	again.Recover([]job.Task{task})
	again.Sweep(again.ctx)
	if len(again.desk.lost) != 1 || !strings.Contains(again.desk.lost[0], "false") {
		t.Errorf("the emulated worker ended with its process, but lost is %v", again.desk.lost)
	}
	r.clock.Advance(DefaultTTL)
	if task, ok, _ := r.TakeUnserved(r.ctx); !ok || task.Type != "echo" {
		t.Error("a type whose worker never served and is gone was left")
	}
	r.register(callB7, "real", "echo,late")
	r.offer(3, "late")
	r.mustTake(callB7, "real")
	r.offer(4, "late")
	r.clock.Advance(time.Hour)
	if _, ok, _ := r.TakeUnserved(r.ctx); ok {
		t.Error("a type that a real worker served was taken")
	}
}

func TestRunSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callA, "w", "echo")
		r.offer(1, "echo")
		r.mustTake(callA, "w")
		go r.Run(t.Context())
		for range 46 {
			synctest.Wait()
			r.clock.Advance(time.Second)
		}
		synctest.Wait()
		if len(r.desk.lost) != 1 {
			t.Errorf("lost %v", r.desk.lost)
		}
	})
}
