package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// This file tests the commands that ask a server, against a server of the test's own.

// outcome is what a command did.
type outcome struct {
	code     int
	out, err string
}

// orrery runs a command in this process.
func orrery(t *testing.T, args ...string) outcome {
	t.Helper()
	return orreryIn(t.Context(), strings.NewReader(""), args...)
}

func orreryIn(ctx context.Context, stdin io.Reader, args ...string) outcome {
	var out, errs bytes.Buffer
	p := &program{ctx: ctx, stdin: stdin, stdout: &out, stderr: &errs, env: func(string) (string, bool) { return "", false }}
	code := p.main(args)
	return outcome{code, out.String(), errs.String()}
}

// firstLine is what a person sees of an error first.
func (o outcome) firstLine() string {
	line, _, _ := strings.Cut(o.err, "\n")
	return line
}

// fake serves fixed replies by "METHOD path" and keeps what it was asked.
type fake struct {
	replies map[string]string
	headers map[string]http.Header
	asked   []string
	bodies  map[string]string
	tokens  []string
}

func (f *fake) start(t *testing.T) (url string) {
	f.bodies = map[string]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Method + " " + r.URL.RequestURI()
		body, _ := io.ReadAll(r.Body)
		f.asked = append(f.asked, key)
		f.bodies[key] = string(body)
		f.tokens = append(f.tokens, r.Header.Get("X-Client-Token"))
		reply, ok := f.replies[key]
		if !ok {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"code": "not_found", "detail": "there is no job \"x\"", "error": "there is no job \"x\""}`)
			return
		}
		for name, values := range f.headers[key] {
			w.Header()[name] = values
		}
		io.WriteString(w, reply)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

const twoBlueprints = `[{"name": "flow", "api_version": "v1", "api_endpoint": "jobs/flow", "file": "a.star"}, {"name": "part", "api_endpoint": null}]`

func TestStartFindsTheEndpointByNameAndByPath(t *testing.T) {
	f := &fake{replies: map[string]string{
		"GET /api/v1/blueprints": twoBlueprints,
		"POST /api/v1/jobs/flow": `{"status": "accepted", "job_id": "id-1"}`,
	}}
	url := f.start(t)
	for _, name := range []string{"flow", "jobs/flow", "/api/v1/jobs/flow", "v1/jobs/flow"} {
		got := orrery(t, "jobs", "start", name, "--url", url, "--token", "secret", "--data", `{"a": 1}`)
		if got.code != 0 || got.out != "id-1\n" {
			t.Errorf("start %s: %+v", name, got)
		}
	}
	if body := f.bodies["POST /api/v1/jobs/flow"]; body != `{"initial_data":{"a":1}}` {
		t.Errorf("body %s", body)
	}
	if f.tokens[0] != "secret" {
		t.Errorf("token %q", f.tokens[0])
	}
}

func TestStartNamesWhatThereIs(t *testing.T) {
	f := &fake{replies: map[string]string{"GET /api/v1/blueprints": twoBlueprints}}
	url := f.start(t)
	if got := orrery(t, "jobs", "start", "flwo", "--url", url); got.code != 1 || !strings.Contains(got.err, "there are: flow") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "jobs", "start", "part", "--url", url); got.code != 1 || !strings.Contains(got.err, "has no api_endpoint") {
		t.Errorf("%+v", got)
	}
}

func TestWatchPrintsTheHistoryAndFailsWithTheJob(t *testing.T) {
	f := &fake{replies: map[string]string{
		"GET /api/v1/jobs/j/events": "id: 1\nevent: created\ndata: {\"n\": 1, \"kind\": \"created\", \"state\": \"start\", \"status\": \"pending\"}\n\n" +
			": still here\n\n" +
			"id: 2\nevent: step\ndata: {\"n\": 2, \"kind\": \"step\", \"state\": \"start\", \"next\": \"work\", \"status\": \"running\", \"log\": [{\"level\": \"info\", \"message\": \"hello\"}]}\n\n" +
			"event: end\ndata: {}\n\n",
		"GET /api/v1/jobs/j": `{"id": "j", "status": "quarantined", "current_state": "work", "state_history": {}, "error": {"code": "SCRIPT_ERROR", "message": "fail: no"}}`,
	}}
	got := orrery(t, "jobs", "watch", "j", "--url", f.start(t))
	if got.code != 1 || got.firstLine() != "SCRIPT_ERROR: fail: no" {
		t.Errorf("code %d, stderr %q", got.code, got.err)
	}
	for _, want := range []string{"job j is created in state start", "start -> work", "[info] hello", "quarantined in state work"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in:\n%s", want, got.out)
		}
	}
}

func TestWatchSaysWhenTheStreamBreaks(t *testing.T) {
	f := &fake{replies: map[string]string{"GET /api/v1/jobs/j/events": ": still here\n\n"}}
	if got := orrery(t, "jobs", "watch", "j", "--url", f.start(t)); got.code != 1 || !strings.Contains(got.err, "ended the stream") {
		t.Errorf("%+v", got)
	}
}

func TestListShowsTheWayToTheNextPage(t *testing.T) {
	const path = "GET /api/v1/jobs?limit=2&status=failed"
	f := &fake{
		replies: map[string]string{path: `[{"id": "j1", "blueprint_name": "flow", "current_state": "s", "status": "failed", "updated_at": "t"}]`},
		headers: map[string]http.Header{path: {"Link": {`</api/v1/jobs?cursor=abc&limit=2>; rel="next"`}}},
	}
	got := orrery(t, "jobs", "list", "--status", "failed", "--limit", "2", "--url", f.start(t))
	if got.code != 0 || got.err != "more: --cursor abc\n" || !strings.Contains(got.out, "j1  flow       s      failed") {
		t.Errorf("%+v", got)
	}
}

func TestResultsAreShownInPages(t *testing.T) {
	const page = "GET /api/v1/jobs/j/results?cursor=t1&limit=2"
	f := &fake{
		replies: map[string]string{
			page:                 `{"t2": {"status": "success", "task_type": "pack", "data": {"n": 2}}}`,
			"GET /api/v1/jobs/j": `{"id": "j", "status": "running", "current_state": "s", "aggregation_results": {}, "aggregation_results_next": "/api/v1/jobs/j/results?cursor=t1"}`,
		},
		headers: map[string]http.Header{page: {"Link": {`</api/v1/jobs/j/results?cursor=t2&limit=2>; rel="next"`}}},
	}
	url := f.start(t)
	if got := orrery(t, "jobs", "get", "j", "--url", url, "--format", "json"); got.code != 0 || got.err != "there are more branch results than are shown: orrery jobs results j\n" {
		t.Errorf("%+v", got)
	}
	got := orrery(t, "jobs", "results", "j", "--limit", "2", "--cursor", "t1", "--url", url)
	if got.code != 0 || got.err != "more: --cursor t2\n" || !strings.Contains(got.out, `t2    pack  success  {"n": 2}`) {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "jobs", "results", "j", "--limit", "0", "--url", url); got.code != 2 {
		t.Errorf("%+v", got)
	}
}

func TestSteeringSendsWhatItSays(t *testing.T) {
	f := &fake{replies: map[string]string{
		"POST /api/v1/jobs/j/cancel":  `{"status": "cancellation_request_accepted"}`,
		"POST /api/v1/jobs/j/retry":   `{"status": "accepted"}`,
		"POST /api/v1/jobs/j/approve": `{"status": "accepted"}`,
	}}
	url := f.start(t)
	if got := orrery(t, "jobs", "cancel", "j", "--url", url); got.out != "cancellation_request_accepted\n" {
		t.Errorf("%+v", got)
	}
	orrery(t, "jobs", "retry", "j", "--url", url, "--revision", "latest", "--data", `{"a": 1}`)
	orrery(t, "approvals", "approve", "j", "yes", "--url", url)
	for key, want := range map[string]string{
		"POST /api/v1/jobs/j/cancel": `{}`, "POST /api/v1/jobs/j/retry": `{"data":{"a":1},"revision":"latest"}`,
		"POST /api/v1/jobs/j/approve": `{"decision":"yes"}`,
	} {
		if f.bodies[key] != want {
			t.Errorf("%s sent %q, want %q", key, f.bodies[key], want)
		}
	}
}

func TestAMistypedIdStaysInsideItsRoute(t *testing.T) {
	f := &fake{}
	got := orrery(t, "jobs", "get", "../admin", "--url", f.start(t))
	if got.code != 1 || f.asked[0] != "GET /api/v1/jobs/..%2Fadmin" || got.firstLine() != `orrery: there is no job "x" (not_found)` {
		t.Errorf("asked %v: %+v", f.asked, got)
	}
}

func TestWithoutAServerTheErrorNamesTheRemedy(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	ln.Close()
	got := orrery(t, "workers", "list", "--url", url)
	if got.code != 1 || got.firstLine() != "no server at "+url+": start one with `orrery dev`" {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "workers", "list", "--url", "localhost"); got.code != 2 || !strings.Contains(got.err, "http://127.0.0.1:8080") {
		t.Errorf("%+v", got)
	}
}

func TestJSONComesThroughAsTheServerSentIt(t *testing.T) {
	f := &fake{replies: map[string]string{"GET /api/v1/jobs/j/why": `{"reason": "r", "extra": [1, 2.0]}`}}
	got := orrery(t, "jobs", "why", "j", "--format", "json", "--url", f.start(t))
	var v struct {
		Extra []json.Number `json:"extra"`
	}
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || len(v.Extra) != 2 || v.Extra[1] != "2.0" {
		t.Errorf("%v, %+v", err, got)
	}
}
