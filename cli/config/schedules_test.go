package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/scheduler"
)

// This file tests schedules.toml: every form, and every fault at once with its line.

func schedulesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schedules.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadSchedules(t *testing.T) {
	list, faults := LoadSchedules(schedulesFile(t, `
[cleanup]
blueprint = "system_cleanup"
interval_seconds = 3600
input_data = { target = "temp_files", limits = { n = 3 } }
dispatch_timeout = 60
result_timeout = 30.5

[report]
blueprint = "generate_report"
daily_at = "09:00"
missed = "skip"
catch_up_seconds = 7200

[backup]
blueprint = "full_backup"
weekly_days = ["fri"]
time = "23:00"
timezone = "Asia/Tokyo"

[bill]
blueprint = "bill"
monthly_dates = [1, 15]
time = "00:00"
enabled = false

[early]
blueprint = "early"
cron = "30 6 * * mon-fri"
`), time.UTC)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got := map[string]scheduler.Schedule{}
	for _, s := range list {
		got[s.Name] = s
	}
	monday := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"cleanup": "2026-11-23T13:00:00Z", "report": "2026-11-24T09:00:00Z", "backup": "2026-11-27T14:00:00Z",
		"bill": "2026-12-01T00:00:00Z", "early": "2026-11-24T06:30:00Z",
	} {
		if next, ok := got[name].Timing.Next(monday); !ok || next.Format(time.RFC3339) != want {
			t.Errorf("%s comes at %s, want %s", name, next, want)
		}
	}
	if s := got["cleanup"]; s.Blueprint != "system_cleanup" || string(s.Input) != `{"limits":{"n":3},"target":"temp_files"}` || s.DispatchTimeout != 60 || s.ResultTimeout != 30.5 {
		t.Errorf("%+v", s)
	}
	if s := got["report"]; s.Missed != scheduler.MissedSkip || s.CatchUp != 2*time.Hour || string(s.Input) != "{}" {
		t.Errorf("%+v", s)
	}
	if !got["bill"].Paused || got["report"].Paused {
		t.Error("enabled is not read")
	}
}

func TestFaultsOfSchedules(t *testing.T) {
	_, faults := LoadSchedules(schedulesFile(t, `
["bad name"]
blueprint = "x"
interval_seconds = 1

[nothing]

[two]
blueprint = "x"
daily_at = "09:00"
cron = "* * * * *"

[late]
blueprint = "x"
daily_at = "25:00"

[timeless]
blueprint = "x"
weekly_days = ["mon"]

[day]
blueprint = "x"
weekly_days = ["monday"]
time = "09:00"

[list]
blueprint = "x"
monthly_dates = ["1"]
time = "09:00"

[half]
blueprint = "x"
interval_seconds = 0.5

[zone]
blueprint = "x"
daily_at = "09:00"
timezone = "Mars/Olympus"

[typo]
blueprint = "x"
dayly_at = "09:00"

[types]
blueprint = 7
cron = true
missed = "never"
enabled = "no"
input_data = [1]
catch_up_seconds = -1

[never]
blueprint = "x"
cron = "0 0 30 2 *"
`), time.UTC)
	text := faults.Error()
	for _, want := range []string{
		"schedules.toml:2: [bad name]", "[nothing]: it names no blueprint", "[two]: it must have exactly one of", "25:00", "time of [timeless]",
		`"monday" is no day of the week`, "monthly_dates of [list]", "interval_seconds of [half]", "Mars/Olympus", "dayly_at of [typo]: there is no such key",
		"blueprint of [types]", "missed of [types]", "enabled of [types]", "input_data of [types]", "catch_up_seconds of [types]", "never comes",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestSchedulesAreReadAtTheStart(t *testing.T) {
	path := schedulesFile(t, "[a]\nblueprint = \"x\"\ndaily_at = \"09:00\"\n")
	c := load(t, Source{Environ: []string{"SCHEDULES_CONFIG_PATH=" + path, "TZ=Asia/Tokyo"}})
	if len(c.Schedules) != 1 {
		t.Fatalf("%+v", c.Schedules)
	}
	if next, _ := c.Schedules[0].Timing.Next(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)); next.Hour() != 0 {
		t.Errorf("TZ does not count: %s", next)
	}
	f := faultsOf(t, Source{Environ: []string{"SCHEDULES_CONFIG_PATH=" + filepath.Join(t.TempDir(), "none.toml")}})
	if !strings.Contains(f.Error(), "SCHEDULES_CONFIG_PATH") {
		t.Error(f)
	}
}
