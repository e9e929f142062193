package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// This file tests schedules of a running server, and the preview without one.

const tickFlow = `
bp = blueprint(name = "tick", api_version = "v1", api_endpoint = "jobs/tick")

def start(context, actions):
    print("planned for %s" % context.client.params["scheduled_at"])
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
`

func TestSchedulesOfAServer(t *testing.T) {
	inFolder(t)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("flows/tick.star", tickFlow)
	write("schedules.toml", "[second]\nblueprint = \"tick\"\ninterval_seconds = 1\n\n[nowhere]\nblueprint = \"tock\"\ndaily_at = \"09:00\"\n")
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.out, shownURL)
	dev.find(t, dev.err, `not loaded.*schedule=nowhere blueprint=tock`)
	id := dev.find(t, dev.err, `a schedule has started a job.*schedule=second job=(\S+)`)
	if got := orrery(t, "jobs", "watch", id, "--url", url); got.code != 0 || !strings.Contains(got.out, "planned for") {
		t.Errorf("%+v", got)
	}
	got := orrery(t, "schedules", "list", "--url", url, "--format", "json")
	var list []struct {
		Name string `json:"name"`
		Next string `json:"next_run_at"`
		Last *struct {
			JobID string `json:"job_id"`
		} `json:"last_run"`
	}
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != 2 || list[0].Name != "nowhere" || list[0].Last != nil || list[0].Next == "" || list[1].Last == nil {
		t.Errorf("%v %+v", err, got)
	}
	if got := orrery(t, "schedules", "list", "--url", url); !strings.Contains(got.out, "daily at 09:00") || !strings.Contains(got.out, "every 1s") {
		t.Errorf("%+v", got)
	}

	write("schedules.toml", "[second]\nblueprint = \"tick\"\ninterval_seconds = 0\n")
	if got := orrery(t, "schedules", "reload", "--url", url); got.code != 1 || !strings.Contains(got.err, "schedules.toml:3") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "schedules", "list", "--url", url); !strings.Contains(got.out, "nowhere") {
		t.Errorf("a bad file was taken over: %+v", got)
	}
	write("schedules.toml", "[other]\nblueprint = \"tick\"\ncron = \"0 0 1 1 *\"\n")
	dev.find(t, dev.err, "a changed file was taken over.*schedules.toml.*entries=1") // noticed without being asked
	if got := orrery(t, "schedules", "list", "--url", url); !strings.Contains(got.out, "other") || strings.Contains(got.out, "second") {
		t.Errorf("%+v", got)
	}
	dev.end(t)
}

func TestBadSchedulesStopTheStart(t *testing.T) {
	inFolder(t)
	if err := os.WriteFile("schedules.toml", []byte("[a]\nblueprint = \"tick\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := orrery(t, "serve", "--blueprints-dir", "flows", "--listen", "127.0.0.1:0"); got.code != 1 || !strings.Contains(got.err, "schedules.toml:1: [a]: it must have exactly one of interval_seconds") {
		t.Errorf("%+v", got)
	}
}

func TestPreviewOfSchedules(t *testing.T) {
	inFolder(t)
	if err := os.WriteFile("s.toml", []byte("[a]\nblueprint = \"tick\"\ndaily_at = \"09:00\"\ntimezone = \"Asia/Tokyo\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := orrery(t, "schedules", "preview", "s.toml", "--count", "3"); got.code != 0 || strings.Count(got.out, "09:00:00 JST") != 3 || !strings.Contains(got.out, "a: daily at 09:00 starts tick") {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile("s.toml", []byte("[a]\nblueprint = \"tick\"\ndaily_at = \"9\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := orrery(t, "schedules", "preview", "s.toml"); got.code != 1 || !strings.Contains(got.err, "s.toml:3") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "schedules", "preview", "s.toml", "--timezone", "Mars"); got.code != 2 {
		t.Errorf("%+v", got)
	}
}
