package workers

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"orrery/engine/job"
	"orrery/workers/protocol"
)

// This file tests the ladder against a plain walk over all seats, and counts what a dispatch
// looks at.

var strategyNames = []string{"default", "round_robin", "least_connections", "cheapest", "best_value"}

// TestLadderAgreesWithAWalk adds and removes seats at random and compares every strategy, with
// and without a limit of the price, with the best of all seats.
func TestLadderAgreesWithAWalk(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 8))
	var l ladder
	var in []*seat
	for step := range 4000 {
		if len(in) > 0 && random.IntN(5) < 2 {
			i := random.IntN(len(in))
			l.remove(in[i])
			in = append(in[:i], in[i+1:]...)
		} else {
			s := &seat{
				worker: &worker{id: fmt.Sprintf("w%05d", step)}, price: float64(random.IntN(20)), warm: random.IntN(4) == 0,
				running: random.IntN(4), reputation: float64(random.IntN(11)) / 10, turn: uint64(random.IntN(9)),
			}
			if random.IntN(10) == 0 {
				s.price = math.Inf(1)
			}
			l.add(s)
			in = append(in, s)
		}
		if limit := 2 + int(1.45*math.Log2(float64(len(in)+2))); l.root.tall() > limit {
			t.Fatalf("%d seats stand on %d levels, want at most %d", len(in), l.root.tall(), limit)
		}
		by := strategy(random.IntN(int(strategies)))
		var most *float64
		if random.IntN(2) == 0 {
			limit := float64(random.IntN(21)) - 0.5
			most = &limit
		}
		var want *seat
		for _, s := range in {
			if most != nil && s.price > *most {
				continue
			}
			if want == nil || compareSeats(by, s, want) < 0 {
				want = s
			}
		}
		got, looks := l.first(by, most)
		if got != want || looks > maxLooks {
			t.Fatalf("step %d, strategy %d, %d seats: got %+v by %d looks, want %+v", step, by, len(in), got, looks, want)
		}
	}
	if l.n != len(in) {
		t.Errorf("the ladder counts %d seats, %d are there", l.n, len(in))
	}
}

// TestLooksStayFew holds the promise that a dispatch looks at no more than 64 workers, with 10
// and with 10,000 of them, alike or all different, with and without requirements.
func TestLooksStayFew(t *testing.T) {
	for _, c := range []struct{ workers, kinds int }{{10, 1}, {10_000, 1}, {10_000, 7}, {10_000, 10_000}} {
		r := newRig(t)
		for i := range c.workers {
			r.seated(i, i%c.kinds)
		}
		limit := float64(c.kinds) / 2
		n, most := 0, uint64(0)
		for _, name := range strategyNames {
			for what, more := range map[string]func(*job.Task){
				"anything": func(*job.Task) {},
				"max_cost": func(t *job.Task) { t.MaxCost = &limit },
				"gpu":      func(t *job.Task) { t.Resources = json.RawMessage(`{"gpu":{"vram_gb":8}}`) },
				"both": func(t *job.Task) {
					t.MaxCost, t.Resources = &limit, json.RawMessage(`{"gpu":{"model":"T4"},"installed_models":["sd"]}`)
				},
			} {
				before := r.Stats().Looked
				n++
				task := r.offer(n, "echo", func(t *job.Task) { t.Strategy = name; more(t) })
				looked := r.Stats().Looked - before
				most = max(most, looked)
				if looked == 0 || looked > maxLooks {
					t.Errorf("%d workers of %d kinds, %s, %s: looked at %d", c.workers, c.kinds, name, what, looked)
				}
				if !r.servedAgain(task) {
					t.Errorf("%d workers of %d kinds, %s, %s: the task was given to nobody", c.workers, c.kinds, name, what)
				}
			}
		}
		t.Logf("%d workers of %d kinds: at most %d looked at", c.workers, c.kinds, most)
	}
}

