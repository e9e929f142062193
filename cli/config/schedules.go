package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones of schedules, also on machines without them

	"orrery/engine/scheduler"
)

// This file reads schedules.toml.

var scheduleName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// scheduleKeys are what a table may hold.
var scheduleKeys = []string{
	"blueprint", "input_data", "dispatch_timeout", "result_timeout",
	"interval_seconds", "daily_at", "weekly_days", "monthly_dates", "cron", "time",
	"timezone", "missed", "catch_up_seconds", "enabled",
}

// timings are the keys of which a schedule has exactly one.
var timings = []string{"interval_seconds", "daily_at", "weekly_days", "monthly_dates", "cron"}

// LoadSchedules reads schedules.toml; zone is that of schedules that name none. All faults
// are given at once, each with file and line.
func LoadSchedules(path string, zone *time.Location) ([]scheduler.Schedule, Faults) {
	t, faults := readTables(path)
	var out []scheduler.Schedule
	for _, name := range t.names {
		r := scheduleReader{tables: t, name: name, table: t.by[name]}
		s := r.read(zone)
		if len(r.faults) == 0 {
			out = append(out, s)
		}
		faults = append(faults, r.faults...)
	}
	return out, faults
}

// scheduleReader reads one table and gathers what is wrong with it.
type scheduleReader struct {
	tables
	name   string
	table  map[string]any
	faults Faults
}

func (r *scheduleReader) wrong(key, example, problem string, args ...any) {
	where := fmt.Sprintf("[%s]: ", r.name)
	if key != "" {
		where = fmt.Sprintf("%s of [%s]: ", key, r.name)
	}
	r.faults = append(r.faults, Fault{r.at(r.name, key), where + fmt.Sprintf(problem, args...), example})
}

func (r *scheduleReader) read(zone *time.Location) scheduler.Schedule {
	s := scheduler.Schedule{Name: r.name}
	if !scheduleName.MatchString(r.name) {
		r.wrong("", "[nightly-report]", "the name must be 1 to 128 letters, digits, _, . or -")
	}
	for key := range r.table {
		if !slices.Contains(scheduleKeys, key) {
			r.wrong(key, "", "there is no such key; the keys are %s", strings.Join(scheduleKeys, ", "))
		}
	}
	s.Blueprint = r.text("blueprint", `blueprint = "report"`)
	if _, given := r.table["blueprint"]; !given {
		r.wrong("", `blueprint = "report"`, "it names no blueprint")
	}
	s.DispatchTimeout = r.number("dispatch_timeout", 366*24*3600)
	s.ResultTimeout = r.number("result_timeout", 366*24*3600)
	s.CatchUp = time.Duration(r.number("catch_up_seconds", scheduler.MostCatchUp.Seconds()) * float64(time.Second))
	s.Input = r.input()
	switch missed := scheduler.Missed(r.text("missed", `missed = "once"`)); missed {
	case "", scheduler.MissedOnce, scheduler.MissedSkip, scheduler.MissedAll:
		s.Missed = missed
	default:
		r.wrong("missed", `missed = "once"`, "%q is none of once, skip, all", missed)
	}
	if enabled, given := r.table["enabled"]; given {
		on, ok := enabled.(bool)
		if s.Paused = !on; !ok {
			r.wrong("enabled", "enabled = false", "it must be true or false")
		}
	}
	if name := r.text("timezone", `timezone = "Europe/Madrid"`); name != "" {
		own, err := time.LoadLocation(name)
		if err != nil {
			r.wrong("timezone", `timezone = "Europe/Madrid"`, "%q is no known time zone", name)
		}
		zone = own
	}
	if len(r.faults) == 0 {
		s.Timing = r.timing(zone)
	}
	return s
}

// timing reads the one key that says when.
func (r *scheduleReader) timing(zone *time.Location) (t scheduler.Timing) {
	var found []string
	for _, key := range timings {
		if _, given := r.table[key]; given {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		r.wrong("", `daily_at = "09:00"`, "it must have exactly one of %s; it has %d", strings.Join(timings, ", "), len(found))
		return t
	}
	var err error
	key := found[0]
	at := r.text("time", `time = "09:00"`)
	needsTime := key == "weekly_days" || key == "monthly_dates"
	if _, given := r.table["time"]; given != needsTime {
		r.wrong("time", `time = "09:00"`, "it belongs to weekly_days and monthly_dates, and they need it")
		return t
	}
	switch key {
	case "interval_seconds":
		seconds := r.number(key, 366*24*3600)
		if len(r.faults) == 0 && seconds != math.Trunc(seconds) {
			err = errors.New("it must be a whole number")
		} else if len(r.faults) == 0 {
			t, err = scheduler.Every(time.Duration(seconds) * time.Second)
		}
	case "daily_at":
		t, err = scheduler.Daily(r.text(key, `daily_at = "09:00"`), zone)
	case "weekly_days":
		t, err = scheduler.Weekly(list[string](r, key, `weekly_days = ["mon", "fri"]`), at, zone)
	case "monthly_dates":
		var days []int
		for _, d := range list[int64](r, key, "monthly_dates = [1, 15]") {
			days = append(days, int(d))
		}
		t, err = scheduler.Monthly(days, at, zone)
	case "cron":
		t, err = scheduler.Cron(r.text(key, `cron = "30 6 * * mon-fri"`), zone, "")
	}
	if err != nil && len(r.faults) == 0 {
		r.wrong(key, "", "%v", err)
	}
	return t
}

func (r *scheduleReader) text(key, example string) string {
	v, given := r.table[key]
	s, ok := v.(string)
	if given && !ok {
		r.wrong(key, example, "it must be a text")
	}
	return s
}

// number reads a number above 0, whole or not; absent is 0.
func (r *scheduleReader) number(key string, most float64) (f float64) {
	v, given := r.table[key]
	switch n := v.(type) {
	case int64:
		f = float64(n)
	case float64:
		f = n
	}
	if given && !(f > 0 && f <= most) {
		r.wrong(key, key+" = 3600", "it must be a number of seconds above 0 and up to %.0f", most)
		return 0
	}
	return f
}

// input gives the job's initial data as JSON.
func (r *scheduleReader) input() json.RawMessage {
	v, given := r.table["input_data"]
	if !given {
		return json.RawMessage("{}")
	}
	table, ok := v.(map[string]any)
	raw, err := json.Marshal(table)
	if !ok || err != nil { // TOML knows inf and nan, JSON does not
		r.wrong("input_data", `input_data = { kind = "full" }`, "it must be a table of values that JSON knows")
		return nil
	}
	return raw
}

// list reads a list whose entries are all of one type.
func list[T any](r *scheduleReader, key, example string) []T {
	all, ok := r.table[key].([]any)
	var out []T
	for _, one := range all {
		v, fits := one.(T)
		ok = ok && fits
		out = append(out, v)
	}
	if !ok {
		r.wrong(key, example, "it must be a list such as in the example")
	}
	return out
}

// schedules reads the file of schedules when there is one.
func (l *loader) schedules() {
	c := l.cfg
	if c.SchedulesPath = l.present(nameSchedules, c.SchedulesPath); c.SchedulesPath == "" || c.Zone == nil {
		return
	}
	var faults Faults
	c.Schedules, faults = LoadSchedules(c.SchedulesPath, c.Zone)
	l.faults = append(l.faults, faults...)
}
