package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/job"
)

// This file tests reading jobs, what is asked of them, and the operator's pages in JSON.

func TestJob(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	var v map[string]any
	b.as("client", "GET", "/api/v1/jobs/"+id, "").ok(t, http.StatusOK, &v)
	if v["id"] != id || v["job_id"] != id || v["status"] != "running" || v["client"] != "ann" || v["created_at"] != "2026-11-23T12:00:00.000Z" {
		t.Errorf("job %v", v)
	}
	var events []map[string]any
	b.as("client", "GET", "/api/jobs/"+id+"/history", "").ok(t, http.StatusOK, &events)
	if len(events) != 1 || events[0]["event_type"] != "state_started" {
		t.Errorf("history %v", events)
	}
	var why map[string]any
	b.as("client", "GET", "/api/v1/jobs/"+id+"/why", "").ok(t, http.StatusOK, &why)
	if why["reason"] != "nobody polls for it" {
		t.Errorf("why %v", why)
	}
}

func TestListPages(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.engine.add(job.Job{Status: job.Running})
	}
	b.engine.add(job.Job{Status: job.Quarantined, Blueprint: "a&b"})
	seen := map[string]bool{}
	path := "/api/v1/jobs?limit=2&status=running,pending&blueprint=linear"
	for pages := 0; path != ""; pages++ {
		var page []map[string]any
		a := b.as("viewer", "GET", path, "")
		a.ok(t, http.StatusOK, &page)
		for _, v := range page {
			seen[v["id"].(string)] = true
			if v["state_history"] != nil {
				t.Error("a list entry has data")
			}
		}
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
		link, more := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
		if path = strings.TrimPrefix(link, "<"); more {
			if u, err := url.Parse(path); err != nil || u.Query().Get("status") != "running,pending" || u.Query().Get("blueprint") != "linear" {
				t.Errorf("link %q", path)
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d jobs on all pages, want 5", len(seen))
	}
	var bad []map[string]any
	b.as("operator", "GET", "/api/v1/jobs/quarantined", "").ok(t, http.StatusOK, &bad)
	if len(bad) != 1 || bad[0]["blueprint_name"] != "a&b" {
		t.Errorf("quarantined %v", bad)
	}
	b.as("viewer", "GET", "/api/v1/jobs?status=dreaming", "").want(t, http.StatusBadRequest, "bad_request")
	for _, limit := range []string{"0", "1001", "-1", "x"} {
		b.as("viewer", "GET", "/api/v1/jobs?limit="+limit, "").want(t, http.StatusBadRequest, "bad_request")
	}
	if a := newBench(t).as("viewer", "GET", "/api/v1/jobs", ""); a.body != "[]" {
		t.Errorf("no jobs: %s", a)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Status: job.Running, Client: job.Client{ID: "ann"}})
	var got done
	b.as("client", "POST", "/api/v1/jobs/"+id+"/cancel", "").ok(t, http.StatusOK, &got)
	if got != (done{"cancellation_request_accepted", id}) || b.engine.jobs[id].Reason != "by ann" {
		t.Errorf("got %v, job %+v", got, b.engine.jobs[id])
	}
	b.as("client", "POST", "/api/v1/jobs/"+id+"/cancel", "").want(t, http.StatusConflict, "ended")
}

func TestRetryAndClose(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Status: job.Failed})
	path := "/api/v1/jobs/" + id
	for _, body := range []string{`{"data": []}`, `{"revision": "newest"}`, `{"date": {}}`, `[]`, `{"data": {}} trailing`} {
		if got := b.as("operator", "POST", path+"/retry", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %s", body, got)
		}
	}
	b.as("operator", "POST", path+"/retry", `{"data": {"k": 1}, "revision": "latest"}`).ok(t, http.StatusOK, nil)
	if string(b.engine.retried) != `{"k": 1}` || !b.engine.latest {
		t.Errorf("retried with %s, latest %v", b.engine.retried, b.engine.latest)
	}
	b.as("operator", "POST", path+"/retry", "").ok(t, http.StatusOK, nil)
	if b.engine.retried != nil || b.engine.latest {
		t.Errorf("an empty body retried with %s", b.engine.retried)
	}
	b.as("operator", "POST", path+"/close", "").ok(t, http.StatusOK, nil)
	if b.engine.jobs[id].Reason != "closed by opal" {
		t.Errorf("job %+v", b.engine.jobs[id])
	}
}

