package cli

import (
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"orrery/cli/config"
	"orrery/engine/store"
)

// This file tests `orrery store`: copies of real servers' stores, and what is refused.

// startJob starts a job on a server and gives its id.
func startJob(t *testing.T, url string) string {
	t.Helper()
	got := orrery(t, "jobs", "start", "flow", "--url", url, "--token", "dev-client-token", "--format", "json")
	var job struct {
		ID string `json:"job_id"`
	}
	if err := json.Unmarshal([]byte(got.out), &job); err != nil || job.ID == "" {
		t.Fatalf("%v: %+v", err, got)
	}
	return job.ID
}

func TestAJobGoesOnInACopiedStore(t *testing.T) {
	inFolder(t)
	t.Setenv("STORE_URL", "sqlite:a/o.db")
	r := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0", "--no-emulation")
	url := r.find(t, r.out, shownURL)
	id := startJob(t, url)
	if got := orrery(t, "store", "copy", "sqlite:a/o.db", "sqlite:b/o.db"); got.code != 1 || !strings.Contains(got.err, "in use by process") {
		t.Errorf("a copy beside a running server: %+v", got)
	}
	r.end(t)
	got := orrery(t, "store", "copy", "sqlite:a/o.db", "sqlite:b/o.db", "--dry-run", "--format", "json")
	var said copied
	if err := json.Unmarshal([]byte(got.out), &said); err != nil || got.code != 0 || !said.DryRun || said.Verified || said.Jobs["waiting_for_worker"] != 1 || len(said.Would) != 1 {
		t.Errorf("dry run: %v, %+v", err, got)
	}
	if _, err := os.Stat("b"); err == nil {
		t.Error("the dry run made something")
	}
	if got := orrery(t, "store", "copy", "sqlite:a/o.db", "sqlite:b/o.db"); got.code != 0 || !strings.Contains(got.out, "both sides were read and are equal") {
		t.Fatalf("copy: %+v", got)
	}
	if got := orrery(t, "store", "copy", "sqlite:a/o.db", "sqlite:b/o.db"); got.code != 1 || !strings.Contains(got.err, "not empty") || !strings.Contains(got.err, "remove b/o.db") {
		t.Errorf("a copy into a store that is in use: %+v", got)
	}
	a, b := orrery(t, "store", "check", "sqlite:a/o.db"), orrery(t, "store", "check", "sqlite:b/o.db")
	if a.code != 0 || b.code != 0 || a.out != b.out || !strings.Contains(a.out, "waiting_for_worker  1") {
		t.Errorf("check: %+v and %+v", a, b)
	}

	t.Setenv("STORE_URL", "sqlite:b/o.db")
	r = serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url = r.find(t, r.out, shownURL)
	waitFor(t, url, id, "waiting_for_human")
	if got := orrery(t, "approvals", "approve", id, "approved", "--url", url, "--token", "dev-client-token"); got.code != 0 {
		t.Fatalf("decide: %+v", got)
	}
	waitFor(t, url, id, "finished")
	r.end(t)
}

func TestAServerRefusesHalfACopy(t *testing.T) {
	inFolder(t)
	u := config.StoreURL{Kind: config.StoreSQLite, Path: "half.db"}
	s, err := openStore(t.Context(), u, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Claim(t.Context(), store.MoveClaim+"began", []byte(`{"from":"sqlite:other.db"}`), 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := orrery(t, "serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows", "--store-url", u.String())
	if got.code != 1 || !strings.Contains(got.err, "did not come to its end") || !strings.Contains(got.err, "sqlite:other.db") || !strings.Contains(got.err, "remove half.db") {
		t.Errorf("serve on half a copy: %+v", got)
	}
	if got := orrery(t, "store", "check", u.String()); got.code != 1 || !strings.Contains(got.err, "1 fault") {
		t.Errorf("check of half a copy: %+v", got)
	}
}

// stamp writes a schema number into the header of a store's file, where SQLite keeps it.
func stamp(t *testing.T, path string, schema byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0, 0, 0, schema}, 60); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSchemasGoForwardOnly(t *testing.T) {
	inFolder(t)
	s, err := openStore(t.Context(), config.StoreURL{Kind: config.StoreSQLite, Path: "o.db"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := orrery(t, "store", "migrate", "sqlite:o.db"); got.code != 0 || !strings.Contains(got.out, "the newest that this Orrery knows") {
		t.Errorf("up to date: %+v", got)
	}
	stamp(t, "o.db", 1)
	if got := orrery(t, "store", "migrate", "sqlite:o.db", "--dry-run"); got.code != 0 || !strings.Contains(got.out, "would be raised from schema 1 to ") || !strings.Contains(got.out, "\n  2: ") {
		t.Errorf("an older one: %+v", got)
	}
	if got := orrery(t, "store", "copy", "sqlite:o.db", "sqlite:p.db", "--dry-run"); got.code != 1 || !strings.Contains(got.err, "orrery store migrate sqlite:o.db") {
		t.Errorf("a dry run that would raise the source: %+v", got)
	}
	stamp(t, "o.db", 99)
	for _, args := range [][]string{
		{"store", "migrate", "sqlite:o.db"}, {"store", "migrate", "sqlite:o.db", "--dry-run"}, {"store", "copy", "sqlite:o.db", "sqlite:p.db"},
		{"serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows", "--store-url", "sqlite:o.db"},
	} {
		if got := orrery(t, args...); got.code != 1 || !strings.Contains(got.err, "schema 99") || !strings.Contains(got.err, "start the newer Orrery again") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestStoreCommandsRefuse(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("text.db", []byte(strings.Repeat("this is no store\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "keeps nothing", []string{"copy", "memory:", "sqlite:b.db"}},
		{2, "keeps nothing", []string{"copy", "sqlite:a.db", "memory:"}},
		{2, "has no scheme", []string{"copy", "a.db", "sqlite:b.db"}},
		{2, "same store", []string{"copy", "sqlite:a.db", "sqlite:a.db"}},
		{1, "there is no store at sqlite:a.db", []string{"copy", "sqlite:a.db", "sqlite:b.db"}},
		{1, "there is no store at sqlite:a.db", []string{"check", "sqlite:a.db"}},
		{1, "there is no store at sqlite:a.db", []string{"migrate", "sqlite:a.db"}},
		{1, "is not an Orrery store", []string{"check", "sqlite:text.db"}},
		{1, "is not an Orrery store", []string{"migrate", "sqlite:text.db", "--dry-run"}},
	} {
		got := orrery(t, append([]string{"store"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.err, c.want) {
			t.Errorf("store %v: %+v", c.args, got)
		}
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("refusals left files: %v (%v)", files, err)
	}
}
