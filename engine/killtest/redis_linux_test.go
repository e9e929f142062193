package killtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/store/redis/redistest"
)

// This file keeps jobs in Redis, kills the server, the one it keeps them in and the way between
// them, and holds the same invariants.

// newRedisServer is a server on a store; one that was killed holds its leases no longer: the
// tests of leases are elsewhere, here they would only take time.
func newRedisServer(t *testing.T, bin, url string, keeps ...*redistest.Server) *server {
	t.Helper()
	s := newServer(t, bin)
	s.store = url
	began := false
	s.starting = func() {
		for _, one := range keeps {
			if began && one.IsMaster() {
				redistest.EndLeases(t, one)
			}
		}
		began = true
	}
	return s
}

// TestRedisKills kills the server at random moments.
func TestRedisKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kill loops are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	random := rand.New(rand.NewPCG(number, 17))
	redis := redistest.Start(t)
	s := newRedisServer(t, program(t, ""), redis.URL(), redis)
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	kills := max(4, killCount(t)/3)
	var floods []func() []string
	var slowest time.Duration
	for k := range kills {
		floods = append(floods, s.flood(ctx, t, k*jobsAKill, jobsAKill))
		moment := time.NewTimer(time.Duration(50+random.IntN(900)) * time.Millisecond)
		<-moment.C
		s.kill()
		slowest = max(slowest, s.start())
	}
	t.Logf("%d kills; the slowest start took %s", kills, slowest.Round(time.Millisecond))
	var accepted []string
	for _, done := range floods {
		accepted = append(accepted, done()...)
	}
	checkAll(ctx, t, s, accepted, kills*jobsAKill)
}

// keeper is a store that faults happen to.
type keeper struct {
	url   string
	all   []*redistest.Server
	harms []harm

	kill, mend func() // of a master, until another has taken its place, and back; the long form
}

// harm is one fault, a few seconds long.
type harm struct {
	name string
	do   func(wait func(atLeast, more time.Duration))
}

// lone is one server behind a proxy, and one fault of each kind.
func lone(t *testing.T) keeper {
	server := redistest.Start(t)
	proxy, err := faultproxy.Start(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	return keeper{url: "redis://" + proxy.Addr(), all: []*redistest.Server{server}, harms: []harm{
		{"Redis is killed, and away for up to two seconds", func(wait func(_, _ time.Duration)) {
			for range 2 {
				server.Kill()
				wait(0, 2*time.Second)
				server.Begin()
				wait(500*time.Millisecond, 500*time.Millisecond)
			}
		}},
		{"the way is cut", func(wait func(_, _ time.Duration)) {
			for range 6 {
				proxy.Cut()
				wait(100*time.Millisecond, 300*time.Millisecond)
			}
			proxy.Down()
			wait(time.Second, time.Second)
			proxy.Heal()
		}},
		{"commits are done and reported as failed", func(wait func(_, _ time.Duration)) {
			for range 8 {
				proxy.LoseAnswers(true)
				wait(20*time.Millisecond, 100*time.Millisecond)
				proxy.LoseAnswers(false)
				wait(100*time.Millisecond, 200*time.Millisecond)
			}
		}},
		{"the way is slow", func(wait func(_, _ time.Duration)) {
			proxy.Delay(40 * time.Millisecond)
			wait(2*time.Second, time.Second)
			proxy.Delay(0)
		}},
		{"nothing goes through, and later everything", func(wait func(_, _ time.Duration)) {
			proxy.Hold(faultproxy.Both)
			wait(2*time.Second, time.Second)
			proxy.Hold(faultproxy.ToClient)
			wait(500*time.Millisecond, 500*time.Millisecond)
			proxy.Hold(faultproxy.Neither)
		}},
	}}
}

func watched(t *testing.T) keeper {
	set := redistest.StartSentinel(t)
	var killed *redistest.Server
	kill := func() {
		killed = set.Master()
		killed.Kill()
		redistest.Until(t, "another is the master", func() bool { return set.Master() != killed })
	}
	mend := func() {
		killed.Begin()
		redistest.Until(t, "the old master follows the new one", set.Whole)
	}
	return keeper{url: set.URL("wait=1"), all: set.Servers, kill: kill, mend: mend, harms: []harm{
		{"the master is killed, and Sentinels choose another", func(func(_, _ time.Duration)) { kill() }},
	}}
}

func clustered(t *testing.T) keeper {
	cluster := redistest.StartCluster(t)
	const key = "orrery:{s00}"
	var killed *redistest.Server
	kill := func() {
		killed = cluster.MasterOf(key)
		killed.Kill()
		redistest.Until(t, "its replica takes over", func() bool { return cluster.MasterOf(key) != killed })
	}
	mend := func() {
		killed.Begin()
		redistest.Until(t, "the cluster is whole", cluster.Whole)
	}
	return keeper{url: cluster.URL("wait=1"), all: cluster.Servers, kill: kill, mend: mend, harms: []harm{
		{"a master of the Cluster is killed, and its replica takes over", func(func(_, _ time.Duration)) {
			kill()
			killed.Begin()
		}},
	}}
}

// TestRedisFaults lets 2,000 jobs meet one fault of each kind.
func TestRedisFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 jobs are left out by -short")
	}
	for _, form := range []struct {
		name, store string
		jobs        int
		start       func(t *testing.T) keeper
	}{{"one server", "Redis", 1200, lone}, {"Sentinel", "Redis with Sentinel", 400, watched}, {"Cluster", "Redis Cluster", 400, clustered}} {
		t.Run(form.name, func(t *testing.T) {
			number := seed(t)
			t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
			random := rand.New(rand.NewPCG(number, 18))
			wait := func(atLeast, more time.Duration) {
				timer := time.NewTimer(atLeast + time.Duration(random.Int64N(int64(more)+1)))
				<-timer.C
			}
			k := form.start(t)
			if long() && k.kill != nil {
				longTakeover(t, form.store, k)
				return
			}
			s := newRedisServer(t, program(t, ""), k.url, k.all...)
			s.start()
			crowd(t, s.addr, 4)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			var accepted []string
			for i, h := range k.harms {
				done := s.flood(ctx, t, len(accepted), form.jobs/len(k.harms)-1)
				wait(200*time.Millisecond, 300*time.Millisecond)
				began := time.Now()
				h.do(wait)
				healed := time.Now()
				id, err := s.submit(ctx, "jobs/kill_mixed", fmt.Sprintf("after-%d", i), map[string]any{"n": 0})
				if err != nil {
					t.Fatalf("%s: %v", h.name, err)
				}
				took := time.Since(healed)
				if k.kill != nil { // there is no end of it but that another takes its place
					measured.add("a master is killed", form.store, time.Since(began))
				} else {
					measured.add(h.name+fromItsEnd, form.store, took)
				}
				accepted = append(append(accepted, done()...), id)
				t.Logf("%s: starts are accepted again after %s, %d jobs are in", h.name, took.Round(time.Millisecond), len(accepted))
			}
			checkAll(ctx, t, s, accepted, len(accepted))
			measured.tell(t, form.store)
		})
	}
}

