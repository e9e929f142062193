package api

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"orrery/engine/blueprint"
	"orrery/engine/job"
)

// This file tests the pages: who sees them, what they escape, whose forms count.

// browser keeps cookies and follows redirects, and names the page's origin with its forms.
type browser struct {
	b      *bench
	c      *http.Client
	origin string
}

func (b *bench) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &browser{b, &http.Client{Jar: jar}, b.base}
}

func (w *browser) get(path string) answer {
	w.b.t.Helper()
	resp, err := w.c.Get(w.b.base + path)
	if err != nil {
		w.b.t.Fatal(err)
	}
	return read(w.b.t, resp)
}

func (w *browser) send(path string, form url.Values) answer {
	w.b.t.Helper()
	r, err := http.NewRequest("POST", w.b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if w.origin != "" {
		r.Header.Set("Origin", w.origin)
	}
	resp, err := w.c.Do(r)
	if err != nil {
		w.b.t.Fatal(err)
	}
	return read(w.b.t, resp)
}

func TestSignIn(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	w := b.browser()
	if got := w.get("/"); !strings.Contains(got.body, "Sign in") || strings.Contains(got.body, id) || strings.Contains(got.body, "linear") {
		t.Errorf("before: %s", got)
	}
	if got := w.get("/jobs/" + id); got.status != http.StatusUnauthorized {
		t.Errorf("a job before: %s", got)
	}
	if got := w.send("/login", url.Values{"token": {"wrong"}}); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "not known") {
		t.Errorf("wrong token: %s", got)
	}
	if got := w.send("/login", url.Values{"token": {"t-client"}}); got.status != http.StatusOK || !strings.Contains(got.body, id) || strings.Contains(got.body, "t-client") {
		t.Errorf("signed in: %s", got)
	}
	if got := w.get("/jobs/" + id); got.status != http.StatusOK || !strings.Contains(got.body, "nobody polls for it") {
		t.Errorf("job: %s", got)
	}
	b.engine.results = 5
	if got := w.get("/jobs/" + id); !strings.Contains(got.body, "&#34;t3&#34;") || strings.Contains(got.body, "&#34;t4&#34;") || !strings.Contains(got.body, `href="?results=t3"`) {
		t.Errorf("a job with many results: %s", got)
	}
	if got := w.get("/jobs/" + id + "?results=t3"); !strings.Contains(got.body, "&#34;t4&#34;") || strings.Contains(got.body, "More results") {
		t.Errorf("its last results: %s", got)
	}
	other := b.browser()
	other.send("/login", url.Values{"token": {"t-other"}})
	if got := other.get("/jobs/" + id); got.status != http.StatusNotFound {
		t.Errorf("another client's job: %s", got)
	}
	b.clock.Advance(sessionLife)
	if got := w.get("/"); !strings.Contains(got.body, "Sign in") {
		t.Errorf("after the session's end: %s", got)
	}
	w.send("/login", url.Values{"token": {"t-client"}})
	if got := w.send("/logout", nil); !strings.Contains(got.body, "Sign in") {
		t.Errorf("signed out: %s", got)
	}
}

func TestSessionCookie(t *testing.T) {
	b := newBench(t)
	got := b.do("POST", "/login", "token=t-admin", "Content-Type", "application/x-www-form-urlencoded", "Origin", "http://example.com", "Host", "example.com")
	cookie := strings.ToLower(got.header.Get("Set-Cookie"))
	if got.status != http.StatusSeeOther || !strings.Contains(cookie, "httponly") || !strings.Contains(cookie, "samesite=strict") || strings.Contains(cookie, "t-admin") {
		t.Errorf("%s, cookie %q", got, cookie)
	}
}

func TestPagesEscapeAndForbid(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Dev = true })
	b.listen()
	b.prints.faults = []blueprint.Finding{{File: "x.star", Line: 1, Col: 1, Message: "<script>fault</script>"}}
	id := b.engine.add(job.Job{Status: job.Failed, State: "<script>state</script>", Error: &job.Error{Code: "X", Message: "<script>err</script>"}, Reason: "<script>why</script>"})
	b.engine.change(id, job.Failed, "<script>state</script>")
	w := b.browser()
	for _, path := range []string{"/", "/jobs/" + id, "/stores/linear/seen", "/blueprints", "/blueprints/linear"} {
		got := w.get(path)
		if got.status != http.StatusOK || strings.Contains(got.body, "<script") || !strings.Contains(got.body, "&lt;script&gt;") {
			t.Errorf("%s: %s", path, got)
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(got.body, "http-equiv=\"refresh\"") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, outside := range []string{"src=\"", "srcset=\"", "href=\"", "action=\"", "url(", "@import"} {
			if strings.Count(got.body, outside) != strings.Count(got.body, outside+"/") {
				t.Errorf("%s fetches: %s", path, outside)
			}
		}
	}
	if got := w.get("/"); !strings.Contains(got.body, "role=\"alert\"") {
		t.Errorf("home: %s", got)
	}
	if got := w.get("/blueprints/linear"); !strings.Contains(got.body, `&#34;who&#34;: &#34;it&#39;s me&#34;`) {
		t.Errorf("the blueprint's page: %s", got)
	}
}

