package killtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/store"
	"orrery/engine/store/postgres"
	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/redis"
	"orrery/engine/store/redis/redistest"
)

// This file breaks three servers and what they stand on under load: nodes are killed, stopped,
// paused, cut off and slow, the store goes away, and the same invariants hold. The short form
// meets each fault of nodes once; the long one (ORRERY_LONG) meets all of them many times.

const (
	shortNodeJobs = 2000 // ORRERY_NODE_JOBS sets another number
	longNodeJobs  = 10000
	longTakeovers = 3000 // with Sentinel, and with a Cluster; ORRERY_TAKEOVER_JOBS sets another number

	killEvery   = 5 * time.Second
	shortPause  = leaseTime + 6*time.Second
	longPause   = 30 * time.Second
	shortCut    = leaseTime + 3*time.Second
	slowEachWay = 100 * time.Millisecond
)

// storm is a cluster in trouble, and the number that the trouble follows from.
type storm struct {
	*cluster
	random   *rand.Rand
	down, up func() // the store goes, and comes back; nil: it is not asked to
	hangUp   func() // the store ends all connections
	refusal  string // what the store answers to a late commit, among other things
}

func newStorm(t *testing.T, c *cluster, number uint64) *storm {
	return &storm{cluster: c, random: rand.New(rand.NewPCG(number, 17))}
}

func (s *storm) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)+1))
}

// kill ends one server at once and starts it again after a while.
func (s *storm) kill(i int, away time.Duration) {
	s.servers[i].kill()
	at := time.Now()
	s.t.Logf("node %d is killed", i)
	s.goOn("a node is killed", at, s.shardsOf(i))
	pass(away)
	s.servers[i].start()
}

// killEach kills a random server but one at the given pace, until so much time has passed.
func (s *storm) killEach(d time.Duration, but int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		next := time.Now().Add(killEvery)
		i := s.random.IntN(len(s.servers))
		if i == but {
			i = (i + 1) % len(s.servers)
		}
		s.kill(i, 0)
		pass(time.Until(next))
	}
}

// leave stops one server in order and starts it again.
func (s *storm) leave(i int) {
	in, at := s.shardsOf(i), time.Now()
	s.servers[i].stop(s.t)
	s.t.Logf("node %d has stopped, in %s", i, time.Since(at).Round(time.Millisecond))
	s.goOn("a node is stopped in order", at, in)
	s.servers[i].start()
}

// pauses pauses servers until commits of one were refused: it may be that every step had come no
// further than to its first read when the way was closed.
func (s *storm) pauses(meanwhile func(i int)) {
	for range pauseTries {
		i := s.random.IntN(len(s.servers))
		if s.pause(i, func() { meanwhile(i) }) {
			return
		}
	}
	s.t.Errorf("in %d pauses of nodes at work the store had nothing to refuse", pauseTries)
}

// pauseTries is how often pauses looks for a late commit: more than half of all pauses have one.
const pauseTries = 4

// pause stops the process of a server for longer than its leases last, with commits on their way
// to the store, which reach it when others have its shards. None of them may count, and the store
// is looked at while nobody else writes. It reports whether some were refused; the short form, in
// which all jobs may have ended before a second try, leaves that to chance.
func (s *storm) pause(i int, meanwhile func()) (refusedSome bool) {
	in := s.shardsOf(i)
	if s.ways != nil {
		s.ways[i].Hold(faultproxy.ToServer)
		pass(time.Second) // until every connection has some
	}
	s.servers[i].signal(syscall.SIGSTOP)
	at := time.Now()
	s.t.Logf("node %d with %d shards is paused", i, in.Len())
	s.goOn("a node is paused", at, in)
	meanwhile()
	var refused int64
	if s.ways != nil {
		refused = s.lateArrive(i, in)
	}
	s.servers[i].signal(syscall.SIGCONT)
	s.t.Logf("node %d goes on after %s", i, time.Since(at).Round(time.Millisecond))
	// Beside what had been sent the node has steps that it tries to keep now. After half a minute
	// it asks nobody any more: the time for each answer is over.
	pass(2 * time.Second)
	late := s.lateCommits(i)
	s.t.Logf("%d late commits were refused by the count of node %d", late, i)
	return refused > 0 || late > 0 || s.ways == nil
}

