package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"

	"orrery/engine"
	"orrery/engine/blob"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store/memory"
	"orrery/workers"
)

// This file makes the matrix of rights out of the table of routes: every line for everybody
// who may stand at the door, with the real engine and the real hub behind it.

const rightsScript = `
bp = blueprint(name = "linear", api_version = "v1", api_endpoint = "jobs/simple_linear")

def start(context, actions):
    if context.initial_data.get("ask"):
        actions.await_human_approval(integration = "test", message = "go on?", transitions = {"yes": "finished"})
    else:
        actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
`

// actor is somebody at the door: the headers it sends and what it is.
type actor struct {
	name    string
	headers []string
	role    access // of a client's token; 0 without one
	worker  string // whose worker token it has
	owner   bool   // of the jobs that are asked for
}

var actors = []actor{
	{name: "none"},
	{name: "bad token", headers: []string{"X-Client-Token", "guess", "X-Worker-Token", "guess"}},
	{name: "client A", headers: []string{"X-Client-Token", "t-client"}, role: roleClient, owner: true},
	{name: "client B", headers: []string{"X-Client-Token", "t-other"}, role: roleClient},
	{name: "viewer", headers: []string{"X-Client-Token", "t-viewer"}, role: roleViewer},
	{name: "approver", headers: []string{"X-Client-Token", "t-approver"}, role: roleApprover},
	{name: "operator", headers: []string{"X-Client-Token", "t-operator"}, role: roleOperator},
	{name: "admin", headers: []string{"Authorization", "Bearer t-admin"}, role: roleAdmin},
	{name: "worker", headers: []string{"X-Worker-Token", "w-own"}, worker: "own"},
	{name: "other worker", headers: []string{"X-Worker-Token", "w-second"}, worker: "second"},
	{name: "worker as client", headers: []string{"X-Client-Token", "w-own"}},
	{name: "client as worker", headers: []string{"X-Worker-Token", "t-admin"}},
}

// may says, from the table alone, whether the actor may do what the line does to client A's
// job, or in the name of the worker "own". Lines that are open to all are not asked about.
func (a actor) may(r route) bool {
	switch {
	case r.need&worker != 0:
		return a.worker == "own"
	case r.need&page != 0:
		return false // a token is no session
	}
	ofAJob := strings.Contains(r.path, "/jobs/:id")
	return a.role&r.need != 0 && (!ofAJob || a.owner || a.role != roleClient)
}