// TestAStoreThatGoesBack lets Redis lose what it has acknowledged in the last moments, again and
// again under load, as a failover does to a replica that had not received it. What is lost is lost,
// but every job that the store has still comes to its end, though the server stays and its memory
// knows better.
func TestAStoreThatGoesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("lost writes under load are left out by -short")
	}
	redis := redistest.Start(t)
	s := newServer(t, program(t, ""))
	s.store = redis.URL()
	s.start()
	crowd(t, s.addr, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	var accepted []string
	for range 4 {
		done := s.flood(ctx, t, len(accepted), 150)
		accepted = append(accepted, done()...)
		pass(200 * time.Millisecond)
		goBack := redis.Snapshot()
		pass(400 * time.Millisecond)
		goBack()
	}
	began, lost := time.Now(), 0
	for _, id := range accepted {
		if !s.endsOrIsLost(ctx, t, id, 2*time.Minute) { // a round takes one
			lost++
		}
	}
	t.Logf("%d of %d accepted jobs were lost by the store; the others ended within %s", lost, len(accepted), time.Since(began).Round(time.Millisecond))
	if said, err := os.ReadFile(s.log.Name()); err != nil || !bytes.Contains(said, []byte("memory did not agree")) {
		t.Error(err, "memory was never ahead of the store: the test shows nothing")
	}
}

// endsOrIsLost waits for the end of a job; false says that the store has not got it.
func (s *server) endsOrIsLost(ctx context.Context, t *testing.T, id string, within time.Duration) bool {
	t.Helper()
	for began := time.Now(); ; pass(20 * time.Millisecond) {
		var v jobView
		code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, "", nil, &v)
		switch {
		case err == nil && code == http.StatusNotFound:
			return false
		case err == nil && code == http.StatusOK && v.Status.Terminal():
			return true
		case time.Since(began) > within:
			t.Fatalf("I1: job %s is %s in state %s after %s (%d, %v): %+v", id, v.Status, v.State, within, code, err, v.Waiting)
		}
	}
}