// lateArrive lets what a paused node had sent reach the store, while the others stand still, and
// counts how often the store says no.
func (s *storm) lateArrive(i int, in store.ShardSet) (refusals int64) {
	kept := s.shardsOf(i)
	for end := time.Now().Add(recoverIn); kept.Len() == in.Len() && time.Now().Before(end); kept = s.shardsOf(i) {
		pass(200 * time.Millisecond)
	}
	s.signalAll(i, syscall.SIGSTOP)
	defer s.signalAll(i, syscall.SIGCONT)
	kept = s.shardsOf(i)
	for shard := range kept.Each {
		in.Remove(shard) // nobody took it over
	}
	if in.Len() == 0 {
		s.t.Errorf("nobody has taken over a shard of node %d within %s", i, recoverIn)
	}
	before := s.settled(in)
	var came, refused atomic.Int64
	s.ways[i].Tap(func(side faultproxy.Side, text []byte) {
		if side == faultproxy.ToServer {
			came.Add(int64(len(text)))
		} else {
			refused.Add(int64(bytes.Count(text, []byte(s.refusal))))
		}
	})
	s.ways[i].Hold(faultproxy.Neither)
	pass(time.Second)
	after := s.settled(in)
	s.ways[i].Tap(nil)
	for id, version := range before {
		if after[id] != version {
			s.t.Errorf("job %s: a late commit of node %d counted: version %d became %d (0 has ended)", id, i, version, after[id])
		}
	}
	s.t.Logf("late came %d bytes, the store refused %d times, %d jobs of %d shards stayed as they were", came.Load(), refused.Load(), len(before), in.Len())
	if len(before) == 0 {
		s.t.Errorf("no job lives in the %d shards that were taken over: the test shows nothing", in.Len())
	}
	return refused.Load()
}

// settled gives the live jobs of shards when what was on its way has arrived: what the store
// has begun for others may take its time on a full machine.
func (s *storm) settled(in store.ShardSet) map[string]int64 {
	const looks = 5 // in a row that give the same
	var last map[string]int64
	same := 0
	for range 100 {
		now, err := s.live(in)
		if err != nil {
			s.t.Fatal(err)
		}
		if same++; last == nil || !maps.Equal(now, last) {
			same = 1
		}
		if same == looks {
			return now
		}
		last = now
		pass(100 * time.Millisecond)
	}
	s.t.Error("jobs change though all servers stand still")
	return last
}

// cut takes one server off the store for a while, by resets or so that it hears nothing.
func (s *storm) cut(i int, d time.Duration, silent bool) {
	in, at := s.shardsOf(i), time.Now()
	what := "a node is cut off the store"
	if silent {
		what = "a node hears nothing of the store"
		s.ways[i].Hold(faultproxy.Both)
	} else {
		s.ways[i].Down()
	}
	s.t.Logf("node %d: %s", i, what)
	s.goOn(what, at, in)
	pass(d)
	s.ways[i].Heal()
}

// takeAway takes the store away for a while.
func (s *storm) takeAway(key string, d time.Duration) {
	s.down()
	at := time.Now()
	pass(d)
	s.t.Logf("the store was away for %s", time.Since(at).Round(time.Millisecond))
	s.up()
	s.ended("the store was away"+fromItsEnd, time.Now(), key)
}

// allWays does something to the ways of all servers.
func (s *storm) allWays(do func(*faultproxy.Proxy)) {
	for _, way := range s.ways {
		do(way)
	}
}

// blow is one kind of trouble, and how long it goes on.
type blow struct {
	name string
	do   func(s *storm)
}

