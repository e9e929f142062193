//go:build killpoints

package killtest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/killpoint"
)

// This file kills a test build at each numbered point of the path.

// passages are the times at which a point is reached before it kills.
var passages = []int{1, 3}

// elsewhere are points that jobs of a few seconds do not reach.
var elsewhere = map[string]string{
	"sqlite.after-checkpoint": "needs a long log; engine/store/sqlite kills there with a short one",
}

// atOnce is how many servers are killed side by side: they mostly wait.
const atOnce = 3

func TestKillPoints(t *testing.T) {
	bin := program(t, "killpoints")
	killAtAll(t, "sqlite", func(string) []int { return passages }, func(t *testing.T) *server { return newServer(t, bin) })
}

// killAtAll kills servers on a store at the points of the path and of this store, at the
// passages that are given for each.
func killAtAll(t *testing.T, store string, when func(name string) []int, start func(t *testing.T) *server) {
	type point struct {
		name  string
		count int
	}
	all := make(chan point)
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for p := range all {
				t.Run(p.name+"/"+strconv.Itoa(p.count), func(t *testing.T) { killAt(t, start(t), p.name, p.count) })
			}
		})
	}
	for _, name := range killpoint.All {
		if part, _, _ := strings.Cut(name, "."); part != "engine" && part != store {
			continue
		}
		if why := elsewhere[name]; why != "" {
			t.Logf("%s is left out: %s", name, why)
			continue
		}
		for _, count := range when(name) {
			all <- point{name, count}
		}
	}
	close(all)
	group.Wait()
}

func killAt(t *testing.T, s *server, name string, count int) {
	const jobs = 3 // of mixed, and as many turns of each kind
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.launch(fmt.Sprintf("ORRERY_KILLPOINT=%s:%d", name, count)); err != nil {
		t.Fatal(err)
	}
	crowd(t, s.addr, 2)
	accepted := make([]string, jobs)
	var senders sync.WaitGroup
	var people []func() []taken
	for i := range jobs {
		senders.Go(func() {
			id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("point-%d", i), map[string]any{"n": i})
			if err != nil {
				t.Errorf("job %d: %v", i, err)
			}
			accepted[i] = id
		})
		people = append(people, s.people(ctx, t, fmt.Sprintf("turn-%d", i)))
	}
	select {
	case <-s.died:
		s.cmd = nil
	case <-time.After(20 * time.Second):
		t.Fatalf("the point %s was not passed %d times: it is not on the path any more", name, count)
	}
	if took := s.start(); took > readyWithin {
		t.Errorf("ready again after %s, want %s at most", took, readyWithin)
	}
	senders.Wait()
	for _, wait := range people {
		for _, x := range wait() {
			checkTurn(ctx, t, s, x)
		}
	}
	checkAll(ctx, t, s, accepted, jobs)
}
