package hostile

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// This file plants canaries and looks for them everywhere.

// canaries by where they are planted. None may be found anywhere, except that the data of a
// job is kept and shown as the job's own.
var canaries = map[string]string{
	"the client's token":          "canary-client-token-7f1a",
	"the one token":               "canary-admin-token-7f1b",
	"the shared worker token":     "canary-shared-worker-7f1c",
	"a worker's own token":        "canary-own-worker-7f1d",
	"a variable for scripts":      "canary-script-env-7f1e",
	"another variable":            "canary-other-env-7f1f",
	"a wrong client token":        "canary-wrong-client-7f20",
	"a wrong worker token":        "canary-wrong-worker-7f21",
	"a header":                    "canary-header-7f22",
	"a cookie":                    "canary-cookie-7f23",
	"a query":                     "canary-query-7f24",
	"a wrong approval token":      "canary-approval-7f25",
	"a wrong token at the page":   "canary-login-7f26",
	"a body that was refused":     "canary-refused-body-7f27",
	"an idempotency key's sister": "canary-forwarded-7f28",
	"a bot's token":               "canary-bot-token-7f2a",
	"a key of webhooks":           "Y2FuYXJ5LXdlYmhvb2sta2V5LTdmMmItMDEyMzQ1Njc=",
}

const jobCanary = "canary-job-data-7f29"

// plant runs jobs of all kinds, and gives what the server itself made that must stay secret.
func (s *server) plant() (ids []string, made map[string]string) {
	s.t.Helper()
	c, made := canaries, map[string]string{}
	admin := []string{"X-Client-Token", c["the one token"], "X-Secret", c["a header"], "Cookie", "x=" + c["a cookie"], "X-Forwarded-Authorization", c["an idempotency key's sister"]}
	base := "http://" + s.addr
	create := func(endpoint string) string {
		a := ask(base, "POST", "/api/v1/jobs/"+endpoint+"?key="+c["a query"], `{"secret":"`+jobCanary+`"}`, admin...)
		var got struct {
			JobID string `json:"job_id"`
		}
		if json.Unmarshal([]byte(a.body), &got) != nil || got.JobID == "" {
			s.t.Fatalf("%s: %s", endpoint, a)
		}
		ids = append(ids, got.JobID)
		return got.JobID
	}
	worker := func(method, path, body string) answer {
		return ask(base, method, path, body, "X-Worker-Token", c["a worker's own token"], "X-Worker-ID", "w1", "X-RXON-Version", "1.0b17")
	}
	worker("POST", "/_worker/workers/register", `{"worker_id":"w1","supported_skills":[{"name":"hostile_work"}],"available_skills":["hostile_work"]}`)
	ask(base, "POST", "/_worker/workers/register", `{"worker_id":"w2","supported_skills":["x"]}`, "X-Worker-Token", c["the shared worker token"])
	ask(base, "POST", "/_worker/workers/register", `{"worker_id":"w1"}`, "X-Worker-Token", c["a wrong worker token"], "X-Worker-ID", "w1")
	var sts struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal([]byte(worker("POST", "/_worker/auth/token", "{}").body), &sts) != nil || sts.Access == "" || sts.Refresh == "" {
		s.t.Fatal("no issued token")
	}
	made["an issued token"], made["a refresh token"] = sts.Access, sts.Refresh
	for _, endpoint := range []string{"hostile_quick", "hostile_leak", "hostile_echo"} {
		create(endpoint)
	}
	for range 2 { // the leak's next state fails; the echo's task fails for good
		a := worker("GET", "/_worker/workers/w1/tasks/next?timeout=5&available_skills=hostile_work", "")
		var got task
		if json.Unmarshal([]byte(a.body), &got) != nil {
			s.t.Fatalf("no task: %s", a)
		}
		more := ""
		if got.JobID == ids[2] {
			more = `"status":"failure","error":{"code":"PERMANENT_ERROR","message":"no"}`
		}
		worker("POST", "/_worker/tasks/result", result(got, "w1", more))
	}
	made["an approval's token"] = s.approval(base, create("hostile_ask"), admin)
	ask(base, "GET", "/api/v1/jobs", "", "X-Client-Token", c["a wrong client token"])
	ask(base, "GET", "/api/v1/jobs", "", "Authorization", "Bearer "+c["a wrong client token"])
	ask(base, "GET", "/api/v1/jobs?token="+c["a query"]+"&status="+c["a query"], "", admin...)
	ask(base, "POST", "/api/v1/jobs/hostile_quick", `{"a":`+c["a body that was refused"], admin...)
	ask(base, "POST", "/_public/webhooks/approval/"+ids[3], `{"decision":"yes","token":"`+c["a wrong approval token"]+`"}`)
	ask(base, "GET", "/_public/webhooks/approval/"+ids[3]+"?token="+c["a wrong approval token"], "")
	ask(base, "POST", "/login", url.Values{"token": {c["a wrong token at the page"]}}.Encode(), "Origin", base, "Content-Type", "application/x-www-form-urlencoded")
	return ids, made
}