func TestFormsOfTheConsole(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Dev, c.ShownToken = true, "t-admin" })
	b.listen()
	w := b.browser()
	if got := w.get("/blueprints/linear"); !strings.Contains(got.body, "/start/linear") || !strings.Contains(got.body, "X-Client-Token: t-admin") || !strings.Contains(got.body, `&#39;\&#39;&#39;`) {
		t.Errorf("a blueprint's page of dev: %s", got)
	}
	got := w.send("/start/linear", url.Values{"data": {`{"a": 1}`}})
	if got.status != http.StatusOK || len(b.engine.asked) != 1 || string(b.engine.last().InitialData) != `{"a": 1}` || b.engine.last().Client.ID != "admin" {
		t.Fatalf("start: %s", got)
	}
	if !strings.Contains(got.body, "http-equiv=\"refresh\"") {
		t.Error("the page of a running job does not refresh itself")
	}
	for _, bad := range []struct{ path, data string }{{"/start/linear", "{"}, {"/start/child", "{}"}, {"/start/none", "{}"}} {
		if got := w.send(bad.path, url.Values{"data": {bad.data}}); got.status < 400 || got.status > 404 {
			t.Errorf("%+v: %s", bad, got)
		}
	}
	id := asking(b)
	if got := w.get("/jobs/" + id); !strings.Contains(got.body, `value="yes"`) {
		t.Errorf("asked: %s", got)
	}
	w.send("/jobs/"+id+"/decide", url.Values{"decision": {"yes"}})
	if b.engine.jobs[id].Reason != "yes by admin" {
		t.Errorf("job %+v", b.engine.jobs[id])
	}
	w.send("/jobs/"+id+"/cancel", nil)
	if b.engine.jobs[id].Status != job.Cancelled {
		t.Errorf("job %+v", b.engine.jobs[id])
	}
	failed := b.engine.add(job.Job{Status: job.Quarantined})
	w.send("/jobs/"+failed+"/retry", url.Values{"revision": {"latest"}})
	if b.engine.jobs[failed].Status != job.Running || !b.engine.latest {
		t.Errorf("job %+v", b.engine.jobs[failed])
	}
	if got := w.send("/jobs/"+failed+"/explode", nil); got.status != http.StatusNotFound {
		t.Errorf("unknown action: %s", got)
	}
}

// TestForeignForms: `dev` signs in by itself, so what counts is where a form came from.
func TestForeignForms(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Dev = true })
	b.listen()
	id := b.engine.add(job.Job{Status: job.Running})
	for _, origin := range []string{"", "null", "http://evil.example", "http://127.0.0.1:1"} {
		w := b.browser()
		w.origin = origin
		for _, path := range []string{"/start/linear", "/jobs/" + id + "/cancel", "/login", "/logout"} {
			if got := w.send(path, url.Values{"data": {"{}"}, "token": {"t-admin"}}); got.status != http.StatusForbidden {
				t.Errorf("%s from %q: %s", path, origin, got)
			}
		}
	}
	if len(b.engine.asked) != 0 || b.engine.jobs[id].Status != job.Running {
		t.Error("a foreign form did something")
	}
}

// TestDevSignsInOnlyHere: by another name, through a proxy or from elsewhere it asks for a token.
func TestDevSignsInOnlyHere(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Dev = true })
	if got := b.do("GET", "/", ""); !strings.Contains(got.body, "Sign in") {
		t.Errorf("from elsewhere: %s", got)
	}
	b.listen()
	for _, c := range []struct{ host, header string }{{"rebound.example", ""}, {"", "X-Forwarded-For"}, {"", "Forwarded"}} {
		r, err := http.NewRequest("GET", b.base+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			r.Host = c.host
		}
		if c.header != "" {
			r.Header.Set(c.header, "1.2.3.4")
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); !strings.Contains(got.body, "Sign in") {
			t.Errorf("%+v is let in", c)
		}
	}
	off := newBench(t, func(c *Config) { c.Dev, c.ClientAPI = true, false })
	off.listen()
	if got := off.browser().get("/"); !strings.Contains(got.body, "Sign in") {
		t.Error("the console is open though the client API is off")
	}
}

func TestJobPageShowsTheOneTimeLinkToThoseWhoMayDecide(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := asking(b)
	for token, want := range map[string]bool{"t-approver": true, "t-admin": true, "t-client": false, "t-viewer": false} {
		w := b.browser()
		w.send("/login", url.Values{"token": {token}})
		got := w.get("/jobs/" + id)
		if got.status != http.StatusOK || strings.Contains(got.body, "/approval/"+id+"?token=token-of-"+id) != want || strings.Contains(got.body, `value="yes"`) != want {
			t.Errorf("%s: want link and buttons %v: %s", token, want, got)
		}
	}
}
