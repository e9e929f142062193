package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store/memory"
)

// This file tests the console's pages about blueprints and its lists of jobs.

// signedIn is a browser of somebody.
func (b *bench) signedIn(token string) *browser {
	b.t.Helper()
	w := b.browser()
	if got := w.send("/login", url.Values{"token": {token}}); got.status != http.StatusOK {
		b.t.Fatalf("%s can not sign in: %s", token, got)
	}
	return w
}

// contains fails for each text that an answer lacks.
func (a answer) contains(t *testing.T, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in %s", want, a)
		}
	}
}

const otherScript = `
bp = blueprint(name = "made", api_version = "v1", api_endpoint = "jobs/made")

def begin(context, actions):
    actions.transition_to("%s")

bp.handler_for("begin", is_start = True)(begin)
bp.handler_for("%s", is_end = True)(lambda: None)
`

// uploaded puts a blueprint into force whose end has that name, and gives its revision.
func uploaded(b *bench, end string) string {
	b.t.Helper()
	text := strings.ReplaceAll(otherScript, "%s", end)
	changes, _, err := b.s.editions.Upload(b.t.Context(), map[string]string{"made.star": text}, "ann", false)
	if err != nil || len(changes) != 1 {
		b.t.Fatal(changes, err)
	}
	return changes[0].Revision
}

