package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"orrery/engine"
	"orrery/engine/quota"
)

// This file tests clients that change while the server runs, quotas and rates.

func TestClientsAreReplacedWhole(t *testing.T) {
	var b *bench
	next := []Client{
		{Name: "ann", Token: "t-new", Role: "client"},
		{Name: "opal", Token: "t-operator", Role: "viewer"},
		{Name: "admin", Token: "t-admin", Role: "admin"},
	}
	var refuse error
	b = newBench(t, func(c *Config) {
		c.ReloadClients = func(context.Context) (int, error) {
			if refuse != nil {
				return 0, refuse
			}
			return len(next), b.s.SetClients(next)
		}
	})
	page := func(cookie string) answer { return b.do("GET", "/", "", "Cookie", cookie) }
	signIn := func(role string) string {
		got := b.do("POST", "/login", "token=t-"+role, "Content-Type", "application/x-www-form-urlencoded", "Origin", "http://example.com", "Host", "example.com")
		if got.status != http.StatusSeeOther {
			t.Fatalf("sign in: %s", got)
		}
		return strings.SplitN(got.header.Get("Set-Cookie"), ";", 2)[0]
	}
	ann, admin := signIn("client"), signIn("admin")
	if strings.Contains(page(ann).body, "/login") {
		t.Fatal("signing in did not work")
	}
	b.as("client", "GET", "/api/v1/jobs", "").ok(t, 200, nil)
	b.as("operator", "POST", "/api/v1/admin/reload-clients", "").ok(t, 200, nil)
	b.as("client", "GET", "/api/v1/jobs", "").want(t, 401, "unauthorized")
	b.as("other", "GET", "/api/v1/jobs", "").want(t, 401, "unauthorized")
	b.do("GET", "/api/v1/jobs", "", "X-Client-Token", "t-new").ok(t, 200, nil)
	b.as("operator", "POST", "/api/v1/admin/reload-clients", "").want(t, 403, "forbidden") // only a viewer now
	if !strings.Contains(page(ann).body, "/login") {
		t.Error("the session of a token that is gone goes on")
	}
	if strings.Contains(page(admin).body, "/login") {
		t.Error("the session of a token that stays has ended")
	}
	refuse = errors.New("clients.toml:3: [x] has no token")
	if got := b.as("admin", "POST", "/api/v1/admin/reload-clients", ""); got.status != 400 || !strings.Contains(got.body, "clients.toml:3") {
		t.Errorf("a bad file: %s", got)
	}
	b.do("GET", "/api/v1/jobs", "", "X-Client-Token", "t-new").ok(t, 200, nil)
	if err := b.s.SetClients([]Client{{Name: "a", Token: "x", Role: "king"}}); err == nil {
		t.Error("a client with an unknown role was taken")
	}
	b.do("GET", "/api/v1/jobs", "", "X-Client-Token", "t-new").ok(t, 200, nil)
}

func TestQuotaAtTheEdge(t *testing.T) {
	attempts := int64(3)
	b := newBench(t, func(c *Config) {
		c.Clients = []Client{{Name: "ann", Token: "t-client", Role: "client", Plan: "free", Attempts: &attempts}, {Name: "vip", Token: "t-vip", Role: "client"}}
	})
	b.as("client", "POST", "/api/v1/jobs/simple_linear", `{}`).ok(t, 202, nil)
	if r := b.engine.last(); r.Attempts == nil || *r.Attempts != 3 {
		t.Errorf("the engine was asked with %+v", r)
	}
	var own Standing
	b.as("client", "GET", "/api/v1/quota", "").ok(t, 200, &own)
	if own.Client != "ann" || own.Plan != "free" || *own.Attempts != 3 || own.Used != 1 || *own.Remaining != 2 || own.Resets.IsZero() {
		t.Errorf("standing %+v", own)
	}
	var free Standing
	b.as("vip", "GET", "/api/v1/quota", "").ok(t, 200, &free)
	if free.Attempts != nil || free.Remaining != nil {
		t.Errorf("without a bound: %+v", free)
	}
	full := &quota.Exceeded{Client: "ann", Most: 3, Resets: epoch.Add(90*time.Minute + time.Millisecond), Wait: 90*time.Minute + time.Millisecond}
	b.engine.fail = faultWith(full)
	got := b.as("client", "POST", "/api/v1/jobs/simple_linear", `{}`)
	got.want(t, 429, "quota_exceeded")
	if got.header.Get("Retry-After") != "5401" || !strings.Contains(got.body, `"monthly_attempts":3`) {
		t.Errorf("Retry-After %q in %s", got.header.Get("Retry-After"), got)
	}
}

