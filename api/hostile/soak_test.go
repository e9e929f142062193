package hostile

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// This file keeps a server busy with everything at once and looks whether something grows that
// should not: memory, goroutines, open files, jobs that nobody ends.

// figures are what a process holds.
type figures struct{ memory, goroutines, files, unfinished int }

func (f figures) String() string {
	return fmt.Sprintf("%d MiB, %d goroutines, %d files, %d jobs under way", f.memory, f.goroutines, f.files, f.unfinished)
}

func (s *server) figures() (f figures) {
	s.t.Helper()
	f.memory, _ = s.memory()
	f.unfinished = s.unfinished()
	files, err := os.ReadDir("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/fd")
	if err != nil {
		s.t.Fatal(err)
	}
	f.files = len(files)
	text := s.admin("GET", "/_public/metrics", "").body
	if _, rest, ok := strings.Cut(text, "\ngo_goroutines "); ok {
		line, _, _ := strings.Cut(rest, "\n")
		f.goroutines, _ = strconv.Atoi(line) // 0 is refused below
	}
	if f.goroutines == 0 {
		s.t.Fatalf("no go_goroutines in the metrics:\n%.500s", text)
	}
	return f
}

// TestSoak: a mixture of good and bad callers for a while. What the server holds at the end,
// when all has gone quiet, is what it held after the first part of the time.
func TestSoak(t *testing.T) {
	lasts, parts := 6*time.Second, 3
	if os.Getenv("ORRERY_LONG") == "1" {
		lasts, parts = 5*time.Minute, 10
	}
	s := start(t, "WORKER_TTL_SECONDS=5")
	s.runsThrough()
	var seen []figures
	var jobs atomic.Int64
	for range parts {
		s.mixture(lasts/time.Duration(parts), &jobs)
		s.await("all jobs of a part to end", time.Minute, func() bool { return s.unfinished() == 0 })
		plain.CloseIdleConnections()
		seen = append(seen, s.figures())
		t.Logf("after %d jobs: %s", jobs.Load(), seen[len(seen)-1])
	}
	// The caches of the store and of the newest jobs fill in the first part of a long run.
	first, last := seen[(parts-1)/3], seen[parts-1]
	if last.memory > first.memory*3/2+40 || last.goroutines > first.goroutines+20 || last.files > first.files+20 {
		t.Errorf("it grew from %s to %s", first, last)
	}
	s.runsThrough()
}

// mixture lets callers and workers of many kinds at the server for a time, and ends what they
// began.
func (s *server) mixture(lasts time.Duration, jobs *atomic.Int64) {
	s.t.Helper()
	stop := make(chan struct{})
	var callers, crew sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprint("soak-", i)
		s.register(name)
		crew.Go(func() { s.toil(name, stop) })
	}
	end := time.Now().Add(lasts)
	for i := range 8 {
		callers.Go(func() {
			for n := i; time.Now().Before(end); n++ {
				s.bother(n)
				jobs.Add(1)
			}
		})
	}
	callers.Wait()
	s.await("the workers to do what is left", time.Minute, func() bool { return s.unfinished() == 0 })
	close(stop)
	crew.Wait()
}

// bother makes the n-th request of a caller.
func (s *server) bother(n int) {
	switch n % 6 {
	case 0, 1:
		s.create("hostile_quick", `{"n":1}`)
	case 2, 3:
		s.create("hostile_echo", `{"n":`+strconv.Itoa(n)+`}`)
	case 4: // a person is asked, and the job cancelled
		id := s.create("hostile_ask", `{}`)
		s.await("the question", 20*time.Second, func() bool { return s.job(id).Status == "waiting_for_human" })
		if a := s.admin("POST", "/api/v1/jobs/"+id+"/cancel", ""); a.status >= 300 {
			s.t.Errorf("cancel: %s", a)
		}
	case 5: // refused, of each kind
		for _, a := range []answer{
			s.admin("POST", "/api/v1/jobs/hostile_quick", `{"n":`),
			s.admin("POST", "/api/v1/jobs/nothing", `{}`),
			s.admin("GET", "/api/v1/jobs/"+strconv.Itoa(n), ""),
			ask("http://"+s.addr, http.MethodGet, "/api/v1/jobs", "", "X-Client-Token", "guess"),
		} {
			if a.status < 400 || a.status >= 500 {
				s.t.Errorf("a bad request is answered %s", a)
			}
		}
	}
}

// toil takes tasks: most succeed, some fail, a few results come twice.
func (s *server) toil(name string, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		got, ok := s.poll(name, 0.5)
		if !ok {
			continue
		}
		more := `"status":"success","data":{"n":1}`
		if n%10 == 9 {
			more = `"status":"failure","error":{"code":"PERMANENT_ERROR","message":"on purpose"}`
		}
		for range 1 + n%7/6 {
			if a := s.worker(name, "POST", "/_worker/tasks/result", result(got, name, more)); a.status != http.StatusOK {
				s.t.Errorf("a result is answered %s", a)
			}
		}
	}
}
