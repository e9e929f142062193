package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/redis/redistest"
)

// This file runs `orrery bench --nodes`, briefly, on real stores.

// column is what the tests look at.
type column struct {
	Target       string   `json:"target"`
	Nodes        int      `json:"nodes"`
	Rate         float64  `json:"jobs_per_second"`
	OfFirst      float64  `json:"ratio_of_first_column"`
	OfSQLite     float64  `json:"ratio_of_sqlite"`
	OfStoreLimit float64  `json:"ratio_of_store_limit"`
	CPU          float64  `json:"server_cpu_us_per_job"`
	Memory       float64  `json:"server_peak_memory_mb"`
	Commits      *float64 `json:"store_commits_per_job"`
	RoundTrips   *float64 `json:"store_round_trips_per_job"`
	Bytes        *float64 `json:"store_bytes_written_per_job"`
	StoreCPU     *float64 `json:"store_cpu_us_per_job"`
	Wake         *float64 `json:"created_to_worker_p50_ms"`
	WakeTail     *float64 `json:"created_to_worker_p999_ms"`
}

// built makes the real program: the benchmark starts itself as server.
func built(t *testing.T) (bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), "orrery")
	c := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", bin, "orrery")
	c.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

func benchNodes(t *testing.T, bin, storeURL string, args ...string) []column {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), bin, append([]string{"bench", "--format", "json", "--store", storeURL}, args...)...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("bench: %v\n%s", err, stderr.String())
	}
	var report struct {
		Columns []column `json:"columns"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, stdout.String())
	}
	return report.Columns
}

func near(t *testing.T, what string, got *float64, low, high float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: not measured", what)
	} else if *got < low || *got > high {
		t.Errorf("%s: %g, want %g to %g", what, *got, low, high)
	}
}

// table checks what holds on every store.
func table(t *testing.T, columns []column) (one, two, limit column) {
	t.Helper()
	var names []string
	for _, c := range columns {
		names = append(names, c.Target)
		if c.Rate <= 0 {
			t.Errorf("%s: %g jobs/s", c.Target, c.Rate)
		}
	}
	if !slices.Equal(names, []string{"1 node", "2 nodes", "on sqlite", "bare limit", "store limit"}) {
		t.Fatalf("measured %q", names)
	}
	one, two, limit = columns[0], columns[1], columns[4]
	if two.Nodes != 2 || two.OfFirst <= 0 || two.OfSQLite <= 0 || two.OfStoreLimit <= 0 || two.CPU <= 0 || two.Memory <= one.Memory {
		t.Errorf("two nodes: %+v", two)
	}
	// The limit is one of the same load.
	near(t, "bytes of the limit beside those of a node", new(*limit.Bytes / *one.Bytes), 0.4, 2.5)
	return one, two, limit
}

func TestBenchOverNodesRedis(t *testing.T) {
	server, bin := redistest.Start(t), built(t)
	one, two, limit := table(t, benchNodes(t, bin, server.URL(), "--nodes", "1,2", "--jobs", "200", "--rounds", "1"))
	// What the limit does for a job is what Orrery does: the number in the table of shapes is right.
	near(t, "commits of the limit", limit.Commits, 2, 2)
	for _, c := range []column{one, two} {
		near(t, "commits on "+c.Target, c.Commits, 1.99, 2.05)
		near(t, "round trips on "+c.Target, c.RoundTrips, 0.01, 20)
		near(t, "CPU of the store on "+c.Target, c.StoreCPU, 1, 1e6)
	}
	wake := benchNodes(t, bin, server.URL(), "--nodes", "2", "--shape", "wake", "--jobs", "10", "--rounds", "1")
	if len(wake) != 1 || wake[0].Nodes != 2 {
		t.Fatalf("measured %+v", wake)
	}
	near(t, "delay", wake[0].Wake, 0, 5000)
	near(t, "delay at most", wake[0].WakeTail, *wake[0].Wake, 30000)
	five := benchNodes(t, bin, server.URL(), "--nodes", "1", "--shape", "pipeline", "--jobs", "50", "--rounds", "1")
	near(t, "commits of a job of five tasks", five[0].Commits, 5.99, 6.2)
	near(t, "commits of its limit", five[3].Commits, 6, 6)

	c := server.Client()
	defer c.Close()
	if n, err := c.DBSize(t.Context()).Result(); n != 0 || err != nil {
		t.Errorf("%d keys are left, %v", n, err)
	}
}

func TestBenchOverNodesPostgres(t *testing.T) {
	address := pgtest.Shared(t)
	one, _, limit := table(t, benchNodes(t, built(t), address, "--nodes", "1,2", "--jobs", "200", "--rounds", "1"))
	near(t, "commits of the limit", limit.Commits, 0.01, 2)
	near(t, "commits on one node", one.Commits, 0.01, 4)
	near(t, "CPU of the store", one.StoreCPU, 0, 1e6)
	pgtest.Exec(t, address, `DO $do$ BEGIN
		IF EXISTS (SELECT 1 FROM pg_namespace WHERE nspname ~ '^bench_[0-9a-f]+_[0-9a-f]+_') THEN RAISE EXCEPTION 'schemas of the benchmark are left'; END IF; END $do$`)
}

func TestBenchOverNodesRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--nodes 2", "--nodes needs --store"},
		{"--shape wake", "give --store and --nodes"},
		{"--nodes 2 --store sqlite:x.db", "only one server can use it"},
		{"--nodes 2 --store memory:", "only one server can use it"},
		{"--nodes 0 --store redis://:hush@127.0.0.1:1", "give numbers from 1"},
		{"--nodes 1,99 --store redis://127.0.0.1:1", "give numbers from 1"},
		{"--nodes 2 --store redis://127.0.0.1:1 --shape aged", "--nodes goes with --shape"},
	} {
		got := orrery(t, append([]string{"bench"}, strings.Fields(c.args)...)...)
		if strings.Contains(got.err, "hush") || got.code != 2 || !strings.Contains(got.err, c.want) {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
	if got := orrery(t, "bench", "--nodes", "2", "--store", "redis://:hush@127.0.0.1:1"); got.code != 1 || !strings.Contains(got.err, "look at the store") || strings.Contains(got.err, "hush") {
		t.Errorf("a server that is not there: %+v", got)
	}
}
