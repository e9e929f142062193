package killtest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/workers/client"
)

// This file kills the shipped binary at random moments.

// kills and jobs of the short form; ORRERY_KILLS=200 is the long one (bar R1).
const (
	shortKills = 12
	jobsAKill  = 25
)

func killCount(t *testing.T) int {
	text := os.Getenv("ORRERY_KILLS")
	if text == "" {
		return shortKills
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ORRERY_KILLS=%q: give a number of kills, for example ORRERY_KILLS=200", text)
	}
	return n
}

func seed(t *testing.T) uint64 {
	if text := os.Getenv("ORRERY_KILL_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("ORRERY_KILL_SEED=%q: give the number that a failed run printed", text)
		}
		return n
	}
	return rand.Uint64()
}

// crowd runs Go workers against the address until the test ends.
func crowd(t *testing.T, addr string, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { cancel(); group.Wait() })
	for i := range n {
		w := client.New(client.Config{
			URL: "http://" + addr, Token: workerToken, ID: fmt.Sprintf("killer-%d", i), MaxConcurrent: 4,
			HeartbeatInterval: time.Second, PollTimeout: 5 * time.Second, ShutdownTimeout: time.Second,
			RetryDelay: 50 * time.Millisecond, ResultAttempts: 20, Logger: slog.New(slog.DiscardHandler),
		})
		w.Handle("kill_work", func(context.Context, *client.Task) (map[string]any, error) {
			return map[string]any{"worked": true}, nil
		})
		handleTurns(w)
		group.Go(func() {
			if err := w.Run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("worker: %v", err)
			}
		})
	}
}

func TestRandomKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kill loops are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	random := rand.New(rand.NewPCG(number, 0))
	s := newServer(t, program(t, ""))
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()

	var mu sync.Mutex
	var accepted []string
	var senders sync.WaitGroup
	var people []func() []taken
	kills, worst := killCount(t), time.Duration(0)
	for k := range kills {
		for i := range jobsAKill {
			n := k*jobsAKill + i
			senders.Go(func() {
				id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("kill-%d", n), map[string]any{"n": n})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("job %d: %v", n, err)
					return
				}
				accepted = append(accepted, id)
			})
		}
		people = append(people, s.people(ctx, t, fmt.Sprintf("turn-%d", k)))
		moment := time.NewTimer(time.Duration(50+random.IntN(900)) * time.Millisecond)
		<-moment.C
		s.kill()
		took := s.start()
		if took > readyWithin {
			t.Errorf("kill %d: ready again after %s, want %s at most", k+1, took, readyWithin)
		}
		worst = max(worst, took)
	}
	t.Logf("%d kills; the slowest start took %s", kills, worst.Round(time.Millisecond))
	senders.Wait()
	for _, wait := range people {
		for _, x := range wait() {
			checkTurn(ctx, t, s, x)
		}
	}
	checkAll(ctx, t, s, accepted, kills*jobsAKill)
}

// checkAll drains the jobs and holds all invariants.
func checkAll(ctx context.Context, t *testing.T, s *server, accepted []string, sent int) {
	t.Helper()
	if len(accepted) != sent {
		t.Fatalf("I2: %d of %d jobs were accepted", len(accepted), sent)
	}
	unique := map[string]bool{}
	for _, id := range accepted {
		unique[id] = true
	}
	if len(unique) != sent {
		t.Errorf("I2: %d jobs have only %d ids", sent, len(unique))
	}
	ended := s.drained(ctx, t, accepted, cmp.Or(s.patience, patience))
	for _, id := range accepted {
		records, err := s.records(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		checkJob(t, ended[id], records)
	}
	id, err := s.submit(ctx, "jobs/kill_count", "report", map[string]any{"report": true})
	if err != nil {
		t.Fatal(err)
	}
	report := s.drained(ctx, t, []string{id}, 10*time.Second)[id]
	if want := fmt.Sprintf(`{"children":%d}`, sent); !sameObject(t, report.StateHistory, []byte(want)) {
		t.Errorf("I7: the counter says %s, want %s", report.StateHistory, want)
	}
	s.kill()
	s.start()
	for _, id := range accepted {
		v, err := s.get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if was := ended[id]; v.Status != was.Status || v.UpdatedAt != was.UpdatedAt || !sameObject(t, v.StateHistory, was.StateHistory) {
			t.Errorf("I5: job %s changed after its end: %+v, was %+v", id, v, was)
		}
	}
}

// A store file has one server; a second one says which process has it, and touches nothing.
func TestSecondServerIsRefused(t *testing.T) {
	s := newServer(t, program(t, ""))
	s.start()
	second := *s
	second.addr = freeAddr(t)
	out, err := os.Create(filepath.Join(t.TempDir(), "second.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	second.log = out
	if err := second.launch(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-second.died:
		if err == nil {
			t.Error("the second server ended as if all were well")
		}
	case <-time.After(20 * time.Second):
		second.kill()
		t.Fatal("two servers run on one store file")
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if pid := strconv.Itoa(s.cmd.Process.Pid); !strings.Contains(string(said), pid) {
		t.Errorf("it does not name the process %s: %s", pid, said)
	}
	if _, err := s.submit(t.Context(), "jobs/kill_count", "after", map[string]any{}); err != nil {
		t.Errorf("the first server was disturbed: %v", err)
	}
}
