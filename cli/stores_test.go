package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests how data stores are shown: by command, API and page of a whole server.

const storeFlow = `
bp = blueprint(name = "shelf", api_version = "v1", api_endpoint = "jobs/shelf")
bp.add_data_store("things", {"first": {"a": 1}, "n": 0, "gone": True})

def start(context, actions):
    things = context.data_stores.things
    for i in range(context.initial_data["many"]):
        things.set("k" + ("000%d" % i)[-4:], i)
    things.set("odd / key?", "<b>")
    things.incr("n")
    things.delete("gone")
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
`

func TestStoresAreShown(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shelf.star"), []byte(storeFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	r := serveIn(t, "dev", ".", "--listen", "127.0.0.1:0", "--no-emulation")
	url := r.find(t, r.out, shownURL)
	run := func(want int, args ...string) string {
		t.Helper()
		out, errs := newScreen(), newScreen()
		p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: out, stderr: errs, env: os.LookupEnv}
		if code := p.main(append(args, "--url", url)); code != want {
			t.Errorf("orrery %s ends with %d, want %d: %s", args, code, want, errs)
		}
		return out.String() + errs.String()
	}
	if got := run(0, "stores", "list"); !strings.Contains(got, "shelf      things  3") {
		t.Errorf("before any job:\n%s", got)
	}
	if got := run(0, "stores", "get", "shelf", "things"); !strings.Contains(got, `{"a":1}`) || strings.Count(got, "(initial value)") != 3 {
		t.Errorf("before any job:\n%s", got)
	}
	run(0, "jobs", "start", "jobs/shelf", "--data", `{"many": 1500}`, "--wait")
	if got := run(0, "stores", "list", "--format", "json"); !strings.Contains(got, `"keys": 1503`) {
		t.Errorf("after a job:\n%s", got)
	}
	var entries []storeEntry
	if err := json.Unmarshal([]byte(run(0, "stores", "get", "shelf", "things", "--format", "json")), &entries); err != nil || len(entries) != 1503 {
		t.Fatalf("%d entries over all pages, %v", len(entries), err)
	}
	if e := entries[0]; e.Key != "first" || !e.Initial {
		t.Errorf("the first entry is %+v", e)
	}
	if got := run(0, "stores", "get", "shelf", "things", "odd / key?"); got != "\"<b>\"\n" {
		t.Errorf("one key: %q", got)
	}
	for what, args := range map[string][]string{
		"a deleted key": {"shelf", "things", "gone"}, "an absent key": {"shelf", "things", ""},
		"no such store": {"shelf", "thinks"}, "no such blueprint": {"shalf", "things"}, "an odd name": {"../jobs", "things"},
	} {
		if got := run(1, append([]string{"stores", "get"}, args...)...); got == "" {
			t.Errorf("%s: nothing is said", what)
		}
	}

	checkStorePages(t, url)
	if bad := run(1, "stores", "list", "--token", "wrong"); !strings.Contains(bad, "token") {
		t.Errorf("with a wrong token: %s", bad)
	}
	r.end(t)
}

func checkStorePages(t *testing.T, url string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	page := func(path string) string {
		t.Helper()
		res, err := browser.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
		}
		return string(body)
	}
	if home := page("/"); !strings.Contains(home, `<a href="/stores">`) {
		t.Error("the first page leads to no data stores")
	}
	if list := page("/stores"); !strings.Contains(list, `<a href="/stores/shelf/things">things</a></td><td>1503</td>`) {
		t.Errorf("the list: %s", list)
	}
	first := page("/stores/shelf/things")
	if !strings.Contains(first, "initial value") || !strings.Contains(first, "k0098") || strings.Contains(first, "k0099") {
		t.Errorf("the first page: %s", first)
	}
	_, rest, _ := strings.Cut(first, `<a href="?`)
	next, _, _ := strings.Cut(rest, `"`)
	if second := page("/stores/shelf/things?" + strings.ReplaceAll(next, "&amp;", "&")); !strings.Contains(second, "k0099") || strings.Contains(second, "k0098") {
		t.Errorf("the second page (%s): %s", next, second)
	}
}
