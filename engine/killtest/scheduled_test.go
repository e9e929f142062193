package killtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file kills the shipped binary while a schedule fires each second: every second between
// the first and the last one has exactly one job.

const tickFlow = `
tick = blueprint(name = "tick", api_version = "v1", api_endpoint = "jobs/tick")

def start(context, actions):
    actions.transition_to("finished", error_message = context.client.params["scheduled_at"])

tick.handler_for("start", is_start = True)(start)
`

func TestKillsFireOnce(t *testing.T) {
	const kills, enough = 6, 9
	s := newServer(t, program(t, ""))
	flows := filepath.Join(s.dir, "flows")
	if err := os.Mkdir(flows, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(flows, "tick.star"):      tickFlow,
		filepath.Join(s.dir, "schedules.toml"): "[second]\nblueprint = \"tick\"\ninterval_seconds = 1\nmissed = \"all\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.start("BLUEPRINTS_DIR=" + flows)
	seen := 0
	var list []struct {
		jobView
		Planned string `json:"error_message"`
	}
	for killed := 0; len(list) < enough || killed < kills; {
		code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs?blueprint=tick&limit=1000", "", nil, &list)
		if err != nil || code != http.StatusOK {
			t.Fatal(code, err)
		}
		if len(list) > seen && killed < kills { // right after a fire, or in the middle of one
			seen = len(list)
			s.kill()
			s.start("BLUEPRINTS_DIR=" + flows)
			killed++
		}
		select {
		case <-time.After(time.Duration(7*killed) * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d jobs after %d kills", len(list), killed)
		}
	}
	times := map[int64]string{}
	var first, last int64
	for _, j := range list {
		at, err := time.Parse(time.RFC3339, j.Planned)
		if err != nil || j.Status != job.Finished && j.Status != job.Pending {
			t.Fatalf("job %s is %s, planned for %q", j.ID, j.Status, j.Planned)
		}
		if other := times[at.Unix()]; other != "" {
			t.Errorf("%s has two jobs, %s and %s", at, other, j.ID)
		}
		times[at.Unix()] = j.ID
		if first == 0 || at.Unix() < first {
			first = at.Unix()
		}
		last = max(last, at.Unix())
	}
	if want := last - first + 1; int64(len(times)) != want {
		t.Errorf("%d jobs in %d seconds: %s", len(times), want, fmt.Sprint(times))
	}
}
