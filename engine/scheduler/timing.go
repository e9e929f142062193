package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/adhocore/gronx"
)

// This file finds the dates of a schedule, over turns of the clock too.

// Timing says when a schedule fires: at an interval, or by a cron expression in a zone.
type Timing struct {
	every time.Duration // 0: by expression
	cron  string        // fields with one blank between
	fixed bool          // the expression names times of the day
	zone  *time.Location
	words string
}

const (
	leastInterval = time.Second
	mostInterval  = 366 * 24 * time.Hour
	mostZones     = 64 // turns of the clock that a search crosses: over thirty years
)

// Zone is the one whose wall clock the timing follows.
func (t Timing) Zone() *time.Location { return t.zone }

// String says the timing for people.
func (t Timing) String() string { return t.words }

// Every fires at each whole multiple of an interval since 1970 in UTC: an hour means each
// full hour, whenever the server was started.
func Every(d time.Duration) (Timing, error) {
	if d < leastInterval || d > mostInterval || d%time.Second != 0 {
		return Timing{}, fmt.Errorf("an interval must be a whole number of seconds from 1 to %d", int(mostInterval/time.Second))
	}
	return Timing{every: d, zone: time.UTC, words: "every " + short(d)}, nil
}

// short writes an interval without the parts that are zero.
func short(d time.Duration) string {
	s := strings.TrimSuffix(d.String(), "m0s")
	if s != d.String() {
		s = strings.TrimSuffix(s+"m", "h0m")
		if !strings.HasSuffix(s, "m") {
			s += "h"
		}
	}
	return s
}

// parsing guards the library's one parser.
var parsing sync.Mutex

// Cron fires by an expression of five fields (minute, hour, day of the month, month, day of
// the week), six (second before them) or a tag such as @daily. If day of the month and day
// of the week both name days, either counts, as in cron. words "" takes the expression.
func Cron(expr string, zone *time.Location, words string) (Timing, error) {
	fields := strings.Fields(expr)
	if n := len(fields); n != 5 && n != 6 && (n != 1 || !strings.HasPrefix(expr, "@")) {
		return Timing{}, fmt.Errorf("%q is no cron expression: it has five fields, or six with seconds, for example \"30 6 * * mon-fri\"", expr)
	}
	clean := strings.Join(fields, " ")
	parsing.Lock()
	valid := gronx.IsValid(clean)
	parsing.Unlock()
	all, err := gronx.Segments(clean)
	if !valid || err != nil {
		return Timing{}, fmt.Errorf("%q is no cron expression, for example \"30 6 * * mon-fri\"", expr)
	}
	t := Timing{cron: clean, zone: zone, words: words}
	if words == "" {
		t.words = "cron " + clean
	}
	t.fixed = !strings.ContainsAny(all[1]+all[2], "*/?")
	if _, ok := t.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return Timing{}, fmt.Errorf("%q never comes: there is no such day", expr)
	}
	return t, nil
}

// Daily fires each day at a time of the day (HH:MM).
func Daily(at string, zone *time.Location) (Timing, error) {
	h, m, err := timeOfDay(at)
	if err != nil {
		return Timing{}, err
	}
	return Cron(fmt.Sprintf("%d %d * * *", m, h), zone, "daily at "+at)
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Weekly fires at a time on days of the week: mon, tue, wed, thu, fri, sat, sun.
func Weekly(days []string, at string, zone *time.Location) (Timing, error) {
	h, m, err := timeOfDay(at)
	if err != nil {
		return Timing{}, err
	}
	if len(days) == 0 {
		return Timing{}, errors.New("it names no day")
	}
	for _, d := range days {
		if !slices.Contains(weekdays, strings.ToLower(d)) {
			return Timing{}, fmt.Errorf("%q is no day of the week; they are mon, tue, wed, thu, fri, sat, sun", d)
		}
	}
	list := strings.ToLower(strings.Join(days, ","))
	return Cron(fmt.Sprintf("%d %d * * %s", m, h, list), zone, "weekly on "+list+" at "+at)
}

// Monthly fires at a time on days of the month, 1 to 31. A month without such a day is left
// out.
func Monthly(dates []int, at string, zone *time.Location) (Timing, error) {
	h, m, err := timeOfDay(at)
	if err != nil {
		return Timing{}, err
	}
	if len(dates) == 0 {
		return Timing{}, errors.New("it names no day")
	}
	var list []string
	for _, d := range dates {
		if d < 1 || d > 31 {
			return Timing{}, fmt.Errorf("%d is no day of a month; they are 1 to 31", d)
		}
		list = append(list, fmt.Sprint(d))
	}
	days := strings.Join(list, ",")
	return Cron(fmt.Sprintf("%d %d %s * *", m, h, days), zone, "monthly on "+days+" at "+at)
}

func timeOfDay(text string) (hour, minute int, err error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, 0, fmt.Errorf("%q is no time of the day; write HH:MM, for example 09:00", text)
	}
	return at.Hour(), at.Minute(), nil
}

