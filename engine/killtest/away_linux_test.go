package killtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/store/redis/redistest"
)

// This file takes the shared store away from a server while clients go on starting jobs with
// large data, and gives it back.

const (
	awayFor   = 4 * time.Second
	backAfter = 10 * time.Second // then starts must be accepted again
)

func TestRedisIsAwayDuringStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole server on Redis is left out by -short")
	}
	redis := redistest.Start(t)
	proxy, err := faultproxy.Start(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	s := newRedisServer(t, program(t, ""), "redis://"+proxy.Addr(), redis)
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	before, err := s.submit(ctx, "jobs/kill_mixed", "before", map[string]any{"n": 0})
	if err != nil {
		t.Fatal(err)
	}

	body, err := json.Marshal(map[string]any{"n": 0, "text": string(bytes.Repeat([]byte("x"), 900<<10))})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Down()
	var refused, slowest atomic.Int64
	var senders sync.WaitGroup
	end := time.Now().Add(awayFor)
	for range 8 {
		senders.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				if _, err := s.startLarge(ctx, body); err != nil {
					t.Error(err)
					return
				}
				refused.Add(1)
				for took := int64(time.Since(began)); ; {
					most := slowest.Load()
					if took <= most || slowest.CompareAndSwap(most, took) {
						break
					}
				}
			}
		})
	}
	senders.Wait()
	t.Logf("%d starts of 900 KiB were refused in %s, the slowest after %s", refused.Load(), awayFor, time.Duration(slowest.Load()).Round(time.Millisecond))

	proxy.Heal()
	healed := time.Now()
	var after string
	for tick := time.NewTicker(50 * time.Millisecond); after == ""; <-tick.C {
		if after, err = s.startLarge(ctx, body); err != nil {
			t.Fatal(err)
		}
		if after == "" && time.Since(healed) > backAfter {
			t.Fatalf("%s after Redis came back starts are still refused", backAfter)
		}
	}
	t.Logf("a start was accepted %s after Redis came back", time.Since(healed).Round(time.Millisecond))
	s.drained(ctx, t, []string{before, after}, time.Minute)
}

// startLarge asks for a job once, without a key; the id is "" when it was refused as it must be.
func (s *server) startLarge(ctx context.Context, body []byte) (id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/api/v1/jobs/kill_mixed", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Client-Token", clientToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		JobID string `json:"job_id"`
		Code  string `json:"code"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	again := resp.Header.Get("Retry-After")
	if resp.StatusCode != http.StatusAccepted && (resp.StatusCode != http.StatusServiceUnavailable || again == "" || answer.Code != "store_unavailable") {
		return "", fmt.Errorf("a start gives %d %q with Retry-After %q, want 503 store_unavailable", resp.StatusCode, answer.Code, again)
	}
	return answer.JobID, nil
}