// asking puts a job in place that waits for a person.
func asking(b *bench) string {
	return b.engine.add(job.Job{Status: job.WaitingHuman, State: "ask", Client: job.Client{ID: "ann"}, Wait: &job.Wait{
		For: job.WaitingHuman, Since: epoch, Message: "Is <b>this</b> fine?", Integration: "telegram", Step: 2,
		Transitions: map[string]string{"yes": "go", "no": "stop", "timeout": "late"},
	}})
}

func TestApprovals(t *testing.T) {
	b := newBench(t)
	id := asking(b)
	b.engine.add(job.Job{Status: job.Running})
	var list []map[string]any
	b.as("approver", "GET", "/api/v1/approvals", "").ok(t, http.StatusOK, &list)
	if len(list) != 1 || list[0]["job_id"] != id || list[0]["message"] != "Is <b>this</b> fine?" || len(list[0]["decisions"].([]any)) != 2 {
		t.Fatalf("approvals %v", list)
	}
	link := "/_public/webhooks/approval/" + id + "?token=token-of-" + id
	for role, want := range map[string]any{"approver": link, "operator": link, "admin": link, "viewer": nil} { // a link is the right to decide
		list = nil
		b.as(role, "GET", "/api/v1/approvals", "").ok(t, http.StatusOK, &list)
		if list[0]["link"] != want {
			t.Errorf("%s gets the link %v; want %v", role, list[0]["link"], want)
		}
	}
	path := "/api/v1/jobs/" + id + "/approve"
	b.as("approver", "POST", path, `{}`).want(t, http.StatusBadRequest, "bad_request")
	b.as("approver", "POST", path, `{"decision": "perhaps"}`).want(t, http.StatusBadRequest, "bad_decision")
	b.as("approver", "POST", path, `{"decision": "yes"}`).ok(t, http.StatusOK, nil)
	if b.engine.jobs[id].Reason != "yes by apo" {
		t.Errorf("job %+v", b.engine.jobs[id])
	}
	b.as("approver", "POST", path, `{"decision": "no"}`).want(t, http.StatusConflict, "not_waiting")
}

func TestApprovalLink(t *testing.T) {
	b := newBench(t)
	id := asking(b)
	path := "/_public/webhooks/approval/"
	for _, bad := range []string{path + id, path + id + "?token=wrong", path + "x?token=token-of-x", path + job.NewID(epoch, 1) + "?token=t"} {
		if got := b.do("GET", bad, ""); got.status != http.StatusUnauthorized || strings.Contains(got.body, "fine?") {
			t.Errorf("GET %s: %s", bad, got)
		}
		b.do("POST", bad, `{"decision": "yes"}`).want(t, http.StatusUnauthorized, "bad_token")
	}
	link := path + id + "?token=token-of-" + id
	got := b.do("GET", link, "")
	got.ok(t, http.StatusOK, nil)
	if !strings.Contains(got.body, `value="yes"`) || strings.Contains(got.body, "timeout") || strings.Contains(got.body, "<b>this") || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("page: %s", got)
	}
	if b.engine.jobs[id].Status != job.WaitingHuman {
		t.Fatal("looking at the page decided")
	}
	b.do("POST", link, `{"decision": "timeout-"}`).want(t, http.StatusBadRequest, "bad_decision")
	b.do("POST", path+id, `{"decision": "yes", "token": "token-of-`+id+`", "from": "anywhere"}`).ok(t, http.StatusOK, nil)
	if b.engine.jobs[id].Reason != "yes by link" {
		t.Errorf("job %+v", b.engine.jobs[id])
	}
	curled := asking(b)
	b.do("POST", path+curled+"?token=token-of-"+curled, ` {"decision": "yes"}`, "Content-Type", "application/x-www-form-urlencoded").ok(t, http.StatusOK, nil)
	if b.engine.jobs[curled].Reason != "yes by link" {
		t.Errorf("JSON that curl calls a form: %+v", b.engine.jobs[curled])
	}
	form := "decision=no&token=token-of-" + asking(b)
	other := strings.TrimPrefix(form, "decision=no&token=token-of-")
	got = b.do("POST", path+other, form, "Content-Type", "application/x-www-form-urlencoded")
	if got.status != http.StatusOK || !strings.Contains(got.body, "Thank you") || b.engine.jobs[other].Reason != "no by link" {
		t.Errorf("form: %s", got)
	}
}

