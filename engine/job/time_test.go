package job

import (
	"testing"
	"time"
)

// Dates are written by hand; package time says how they must look.
func TestTimeLooksAsItsFormatSays(t *testing.T) {
	zone := time.FixedZone("somewhere", -(5*3600 + 1800))
	dates := []time.Time{
		{}, time.Unix(0, 0), time.Unix(-1, 1), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 20, 0, 0, 0, zone),
	}
	at := time.Date(1999, 1, 31, 22, 58, 59, 998_000_001, zone)
	for range 2000 { // odd steps, so that each digit changes
		dates = append(dates, at)
		at = at.Add(31*time.Hour + 7*time.Minute + 13*time.Second + 17_001_003)
	}
	for _, at := range dates {
		want := at.UTC().Format(TimeFormat)
		if got := (Time{at}).String(); got != want {
			t.Errorf("%v is written as %s, want %s", at, got, want)
		}
		if text, err := (Time{at}).MarshalJSON(); err != nil || string(text) != `"`+want+`"` {
			t.Errorf("%v is JSON %s (%v), want %q", at, text, err, want)
		}
	}
}
