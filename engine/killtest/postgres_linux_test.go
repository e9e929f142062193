package killtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/store/postgres/pgtest"
)

// This file keeps jobs in PostgreSQL, kills the server, the database and the way between them,
// and holds the same invariants.

// newPostgresServer is a server on a place of its own; host stands before the database, "" is
// the database itself. A server that was killed holds its leases no longer: the tests of leases
// are elsewhere, here they would only take time.
func newPostgresServer(t *testing.T, bin string, db *pgtest.Server, host string) *server {
	t.Helper()
	place := pgtest.Fresh(t, db.URL())
	s := newServer(t, bin)
	s.store = place
	if host != "" {
		s.store = pgtest.With(place, host)
	}
	began := false
	s.starting = func() {
		if began {
			pgtest.EndLeases(t, place)
		}
		began = true
	}
	return s
}

// flood submits jobs until all are accepted; done gives their ids.
func (s *server) flood(ctx context.Context, t *testing.T, from, n int) (done func() []string) {
	ids := make([]string, n)
	var group sync.WaitGroup
	next := make(chan int)
	for range 64 { // clients at once
		group.Go(func() {
			for i := range next {
				id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("flood-%d", from+i), map[string]any{"n": i})
				if err != nil {
					t.Errorf("job %d: %v", from+i, err)
				}
				ids[i] = id
			}
		})
	}
	group.Go(func() {
		for i := range n {
			next <- i
		}
		close(next)
	})
	return func() []string { group.Wait(); return ids }
}

// TestPostgresKills kills the server at random moments.
func TestPostgresKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kill loops are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	random := rand.New(rand.NewPCG(number, 15))
	s := newPostgresServer(t, program(t, ""), pgtest.Start(t), "")
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	kills := max(4, killCount(t)/3)
	var floods []func() []string
	for k := range kills {
		floods = append(floods, s.flood(ctx, t, k*jobsAKill, jobsAKill))
		moment := time.NewTimer(time.Duration(50+random.IntN(900)) * time.Millisecond)
		<-moment.C
		s.kill()
		t.Logf("kill %d: ready again after %s", k+1, s.start().Round(time.Millisecond))
	}
	began := time.Now()
	var accepted []string
	for _, done := range floods {
		accepted = append(accepted, done()...)
	}
	t.Logf("all accepted %s after the last start", time.Since(began).Round(time.Millisecond))
	checkAll(ctx, t, s, accepted, kills*jobsAKill)
	t.Logf("all ended and checked %s after the last start", time.Since(began).Round(time.Millisecond))
}

// fault is something that happens to the database or to the way to it, for a few seconds.
type fault struct {
	name string
	do   func(t *testing.T, b *breakage)
}

// breakage is what faults act on.
type breakage struct {
	s      *server
	db     *pgtest.Server
	proxy  *faultproxy.Proxy
	random *rand.Rand
}

func (b *breakage) wait(atLeast, more time.Duration) {
	timer := time.NewTimer(atLeast + time.Duration(b.random.Int64N(int64(more)+1)))
	<-timer.C
}