// TestStandsFollowTheWorkers: a requirement that was asked for once knows the workers that
// come, go and change later, and forgetting it changes no answer.
func TestStandsFollowTheWorkers(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.seated(i, i)
	}
	wants := func(n, gb int) *worker {
		c := r.classOf(&job.Task{Type: "echo", Resources: json.RawMessage(fmt.Sprintf(`{"gpu":{"vram_gb":%d}}`, gb))})
		s := r.pick(c, "cheapest")
		if s == nil {
			return nil
		}
		return s.worker
	}
	for round := range 3 {
		for gb := range 2 * maxStands { // more requirements than are remembered
			var want *worker
			for _, w := range r.workers {
				if w.poll != nil && w.reg.Resources.GPUs[0].VRAMGB >= float64(gb) && (want == nil || *w.reg.Costs.Flat < *want.reg.Costs.Flat) {
					want = w
				}
			}
			if got := wants(gb, gb); got != want {
				t.Fatalf("round %d, %d GB: got %+v, want %+v", round, gb, got, want)
			}
		}
		if n := len(r.benches["echo"].stands); n > maxStands {
			t.Errorf("%d requirements are remembered", n)
		}
		r.mu.Lock()
		r.endPoll(r.workers[fmt.Sprintf("w%05d", 3*round+2)])
		r.mu.Unlock()
		r.seated(100+round, 40+round)
	}
}

// seated makes a worker with an open poll, without a goroutine for it. Its kind decides its
// price and its hardware.
func (r *rig) seated(i, kind int) *worker {
	h := r.Hub
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.worker(fmt.Sprintf("w%05d", i))
	w.known = true
	body := fmt.Sprintf(`{"worker_id":%q,"supported_skills":["echo"],"cost":%d,"installed_models":[{"name":"sd","version":"1.5"}],
		"resources":{"cpu_cores":4,"ram_gb":%d,"gpu_info":{"model":"NVIDIA T4","vram_gb":%d}}}`, w.id, kind, kind, 16+kind)
	reg, err := protocol.ParseRegister([]byte(body))
	if err != nil {
		panic(err)
	}
	h.describe(w, reg)
	w.available = reg.Skills
	h.touch(w)
	w.poll = &poll{got: make(chan grant, 1), over: make(chan struct{})}
	h.sit(w)
	return w
}

// servedAgain ends the lease of a task and opens a new poll of the worker that had it.
func (r *rig) servedAgain(task job.Task) bool {
	h := r.Hub
	h.mu.Lock()
	e := h.entry(task.JobID, 1)
	if e == nil || e.lease == nil {
		h.mu.Unlock()
		return false
	}
	w := e.lease.worker
	w.poll = &poll{got: make(chan grant, 1), over: make(chan struct{})}
	h.sit(w)
	h.mu.Unlock()
	r.Withdraw(task.JobID, 0)
	return true
}

// BenchmarkDispatch is one task given to one of many open polls, all workers different, whose
// worker then asks again. The memory is that of the whole registry.
func BenchmarkDispatch(b *testing.B) {
	for _, what := range []string{"plain", "gpu and max_cost"} {
		for _, count := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/workers=%d", what, count), func(b *testing.B) {
				r := newRig(b)
				before := heapBytes()
				for i := range count {
					r.seated(i, i)
				}
				held := heapBytes() - before
				limit := float64(count)
				looked := r.Stats().Looked
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n++
					task := r.offer(n, "echo", func(t *job.Task) {
						t.Strategy = strategyNames[n%len(strategyNames)]
						if what != "plain" {
							t.MaxCost, t.Resources = &limit, json.RawMessage(`{"gpu":{"model":"T4","vram_gb":16},"installed_models":["sd-1.5"]}`)
						}
					})
					if !r.servedAgain(task) {
						b.Fatal("the task was given to nobody")
					}
				}
				b.ReportMetric(float64(r.Stats().Looked-looked)/float64(n), "looks/op")
				b.ReportMetric(float64(held)/float64(count), "bytes/worker")
			})
		}
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
