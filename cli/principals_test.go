package cli

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// This file holds recipes 17 and 24 to their word on a whole server: who may come in, how
// often, and that a changed file is taken over while it runs.

// recipe serves one folder of examples with a copy of its TOML files, which it may change.
type recipe struct {
	*running
	t    *testing.T
	url  string
	args []string
}

func serveRecipe(t *testing.T, folder string, args ...string) *recipe {
	t.Helper()
	examples, err := filepath.Abs("../examples/" + folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	files, err := filepath.Glob(examples + "/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configuration in %s: %v", folder, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Base(file), string(text))
	}
	r := &recipe{t: t, args: append([]string{"serve", "--listen", "127.0.0.1:0", "--blueprints-dir", examples}, args...)}
	r.start()
	return r
}

func (r *recipe) start() {
	r.t.Helper()
	r.running = serveIn(r.t, r.args...)
	r.url = r.find(r.t, r.err, shownURL)
}

// ask sends a request and gives its status, header and body. It may run in any goroutine.
func (r *recipe) ask(method, path, body string, headers ...string) (int, http.Header, string) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return 0, nil, ""
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Error(err)
		return 0, nil, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Error(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// end stops the server; connections that are kept for later would hold it up.
func (r *recipe) end() {
	r.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	r.running.end(r.t)
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// change replaces words of a file, and waits until the server has taken it over.
func (r *recipe) change(name, old, new string) {
	r.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(text), old) {
		r.t.Fatalf("no %q in %s: %v", old, name, err)
	}
	r.err.clear()
	put(r.t, name, strings.Replace(string(text), old, new, 1))
	r.find(r.t, r.err, "a changed file was (taken over|not taken over)")
}

func (r *recipe) start17(token string) (status int, retryAfter string) {
	status, header, body := r.ask("POST", "/api/v1/jobs/premium_flow", `{"prompt": "a lighthouse"}`, "X-Client-Token", token)
	if status != http.StatusAccepted && status != http.StatusTooManyRequests {
		r.t.Errorf("started with %s: %d %s", token, status, body)
	}
	return status, header.Get("Retry-After")
}

func TestRecipe17CountsExactly(t *testing.T) {
	r := serveRecipe(t, "17-client-configuration")
	const free, tries = 100, 130 // as clients.toml has it
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[int]int{}
	for range tries {
		all.Go(func() {
			status, retry := r.start17("user_token_free")
			mu.Lock()
			defer mu.Unlock()
			got[status]++
			if seconds, err := strconv.Atoi(retry); status == http.StatusTooManyRequests && (err != nil || seconds < 1 || seconds > 31*24*3600) {
				t.Errorf("Retry-After is %q", retry)
			}
		})
	}
	all.Wait()
	if got[http.StatusAccepted] != free || got[http.StatusTooManyRequests] != tries-free {
		t.Errorf("%d requests at once got %v, want %d times 202", tries, got, free)
	}
	if status, _, body := r.ask("GET", "/api/v1/jobs?limit=1", "", "X-Client-Token", "user_token_free"); status != http.StatusOK {
		t.Errorf("reading costs an attempt: %d %s", status, body)
	}
	r.end()

	r.start()
	if status, _ := r.start17("user_token_free"); status != http.StatusTooManyRequests {
		t.Errorf("after a restart: %d", status)
	}
	if status, _ := r.start17("user_token_vip"); status != http.StatusAccepted {
		t.Errorf("another client: %d", status)
	}
	r.change("clients.toml", "monthly_attempts = 100\n", "monthly_attempts = 102\n")
	for i, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusTooManyRequests} {
		if status, _ := r.start17("user_token_free"); status != want {
			t.Errorf("job %d after the quota was raised by two: %d", i+1, status)
		}
	}
	// The plan, and with it what its jobs do, changes as well; so does the token.
	r.change("clients.toml", `token = "user_token_vip"`, `token = "user_token_new"`)
	if status, _, _ := r.ask("GET", "/api/v1/jobs", "", "X-Client-Token", "user_token_vip"); status != http.StatusUnauthorized {
		t.Errorf("a token that is gone: %d", status)
	}
	if status, _ := r.start17("user_token_new"); status != http.StatusAccepted {
		t.Errorf("the new token: %d", status)
	}
	r.change("clients.toml", `plan = "premium"`, `plan = 7`)
	if !strings.Contains(r.err.String(), "clients.toml:") {
		t.Errorf("the log does not name the fault: %s", r.err)
	}
	if status, _ := r.start17("user_token_new"); status != http.StatusAccepted {
		t.Errorf("a bad file shut somebody out: %d", status)
	}
	// A client that is given by its hash has three attempts.
	for i := range 4 {
		status, _ := r.start17("user_token_trial")
		if want := map[bool]int{true: http.StatusAccepted, false: http.StatusTooManyRequests}[i < 3]; status != want {
			t.Errorf("job %d of three: %d", i+1, status)
		}
	}
	r.end()
}

