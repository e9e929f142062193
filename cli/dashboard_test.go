package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests the quarantine list with its two ways out, and the dashboard's numbers,
// on a whole server.

const fragileFlow = `
bp = blueprint(name = "fragile", api_version = "v1", api_endpoint = "jobs/fragile")

def start(context, actions):
    if not context.state_history.get("mended"):
        fail("out of order")
    actions.transition_to("finished")

def wait(context, actions):
    actions.dispatch_task("nobody_does_this", transitions = {"success": "finished"})

bp.handler_for("start", is_start = True).when("context.initial_data.wait == True")(wait)
bp.handler_for("start", is_start = True)(start)
`

func TestQuarantineAndDashboard(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fragile.star"), []byte(fragileFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	r := serveIn(t, "dev", ".", "--listen", "127.0.0.1:0", "--no-emulation")
	url := r.find(t, r.out, shownURL)
	orrery := func(want int, args ...string) string {
		t.Helper()
		out, errs := newScreen(), newScreen()
		p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: out, stderr: errs, env: os.LookupEnv}
		if code := p.main(append(args, "--url", url)); code != want {
			t.Fatalf("orrery %s ends with %d, want %d: %s%s", args, code, want, out, errs)
		}
		return out.String() + errs.String()
	}
	for range 2 {
		orrery(1, "jobs", "start", "jobs/fragile", "--data", "{}", "--wait")
	}
	orrery(0, "jobs", "start", "jobs/fragile", "--data", `{"wait": true}`)
	numbers := func() (jobs, tasks map[string]int64) {
		t.Helper()
		var all map[string]map[string]int64
		if err := json.Unmarshal([]byte(orrery(0, "dashboard", "--format", "json")), &all); err != nil {
			t.Fatal(err)
		}
		return all["jobs"], all["tasks"]
	}
	if jobs, tasks := numbers(); jobs["total"] != 3 || jobs["quarantined"] != 2 || jobs["waiting_for_worker"] != 1 || tasks["queued"] != 1 {
		t.Errorf("the numbers are %v and %v", jobs, tasks)
	}
	if text := orrery(0, "dashboard"); !strings.Contains(text, "quarantined") || strings.Contains(text, "waiting_for_human") {
		t.Errorf("as text:\n%s", text)
	}

	ids := inQuarantine(t, orrery(0, "jobs", "list", "--status", "quarantined", "--format", "json"))
	if len(ids) != 2 {
		t.Fatalf("the quarantine holds %v", ids)
	}
	orrery(0, "jobs", "retry", ids[0], "--data", `{"mended": true}`)
	waitFor(t, url, ids[0], `"finished"`)
	orrery(0, "jobs", "close", ids[1])
	if got := orrery(1, "jobs", "retry", ids[1]); !strings.Contains(got, "closed") {
		t.Errorf("a closed job: %s", got)
	}
	var left []json.RawMessage
	if err := (&client{base: url, token: "dev-client-token", http: http.DefaultClient}).get(t.Context(), "/api/v1/jobs/quarantined", &left); err != nil || len(left) != 0 {
		t.Errorf("somebody has still to look at %s, %v", left, err)
	}
	if jobs, _ := numbers(); jobs["finished"] != 1 || jobs["total"] != 3 {
		t.Errorf("after retry and close the numbers are %v", jobs)
	}
	r.end(t)
}

// inQuarantine gives the ids of a list, all of which must say why they are there.
func inQuarantine(t *testing.T, list string) (ids []string) {
	t.Helper()
	var jobs []struct {
		ID     string
		Status string
		Error  struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(list), &jobs); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if j.Status != "quarantined" || j.Error.Code != "SCRIPT_ERROR" || !strings.Contains(j.Error.Message, "out of order") {
			t.Errorf("in the quarantine stands %+v", j)
		}
		ids = append(ids, j.ID)
	}
	return ids
}