// Next gives the first date after the given one, in UTC; ok is false when none comes.
//
// An expression is compared with the wall clock of its zone. When clocks are put forward, a
// time of the day that is skipped fires once, at the moment of the turn; when they are put
// back, a time that comes twice fires the first time. An expression that repeats within the
// day (a * or / in its minutes or hours) follows the wall clock as it runs: skipped times
// do not come, repeated ones come twice.
func (t Timing) Next(after time.Time) (next time.Time, ok bool) {
	after = after.UTC().Truncate(time.Second)
	if t.every > 0 {
		seconds := int64(t.every / time.Second)
		return time.Unix((floor(after.Unix(), seconds)+1)*seconds, 0).UTC(), true
	}
	begin, end, offset := t.period(after)
	from := after.Add(offset) // wall clocks are kept as if they were UTC
	if t.fixed {
		from = latest(from, t.passed(begin, offset))
	}
	for range mostZones {
		if wall, ok := t.nextWall(from); ok && (end.IsZero() || wall.Add(-offset).Before(end)) {
			return wall.Add(-offset), true
		} else if end.IsZero() {
			return time.Time{}, false
		}
		turn, before := end, offset
		begin, end, offset = t.period(turn)
		from = turn.Add(offset - time.Second)
		if t.fixed {
			if skipped, ok := t.nextWall(turn.Add(before - time.Second)); ok && skipped.Before(turn.Add(offset)) {
				return turn, true
			}
			from = latest(from, t.passed(begin, offset))
		}
	}
	return time.Time{}, false
}

// period gives the stretch without a turn of the clock that a date lies in, and its offset.
// end is zero when none comes.
func (t Timing) period(at time.Time) (begin, end time.Time, offset time.Duration) {
	local := at.In(t.zone)
	begin, end = local.ZoneBounds()
	_, seconds := local.Zone()
	if !end.IsZero() {
		end = end.UTC()
	}
	return begin, end, time.Duration(seconds) * time.Second
}

// passed gives the wall clock up to which times of a period came before its beginning: the
// clock was put back then. Without that it is before everything.
func (t Timing) passed(begin time.Time, offset time.Duration) time.Time {
	if begin.IsZero() {
		return time.Time{}
	}
	_, before := begin.Add(-time.Second).In(t.zone).Zone()
	if old := time.Duration(before) * time.Second; old > offset {
		return begin.UTC().Add(old - time.Second)
	}
	return time.Time{}
}

// nextWall gives the first wall clock after the given one that the expression fits.
func (t Timing) nextWall(after time.Time) (time.Time, bool) {
	next, err := gronx.NextTickAfter(t.cron, after, false)
	return next, err == nil && next.After(after)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// floor divides, down also below zero.
func floor(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// Upcoming gives the next dates, at most n.
func (t Timing) Upcoming(after time.Time, n int) []time.Time {
	out := []time.Time{}
	for range n {
		next, ok := t.Next(after)
		if !ok {
			break
		}
		out = append(out, next)
		after = next
	}
	return out
}
