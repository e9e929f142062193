package job

import "time"

// This file writes dates as the public API does.

// TimeFormat is RFC 3339 with exactly three decimals.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// Time is a date that people and programs outside see: UTC, always three decimals, where
// time.Time leaves zeros at the end out.
type Time struct{ time.Time }

// MarshalJSON writes the date in quotes. Reading is that of time.Time.
func (t Time) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, len(TimeFormat)+2), '"')
	return append(t.UTC().AppendFormat(b, TimeFormat), '"'), nil
}

// String gives the same form without quotes.
func (t Time) String() string { return t.UTC().Format(TimeFormat) }