// longBlows are those of the long form for a store with one address.
var longBlows = []blow{
	{"a random node is killed every five seconds", func(s *storm) { s.killEach(30*time.Second, -1) }},
	{"one is paused for half a minute, others are killed", func(s *storm) {
		s.pauses(func(i int) { s.killEach(longPause, i) })
	}},
	{"one is cut off the store, later another hears nothing", func(s *storm) {
		order := s.random.Perm(len(s.servers))
		s.cut(order[0], shortCut, false)
		pass(leaseTime / 2)
		s.cut(order[1], shortCut, true)
		s.leave(order[2])
	}},
	{"the ways are slow", func(s *storm) {
		s.allWays(func(way *faultproxy.Proxy) { way.Delay(slowEachWay) })
		s.ended("all ways become slow", time.Now(), "slow")
		s.killEach(15*time.Second, -1)
		s.allWays(func(way *faultproxy.Proxy) { way.Delay(0) })
		i := s.random.IntN(len(s.servers))
		in, at := s.shardsOf(i), time.Now()
		s.ways[i].Delay(time.Second)
		s.goOn("one way takes a second", at, in)
		pass(15 * time.Second)
		s.ways[i].Delay(0)
	}},
	{"the store is away for up to two seconds", func(s *storm) {
		for n := range 4 {
			s.takeAway(fmt.Sprintf("away-%d", n), s.between(0, 2*time.Second))
			pass(s.between(5*time.Second, 40*time.Second))
		}
	}},
	{"clocks are set", func(s *storm) {
		// Ten minutes is more than nodes take each other's messages at; the third is killed
		// meanwhile, so that its jobs go to nodes whose clocks are wrong.
		order := s.random.Perm(len(s.servers))
		in, at := s.shardsOf(order[0]), time.Now()
		s.setClock(order[0], 10*time.Minute)
		s.goOn("a clock is set ten minutes ahead", at, in)
		in, at = s.shardsOf(order[1]), time.Now()
		s.setClock(order[1], -2*time.Minute)
		s.goOn("a clock is set two minutes back", at, in)
		pass(leaseTime / 2)
		s.kill(order[2], leaseTime+2*time.Second)
		pass(leaseTime / 2)
		for i := range s.servers { // what was put off until dates by those clocks is due now
			s.setClock(i, 15*time.Minute)
		}
	}},
	{"connections end, and answers are lost", func(s *storm) {
		for n := range 8 {
			s.hangUp()
			s.ended("all connections end", time.Now(), fmt.Sprintf("hung-%d", n))
			pass(s.between(100*time.Millisecond, 400*time.Millisecond))
			s.allWays(func(way *faultproxy.Proxy) { way.LoseAnswers(true) })
			pass(s.between(20*time.Millisecond, 120*time.Millisecond))
			s.allWays(func(way *faultproxy.Proxy) { way.LoseAnswers(false) })
			s.ended("answers were lost", time.Now(), fmt.Sprintf("lost-%d", n))
			pass(s.between(200*time.Millisecond, 600*time.Millisecond))
		}
	}},
}

// rage lets jobs meet blows, each with its part of them, and holds the invariants.
func (s *storm) rage(jobs int, blows []blow) {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	began := time.Now()
	var floods []func() []string
	for n, b := range blows {
		part := jobs / len(blows)
		if n == len(blows)-1 {
			part = jobs - s.sent
		}
		_, done := s.flood(ctx, part)
		floods = append(floods, done)
		pass(s.between(200*time.Millisecond, 500*time.Millisecond))
		b.do(s)
		s.t.Logf("after %s: %s: over", time.Since(began).Round(time.Second), b.name)
	}
	var accepted []string
	for _, done := range floods {
		accepted = append(accepted, done()...)
	}
	s.finish(ctx, began, accepted)
}

// finish waits for what is measured, and holds the invariants.
func (s *storm) finish(ctx context.Context, began time.Time, accepted []string) {
	s.t.Logf("after %s: %d jobs are accepted", time.Since(began).Round(time.Second), len(accepted))
	s.looking.Wait()
	checkAll(ctx, s.t, s.servers[0], accepted, s.sent)
	s.t.Logf("after %s: all is checked", time.Since(began).Round(time.Second))
	measured.tell(s.t, s.name)
}