func TestOperatorRoutes(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ReloadWorkers = nil })
	b.engine.add(job.Job{Status: job.Running})
	var dash struct {
		Workers, Jobs map[string]int
	}
	b.as("operator", "GET", "/api/v1/dashboard", "").ok(t, http.StatusOK, &dash)
	if dash.Jobs["running"] != 1 || dash.Jobs["total"] != 1 || dash.Workers["total"] != 0 {
		t.Errorf("dashboard %+v", dash)
	}
	var prints []map[string]any
	b.as("client", "GET", "/api/v1/blueprints", "").ok(t, http.StatusOK, &prints)
	if len(prints) != 2 || prints[0]["example"] != nil || prints[1]["api_endpoint"] != "jobs/simple_linear" {
		t.Errorf("blueprints %v", prints)
	}
	got := b.as("client", "GET", "/api/v1/blueprints/linear/graph", "")
	if got.status != http.StatusOK || !strings.HasPrefix(got.body, "dot of linear") {
		t.Errorf("graph %s", got)
	}
	got = b.as("client", "GET", "/api/v1/blueprints/linaer/graph", "")
	got.want(t, http.StatusNotFound, "unknown_blueprint")
	if !strings.Contains(got.body, `did you mean \"linear\"`) {
		t.Errorf("no help: %s", got)
	}
	b.as("operator", "POST", "/api/v1/admin/reload-workers", "").want(t, http.StatusBadRequest, "bad_request")
}