func TestPageOfABlueprint(t *testing.T) {
	b := newBench(t)
	b.listen()
	b.s.editions.(*blueprint.Catalog).UseStore(memory.New())
	before := uploaded(b, "done")
	after := uploaded(b, "ready")
	w := b.signedIn("t-admin")
	page := w.get("/blueprints/made")
	page.contains(t, short(before), short(after), "in force", `value="`+before+`"`, "Compare")
	w.get("/blueprints").contains(t, "made.star", "ann", "/blueprints/linear")
	diff := w.get("/blueprints/made/diff?from=" + before + "&to=" + after)
	diff.contains(t, "+ ready", "- done", "begin -&gt; ready", `class="plus"`, `revision=`+before)
	if same := w.get("/blueprints/made/diff?from=" + after + "&to=" + after); !strings.Contains(same.body, "the same revision") {
		t.Errorf("compared with itself: %s", same)
	}
	picture := w.get("/blueprints/made/graph.svg?dark=true&revision=" + before)
	if picture.body != "svg of made, dark true, legend false" || picture.header.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(picture.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s %v", picture, picture.header)
	}
	for _, bad := range []string{"/blueprints/none", "/blueprints/none/diff", "/blueprints/linear/diff?from=abc", "/blueprints/made/diff?from=ffffffffffff", "/blueprints/none/graph.svg"} {
		if got := w.get(bad); got.status != http.StatusNotFound {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// A client sees how a blueprint looks and is started; what was before is for those who run the place.
func TestClientsSeeNoRevisions(t *testing.T) {
	b := newBench(t)
	b.listen()
	b.prints.faults = []blueprint.Finding{{File: "secret.star", Line: 1, Col: 1, Message: "a fault"}}
	w := b.signedIn("t-client")
	page := w.get("/blueprints/linear")
	page.contains(t, "/start/linear", `src="/blueprints/linear/graph.svg"`)
	list := w.get("/blueprints")
	for _, got := range []answer{page, list, w.get("/")} {
		for _, hidden := range []string{"Revisions", "Uploads", "secret.star", "Read the folder"} {
			if strings.Contains(got.body, hidden) {
				t.Errorf("a client sees %q: %s", hidden, got)
			}
		}
	}
	for _, path := range []string{"/blueprints/linear/diff", "/blueprints/linear/graph.svg?revision=latest"} {
		if got := w.get(path); got.status != http.StatusForbidden {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := w.send("/blueprints/reload", nil); got.status != http.StatusForbidden {
		t.Errorf("a client reloads: %s", got)
	}
}

// What a refused reload found stands on the pages, with its line and caret.
func TestFindingsOfARefusedReload(t *testing.T) {
	b := newBench(t)
	b.listen()
	b.prints.faults = []blueprint.Finding{{Rule: "unknown-target", Severity: "error", File: "x.star", Line: 3, Col: 5, EndCol: 9, Message: "no state", Source: "    gone()", Suggestion: "did you mean go?"}}
	w := b.signedIn("t-viewer")
	for _, path := range []string{"/", "/blueprints", "/blueprints/linear"} {
		w.get(path).contains(t, "role=\"alert\"", "x.star:3:5: error: no state [unknown-target]", "\n        gone()", "\n        ^~~~", "did you mean go?")
	}
	if got := w.send("/blueprints/reload", nil); got.status != http.StatusForbidden {
		t.Errorf("a viewer reloads: %s", got)
	}
	if got := b.signedIn("t-operator").send("/blueprints/reload", nil); got.status != http.StatusOK {
		t.Errorf("an operator reloads: %s", got)
	}
}

func TestListOfJobs(t *testing.T) {
	b := newBench(t)
	b.listen()
	failed := b.engine.add(job.Job{ID: job.NewID(epoch, 1), Status: job.Failed, State: "broken", Reason: "no paper", Client: job.Client{ID: "client"}})
	waits := b.engine.add(job.Job{ID: job.NewID(epoch, 2), Status: job.WaitingHuman, State: "ask", Wait: &job.Wait{For: job.WaitingHuman, Since: epoch.Add(-3 * time.Hour), Detail: "a person decides"}, Client: job.Client{ID: "client"}})
	w := b.signedIn("t-admin")
	home := w.get("/")
	home.contains(t, failed, waits, "no paper", "a person decides", "3 h ago", "waiting for human", "http-equiv=\"refresh\"", "/?status=failed")
	if got := w.get("/?status=failed"); strings.Contains(got.body, waits) || !strings.Contains(got.body, failed) || strings.Contains(got.body, "http-equiv") {
		t.Errorf("failed ones: %s", got)
	}
	if got := b.signedIn("t-other").get("/"); strings.Contains(got.body, failed) || strings.Contains(got.body, "/?status=") {
		t.Errorf("another client: %s", got)
	}
}

func TestJobPageShowsItsPicture(t *testing.T) {
	b := newBench(t)
	b.listen()
	bp, err := b.s.editions.Find(t.Context(), "linear", "")
	if err != nil {
		t.Fatal(err)
	}
	kept := b.engine.add(job.Job{ID: job.NewID(epoch, 3), Status: job.Running, State: "start", Revision: bp.Revision})
	gone := b.engine.add(job.Job{ID: job.NewID(epoch, 4), Status: job.Finished, State: "finished", Revision: strings.Repeat("ab", 32)})
	w := b.signedIn("t-admin")
	w.get("/jobs/"+kept).contains(t, `src="/jobs/`+kept+`/graph.svg"`, "Why it is not moving")
	if got := w.get("/jobs/" + gone); strings.Contains(got.body, "<img") || !strings.Contains(got.body, "There is no picture of its way") || !strings.Contains(got.body, "How it ended") {
		t.Errorf("a job whose revision is not kept: %s", got)
	}
	if got := w.get("/jobs/" + kept + "/graph.svg?dark=true"); got.body != "svg of linear, 0 records, dark true" || got.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("picture: %s", got)
	}
	if got := b.signedIn("t-other").get("/jobs/" + kept + "/graph.svg"); got.status != http.StatusNotFound {
		t.Errorf("another client's picture: %s", got)
	}
}

// The API draws as the pages do; what is plain text for Graphviz stays the default.
func TestGraphOfABlueprintByAPI(t *testing.T) {
	b := newBench(t)
	for query, want := range map[string]string{
		"": "dot of linear, dark false, legend false", "?format=png&dark=true": "png of linear, dark true, legend false", "?format=svg&legend=true": "svg of linear, dark false, legend true",
	} {
		got := b.as("client", "GET", "/api/v1/blueprints/linear/graph"+query, "")
		if got.status != http.StatusOK || got.body != want || got.header.Get("Content-Type") != graphTypes[strings.Fields(want)[0]] {
			t.Errorf("%q: %s, %s", query, got, got.header.Get("Content-Type"))
		}
	}
	b.as("client", "GET", "/api/v1/blueprints/linear/graph?format=gif", "").want(t, http.StatusBadRequest, "bad_request")
	b.as("client", "GET", "/api/v1/blueprints/linear/graph?revision=latest", "").want(t, http.StatusForbidden, "forbidden")
	b.as("viewer", "GET", "/api/v1/blueprints/linear/graph?revision=ffffffffff", "").want(t, http.StatusNotFound, "unknown_blueprint")
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "now", 50 * time.Second: "50 s ago", 10 * time.Minute: "10 min ago", 5 * time.Hour: "5 h ago", 72 * time.Hour: "3 days ago", -time.Hour: "now"} {
		for _, at := range []any{engine.Time(epoch.Add(-d)), job.Time{Time: epoch.Add(-d)}, epoch.Add(-d)} {
			if got := ago(epoch, at); got != want {
				t.Errorf("%v: %q, want %q", d, got, want)
			}
		}
	}
}
