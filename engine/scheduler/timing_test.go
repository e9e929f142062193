package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/adhocore/gronx"
)

// This file tests dates: each form, turns of the clock in both directions, days that months
// lack, and the parser against a search minute by minute.

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func must(t *testing.T) func(Timing, error) Timing {
	return func(x Timing, err error) Timing {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

func utc(text string) time.Time {
	at, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err)
	}
	return at
}

// dates writes the next n dates in UTC.
func dates(x Timing, after string, n int) string {
	var out []string
	for _, at := range x.Upcoming(utc(after), n) {
		out = append(out, at.Format("01-02 15:04"))
	}
	return strings.Join(out, ", ")
}

func TestDates(t *testing.T) {
	m := must(t)
	madrid := zone(t, "Europe/Madrid")
	for i, c := range []struct {
		timing Timing
		after  string
		want   string
	}{
		{m(Every(time.Hour)), "2026-11-23 12:34:56", "11-23 13:00, 11-23 14:00, 11-23 15:00"},
		{m(Every(90 * time.Minute)), "2026-11-23 12:00:00", "11-23 13:30, 11-23 15:00, 11-23 16:30"},
		{m(Daily("09:00", time.UTC)), "2026-11-23 09:00:00", "11-24 09:00, 11-25 09:00, 11-26 09:00"},
		{m(Daily("09:00", time.UTC)), "2026-11-23 08:59:59", "11-23 09:00, 11-24 09:00, 11-25 09:00"},
		{m(Daily("09:00", madrid)), "2026-11-23 12:00:00", "11-24 08:00, 11-25 08:00, 11-26 08:00"},
		{m(Weekly([]string{"Mon", "fri"}, "23:30", time.UTC)), "2026-11-23 12:00:00", "11-23 23:30, 11-27 23:30, 11-30 23:30"},
		{m(Monthly([]int{1, 31}, "00:00", time.UTC)), "2026-11-23 12:00:00", "12-01 00:00, 12-31 00:00, 01-01 00:00, 01-31 00:00, 02-01 00:00, 03-01 00:00, 03-31 00:00, 04-01 00:00"},
		{m(Cron("*/20 9-10 * * mon-fri", time.UTC, "")), "2026-11-27 10:30:00", "11-27 10:40, 11-30 09:00, 11-30 09:20"},
		{m(Cron("0 0 29 2 *", time.UTC, "")), "2026-11-27 10:30:00", "02-29 00:00, 02-29 00:00"},
		{m(Cron("0 12 13 * fri", time.UTC, "")), "2026-11-23 00:00:00", "11-27 12:00, 12-04 12:00, 12-11 12:00, 12-13 12:00"},
		{m(Cron("@hourly", time.UTC, "")), "2026-11-23 12:00:01", "11-23 13:00"},
		{m(Cron("0 30 6 * * *", time.UTC, "")), "2026-11-23 12:00:01", "11-24 06:30"},
	} {
		if got := dates(c.timing, c.after, strings.Count(c.want, ",")+1); got != c.want {
			t.Errorf("%d: %s after %s\n got %s\nwant %s", i, c.timing, c.after, got, c.want)
		}
	}
}

// Madrid, 29 March 2026: at 01:00 UTC the clocks go from 02:00 to 03:00.
// Madrid, 25 October 2026: at 01:00 UTC they go from 03:00 back to 02:00.
// Lord Howe turns by half an hour, Santiago at midnight.
func TestTurnsOfTheClock(t *testing.T) {
	m := must(t)
	madrid, howe, santiago, apia := zone(t, "Europe/Madrid"), zone(t, "Australia/Lord_Howe"), zone(t, "America/Santiago"), zone(t, "Pacific/Apia")
	for i, c := range []struct {
		timing Timing
		after  string
		want   string
	}{
		// A time that is skipped comes at the turn, once.
		{m(Daily("02:30", madrid)), "2026-03-28 00:00:00", "03-28 01:30, 03-29 01:00, 03-30 00:30"},
		{m(Daily("02:00", madrid)), "2026-03-28 12:00:00", "03-29 01:00, 03-30 00:00"},
		{m(Daily("03:00", madrid)), "2026-03-28 12:00:00", "03-29 01:00, 03-30 01:00"},
		{m(Cron("0,30 2 * * *", madrid, "")), "2026-03-28 12:00:00", "03-29 01:00, 03-30 00:00, 03-30 00:30"},
		{m(Weekly([]string{"sun"}, "02:30", madrid)), "2026-03-23 00:00:00", "03-29 01:00, 04-05 00:30"},
		{m(Daily("02:30", madrid)), "2026-03-29 01:00:00", "03-30 00:30"},
		// One that comes twice comes the first time only.
		{m(Daily("02:30", madrid)), "2026-10-24 12:00:00", "10-25 00:30, 10-26 01:30"},
		{m(Daily("02:30", madrid)), "2026-10-25 00:30:00", "10-26 01:30"},
		{m(Daily("02:30", madrid)), "2026-10-25 01:10:00", "10-26 01:30"},
		{m(Daily("02:00", madrid)), "2026-10-24 12:00:00", "10-25 00:00, 10-26 01:00"},
		{m(Daily("03:00", madrid)), "2026-10-24 12:00:00", "10-25 02:00, 10-26 02:00"},
		// What repeats follows the clock on the wall.
		{m(Cron("30 * * * *", madrid, "")), "2026-03-29 00:00:00", "03-29 00:30, 03-29 01:30"},
		{m(Cron("30 * * * *", madrid, "")), "2026-10-25 00:00:00", "10-25 00:30, 10-25 01:30, 10-25 02:30"},
		{m(Cron("*/30 2 * * *", madrid, "")), "2026-03-28 12:00:00", "03-30 00:00, 03-30 00:30"},
		{m(Cron("*/30 2 * * *", madrid, "")), "2026-10-25 00:00:00", "10-25 00:30, 10-25 01:00, 10-25 01:30, 10-26 01:00"},
		// An interval does not know any clock.
		{m(Every(time.Hour)), "2026-10-25 00:00:00", "10-25 01:00, 10-25 02:00, 10-25 03:00"},
		{m(Daily("02:15", howe)), "2026-10-02 20:00:00", "10-03 15:30, 10-04 15:15"}, // 4 October local, 02:00 to 02:30
		{m(Daily("01:45", howe)), "2026-04-03 20:00:00", "04-04 14:45, 04-05 15:15"}, // 5 April local, 02:00 to 01:30
		{m(Daily("00:30", santiago)), "2026-09-05 05:00:00", "09-06 04:00, 09-07 03:30"},
		{m(Monthly([]int{30}, "12:00", apia)), "2011-12-01 00:00:00", "12-30 10:00, 01-29 22:00"}, // the island skipped 30 December 2011
	} {
		if got := dates(c.timing, c.after, strings.Count(c.want, ",")+1); got != c.want {
			t.Errorf("%d: %s in %s after %s\n got %s\nwant %s", i, c.timing, c.timing.zone, c.after, got, c.want)
		}
	}
}

