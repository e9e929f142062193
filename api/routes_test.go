package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"orrery/engine/job"
)

// This file tests who may do what, on every line of the table.

// TestEveryRouteWithEveryRole walks the table: no token is 401, a role that is not named is
// 403, one that is named gets past the door.
func TestEveryRouteWithEveryRole(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Status: job.WaitingHuman, State: "ask", Wait: &job.Wait{Transitions: map[string]string{"yes": "go"}}})
	fill := strings.NewReplacer(":id", id, ":name", "linear", ":worker", "w1", ":task", "t1", ":action", "cancel", "*", "v1/jobs/simple_linear")
	for _, r := range b.s.table() {
		path := fill.Replace(r.path)
		if strings.HasSuffix(r.path, "/events") {
			path = strings.Replace(path, id, job.NewID(epoch, 1), 1) // a stream would not end
		}
		bare := b.do(r.method, path, "{}", "X-Worker-ID", "w1") // of an age that is refused without a delay
		switch {
		case r.need&public != 0:
			if bare.status == http.StatusForbidden {
				t.Errorf("%s %s without a token: %s", r.method, r.path, bare)
			}
			continue
		case r.need&fellow != 0:
			bare.want(t, http.StatusUnauthorized, "unauthorized")
			b.as("admin", r.method, path, "{}").want(t, http.StatusUnauthorized, "unauthorized")
			continue
		case r.need&page != 0:
			signedOut := strings.Contains(bare.body, "Sign in") || bare.status == http.StatusForbidden || bare.status == http.StatusUnauthorized
			if !signedOut || strings.Contains(bare.body, id) {
				t.Errorf("%s %s without a session: %s", r.method, r.path, bare)
			}
			continue
		case r.need&worker != 0 && strings.Contains(r.path, "/ws"):
			if bare.status != http.StatusBadRequest { // no upgrade was asked for
				t.Errorf("%s %s: %s", r.method, r.path, bare)
			}
			continue
		case r.need&worker != 0:
			bare = b.do(r.method, path, `{"worker_id":"w1","task_id":"t1","event_type":"progress","payload":{"progress":0.5},"target_task_id":"t1"}`, "X-Worker-ID", "w1")
			bare.want(t, http.StatusUnauthorized, "unauthorized")
			continue
		}
		bare.want(t, http.StatusUnauthorized, "unauthorized")
		b.do(r.method, path, "{}", "X-Client-Token", "wrong").want(t, http.StatusUnauthorized, "unauthorized")
		for _, role := range slices.Sorted(maps.Keys(roleNames)) {
			got := b.as(role, r.method, path, "{}")
			if r.need&roleNames[role] == 0 {
				got.want(t, http.StatusForbidden, "forbidden")
			} else if got.status == http.StatusForbidden || got.status == http.StatusUnauthorized {
				t.Errorf("%s %s as %s: %s", r.method, r.path, role, got)
			}
		}
	}
}

// TestNothingBesideTheTable compares the framework's routes with the table.
func TestNothingBesideTheTable(t *testing.T) {
	b := newBench(t)
	known := map[string]int{}
	for _, r := range b.s.table() {
		known[r.method+" "+r.path]++
		if r.hasHead() {
			known[http.MethodHead+" "+r.path]++
		}
	}
	for _, r := range b.s.app.GetRoutes() { // what takes every path (Use) included
		known[r.Method+" "+r.Path] -= len(r.Handlers) // the framework joins neighbours of one path
	}
	for line, n := range known {
		_, path, _ := strings.Cut(line, " ")
		if path == "/" {
			n += 2 // of every method: straighten before all lines, noRoute after them
		}
		if n != 0 {
			t.Errorf("%s: %d times more in the table than served, want 0", line, n)
		}
	}
	for _, path := range []string{"/nothing", "/api", "/api/v1/nothing", "/_worker/nothing", "/api/v1/jobs/x/y/z", "/_public", "/console/style.css"} {
		b.as("admin", "GET", path, "").want(t, http.StatusNotFound, "no_route")
	}
}