var faults = []fault{
	{"the database is stopped for up to two seconds", func(t *testing.T, b *breakage) {
		for range 2 {
			b.db.Stop()
			b.refuses(t)
			b.wait(0, 2*time.Second)
			b.db.Begin()
			b.wait(time.Second, time.Second)
		}
	}},
	{"the database crashes", func(t *testing.T, b *breakage) {
		for range 2 {
			b.db.Crash()
			b.db.Begin()
			b.wait(500*time.Millisecond, 500*time.Millisecond)
		}
	}},
	{"all connections are terminated", func(t *testing.T, b *breakage) {
		for range 6 {
			if err := pgtest.HangUp(b.db.URL()); err != nil {
				t.Error(err)
			}
			b.wait(100*time.Millisecond, 300*time.Millisecond)
		}
	}},
	{"the way is cut", func(_ *testing.T, b *breakage) {
		for range 6 {
			b.proxy.Cut()
			b.wait(100*time.Millisecond, 300*time.Millisecond)
		}
		b.proxy.Down()
		b.wait(time.Second, time.Second)
		b.proxy.Heal()
	}},
	{"commits are done and reported as failed", func(_ *testing.T, b *breakage) {
		for range 8 {
			b.proxy.LoseAnswers(true)
			b.wait(20*time.Millisecond, 100*time.Millisecond)
			b.proxy.LoseAnswers(false)
			b.wait(100*time.Millisecond, 200*time.Millisecond)
		}
	}},
	{"the way is slow", func(_ *testing.T, b *breakage) {
		b.proxy.Delay(40 * time.Millisecond)
		b.wait(2*time.Second, time.Second)
		b.proxy.Delay(0)
	}},
	{"nothing goes through, and later everything", func(_ *testing.T, b *breakage) {
		b.proxy.Hold(faultproxy.Both)
		b.wait(2*time.Second, time.Second)
		b.proxy.Hold(faultproxy.ToClient)
		b.wait(500*time.Millisecond, 500*time.Millisecond)
		b.proxy.Hold(faultproxy.Neither)
	}},
}

// refuses holds that a server without its database says so, for writes and for reads, and that
// this is not taken for a fault of the request.
func (b *breakage) refuses(t *testing.T) {
	for what, ask := range map[string]func() (int, error){
		"a start": func() (int, error) {
			return b.s.call(t.Context(), http.MethodPost, "/api/v1/jobs/kill_count", "", map[string]any{}, nil)
		},
		"a read": func() (int, error) {
			return b.s.call(t.Context(), http.MethodGet, "/api/v1/jobs/01900000-0000-7000-8000-000000000000", "", nil, nil)
		},
	} {
		if code, err := ask(); err != nil || code != http.StatusServiceUnavailable {
			t.Errorf("%s without a database: %d, %v; want 503", what, code, err)
		}
	}
}

// postgresJobs is how many jobs meet the faults, in all; ORRERY_POSTGRES_JOBS sets another number.
const postgresJobs = 2000

func postgresJobsOf(t *testing.T) int {
	text := os.Getenv("ORRERY_POSTGRES_JOBS")
	if text == "" {
		return postgresJobs
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10*len(faults) {
		t.Fatalf("ORRERY_POSTGRES_JOBS=%q: give a number of jobs, for example ORRERY_POSTGRES_JOBS=10000", text)
	}
	return n
}

// TestPostgresFaults lets 2,000 jobs meet one fault of each kind.
func TestPostgresFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 jobs are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	db := pgtest.Start(t)
	proxy, err := faultproxy.Start(db.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	s := newPostgresServer(t, program(t, ""), db, proxy.Addr())
	if postgresJobsOf(t) > postgresJobs {
		s.patience = longPatience
	}
	b := &breakage{s: s, db: db, proxy: proxy, random: rand.New(rand.NewPCG(number, 16))}
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	var accepted []string
	jobs := postgresJobsOf(t)
	each := jobs / len(faults)
	for i, f := range faults {
		n := each
		if i == len(faults)-1 {
			n = jobs - len(accepted) - 1
		}
		done := s.flood(ctx, t, len(accepted), n)
		b.wait(200*time.Millisecond, 300*time.Millisecond)
		f.do(t, b)
		healed := time.Now()
		if _, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("after-%d", i), map[string]any{"n": 0}); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		took := time.Since(healed)
		measured.add(f.name+fromItsEnd, "PostgreSQL", took)
		id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("after-%d", i), map[string]any{"n": 0})
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		accepted = append(append(accepted, done()...), id)
		t.Logf("%s: starts are accepted again after %s, %d jobs are in", f.name, took.Round(time.Millisecond), len(accepted))
	}
	checkAll(ctx, t, s, accepted, len(accepted))
	measured.tell(t, "PostgreSQL")
}