// faultWith is a fault of the engine with a cause.
func faultWith(cause error) error {
	return errors.Join(&engine.Fault{Code: engine.QuotaExceeded, Message: cause.Error()}, cause)
}

func TestRatesOfClients(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Rates = Rates{Per: time.Minute, Requests: 6} })
	for range 6 {
		b.as("client", "GET", "/api/v1/jobs", "").ok(t, 200, nil)
	}
	got := b.as("client", "GET", "/api/v1/jobs", "")
	got.want(t, 429, "rate_limited")
	if got.header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After %q, want 10: six a minute", got.header.Get("Retry-After"))
	}
	b.as("other", "GET", "/api/v1/jobs", "").ok(t, 200, nil) // each client has its own
	b.do("GET", "/_public/status", "").ok(t, 200, nil)
	b.clock.Advance(9 * time.Second)
	b.as("client", "GET", "/api/v1/jobs", "").want(t, 429, "rate_limited")
	b.clock.Advance(time.Second)
	b.as("client", "GET", "/api/v1/jobs", "").ok(t, 200, nil)
	b.as("client", "GET", "/api/v1/jobs", "").want(t, 429, "rate_limited")
	b.clock.Advance(time.Hour)
	for range 6 {
		b.as("client", "GET", "/api/v1/jobs", "").ok(t, 200, nil)
	}
	b.as("client", "GET", "/api/v1/jobs", "").want(t, 429, "rate_limited")
}

// Workers are never refused for their rate: their answers come later.
func TestRatesOfWorkers(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Rates = Rates{Per: time.Minute, Heartbeats: 2, Polls: 1}
		c.PollHold = 2 * time.Millisecond
	})
	own := []string{"X-Worker-Token", "w-own"}
	b.do("POST", "/_worker/workers/register", `{"worker_id":"own","supported_skills":["echo"]}`, own...).ok(t, 200, nil)
	later := func(wait time.Duration, method, path string, want int) {
		t.Helper()
		done := make(chan answer, 1)
		go func() { done <- b.do(method, path, `{"load":1}`, own...) }()
		for waited := time.Duration(0); ; {
			select {
			case got := <-done:
				if got.status != want || (waited-wait).Abs() > 5*time.Millisecond {
					t.Errorf("%s %s was answered %d after %s, want %d after %s", method, path, got.status, waited, want, wait)
				}
				return
			case <-b.clock.Armed():
				if at, ok := b.clock.Next(); ok {
					if d := at.Sub(b.clock.Now()); d > 2*time.Millisecond {
						waited += d
					}
					b.clock.Set(at)
				}
			}
		}
	}
	later(0, "PATCH", "/_worker/workers/own", 200)
	later(0, "PATCH", "/_worker/workers/own/status", 200)
	later(slowest, "PATCH", "/_worker/workers/own", 200) // 30 s at an even pace, and no SDK waits so long
	later(0, "GET", "/_worker/workers/own/tasks/next", 204)
	later(slowest, "GET", "/_worker/workers/own/tasks/next", 204)
	b.do("GET", "/_worker/workers/own/tasks/next", "", "X-Worker-Token", "wrong", "X-RXON-Version", "1.0b17", "X-Worker-ID", "own").want(t, 401, "unauthorized")
}

func TestPaceForgets(t *testing.T) {
	b := newBench(t)
	p := newPace(b.clock, 1, time.Second)
	for i := range 5000 {
		p.ask(string(rune('a'+i%26)) + time.Duration(i).String())
		b.clock.Advance(10 * time.Millisecond)
	}
	if n := len(p.done); n > 3000 {
		t.Errorf("%d askers are remembered, some 100 asked within the last second", n)
	}
	if newPace(b.clock, 0, time.Second) != nil || (*pace)(nil).ask("x") != 0 || (*pace)(nil).queue("x") != 0 {
		t.Error("no limit limits")
	}
}
