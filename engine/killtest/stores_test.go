package killtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file holds recipe 9 to its promise, on the recipe's own blueprint: jobs that count
// themselves in a data store, all at once, get every number exactly once; also when the
// server is killed between and while.

const counters = 1000 // jobs at once

// startCounting sends the jobs all at once; wait gives their ids.
func (s *server) startCounting(ctx context.Context, t *testing.T, key string, n int) (wait func() []string) {
	ids := make([]string, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			id, err := s.submit(ctx, "jobs/analytics", fmt.Sprintf("%s-%d", key, i), map[string]any{})
			if err != nil {
				t.Errorf("job %d: %v", i, err)
			}
			ids[i] = id
		})
	}
	return func() []string { group.Wait(); return ids }
}

// checkNumbers holds that the jobs have the numbers 1 to n, each once.
func checkNumbers(t *testing.T, ended map[string]jobView, n int) {
	t.Helper()
	holder := map[int]string{}
	for id, v := range ended {
		var history struct {
			Number int `json:"request_number"`
		}
		if err := json.Unmarshal(v.StateHistory, &history); err != nil {
			t.Fatal(err)
		}
		if v.Status != job.Finished {
			t.Errorf("job %s ended %s: %v", id, v.Status, v.Error)
		}
		if other, taken := holder[history.Number]; taken {
			t.Errorf("jobs %s and %s both have number %d", id, other, history.Number)
		}
		holder[history.Number] = id
	}
	for number := 1; number <= n; number++ {
		if holder[number] == "" {
			t.Fatalf("no job has number %d of %d", number, n)
		}
	}
	if len(holder) != n {
		t.Errorf("%d jobs hold %d numbers", n, len(holder))
	}
}

// peakMemory gives the most memory, in MiB, that the present process has had; 0 where the
// system does not tell.
func (s *server) peakMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	word, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	kib, err := strconv.Atoi(string(word))
	if err != nil {
		t.Fatalf("VmHWM: %v", err)
	}
	return kib >> 10
}

func TestThousandJobsCountToThousand(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	s := newServer(t, program(t, ""))
	s.blueprints = recipeFolder(t)
	s.start()
	began := time.Now()
	ids := s.startCounting(ctx, t, "count", counters)()
	accepted := time.Since(began)
	ended := s.drained(ctx, t, ids, time.Minute)
	t.Logf("%d jobs at once: all accepted after %s, all ended and read after %s, peak memory %d MiB",
		counters, accepted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), s.peakMemory(t))
	checkNumbers(t, ended, counters)
}

func recipeFolder(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../examples/09-data-stores")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestThousandJobsCountAcrossKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kill loops are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	random := rand.New(rand.NewPCG(number, 9))
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	s := newServer(t, program(t, ""))
	s.blueprints = recipeFolder(t)
	s.start()
	wait := s.startCounting(ctx, t, "kill", counters)
	for range 4 {
		moment := time.NewTimer(time.Duration(20+random.IntN(300)) * time.Millisecond)
		<-moment.C
		s.kill()
		s.start()
	}
	ended := s.drained(ctx, t, wait(), time.Minute)
	checkNumbers(t, ended, counters)
}
