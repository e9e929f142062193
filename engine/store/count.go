package store

import (
	"fmt"
	"strconv"
)

// This file says how the drivers keep counters: as claims under names of their own, with the
// number as text.

// CounterKey gives the key of a counter among the claims.
func CounterKey(key string) string { return "count/" + key }

// AddCount gives what stands after adding by, at least 0; taken is false, and nothing is
// added, when it would be above most. Giving back is always taken.
func AddCount(stands, by, most int64) (next int64, taken bool) {
	if by > 0 && stands > most-by {
		return stands, false
	}
	return max(0, stands+by), true
}

// FormatCount writes a count.
func FormatCount(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// ParseCount reads a count.
func ParseCount(key string, value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s holds %q, which is no count", key, value)
	}
	return n, nil
}
