package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"orrery/engine/store/redis/redistest"
)

// This file tests counts that the client sends again because their answers were lost.

// recount sends a count with a token of the test's choice, as a repetition has that of its first
// sending.
func recount(t *testing.T, s *Store, key, token string, by int) string {
	t.Helper()
	ms := func(d time.Duration) string { return fmt.Sprint(epochMilli + d.Milliseconds()) }
	reply, err := s.call(t.Context(), countScript, s.keys.claim(key), ms(0), ms(time.Hour), token, fmt.Sprint(by), "1000", life(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := twoValues(reply)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const epochMilli = int64(1_800_000_000_000)

// Between two sendings of a count others may come: the second changes nothing all the same.
func TestARepeatedCountIsKnownAmongOthers(t *testing.T) {
	s := open(t, redistest.Start(t).URL(fresh()))
	for _, step := range []struct {
		token string
		by    int
		want  string
	}{
		{"x", 5, "5"}, {"a", -1, "4"}, {"b", 1, "5"}, {"a", -1, "5"}, {"b", 1, "5"}, {"x", 5, "5"}, {"a", -1, "5"}, {"c", -1, "4"},
	} {
		if got := recount(t, s, "count/k", step.token, step.by); got != step.want {
			t.Errorf("%s adds %d: %s stands, want %s", step.token, step.by, got, step.want)
		}
	}
	// A busy client's starts do not drive out what is known of those that were given back.
	for i := range 100 {
		recount(t, s, "count/k", fmt.Sprint("take", i), 1)
	}
	if got := recount(t, s, "count/k", "c", -1); got != "104" {
		t.Errorf("a give-back that is sent again after 100 starts: %s stands, want 104", got)
	}
	kept, err := s.client.Get(t.Context(), s.keys.claim("count/k")).Result()
	if n := strings.Count(kept, ","); err != nil || n > 31 {
		t.Errorf("%d tokens are kept, %v", n+1, err)
	}
}

// A counter with one token, as servers before this one wrote them, counts on; they read what this
// one writes.
func TestACounterOfAnOlderServer(t *testing.T) {
	s := open(t, redistest.Start(t).URL(fresh()))
	key := s.keys.claim("count/k")
	if err := s.client.Set(t.Context(), key, fmt.Sprintf("%d old 7", epochMilli+1000), time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if got := recount(t, s, "count/k", "old", 1); got != "7" {
		t.Errorf("the older server's own count, sent again: %s", got)
	}
	if got := recount(t, s, "count/k", "new", 1); got != "8" {
		t.Errorf("a new count: %s", got)
	}
	kept, err := s.client.Get(t.Context(), key).Result()
	if parts := strings.Split(kept, " "); err != nil || len(parts) != 3 || parts[2] != "8" {
		t.Errorf("an older server reads three words, of which the last is the count: %q, %v", kept, err)
	}
}