// calm is the short form: each fault of nodes once.
func (s *storm) calm(jobs int) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	began := time.Now()
	told, done := s.flood(ctx, jobs)
	some := func() {
		for range jobs / 5 {
			<-told
		}
	}
	order := s.random.Perm(len(s.servers))
	some()
	s.ways[order[2]].Delay(slowEachWay)
	s.kill(order[0], 2*time.Second)
	some()
	s.ways[order[2]].Delay(0)
	s.leave(order[1])
	some()
	s.pause(order[2], func() {
		end := time.Now().Add(shortPause)
		s.cut(order[1], shortCut, false)
		pass(time.Until(end))
	})
	s.finish(ctx, began, done())
}

// run is the short or the long form.
func (s *storm) run() {
	if long() {
		s.rage(jobCount(s.t, "ORRERY_NODE_JOBS", longNodeJobs, 100), longBlows)
	} else {
		s.calm(jobCount(s.t, "ORRERY_NODE_JOBS", shortNodeJobs, 100))
	}
}

// begin gives the seed of a test with three servers.
func begin(t *testing.T) uint64 {
	if testing.Short() {
		t.Skip("three servers under load are left out by -short")
	}
	number := seed(t)
	t.Logf("seed %d (ORRERY_KILL_SEED=%d repeats it)", number, number)
	return number
}

func redisRows(t *testing.T, url string) store.Shared {
	t.Helper()
	rows, err := redis.Open(url, redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRedisNodes(t *testing.T) {
	number := begin(t)
	server := redistest.Start(t)
	c := newCluster(t, "Redis", redisRows(t, server.URL()), server.Addr, func(addr string) string { return "redis://" + addr })
	s := newStorm(t, c, number)
	s.down, s.up, s.refusal = server.Kill, server.Begin, "fenced "
	s.hangUp = func() { s.allWays((*faultproxy.Proxy).Cut) }
	s.crowd(4)
	s.run()
}

func TestPostgresNodes(t *testing.T) {
	number := begin(t)
	db := pgtest.Start(t)
	place := pgtest.FreshUnkept(t, db.URL())
	rows, err := postgres.Open(t.Context(), place, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStorm(t, newCluster(t, "PostgreSQL", rows, db.Addr, func(addr string) string { return pgtest.With(place, addr) }), number)
	s.down, s.up, s.refusal = db.Stop, db.Begin, "ORR01"
	s.hangUp = func() {
		if err := pgtest.HangUp(db.URL()); err != nil {
			t.Error(err)
		}
	}
	s.crowd(4)
	s.run()
}

// takeovers are the blows for stores whose master is killed; kill does it, and returns when
// another has taken its place; mend brings the old one back.
func takeovers(kill, mend func()) []blow {
	var out []blow
	for n := range 4 {
		out = append(out, blow{fmt.Sprintf("the master is killed, time %d", n+1), func(s *storm) {
			at := time.Now()
			s.ended("a master is killed", at, fmt.Sprintf("master-%d", n))
			kill()
			s.t.Logf("another took over in %s", time.Since(at).Round(time.Millisecond))
			dead := -1
			if n%2 == 1 { // and a node with it; it can not start while no replica has its writes
				dead = s.random.IntN(len(s.servers))
				s.servers[dead].kill()
				s.t.Logf("node %d is killed", dead)
			}
			mend()
			if dead >= 0 {
				s.servers[dead].start()
			}
			pass(s.between(time.Second, 5*time.Second))
		}})
	}
	return out
}

// longTakeover is the long form of a failover: three servers, and masters that are killed again
// and again.
func longTakeover(t *testing.T, name string, k keeper) {
	c := newCluster(t, name, redisRows(t, k.url), "", func(string) string { return k.url })
	s := newStorm(t, c, begin(t))
	s.crowd(4)
	s.rage(jobCount(t, "ORRERY_TAKEOVER_JOBS", longTakeovers, 100), takeovers(k.kill, k.mend))
}
