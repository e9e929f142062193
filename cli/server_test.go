package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"orrery/cli/config"
)

// This file tests dev and serve: whole servers in this process, asked over HTTP.

// screen is an output that tells when a text has come.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// clear forgets what was shown, so that find waits for something new.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Reset()
}

// running is a command that serves.
type running struct {
	out, err *screen
	stop     context.CancelFunc
	ended    chan int
}

// serveIn starts a command that serves and gives it back at once.
func serveIn(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{out: newScreen(), err: newScreen(), stop: stop, ended: make(chan int, 1)}
	p := &program{ctx: ctx, stdin: strings.NewReader(""), stdout: r.out, stderr: r.err, env: os.LookupEnv}
	go func() { r.ended <- p.main(args) }()
	t.Cleanup(stop)
	return r
}

// find waits until the screen shows the pattern and gives its first group.
func (r *running) find(t *testing.T, s *screen, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-s.more:
		case code := <-r.ended:
			t.Fatalf("ended with %d before %q was shown; stdout:\n%s\nstderr:\n%s", code, pattern, r.out, r.err)
		case <-t.Context().Done():
			t.Fatal("the test ended")
		}
	}
}

// end sends the signal and waits for the exit code.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if code := <-r.ended; code != 0 {
		t.Errorf("exit code %d\n%s", code, r.err)
	}
}

const devFlow = `
bp = blueprint(name = "flow", api_version = "v1", api_endpoint = "jobs/flow", example = {"n": 1, "it's": "quoted"})

def start(context, actions):
    actions.dispatch_task("work", params = context.initial_data, transitions = {"success": "ask"})

def ask(actions):
    actions.await_human_approval("telegram", "Go on?", {"approved": "finished", "rejected": "failed"})

bp.handler_for("start", is_start = True)(start)
bp.handler_for("ask")(ask)
`

