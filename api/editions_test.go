package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"orrery/engine/job"
)

// This file tests the revisions of blueprints at the door, with the real engine and catalog.

const admins = "t-admin"

// edition is a blueprint that waits for a person and goes on to the given state.
func edition(state string) string {
	return strings.ReplaceAll(`
bp = blueprint(name = "moving", api_version = "v1", api_endpoint = "jobs/moving")

def start(actions):
    actions.await_human_approval(integration = "test", message = "go on?", transitions = {"yes": "STATE"})

def last(actions):
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
bp.handler_for("STATE")(last)
`, "STATE", state)
}

// put uploads a file as an administrator.
func (b *bench) put(name, text string, dry bool) answer {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"files": map[string]string{name: text}, "dry_run": dry})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(http.MethodPost, "/api/v1/uploads", string(body), "X-Client-Token", admins)
}

func (b *bench) holds(got answer, status int, want ...string) {
	b.t.Helper()
	for _, w := range want {
		if got.status != status || !strings.Contains(got.body, w) {
			b.t.Errorf("want %d and %q: %s", status, w, got)
		}
	}
}

func TestUploadsAndRevisions(t *testing.T) {
	b := newRealBench(t)
	ask := func(method, path, body string) answer {
		return b.do(method, path, body, "X-Client-Token", admins)
	}
	b.holds(b.put("moving.star", "x = (", false), 422, "blueprint_refused", `"findings":[{"rule":"syntax-error"`, "moving.star")
	b.holds(b.put("../moving.star", edition("go"), false), 400, "no name for a blueprint file")
	b.holds(b.put("linear.star", edition("go"), false), 409, "the blueprint directory has a file")
	b.holds(b.put("moving.star", edition("go"), true), 200, `"status":"checked"`, `"change":"added"`)
	b.holds(ask("GET", "/api/v1/blueprints/moving", ""), 404, "unknown_blueprint")
	b.holds(b.put("moving.star", edition("go"), false), 200, `"status":"in_force"`)
	b.holds(ask("GET", "/api/v1/blueprints/moving", ""), 200, `"transitions":[`, `"label":"yes"`)

	created := b.jobOf("moving")
	b.holds(b.put("moving.star", edition("on"), false), 200, `"change":"changed"`)
	b.holds(ask("GET", "/api/v1/blueprints/moving/versions", ""), 200, `"in_force":true`, `"live_jobs":1`, `"live_jobs":0`)
	b.holds(ask("GET", "/api/v1/blueprints/moving/diff", ""), 200, `"added":["on"]`, `"removed":["go"]`, `start -> on [yes]`, "--- moving.star")
	b.holds(ask("GET", "/api/v1/blueprints/moving/source?revision=previous", ""), 200, `\"go\"`)
	b.holds(ask("GET", "/api/v1/blueprints/moving/source?revision=abc", ""), 404, "at least 6 characters")
	b.holds(ask("POST", "/api/v1/jobs/"+created+"/migrate", `{"dry_run":true}`), 200, `"outcome":"mismatch"`, `"state":"go"`)
	b.holds(ask("POST", "/api/v1/jobs/"+created+"/migrate", `{}`), 409, "job_stays", `"outcome":"mismatch"`)
	b.holds(b.put("moving.star", edition("go")+"# a remark\n", false), 200, "in_force")
	b.holds(ask("POST", "/api/v1/blueprints/moving/migrate", `{"dry_run":true}`), 200, `"would_migrate":1`)
	b.holds(ask("POST", "/api/v1/blueprints/moving/migrate", `{}`), 200, `"migrated":1`)
	b.holds(ask("POST", "/api/v1/blueprints/moving/migrate", `{}`), 200, `"jobs":[]`)
	b.holds(ask("POST", "/api/v1/blueprints/moving/migrate", `{"limit":0}`), 400, "from 1 to 1000")
	b.holds(ask("DELETE", "/api/v1/uploads/moving.star?dry_run=true", ""), 200, `"change":"removed"`)
	b.holds(ask("GET", "/api/v1/uploads", ""), 200, `"file":"moving.star"`, `"uploaded_by":"admin"`)
	b.holds(ask("DELETE", "/api/v1/uploads/moving.star", ""), 200, `"status":"in_force"`)
	b.holds(ask("POST", "/api/v1/jobs/"+created+"/approve", `{"decision":"yes"}`), 200, "decision_accepted") // and runs to its end
	b.holds(ask("POST", "/api/v1/admin/reload-blueprints", ""), 200, "in_force")
}

// jobOf starts a job of a blueprint and waits until it asks a person.
func (b *bench) jobOf(name string) string {
	b.t.Helper()
	return b.jobOfBlueprint(name, `{"ask":true}`, job.WaitingHuman)
}