// newRealBench is a bench over the real engine.
func newRealBench(t *testing.T) *bench {
	t.Helper()
	ctx := t.Context()
	b := &bench{t: t, log: &strings.Builder{}}
	catalog, err := blueprint.LoadFS(ctx, fstest.MapFS{"linear.star": {Data: []byte(rightsScript)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := memory.New()
	catalog.UseStore(rows)
	b.hub, err = workers.New(ctx, workers.Config{Clock: clock.Real{}, Records: rows, Tokens: map[string]workers.Digest{"own": workers.DigestOf("w-own"), "second": workers.DigestOf("w-second")}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{Store: rows, Blueprints: catalog, Dispatcher: b.hub})
	if err != nil {
		t.Fatal(err)
	}
	b.hub.Attach(e)
	if err := e.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.files = newFolder(t)
	b.s, err = New(Deps{Jobs: e, Blueprints: &fakePrints{}, Editions: catalog, Hub: b.hub, Files: Files{b.files, []byte("key")}}, Config{Clients: testClients, ClientAPI: true, PollHold: 10 * time.Millisecond,
		ReloadWorkers: func(context.Context) (int, error) { return 2, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// jobOfA starts a job of client A and waits until it has come where it stays.
func (b *bench) jobOfA(data string, until job.Status) string {
	b.t.Helper()
	return b.jobOfBlueprint("linear", data, until)
}

// jobOfBlueprint does so with a job of any blueprint.
func (b *bench) jobOfBlueprint(name, data string, until job.Status) string {
	b.t.Helper()
	id, _, err := b.s.jobs.Submit(b.t.Context(), engine.Request{Blueprint: name, Client: job.Client{ID: "ann"}, InitialData: []byte(data)})
	if err != nil {
		b.t.Fatal(err)
	}
	changed, stop := b.s.jobs.Watch(id)
	defer stop()
	for {
		j, err := b.s.jobs.Job(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if j.Status == until {
			return id
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			b.t.Fatalf("the job is %s and not %s", j.Status, until)
		}
	}
}

// request makes the request of one actor at one line.
func (b *bench) request(r route, a actor) (path, body, id string) {
	if strings.Contains(r.path, "/events") {
		id = b.jobOfA("{}", job.Finished) // the stream of a job that lives would not end
	} else {
		id = b.jobOfA(`{"ask":true}`, job.WaitingHuman)
	}
	fill := strings.NewReplacer(":id", id, ":name", "linear", ":blueprint", "linear", ":store", "seen", ":worker", "own", ":task", id+"-1-aaaaaaaa", ":action", "cancel", "*", "v1/jobs/simple_linear")
	body = "{}"
	if strings.Contains(r.path, "/files") {
		if _, err := b.files.Put(b.t.Context(), blob.Key(id, "v1/jobs/simple_linear"), strings.NewReader("x"), 1); err != nil {
			b.t.Fatal(err)
		}
	}
	switch {
	case strings.HasSuffix(r.path, "/diff"):
		return fill.Replace(r.path) + "?from=latest", body, id
	case r.path == "/api/v1/uploads/*":
		if _, _, err := b.s.editions.Upload(b.t.Context(), map[string]string{"up.star": ""}, "test", false); err != nil {
			b.t.Fatal(err)
		}
		return "/api/v1/uploads/up.star", body, id
	case r.path == "/api/v1/uploads" && r.method == post:
		body = `{"files":{"up.star":""},"dry_run":true}`
	case strings.HasSuffix(r.path, "/approve"):
		body = `{"decision":"yes"}`
	case strings.HasSuffix(r.path, "/refresh"):
		body = `{"refresh_token":"guess"}`
	case r.need&worker != 0 && r.method != get:
		body = `{"worker_id":"own","supported_skills":["x"],"job_id":"` + id + `","task_id":"` + id + `-1-aaaaaaaa","event_type":"progress","payload":{"progress":0.5},"target_task_id":"` + id + `-1-aaaaaaaa"}`
	}
	return fill.Replace(r.path), body, id
}

// TestRights walks the matrix; what the table does not allow must not give a 2xx.
func TestRights(t *testing.T) {
	b := newRealBench(t)
	asked, let := 0, 0
	for _, r := range b.s.table() {
		if strings.Contains(r.path, "/ws") || r.need == public {
			continue // TestRightsOfSockets; open to all
		}
		for _, a := range actors {
			path, body, id := b.request(r, a)
			headers := a.headers
			if r.need&worker != 0 {
				headers = append([]string{"X-Worker-ID", "own"}, headers...) // each claims to be that worker
			}
			got := b.doFromAfar(r.method, path, body, headers...)
			asked++
			through := got.status < 400
			if r.path == "/" || r.path == "/login" || r.path == "/logout" {
				through = strings.Contains(got.body, id) || got.header.Get("Set-Cookie") != "" && r.path == "/login"
			}
			if through {
				let++
			}
			denied := got.status == http.StatusUnauthorized || got.status == http.StatusForbidden || got.status == http.StatusNotFound
			switch may := a.may(r) && !strings.HasSuffix(r.path, "/refresh"); {
			case !may && through:
				t.Errorf("%s %s let %s in: %s", r.method, r.path, a.name, got)
			case may && denied:
				t.Errorf("%s %s refused %s: %s", r.method, r.path, a.name, got)
			}
			if !a.may(r) && strings.Contains(r.path, "/jobs/:id") {
				if j, err := b.s.jobs.Job(t.Context(), id); err != nil || j.Status != job.WaitingHuman && j.Status != job.Finished {
					t.Errorf("%s %s by %s changed the job: %+v, %v", r.method, r.path, a.name, j, err)
				}
			}
		}
	}
	t.Logf("%d requests by %d kinds of callers, %d let in, as the table says", asked, len(actors), let)
}

// TestRightsOfOpenRoutes: what needs no token tells nothing of a job and changes none.
func TestRightsOfOpenRoutes(t *testing.T) {
	b := newRealBench(t)
	for _, r := range b.s.table() {
		if r.need != public {
			continue
		}
		for _, a := range actors {
			path, _, id := b.request(r, a)
			got := b.doFromAfar(r.method, path, `{"decision":"yes"}`, a.headers...)
			if strings.Contains(r.path, ":id") && got.status != http.StatusUnauthorized || !strings.Contains(r.path, ":id") && strings.Contains(got.body, id) {
				t.Errorf("%s %s by %s: %s", r.method, r.path, a.name, got)
			}
			if j, err := b.s.jobs.Job(t.Context(), id); err != nil || j.Status != job.WaitingHuman {
				t.Errorf("%s %s by %s changed the job: %+v, %v", r.method, r.path, a.name, j, err)
			}
		}
	}
}

// TestRightsOfSockets upgrades, which needs a real connection.
func TestRightsOfSockets(t *testing.T) {
	b := newRealBench(t)
	b.listen()
	for _, path := range []string{"/_worker/ws", "/_worker/ws/own"} {
		for _, a := range actors {
			h := http.Header{}
			for i := 0; i+1 < len(a.headers); i += 2 {
				h.Set(a.headers[i], a.headers[i+1])
			}
			may := a.worker == "own" || a.worker != "" && path == "/_worker/ws" // there the token says who it is
			conn, resp, err := websocket.Dial(t.Context(), b.base+path, &websocket.DialOptions{HTTPHeader: h})
			if (err == nil) != may {
				t.Errorf("%s by %s: %v", path, a.name, err)
			}
			if err == nil {
				conn.CloseNow()
			} else if resp == nil || resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s by %s: %v, %v; want 401", path, a.name, resp, err)
			}
		}
	}
}

// TestRightsOfOwnTasks: a worker's token opens nothing of another worker, by no header.
func TestRightsOfOwnTasks(t *testing.T) {
	b := newRealBench(t)
	for _, id := range []string{"own", "OWN", "own/", "..", "own%00", "%6fwn", "own,second", ""} {
		path := "/_worker/workers/" + id + "/tasks/next"
		got := b.doFromAfar("GET", path, "", "X-Worker-Token", "w-second", "X-Worker-ID", "second")
		if got.status < 400 || got.status >= 500 {
			t.Errorf("%s with the token of second: %s", path, got)
		}
	}
	for i, header := range []string{"own", "", "second"} {
		got := b.doFromAfar("PATCH", "/_worker/workers/own", fmt.Sprintf(`{"worker_id":"own","n":%d}`, i), "X-Worker-Token", "w-second", "X-Worker-ID", header)
		got.want(t, http.StatusUnauthorized, "unauthorized")
	}
}

// doFromAfar sends a request as from another machine, where being local counts for nothing.
func (b *bench) doFromAfar(method, path, body string, headers ...string) answer {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://orrery.example"+path, strings.NewReader(body))
	r.RequestURI = ""                        // path alone, as callers send it
	r.Header.Set("X-RXON-Version", "1.0b17") // of an age whose refusals are not held back
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.s.app.Test(r, -1)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return read(b.t, resp)
}
