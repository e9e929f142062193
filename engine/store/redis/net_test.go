package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file tests bad networks between the driver and one server, and a server that is full.

// through opens a store that reaches its server by a proxy.
func through(t *testing.T, server *redistest.Server, opts Options) (*Store, *faultproxy.Proxy) {
	t.Helper()
	proxy, err := faultproxy.Start(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := Open("redis://"+proxy.Addr()+"?"+fresh(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proxy.Heal()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, proxy
}

// repeated gives n strikes.
func repeated(n int, strike func()) []func() { return slices.Repeat([]func(){strike}, n) }

func TestConnectionsCutUnderLoad(t *testing.T) {
	t.Parallel()
	s, proxy := through(t, redistest.Start(t), Options{})
	l := load(t, s, repeated(20, proxy.Cut)...)
	if len(l.lost) > 0 {
		t.Errorf("lost: %s", l.lost[0])
	}
	if _, ever := proxy.Links(); ever < 20 {
		t.Errorf("only %d connections ever", ever)
	}
}

// What was done and reported as failed is done once: 20 times the answers of all that is under
// way are lost.
func TestAnswersLostUnderLoad(t *testing.T) {
	t.Parallel()
	s, proxy := through(t, redistest.Start(t), Options{})
	l := load(t, s, repeated(20, func() {
		_, before := proxy.Links()
		proxy.LoseAnswers(true)
		redistest.Until(t, "answers were lost", func() bool { _, ever := proxy.Links(); return ever >= before+4 }) // they were dialled anew
		proxy.LoseAnswers(false)
	})...)
	if len(l.lost) > 0 {
		t.Errorf("lost: %s", l.lost[0])
	}
}

func TestSlowNetworkUnderLoad(t *testing.T) {
	t.Parallel()
	s, proxy := through(t, redistest.Start(t), Options{})
	slower := func(d time.Duration) func() { return func() { proxy.Delay(d) } }
	l := load(t, s, slower(2*time.Millisecond), slower(10*time.Millisecond), slower(0))
	if len(l.lost) > 0 {
		t.Errorf("lost: %s", l.lost[0])
	}
}

// A network that keeps everything to itself: calls end, and what became of the writes is seen
// when it is whole again.
func TestPartition(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, proxy := through(t, redistest.Start(t), Options{Timeout: 300 * time.Millisecond})
	for _, side := range []faultproxy.Side{faultproxy.ToServer, faultproxy.ToClient, faultproxy.Both} {
		c := newJob()
		proxy.Hold(side)
		if err := s.Commit(ctx, c); err == nil || !passing(err) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a commit into a partition gives %v", err)
		}
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		if _, err := s.Job(short, c.Job.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a read into a partition gives %v", err)
		}
		cancel()
		proxy.Heal()
		redistest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
		// What it says now is the truth: either it is there and stays, or it can be done.
		if _, err := s.Job(ctx, c.Job.ID); errors.Is(err, store.ErrNotFound) {
			if err := s.Commit(ctx, c); err != nil && !errors.Is(err, store.ErrExists) {
				t.Error(err)
			}
		}
		if j, err := s.Job(ctx, c.Job.ID); err != nil || j.Version != 1 {
			t.Errorf("%+v, %v", j, err)
		}
	}
}

// A server whose memory is full refuses whole commits, and takes them again when it has room.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := redistest.Start(t, "--maxmemory", "6mb", "--maxmemory-policy", "noeviction")
	s := open(t, server.URL(fresh()))
	var kept []string
	for {
		c := newJob()
		c.InitialData = []byte(`{"text":"` + strings.Repeat("x", 100<<10) + `"}`)
		c.Tasks = []job.Task{{N: 1, JobID: c.Job.ID, ID: c.Job.ID + "/1/1", Type: "t", State: job.TaskQueued}}
		err := s.Commit(ctx, c)
		if err == nil {
			if kept = append(kept, c.Job.ID); len(kept) > 100 {
				t.Fatal("the server does not fill")
			}
			continue
		}
		if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "raise its maxmemory") {
			t.Fatalf("a full server gives %v", err)
		}
		if _, err := s.Job(ctx, c.Job.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("something of the refused commit is there: %v", err)
		}
		break
	}
	for _, id := range kept {
		if tasks, _, err := s.OpenTasks(ctx, id, 0, 1000); err != nil || len(tasks) != 1 {
			t.Fatalf("%d tasks, %v", len(tasks), err)
		}
	}
	n, err := s.Counts(ctx)
	if err != nil || n[job.Pending] != int64(len(kept)) {
		t.Errorf("%v jobs are counted, %d are kept: %v", n, len(kept), err)
	}
	client := server.Client()
	defer client.Close()
	if err := client.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, newJob()); err != nil {
		t.Error(err)
	}
}