// TestWrongMethods: a path that is known under other methods names them.
func TestWrongMethods(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ method, path, allow string }{
		{"DELETE", "/api/v1/jobs", "GET, HEAD"},
		{"POST", "/api/v1/jobs", "GET, HEAD"},
		{"POST", "/api/v1/workers", "GET, HEAD"},
		{"GET", "/api/v1/admin/reload-workers", "POST"},
		{"PUT", "/api/v1/jobs/simple_linear", "GET, HEAD, POST"}, // a job's path, and a blueprint's
		{"DELETE", "/api/v1/jobs/" + job.NewID(epoch, 1), "GET, HEAD"},
		{"PATCH", "/_public/webhooks/approval/x", "GET, HEAD, POST"},
		{"GET", "/_worker/workers/w1", "PATCH"},
		{"DELETE", "/_worker/workers/w1/tasks/next", "GET"},
		{"GET", "/login", "POST"},
		{"POST", "/", "GET, HEAD"},
	} {
		got := b.as("admin", c.method, c.path, "{}")
		got.want(t, http.StatusMethodNotAllowed, "method_not_allowed")
		if allow := got.header.Get("Allow"); allow != c.allow {
			t.Errorf("%s %s allows %q; want %q", c.method, c.path, allow, c.allow)
		}
	}
	b.as("admin", "POST", "/api/v1/jobs/simple_linaer", "{}").want(t, http.StatusNotFound, "unknown_blueprint")
}

// TestOthersJobsDoNotExist asks for one job on all its paths, as its owner and as another.
func TestOthersJobsDoNotExist(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	for _, path := range []string{"", "/history", "/why"} {
		b.as("client", "GET", "/api/v1/jobs/"+id+path, "").ok(t, http.StatusOK, nil)
		b.as("viewer", "GET", "/api/v1/jobs/"+id+path, "").ok(t, http.StatusOK, nil)
		b.as("other", "GET", "/api/v1/jobs/"+id+path, "").want(t, http.StatusNotFound, "not_found")
	}
	if got := b.as("client", "GET", "/api/v1/jobs/"+id+"/graph?format=dot&dark=true", ""); got.status != http.StatusOK || !strings.HasPrefix(got.body, "dot of ") || !strings.HasSuffix(got.body, "dark true") {
		t.Errorf("graph of a job: %s", got)
	}
	b.as("client", "GET", "/api/v1/jobs/"+id+"/graph?format=pdf", "").want(t, http.StatusBadRequest, "bad_request")
	b.as("other", "GET", "/api/v1/jobs/"+id+"/graph", "").want(t, http.StatusNotFound, "not_found")
	b.as("other", "GET", "/api/jobs/"+id+"/history", "").want(t, http.StatusNotFound, "not_found")
	b.as("other", "GET", "/api/v1/jobs/"+id+"/events", "").want(t, http.StatusNotFound, "not_found")
	b.as("other", "POST", "/api/v1/jobs/"+id+"/cancel", "").want(t, http.StatusNotFound, "not_found")
	var mine, theirs []map[string]any
	b.as("client", "GET", "/api/v1/jobs", "").ok(t, http.StatusOK, &mine)
	b.as("other", "GET", "/api/v1/jobs", "").ok(t, http.StatusOK, &theirs)
	if len(mine) != 1 || len(theirs) != 0 {
		t.Errorf("the owner sees %d, another %d", len(mine), len(theirs))
	}
}

func TestBadIDs(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"1", "0192F000-0000-7000-8000-000000000007", strings.Repeat("a", 1500), "a.b", "x%20y", job.NewID(epoch, 3)} {
		got := b.as("admin", "GET", "/api/v1/jobs/"+id, "")
		got.want(t, http.StatusNotFound, "not_found")
		if len(got.body) > 600 {
			t.Errorf("the answer repeats %d bytes", len(got.body))
		}
	}
	for _, id := range []string{"..%2f..%2fetc", "%2e%2e", "..", ".", "%00", "a%00b", "%0d%0aX:y", strings.Repeat("a", 3000), "a%5cb",
		"%e2%80%a4%e2%80%a4", "%ef%bc%8e%ef%bc%8e", "%252e%252e", "%e2%80%ae", "x%7f"} {
		got := b.as("admin", "GET", "/api/v1/jobs/"+id, "")
		got.want(t, http.StatusBadRequest, "bad_request")
		if len(got.body) > 600 {
			t.Errorf("the answer repeats %d bytes", len(got.body))
		}
	}
}