// inFolder makes a folder with a blueprint and goes there.
func inFolder(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "flows"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "flows", "flow.star"), []byte(devFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

const shownURL = `(http://127\.0\.0\.1:[0-9]+)`

// waitFor follows the job's stream of events until one holds the text.
func waitFor(t *testing.T, url, id, text string) {
	t.Helper()
	cl := &client{base: url, token: "dev-client-token", http: &http.Client{}}
	err := cl.stream(t.Context(), jobPath(id, "/events"), func(e event) (bool, error) {
		return strings.Contains(string(e.data), text), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDevRunsAJobToItsEndAndKeepsItOverARestart(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.out, shownURL)
	started := orrery(t, "jobs", "start", "flow", "--url", url)
	id := strings.TrimSpace(started.out)
	if started.code != 0 || id == "" {
		t.Fatalf("%+v", started)
	}
	waitFor(t, url, id, `"waiting_for_human"`) // the emulated worker has answered
	checkPicture(t, id, url)
	if got := orrery(t, "approvals", "list", "--url", url); !strings.Contains(got.out, id) || !strings.Contains(got.out, "approved|rejected") {
		t.Errorf("%+v", got)
	}
	dev.end(t)

	dev = serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url = dev.find(t, dev.out, shownURL)
	if got := orrery(t, "jobs", "why", id, "--url", url); !strings.Contains(got.out, "orrery approvals approve "+id+" approved") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "approvals", "approve", id, "approved", "--url", url); got.code != 0 {
		t.Errorf("%+v", got)
	}
	got := orrery(t, "jobs", "watch", id, "--url", url)
	if got.code != 0 || !strings.Contains(got.out, "finished in state finished") || !strings.Contains(got.out, "(emulated)") {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct{ args, want string }{
		{"jobs cancel " + id, "is finished already: there is nothing left to cancel"},
		{"jobs retry " + id, "only failed and quarantined jobs can be retried"},
		{"approvals approve " + id + " approved", "asks nobody anything"},
		{"jobs list --cursor foo", "is no cursor of an earlier page"},
		{"jobs list --status foo", "there is no status"},
		{"jobs get nothing", "there is no job"},
		{"jobs start nothing", "there are: flow"},
		{"jobs get " + id + " --token wrong", "CLIENT_TOKEN"},
	} {
		if got := orrery(t, append(strings.Fields(c.args), "--url", url)...); got.code != 1 || !strings.Contains(got.firstLine(), c.want) || got.out != "" {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
	for _, args := range [][]string{{"jobs", "get", id}, {"jobs", "list"}, {"jobs", "history", id}, {"blueprints", "list"}, {"workers", "list"}} {
		if got := orrery(t, append(args, "--url", url)...); got.code != 0 || got.out == "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	dev.end(t)
}

// checkPicture draws where a job is, as far as the text of the picture tells.
func checkPicture(t *testing.T, id, url string) {
	t.Helper()
	for name, want := range map[string]string{"job.svg": "where the job is", "job.dot": "penwidth=4", "job.mmd": " current\n"} {
		if got := orrery(t, "jobs", "get", id, "--graph", name, "--url", url); got.code != 0 {
			t.Errorf("%+v", got)
		}
		if picture, err := os.ReadFile(name); err != nil || !strings.Contains(string(picture), want) {
			t.Errorf("%s: %v, want in it %q", name, err, want)
		}
	}
	if got := orrery(t, "jobs", "get", id, "--graph", "job.pdf", "--url", url); got.code != 2 {
		t.Errorf("%+v", got)
	}
}

// The printed line is taken apart as a POSIX shell would and sent.
func TestDevPrintsACurlLineThatWorks(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0", "--no-emulation")
	line := dev.find(t, dev.out, `(?m)^  (curl .*)$`)
	dev.find(t, dev.out, "Ctrl-C")
	args := shellWords(line)
	var url, body string
	header := http.Header{}
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, "http://"):
			url = a
		case a == "-d":
			body = args[i+1]
		case a == "-H":
			name, value, _ := strings.Cut(args[i+1], ": ")
			header.Set(name, value)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var reply struct {
		Status string `json:"status"`
		JobID  string `json:"job_id"`
	}
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil || res.StatusCode != http.StatusAccepted || reply.Status != "accepted" || reply.JobID == "" {
		t.Errorf("%s: %v %+v (sent %s)", res.Status, err, reply, body)
	}
	if strings.Contains(dev.out.String(), "emulated") {
		t.Error("--no-emulation, and yet:", dev.out)
	}
	dev.end(t)
}

// shellWords splits at blanks outside single quotes; '\” outside them is a quote.
func shellWords(line string) []string {
	var out []string
	var word strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			quoted = !quoted
		case c == '\\' && !quoted:
			i++
			word.WriteByte(line[i])
		case c == ' ' && !quoted:
			out = append(out, word.String())
			word.Reset()
		default:
			word.WriteByte(c)
		}
	}
	return append(out, word.String())
}

func TestDevReloadsAChangedFile(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.out, shownURL)
	if err := os.WriteFile("flows/more.star", []byte(strings.ReplaceAll(devFlow, "flow", "more")), 0o644); err != nil {
		t.Fatal(err)
	}
	dev.find(t, dev.err, "changed blueprints are in force")
	if got := orrery(t, "blueprints", "list", "--url", url); !strings.Contains(got.out, "/api/v1/jobs/more") {
		t.Errorf("%+v", got)
	}
	dev.end(t)
}

func TestDevNamesTheRemedy(t *testing.T) {
	inFolder(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if got := orrery(t, "dev", "flows", "--listen", taken.Addr().String()); got.code != 1 || !strings.Contains(got.firstLine(), "is in use") || !strings.Contains(got.firstLine(), "--listen") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "dev", "nowhere", "--listen", "127.0.0.1:0"); got.code != 1 || !strings.Contains(got.firstLine(), "there is no folder nowhere") {
		t.Errorf("%+v", got)
	}
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	dev.find(t, dev.out, shownURL)
	if got := orrery(t, "dev", "flows", "--listen", "127.0.0.1:0"); got.code != 1 || !strings.Contains(got.err, "in use by process") {
		t.Errorf("%+v", got)
	}
	dev.end(t)
}

func TestServeRefusesBadConfigurationAllAtOnce(t *testing.T) {
	inFolder(t)
	got := orrery(t, "serve", "--listen", "0.0.0.0:0", "--blueprints-dir", "flows", "--job-max-retries", "many")
	if got.code != 1 {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"CLIENT_TOKEN", "GLOBAL_WORKER_TOKEN", "job-max-retries"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("%s is missing in:\n%s", want, got.err)
		}
	}
}

func TestServeStartsWithABadBlueprintUnlessStrict(t *testing.T) {
	inFolder(t)
	if err := os.WriteFile("flows/bad.star", []byte("bp = blueprint(name = \"bad\")\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows", "--store-url", "memory:", "--log-format", "json"}
	if got := orrery(t, append(args, "--strict")...); got.code != 1 || !strings.Contains(got.err, "bad.star") {
		t.Errorf("%+v", got)
	}
	serve := serveIn(t, args...)
	url := serve.find(t, serve.err, `"url":"(http://127\.0\.0\.1:[0-9]+)"`)
	serve.find(t, serve.err, "bad.star")
	if got := orrery(t, "blueprints", "list", "--url", url); !strings.Contains(got.out, "flow") || strings.Contains(got.out, "bad") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "blueprints", "list", "--url", url, "--token", "wrong"); got.code != 1 || !strings.Contains(got.err, "ORRERY_TOKEN") {
		t.Errorf("%+v", got)
	}
	serve.end(t)
}

// The link that `approvals list` prints is followed as a person without a token would, after
// a restart: its page decides nothing, its button decides once.
func TestTheOneTimeLinkDecidesOnce(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	address := dev.find(t, dev.out, shownURL)
	id := strings.TrimSpace(orrery(t, "jobs", "start", "flow", "--url", address).out)
	waitFor(t, address, id, `"waiting_for_human"`)
	dev.end(t)
	dev = serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	address = dev.find(t, dev.out, shownURL)
	list := orrery(t, "approvals", "list", "--url", address)
	link := regexp.MustCompile(`http://\S+/_public/webhooks/approval/` + id + `\?token=\S+`).FindString(list.out)
	if link == "" {
		t.Fatalf("no link: %+v", list)
	}
	follow := func(decision string) int {
		var res *http.Response
		var err error
		if decision == "" {
			res, err = http.Get(link)
		} else {
			res, err = http.Post(link, "application/json", strings.NewReader(`{"decision": "`+decision+`"}`))
		}
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, c := range []struct {
		decision string
		want     int
	}{{"", 200}, {"", 200}, {"perhaps", 400}, {"approved", 200}, {"approved", 401}, {"rejected", 401}, {"", 401}} {
		if got := follow(c.decision); got != c.want {
			t.Errorf("decision %q: status %d; want %d", c.decision, got, c.want)
		}
	}
	if got := orrery(t, "jobs", "watch", id, "--url", address); got.code != 0 || !strings.Contains(got.out, "finished in state finished") {
		t.Errorf("%+v", got)
	}
	dev.end(t)
}

func TestServeNamesWhatIsInItsWay(t *testing.T) {
	inFolder(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	notes := []byte(strings.Repeat("these are my notes\n", 100))
	if err := os.WriteFile("notes.txt", notes, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"--listen " + taken.Addr().String(), "is in use"},
		{"--blueprints-dir nowhere", "there is no folder nowhere"},
		{"--blueprints-dir notes.txt", "notes.txt is a file: name the folder"},
		{"--store-url sqlite:notes.txt", "notes.txt: the file is not an Orrery store, or its beginning is damaged: give another path in STORE_URL"},
		{"--store-url postgres://u:hush@127.0.0.1:1/d", "postgres://127.0.0.1:1/d: the PostgreSQL server can not be reached"},
		{"--store-url redis://127.0.0.1:1", "redis://127.0.0.1:1 can not be reached"},
		{"--store-url memories:", `no store "memories"`},
		{"--config nowhere.toml", "nowhere.toml"},
		{"--listen 127.0.0.1:99999", "99999"},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows"}, strings.Fields(c.args)...)
		if got := orrery(t, args...); got.code != 1 || !strings.Contains(got.err, c.want) || got.out != "" || strings.Contains(got.err, "hush") {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
	if after, err := os.ReadFile("notes.txt"); err != nil || !bytes.Equal(after, notes) {
		t.Errorf("the foreign file was changed (%v)", err)
	}
}

// A broken file is shown everywhere, and what was loaded before goes on taking jobs.
func TestDevShowsABrokenFileEverywhereAndGoesOn(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	address := dev.find(t, dev.out, shownURL)
	read := func(path string) string {
		res, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, c := range map[string]struct{ text, want, page string }{ // the page shows the line and a caret too
		"syntax":  {devFlow + "this is ( broken\n", "flow.star:12:8: got is", "flow.star:12:8: error: got is"},
		"nowhere": {strings.Replace(devFlow, `"ask"}`, `"aks"}`, 1), "aks", "    ^"},
	} {
		if err := os.WriteFile("flows/flow.star", []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		dev.find(t, dev.err, "the old ones stay in force")
		if got := read("/_public/status"); !strings.Contains(got, c.want) || !strings.Contains(got, "degraded") {
			t.Errorf("%s: the status shows\n%s", name, got)
		}
		if got := read("/"); !strings.Contains(got, c.page) || !strings.Contains(got, "aks") && name == "nowhere" || !strings.Contains(got, "stays in force") {
			t.Errorf("%s: the first page shows\n%s", name, got)
		}
		if got := orrery(t, "jobs", "start", "flow", "--url", address); got.code != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		dev.err.clear()
		if err := os.WriteFile("flows/flow.star", []byte(devFlow), 0o644); err != nil {
			t.Fatal(err)
		}
		dev.find(t, dev.err, "changed blueprints are in force")
		if got := read("/_public/status"); !strings.Contains(got, `"ok"`) {
			t.Errorf("%s, mended: %s", name, got)
		}
		dev.err.clear()
	}
	dev.end(t)
}

// The mended script must run at once: the step that follows a retry is the new revision's.
func TestRetryOnTheNewestRevisionRunsIt(t *testing.T) {
	inFolder(t)
	const text = "bp = blueprint(name = \"frail\", api_version = \"v1\", api_endpoint = \"jobs/frail\")\n\ndef start(actions):\n    fail(\"not yet\")\n\nbp.handler_for(\"start\", is_start = True)(start)\n"
	save := func(text string) {
		if err := os.WriteFile("flows/frail.star", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save(text)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	address := dev.find(t, dev.out, shownURL)
	failed := orrery(t, "jobs", "start", "frail", "--wait", "--url", address)
	if failed.code != 1 || failed.firstLine() != "SCRIPT_ERROR: fail: not yet" || !strings.Contains(failed.err, "frail.star:4:9") || !strings.Contains(failed.err, "^") {
		t.Errorf("%+v", failed)
	}
	var jobs []struct{ ID string }
	if err := json.Unmarshal([]byte(orrery(t, "jobs", "list", "--format", "json", "--url", address).out), &jobs); err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	if got := orrery(t, "jobs", "get", jobs[0].ID, "--url", address); !strings.Contains(got.out, "frail.star:4:9") {
		t.Errorf("%+v", got)
	}
	save(strings.Replace(text, `fail("not yet")`, `actions.transition_to("finished")`, 1))
	dev.find(t, dev.err, "changed blueprints are in force")
	for _, c := range []struct {
		revision string
		want     int
	}{{"same", 1}, {"latest", 0}} {
		if got := orrery(t, "jobs", "retry", jobs[0].ID, "--revision", c.revision, "--url", address); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		if got := orrery(t, "jobs", "watch", jobs[0].ID, "--url", address); got.code != c.want {
			t.Errorf("retry on the %s revision: %+v", c.revision, got)
		}
	}
	dev.end(t)
}

func TestAStopWhileStartingIsNoFault(t *testing.T) {
	inFolder(t)
	cfg, err := config.Load(config.Source{Environ: []string{}, Flags: map[string]string{"LISTEN": "127.0.0.1:0", "BLUEPRINTS_DIR": "flows"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s, err := wire(ctx, cfg, slog.New(slog.DiscardHandler), wiring{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := s.run(ctx); err != nil {
		t.Error(err)
	}
}
