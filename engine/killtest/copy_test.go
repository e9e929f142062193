package killtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"orrery/engine/database"
)

// This file kills a server that feeds a copy of the history (HISTORY_DATABASE_URI), and compares
// the copy with what the server itself tells: every event is there, and none twice.

const (
	copyKills = 5
	copyJobs  = 15 // a kill
)

func TestHistoryCopyOverKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kill loops are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	random := rand.New(rand.NewPCG(number, 1))
	s := newServer(t, program(t, ""))
	address := "sqlite:" + filepath.Join(s.dir, "history.db")
	env := "HISTORY_DATABASE_URI=" + address
	s.start(env)
	crowd(t, s.addr, 2)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()

	var mu sync.Mutex
	var accepted []string
	var senders sync.WaitGroup
	for k := range copyKills {
		for i := range copyJobs {
			senders.Go(func() {
				id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("copy-%d-%d", k, i), map[string]any{"n": i})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("job %d: %v", i, err)
					return
				}
				accepted = append(accepted, id)
			})
		}
		moment := time.NewTimer(time.Duration(50+random.IntN(600)) * time.Millisecond)
		<-moment.C
		s.kill()
		s.start(env)
	}
	senders.Wait()
	for _, v := range s.drained(ctx, t, accepted, 60*time.Second) {
		accepted = append(accepted, v.Children...)
	}
	db, err := database.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	events := 0
	for _, id := range accepted {
		events += s.awaitCopy(ctx, t, db, id)
	}
	t.Logf("%d kills, %d jobs, %d events: all in the copy, each once", copyKills, len(accepted), events)
}

// awaitCopy waits until the copy has all events of a job that has ended, and no other.
func (s *server) awaitCopy(ctx context.Context, t *testing.T, db database.DB, id string) int {
	t.Helper()
	var told []struct {
		ID string `json:"event_id"`
	}
	if code, err := s.call(ctx, http.MethodGet, "/api/jobs/"+id+"/history", "", nil, &told); err != nil || code != http.StatusOK {
		t.Fatalf("history of %s: GET gives %d, %v", id, code, err)
	}
	want := map[string]bool{}
	for _, e := range told {
		want[e.ID] = true
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		got, err := db.Query(ctx, "SELECT event_id FROM job_history WHERE job_id = ?", []any{id}, database.Most{})
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]bool{}
		for _, row := range got.Values {
			have[row[0].(string)] = true
		}
		if maps.Equal(have, want) && len(got.Values) == len(told) {
			return len(told)
		}
		if time.Now().After(deadline) {
			t.Fatalf("job %s has %d events, and the copy\n%v, want\n%v", id, len(told), slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(want)))
		}
	}
}