func TestTokens(t *testing.T) {
	b := newBench(t)
	b.do("GET", "/api/v1/jobs", "", "Authorization", "Bearer t-viewer").ok(t, http.StatusOK, nil)
	b.do("GET", "/api/v1/jobs", "", "Authorization", "bearer  t-viewer").ok(t, http.StatusOK, nil)
	b.do("GET", "/api/v1/jobs", "", "Authorization", "Basic t-viewer").want(t, http.StatusUnauthorized, "unauthorized")
	got := b.do("GET", "/api/v1/jobs", "")
	if got.header.Get("WWW-Authenticate") == "" || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("headers of a 401: %v", got.header)
	}
	off := newBench(t, func(c *Config) { c.ClientAPI = false })
	off.as("admin", "GET", "/api/v1/jobs", "").want(t, http.StatusForbidden, "forbidden")
	off.do("GET", "/_public/status", "").ok(t, http.StatusOK, nil)
}

func TestClientsMustDiffer(t *testing.T) {
	for name, clients := range map[string][]Client{
		"same name":  {{Name: "a", Token: "1", Role: "client"}, {Name: "a", Token: "2", Role: "client"}},
		"same token": {{Name: "a", Token: "1", Role: "client"}, {Name: "b", Token: "1", Role: "client"}},
		"no token":   {{Name: "a", Role: "client"}},
		"no role":    {{Name: "a", Token: "1", Role: "king"}},
	} {
		if _, err := newKeyring(clients); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "\"1\"") {
			t.Errorf("%s: the error holds a token: %v", name, err)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	b := newBench(t)
	if got := b.do("GET", "/_public/status", "", "X-Request-ID", "abc-1"); got.header.Get("X-Request-ID") != "abc-1" {
		t.Errorf("the caller's id is not kept: %v", got.header)
	}
	one, two := b.do("GET", "/_public/status", ""), b.do("GET", "/_public/status", "", "X-Request-ID", "a b\"")
	if a, z := one.header.Get("X-Request-ID"), two.header.Get("X-Request-ID"); a == "" || z == "" || a == z || strings.Contains(z, " ") {
		t.Errorf("ids %q and %q", a, z)
	}
}

// TestInnerErrorsStayInside: what is not a known fault goes to the log and not out.
func TestInnerErrorsStayInside(t *testing.T) {
	b := newBench(t)
	b.engine.fail = errBroken
	got := b.as("admin", "GET", "/api/v1/jobs", "")
	got.want(t, http.StatusInternalServerError, "internal")
	if strings.Contains(got.body, "/secret") || !strings.Contains(b.log.String(), "/secret/path") {
		t.Errorf("answer %s, log %s", got, b.log)
	}
}

func TestAccessLogHoldsNoSecrets(t *testing.T) {
	b := newBench(t)
	b.as("admin", "GET", "/api/v1/jobs?cursor=t-geheim", "")
	b.do("GET", "/_public/webhooks/approval/"+job.NewID(epoch, 1)+"?token=t-geheim", "")
	b.do("GET", "/api/v1/jobs", "", "Authorization", "Bearer t-geheim")
	if log := b.log.String(); strings.Contains(log, "t-geheim") || strings.Contains(log, "t-admin") || !strings.Contains(log, "status=200") {
		t.Errorf("log:\n%s", log)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	b := newBench(t)
	b.s.hub = nil
	b.as("admin", "GET", "/api/v1/workers", "").want(t, http.StatusInternalServerError, "internal")
	if !strings.Contains(b.log.String(), "panicked") {
		t.Error("the log does not tell")
	}
}

// Monitors ask with HEAD. It needs the same rights as GET, and never takes a worker's task.
func TestHead(t *testing.T) {
	b := newBench(t)
	b.listen()
	for path, want := range map[string]int{"/": 200, "/_public/status": 200, "/api/v1/jobs": 401, "/_worker/workers/w1/tasks/next": 405, "/nothing": 404} {
		resp, err := http.Head(b.base + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); got.status != want || got.body != "" {
			t.Errorf("HEAD %s: %s; want %d", path, got, want)
		}
	}
}
