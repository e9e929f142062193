//go:build unix

package killtest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// This file stops a server for longer than its workers' leases last, and lets it go on, as a
// machine does that was suspended: nothing may be lost, done twice, or taken over meanwhile.

const (
	stops    = 1
	stopJobs = 40              // before each stop
	stopFor  = 6 * time.Second // WORKER_TTL_SECONDS is 4
)

func TestStoppedAndContinued(t *testing.T) {
	if testing.Short() {
		t.Skip("stopped servers are left out by -short")
	}
	bin := program(t, "")
	s := newServer(t, bin)
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var mu sync.Mutex
	var accepted []string
	var senders sync.WaitGroup
	for k := range stops {
		begun := make(chan struct{}, stopJobs)
		for i := range stopJobs {
			n := k*stopJobs + i
			senders.Go(func() {
				id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("stop-%d", n), map[string]any{"n": n})
				begun <- struct{}{}
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("job %d: %v", n, err)
					return
				}
				accepted = append(accepted, id)
			})
		}
		for range stopJobs / 2 { // so that it stops in the middle of work
			<-begun
		}
		s.signal(syscall.SIGSTOP)
		over := time.NewTimer(stopFor)
		second := exec.CommandContext(ctx, bin, "serve", "--listen", "127.0.0.1:0")
		second.Dir, second.Env = s.cmd.Dir, s.cmd.Env
		if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "in use by process") {
			t.Errorf("a second server beside a stopped one: %v\n%s", err, out)
		}
		<-over.C
		s.signal(syscall.SIGCONT)
	}
	senders.Wait()
	checkAll(ctx, t, s, accepted, stops*stopJobs)
}

// signal sends the present process a signal.
func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
