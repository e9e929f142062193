//go:build killpoints

package killtest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"orrery/engine/killpoint"
)

// This file kills a test build at each numbered point of the path.

// passages are the times at which a point is reached before it kills.
var passages = []int{1, 2, 7}

func TestKillPoints(t *testing.T) {
	bin := program(t, "killpoints")
	for _, name := range killpoint.All {
		for _, count := range passages {
			t.Run(name+"/"+strconv.Itoa(count), func(t *testing.T) { killAt(t, bin, name, count) })
		}
	}
}

func killAt(t *testing.T, bin, name string, count int) {
	const jobs = 3
	s := newServer(t, bin)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.launch(fmt.Sprintf("ORRERY_KILLPOINT=%s:%d", name, count)); err != nil {
		t.Fatal(err)
	}
	crowd(t, s.addr, 2)
	accepted := make([]string, jobs)
	var senders sync.WaitGroup
	for i := range jobs {
		senders.Go(func() {
			id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("point-%d", i), map[string]any{"n": i})
			if err != nil {
				t.Errorf("job %d: %v", i, err)
			}
			accepted[i] = id
		})
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
	checkAll(ctx, t, s, accepted, jobs)
}