// approval waits for the link of a job and gives its token.
func (s *server) approval(base, id string, admin []string) (token string) {
	s.t.Helper()
	s.await("the approval", 10*time.Second, func() bool {
		var list []struct{ Link string }
		a := ask(base, "GET", "/api/v1/approvals", "", admin...)
		if json.Unmarshal([]byte(a.body), &list) == nil && len(list) > 0 {
			_, token, _ = strings.Cut(list[0].Link, "token=")
		}
		return token != ""
	})
	return token
}

// shown gathers what the server answers to a client that sees everything; own names the
// places where a job's own data belongs.
func (s *server) shown(ids, viewer []string) (places map[string]string, own map[string]bool) {
	s.t.Helper()
	base := "http://" + s.addr
	places, own = map[string]string{}, map[string]bool{}
	for _, path := range []string{"/api/v1/jobs", "/api/v1/workers", "/api/v1/dashboard", "/api/v1/blueprints", "/api/v1/jobs/quarantined", "/_public/metrics", "/_public/status", "/api/v1/approvals", "/"} {
		places[path] = ask(base, "GET", path, "", viewer...).body
	}
	for _, id := range ids {
		for _, more := range []string{"", "/history", "/why", "/events"} {
			if more == "/events" && id == ids[3] {
				continue // it does not end
			}
			a := ask(base, "GET", "/api/v1/jobs/"+id+more, "", viewer...)
			if a.status != http.StatusOK {
				s.t.Errorf("%s%s: %s", id, more, a)
			}
			places["job "+id+more], own["job "+id+more] = a.body, true
		}
	}
	return places, own
}

func TestNoSecretLeaks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := start(t, "LOG_LEVEL=DEBUG", "WEBHOOK_SECRET=whsec_"+canaries["a key of webhooks"],
		"TELEGRAM_BOT_TOKEN="+canaries["a bot's token"], "TELEGRAM_CHAT_ID=5", "TELEGRAM_API_URL=http://127.0.0.1:1", // nobody listens there
		"BLUEPRINT_ENV=HOSTILE_ENV_SECRET",
		"HOSTILE_ENV_SECRET="+canaries["a variable for scripts"], "S3_SECRET_KEY="+canaries["another variable"],
		"CLIENT_TOKEN="+canaries["the one token"], "GLOBAL_WORKER_TOKEN="+canaries["the shared worker token"],
		"CLIENTS_CONFIG_PATH="+write("clients.toml", "[ann]\ntoken = \""+canaries["the client's token"]+"\"\nrole = \"viewer\"\n"),
		"WORKERS_CONFIG_PATH="+write("workers.toml", "[w1]\ntoken = \""+canaries["a worker's own token"]+"\"\n"))
	ids, secrets := s.plant()
	base, viewer := "http://"+s.addr, []string{"X-Client-Token", canaries["the client's token"]}
	s.await("the jobs to end", 10*time.Second, func() bool {
		return !slices.ContainsFunc(ids[:3], func(id string) bool {
			return !strings.Contains(ask(base, "GET", "/api/v1/jobs/"+id, "", viewer...).body, `"ended_at"`)
		})
	})
	places, own := s.shown(ids, viewer)
	s.stop()
	places["the log"] = s.log()
	if !strings.Contains(places["the log"], "the Bot API does not answer") {
		t.Error("no bot failed, so nothing was proved of its errors")
	}
	if !strings.Contains(places["the log"], "level=DEBUG") {
		t.Error("the log holds no DEBUG lines, so nothing was proved of them")
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "hostile.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no store: %v", err)
	}
	bytes := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(file)], own[filepath.Base(file)] = string(text), true
		bytes += len(text)
	}
	for what, secret := range canaries {
		secrets[what] = secret
	}
	hits, kept := 0, 0
	for place, text := range places {
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				hits++
				t.Errorf("%s (%s) was found in %s", what, secret, place)
			}
		}
		if strings.Contains(text, jobCanary) {
			if kept++; !own[place] {
				t.Errorf("the data of a job was found in %s", place)
			}
		}
	}
	if kept == 0 {
		t.Error("the search does not even find the job's own data")
	}
	t.Logf("%d secrets looked for in %d places (%d bytes of store, %d of log): %d hits; the job's own data is in %d", len(secrets), len(places), bytes, len(places["the log"]), hits, kept)
}