// Whatever the zone does, a daily time comes once on each day of its zone.
func TestOncePerDayForAYear(t *testing.T) {
	for _, name := range []string{"Europe/Madrid", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca"} {
		z := zone(t, name)
		for _, at := range []string{"00:00", "02:00", "02:30"} {
			x := must(t)(Daily(at, z))
			cursor := time.Date(2025, 12, 31, 23, 59, 59, 0, z)
			for day := range 365 {
				next, ok := x.Next(cursor)
				want := time.Date(2026, 1, 1+day, 12, 0, 0, 0, z)
				if got := next.In(z); !ok || got.YearDay() != want.YearDay() || got.Year() != want.Year() {
					t.Fatalf("%s %s: after %s comes %s, want one on %s", name, at, cursor.In(z), got, want.Format(time.DateOnly))
				}
				cursor = next
			}
		}
	}
}

// The parser's own search, against looking at every minute of a week.
func TestParserAgainstEveryMinute(t *testing.T) {
	begins := []time.Time{utc("2027-12-28 00:00:00"), utc("2028-02-26 00:00:00")}
	for i, expr := range []string{"*/7 3 * * *", "15 4 31 * *", "0 12 * 2 tue", "5,10 0 1-3 1,6 *", "59 23 29 2 *", "0 9 * * 1-5", "0 */6 */10 * *", "30 8 1 * sun"} {
		x := must(t)(Cron(expr, time.UTC, ""))
		begin := begins[i%2]
		cursor := begin
		for minute := begin.Add(time.Minute); minute.Before(begin.AddDate(0, 0, 7)); minute = minute.Add(time.Minute) {
			due, err := gronx.New().IsDue(expr, minute)
			if err != nil {
				t.Fatal(err)
			}
			if !due {
				continue
			}
			if next, ok := x.Next(cursor); !ok || !next.Equal(minute) {
				t.Fatalf("%s after %s: %s, want %s", expr, cursor, next, minute)
			}
			cursor = minute
		}
	}
}

func TestTimingsThatAreRefused(t *testing.T) {
	bad := func(what string, _ Timing, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	for _, expr := range []string{"", "* * * *", "61 * * * *", "* 25 * * *", "0 0 30 2 *", "0 0 32 * *", "a b c d e", "* * * * * * * *", "@never", "0 0 * * 8", "*/0 * * * *"} {
		x, err := Cron(expr, time.UTC, "")
		bad(fmt.Sprintf("%q", expr), x, err)
	}
	for _, at := range []string{"", "9", "24:00", "09:60", "9:00 pm"} {
		x, err := Daily(at, time.UTC)
		bad("daily "+at, x, err)
	}
	x, err := Weekly([]string{"monday"}, "09:00", time.UTC)
	bad("monday", x, err)
	x, err = Weekly(nil, "09:00", time.UTC)
	bad("no day", x, err)
	x, err = Monthly([]int{0}, "09:00", time.UTC)
	bad("day 0", x, err)
	x, err = Monthly([]int{32}, "09:00", time.UTC)
	bad("day 32", x, err)
	for _, d := range []time.Duration{0, -time.Second, time.Millisecond, 1500 * time.Millisecond, 400 * 24 * time.Hour} {
		x, err := Every(d)
		bad(d.String(), x, err)
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", time.Minute: "1m", 90 * time.Second: "1m30s", 20 * time.Minute: "20m", 45 * time.Second: "45s", 10 * time.Hour: "10h", time.Hour + time.Second: "1h0m1s"} {
		if got := must(t)(Every(d)).String(); got != "every "+want {
			t.Errorf("%s is written %q", d, got)
		}
	}
}