func TestStatus(t *testing.T) {
	b := newBench(t)
	var st struct {
		Status     string
		Blueprints struct {
			Loaded int
			Faults []string
		}
	}
	b.do("GET", "/_public/status", "").ok(t, http.StatusOK, &st)
	if st.Status != "ok" || st.Blueprints.Loaded != 2 || st.Blueprints.Faults == nil {
		t.Errorf("status %+v", st)
	}
	b.prints.faults = []blueprint.Finding{{File: "linear.star", Line: 3, Col: 1, Message: "no start", Rule: "start-state"}}
	b.do("GET", "/_public/status", "").ok(t, http.StatusOK, &st)
	if st.Status != "degraded" || len(st.Blueprints.Faults) != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestMetrics(t *testing.T) {
	b := newBench(t)
	b.as("client", "POST", start, "{}").ok(t, http.StatusAccepted, nil)
	b.do("GET", "/_public/metrics", "").want(t, http.StatusUnauthorized, "unauthorized")
	text := b.as("viewer", "GET", "/_public/metrics", "").body
	for _, want := range []string{"orchestrator_jobs_total{blueprint=\"linear\"} 1\n", "orrery_jobs{status=\"pending\"} 1\n", "orchestrator_active_workers 0\n", "orrery_http_responses_total{class=\"2xx\"} 1\n", "orrery_http_responses_total{class=\"4xx\"} 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, f := range process {
		if n := figure(f.of); n == 0 || !strings.Contains(text, "\n# TYPE "+f.name+" gauge\n"+f.name+" ") {
			t.Errorf("%s is %d in:\n%s", f.name, n, text)
		}
	}
	if got := label("a\"b\\c\nd"); got != `a\"b\\c\nd` {
		t.Errorf("label %s", got)
	}
	b.listen()
	for _, c := range []struct {
		host, forwarded string
		status          int
	}{{"", "", 200}, {"", "10.0.0.1", 401}, {"rebound.example", "", 401}} {
		r, err := http.NewRequest("GET", b.base+"/_public/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			r.Host = c.host
		}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); got.status != c.status {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// away is what stores answer while they can not be reached.
type away struct{ error }

func (away) Unavailable() bool { return true }

func TestTheStoreIsAway(t *testing.T) {
	b := newBench(t)
	id := asking(b)
	b.engine.fail = away{errors.New("dial 10.1.2.3: connection refused")}
	link := "/_public/webhooks/approval/" + id + "?token=token-of-" + id
	for name, got := range map[string]answer{
		"a start":           b.as("client", "POST", "/api/v1/jobs/simple_linear", `{"x": 1}`),
		"a job":             b.as("admin", "GET", "/api/v1/jobs/"+id, ""),
		"a link":            b.do("GET", link, ""),
		"a decision":        b.do("POST", link, `{"decision": "yes"}`),
		"a decision's form": b.do("POST", link, "decision=yes", "Content-Type", "application/x-www-form-urlencoded"),
	} {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "10.1.2.3") {
			t.Errorf("%s gives %s with Retry-After %q", name, got, got.header.Get("Retry-After"))
		}
		if strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json") {
			got.want(t, http.StatusServiceUnavailable, "store_unavailable")
		}
	}
}

func TestFaultCodesHaveAStatus(t *testing.T) {
	for _, code := range []string{
		engine.NotFound, engine.Ended, engine.NotWaiting, engine.BadDecision, engine.BadToken, engine.UnknownBlueprint,
		engine.IdempotencyMismatch, engine.StoreFull, engine.TooLarge, engine.BadRequest, engine.Conflict,
	} {
		if httpStatus[code] == 0 {
			t.Errorf("the engine's code %q has no status", code)
		}
	}
}

func TestResultsInPages(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	var shown struct {
		Results map[string]int `json:"aggregation_results"`
		Next    *string        `json:"aggregation_results_next"`
	}
	b.engine.results = 3
	b.as("client", "GET", "/api/v1/jobs/"+id, "").ok(t, http.StatusOK, &shown)
	if len(shown.Results) != 3 || shown.Next != nil {
		t.Errorf("a job with few results shows %+v", shown)
	}
	b.engine.results = 8
	b.as("client", "GET", "/api/v1/jobs/"+id, "").ok(t, http.StatusOK, &shown)
	if len(shown.Results) != 3 || shown.Next == nil || *shown.Next != "/api/v1/jobs/"+id+"/results?cursor=t3" {
		t.Fatalf("a job with many results shows %+v", shown)
	}
	seen := shown.Results
	for path := *shown.Next + "&limit=2"; path != ""; {
		var page map[string]int
		got := b.as("client", "GET", path, "")
		got.ok(t, http.StatusOK, &page)
		for id, n := range page {
			seen[id] = n
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
	}
	if len(seen) != 8 {
		t.Errorf("all pages have %v", seen)
	}
	b.as("client", "GET", "/api/v1/jobs/"+id+"/results?limit=0", "").want(t, http.StatusBadRequest, "bad_request")
	b.as("client", "GET", "/api/v1/jobs/"+id+"/results?cursor=t8", "").ok(t, http.StatusOK, &map[string]int{})
	foreign := b.engine.add(job.Job{ID: job.NewID(epoch, 7), Status: job.Running, State: "start", Client: job.Client{ID: "bob"}})
	b.as("client", "GET", "/api/v1/jobs/"+foreign+"/results", "").want(t, http.StatusNotFound, "not_found")
}
