package hostile

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// This file asks for far more than the server can do.

// tally counts the answers of a load.
type tally struct{ accepted, refused, silent, other atomic.Int64 }

// load starts jobs on n connections, as fast as they are answered, for a time.
func (s *server) load(n int, lasts time.Duration) *tally {
	s.t.Helper()
	var (
		sum   tally
		users sync.WaitGroup
		text  = "POST /api/v1/jobs/hostile_quick HTTP/1.1\r\nHost: h\r\nX-Client-Token: " + adminToken + "\r\nContent-Length: 7\r\n\r\n{\"n\":1}"
	)
	conns := s.dial(n, func(int) string { return "" })
	end := time.Now().Add(lasts)
	for _, c := range conns {
		users.Go(func() {
			defer c.Close()
			c.SetDeadline(end.Add(30 * time.Second))
			r := bufio.NewReader(c)
			for time.Now().Before(end) {
				if _, err := fmt.Fprint(c, text); err != nil {
					sum.silent.Add(1)
					return
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					sum.silent.Add(1)
					return
				}
				_, err = r.Discard(int(resp.ContentLength))
				switch {
				case err != nil:
					sum.silent.Add(1)
					return
				case resp.StatusCode == http.StatusAccepted:
					sum.accepted.Add(1)
				case (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests) && resp.Header.Get("Retry-After") != "":
					sum.refused.Add(1)
				default:
					sum.other.Add(1)
				}
			}
		})
	}
	users.Wait()
	return &sum
}

// rate is the jobs a second that a load brought in.
func (s *server) rate(n int, lasts time.Duration) float64 {
	return float64(s.load(n, lasts).accepted.Load()) / lasts.Seconds()
}

// unfinished counts the jobs that have not ended.
func (s *server) unfinished() (n int) {
	s.t.Helper()
	var board struct{ Jobs map[string]int }
	a := s.admin("GET", "/api/v1/dashboard", "")
	if err := json.Unmarshal([]byte(a.body), &board); err != nil {
		s.t.Fatalf("the dashboard: %v in %s", err, a)
	}
	return board.Jobs["total"] - board.Jobs["finished"] - board.Jobs["failed"] - board.Jobs["quarantined"] - board.Jobs["cancelled"]
}

// TestOverload: many times the starts at once that the server takes on. What is too much is
// told to come again, memory stays where it is, and afterwards all is as before.
func TestOverload(t *testing.T) {
	lasts := 8 * time.Second
	if os.Getenv("ORRERY_LONG") == "1" {
		lasts = time.Minute
	}
	const callers = 3000 // some 30 are enough to keep it busy, and 1,000 starts at once are let in
	s := start(t)
	s.rate(32, time.Second) // warm
	before := s.rate(32, 2*time.Second)
	_, calm := s.memory()
	sum := s.load(callers, lasts)
	left := s.unfinished()
	now, peak := s.memory()
	t.Logf("%d connections for %s: %d accepted (%.0f/s, %.0f/s before), %d refused with Retry-After, %d without an answer, %d others",
		callers, lasts, sum.accepted.Load(), float64(sum.accepted.Load())/lasts.Seconds(), before, sum.refused.Load(), sum.silent.Load(), sum.other.Load())
	t.Logf("memory: %d MiB, peak %d MiB, %d MiB before; %d accepted jobs had not ended yet", now, peak, calm, left)
	if sum.refused.Load() == 0 || sum.accepted.Load() == 0 || sum.silent.Load() > 0 || sum.other.Load() > 0 {
		t.Error("overload must be answered with 202, or with 503 or 429 and Retry-After")
	}
	if left > 30_000 { // 20,000 at a look, and what comes until the next
		t.Errorf("%d jobs were let in that nobody runs", left)
	}
	if peak > calm+500 {
		t.Errorf("the overload cost %d MiB", peak-calm)
	}
	began := time.Now()
	s.await("the accepted jobs to end", time.Minute, func() bool { return s.unfinished() == 0 })
	t.Logf("they had %.1f s later", time.Since(began).Seconds())
	// A sample of two seconds says little while others use the machine too: it may take a few.
	s.await("starts to be taken as before", time.Minute, func() bool {
		after := s.rate(32, 2*time.Second)
		t.Logf("afterwards %.0f/s, %.2f of what it was", after, after/before)
		return after > 0.3*before
	})
}