func (r *recipe) register(id, token string, want int) {
	r.t.Helper()
	status, _, body := r.ask("POST", "/_worker/workers/register", `{"worker_id": "`+id+`", "supported_tasks": ["read_document"]}`, "X-Worker-Token", token)
	if status != want {
		r.t.Errorf("%s registers: %d %s, want %d", id, status, body, want)
	}
}

const (
	first  = "super-secret-token-for-worker-1"
	second = "another-unique-token-for-worker-2"
)

func TestRecipe24IndividualTokens(t *testing.T) {
	r := serveRecipe(t, "24-worker-tokens")
	r.register("worker-001", first, 200)
	r.register("worker-002", second, 200) // the file has its hash
	r.register("worker-001", second, 401)
	r.register("worker-002", first, 401)
	r.register("worker-003", first, 401)
	r.register("worker-003", "your-secret-worker-token", 401) // the default gave way to the file
	r.register("worker-001", "", 401)

	// A short-lived token is good for its own worker, and ends with the token that it came from.
	status, _, body := r.ask("POST", "/_worker/auth/token", "{}", "X-Worker-Token", first, "X-Worker-ID", "worker-001")
	_, rest, _ := strings.Cut(body, `"access_token":"`)
	issued, _, _ := strings.Cut(rest, `"`)
	if status != http.StatusOK || issued == "" {
		t.Fatalf("a token for an hour: %d %s", status, body)
	}
	r.register("worker-001", issued, 200)
	r.register("worker-002", issued, 401)

	r.change("workers.toml", first, "rotated-token-for-worker-1")
	r.register("worker-001", first, 401)
	r.register("worker-001", issued, 401)
	r.register("worker-001", "rotated-token-for-worker-1", 200)
	r.register("worker-002", second, 200)
	r.change("workers.toml", "[worker-002]", "[worker 002]") // a mistake changes nothing
	r.register("worker-002", second, 200)
	if text := r.err.String(); !strings.Contains(text, "workers.toml:") || strings.Contains(text, second) {
		t.Errorf("the log says %s", text)
	}
	r.end()
}

func TestRecipe24SharedTokenAsFallback(t *testing.T) {
	t.Setenv("WORKER_TOKEN", "for-all-others")
	r := serveRecipe(t, "24-worker-tokens")
	r.register("worker-003", "for-all-others", 200)
	r.register("worker-001", "for-all-others", 401) // it has one of its own
	r.register("worker-001", first, 200)
	put(t, "workers.toml", "[worker-003]\ntoken = \"its-own\"\n")
	if status, _, body := r.ask("POST", "/api/v1/admin/reload-workers", "", "X-Client-Token", "dev-client-token"); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, body)
	}
	r.register("worker-003", "for-all-others", 401)
	r.register("worker-003", "its-own", 200)
	r.register("worker-001", first, 401)
	r.register("worker-001", "for-all-others", 200)
	r.end()
}
