package workers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/job"
)

// This file tests who suits whom, and which of those a strategy chooses.

func TestFits(t *testing.T) {
	const (
		workerA = `{"supported_tasks":["x"],"cost_per_skill":{"x":0.04},"resources":{"cpu_cores":4,"gpu_info":{"model":"NVIDIA T4","vram_gb":16}},"installed_models":[{"name":"stable-diffusion","version":"1.5"}]}`
		workerC = `{"capabilities":{"cost_per_skill":{"y":1},"extra":{"region":"eu","tier":2}},"installed_artifacts":[{"name":"stable-diffusion-1.5"}],
			"resources":{"devices":[{"id":"0","model":"Tesla NVIDIA T4 rev","properties":{"memory_gb":16},"type":"gpu"}],"properties":{"cpu_cores":8}}}`
		poor = `{"cost":0.01}`
	)
	cost := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		worker, want string
		max          *float64
		why          string // part of it; "" = it fits
	}{
		{workerA, ``, nil, ""},
		{workerA, `{}`, cost(0.04), ""},
		{workerA, `null`, cost(0.03), "costs 0.04, more than max_cost 0.03"},
		{workerC, ``, cost(5), "says no cost"},
		{poor, ``, cost(0.01), ""},
		{workerA, `{"gpu":{"model":"NVIDIA T4","vram_gb":16},"installed_models":["stable-diffusion-1.5"]}`, nil, ""},
		{workerC, `{"gpu":{"model":"NVIDIA T4","vram_gb":16},"installed_models":["stable-diffusion-1.5"]}`, nil, ""},
		{workerC, `{"gpu_info":{"model":"NVIDIA T4"}}`, nil, ""},
		{workerA, `{"gpu":{"vram_gb":24}}`, nil, "its GPU is NVIDIA T4 with 16 GB"},
		{workerA, `{"gpu":{"model":"A100"}}`, nil, "wanted is A100"},
		{poor, `{"gpu":true}`, nil, "has no GPU"},
		{poor, `{"gpu":false}`, nil, ""},
		{workerA, `{"gpu":"T4"}`, nil, ""},
		{workerA, `{"installed_models":[{"name":"stable-diffusion","version":"1.5"}]}`, nil, ""},
		{workerA, `{"installed_models":["stable-diffusion"]}`, nil, ""},
		{workerA, `{"installed_models":["stable-diffusion-2"]}`, nil, "stable-diffusion-2"},
		{workerC, `{"extra_requirements":{"region":"eu","tier":2.0}}`, nil, ""},
		{workerC, `{"extra_requirements":{"region":"us"}}`, nil, `extra "region" is not "us"`},
		{workerA, `{"extra_requirements":{"region":"eu"}}`, nil, `extra "region"`},
		{workerA, `{"cpu_cores":4}`, nil, ""},
		{workerC, `{"cpu_cores":8}`, nil, ""},
		{workerA, `{"cpu_cores":8}`, nil, `resource "cpu_cores" does not reach 8`},
		{workerA, `{"gpu":[1]}`, nil, "not in a known form"},
		{workerA, `[1]`, nil, "not an object"},
		{`[]`, ``, nil, "not a JSON object"},
		{`{"resources":7}`, ``, nil, "can not be read"},
	} {
		why := Fits(json.RawMessage(c.worker), job.Task{Type: "x", MaxCost: c.max, Resources: json.RawMessage(c.want)})
		if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s at %s: %q, wanted %q", c.want, c.worker, why, c.why)
		}
	}
}

func TestStrategies(t *testing.T) {
	type candidate struct {
		id, cost string
		warm     bool
		running  int
		failures int // of 10 results
	}
	candidates := []candidate{
		{"cheap", `1`, false, 2, 5}, // 1 / 0.5 = 2
		{"warm", `9`, true, 3, 0},   // 9
		{"idle", `5`, false, 0, 0},  // 5
		{"value", `1.5`, false, 1, 0},
		{"unknown", ``, false, 1, 0},
	}
	for name, want := range map[string]string{
		"": "warm", "default": "warm", "cheapest": "cheap", "least_connections": "idle", "best_value": "value",
	} {
		t.Run("strategy "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				n := 0
				open := map[string]<-chan []byte{}
				for _, c := range candidates {
					more := `"hot_skills":[]`
					if c.warm {
						more = `"hot_skills":["echo"]`
					}
					if c.cost != "" {
						more += `,"cost_per_skill":{"echo":` + c.cost + `}`
					}
					r.register(callC, c.id, "echo,load-"+c.id, more)
					for range c.running {
						n++
						r.offer(n, "load-"+c.id)
						r.mustTake(callC, c.id)
					}
					for i := range 10 {
						r.workers[c.id].results.add(i >= c.failures)
					}
					open[c.id] = r.poll(r.ctx, callC, c.id, nil)
				}
				r.offer(1000, "echo", func(t *job.Task) { t.Strategy = name })
				if g, ok := r.read(<-open[want], nil); !ok || g.Type != "echo" {
					t.Errorf("%s got %+v", want, g)
				}
				r.Close()
			})
		})
	}
}

func TestRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ids := []string{"a", "b", "c"}
		open := map[string]<-chan []byte{}
		for i, id := range ids {
			r.register(callC, id, "echo", fmt.Sprintf(`"cost":%d`, i))
			open[id] = r.poll(r.ctx, callC, id, nil)
		}
		for i := range 9 {
			id := ids[i%3]
			r.offer(i+1, "echo", func(t *job.Task) { t.Strategy = "round_robin" })
			select {
			case body := <-open[id]:
				if body == nil {
					t.Fatalf("turn %d: %s got nothing", i, id)
				}
			default:
				synctest.Wait()
				if len(open[id]) == 0 {
					t.Fatalf("turn %d went to another worker than %s", i, id)
				}
			}
			open[id] = r.poll(r.ctx, callC, id, nil)
		}
		r.Close()
	})
}

func TestRequirementsDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		low := 0.05
		dear := func(t *job.Task) { t.MaxCost = &low }
		gpu := func(t *job.Task) { t.Resources = json.RawMessage(`{"gpu":{"model":"T4"}}`) }
		r.register(callC, "dear", "echo", `"cost_per_skill":{"echo":1}`)
		r.register(callC, "card", "echo", `"resources":{"gpu_info":{"model":"T4","vram_gb":16}}`)
		first, second := r.poll(r.ctx, callC, "dear", nil), r.poll(r.ctx, callC, "card", nil)
		r.offer(1, "echo", dear)
		r.offer(2, "echo", gpu)
		if g, ok := r.read(<-second, nil); !ok || !strings.HasSuffix(g.JobID, "2") {
			t.Errorf("the card got %+v", g)
		}
		if len(first) != 0 {
			t.Error("a worker that is too dear got a task")
		}
		// It becomes cheaper while its poll is open.
		r.beatBody(callC, "dear", `{"cost_per_skill":{"echo":0.01}}`)
		if g, ok := r.read(<-first, nil); !ok || !strings.HasSuffix(g.JobID, "1") {
			t.Errorf("the cheaper worker got %+v", g)
		}
		// A task that others may not do does not block those behind it.
		r.offer(3, "echo", gpu)
		r.offer(4, "echo")
		if g := r.mustTake(callC, "dear"); !strings.HasSuffix(g.JobID, "4") {
			t.Errorf("got %+v", g)
		}
	})
}

func TestNoSuitableWorker(t *testing.T) {
	r := newRig(t)
	low := 0.05
	dear := func(t *job.Task) { t.MaxCost = &low }
	sweep := func() []string {
		for id := range r.workers {
			r.beatBody(callB7, id, `{"load":0}`)
		}
		r.Sweep(r.ctx)
		return r.desk.unsuitable
	}
	r.register(callB7, "w1", "echo", `"cost_per_skill":{"echo":0.2}`)
	r.register(callB7, "w2", "echo")
	early := r.offer(1, "echo", dear)
	r.offer(2, "echo")
	r.offer(3, "other", dear)
	r.clock.Advance(44 * time.Second)
	if got := sweep(); len(got) != 0 {
		t.Fatalf("failed before one TTL after the start: %v", got)
	}
	r.clock.Advance(time.Second)
	late := r.offer(4, "echo", dear)
	r.desk.fails = 1
	if got := sweep(); len(got) != 0 || r.Stats().Queued != 4 {
		t.Fatalf("a failure that could not be written: %v, %+v", got, r.Stats())
	}
	got := sweep()
	if len(got) != 1 || got[0] != `no worker of type "echo" may do this task: w1 costs 0.2, more than max_cost 0.05; w2 says no cost, and max_cost is 0.05` {
		t.Fatalf("said %q", got)
	}
	if r.entry(early.JobID, 1) != nil || r.entry(late.JobID, 1) == nil {
		t.Error("not the task that is 5 s old was failed")
	}
	r.register(callB7, "w3", "echo", `"cost_per_skill":{"echo":0.01}`)
	r.clock.Advance(10 * time.Second)
	if got := sweep(); len(got) != 1 {
		t.Errorf("failed though a suitable worker is there: %v", got)
	}
	r.clock.Advance(time.Hour) // all are silent: nobody to judge by
	r.Sweep(r.ctx)
	if got := r.desk.unsuitable; len(got) != 1 {
		t.Errorf("failed though no worker of the type is there: %v", got)
	}
}

func TestExplain(t *testing.T) {
	r := newRig(t)
	low := 0.05
	task := r.offer(1, "echo", func(t *job.Task) { t.MaxCost = &low })
	if got := r.Explain(task); len(got) != 1 || !strings.Contains(got[0], `no worker has registered for task type "echo"`) {
		t.Errorf("with no worker: %q", got)
	}
	r.register(callB7, "a", "echo", `"cost":1`)
	r.register(callB7, "b", "echo", `"cost":0.01`)
	r.clock.Advance(time.Minute)
	r.register(callB7, "c", "echo", `"cost":0.01`)
	r.beatBody(callB7, "c", `{"status":"offline"}`)
	r.beatBody(callB7, "a", `{"load":0}`)
	got := strings.Join(r.Explain(task), "|")
	want := "2 of 3 workers of the type were heard of lately|worker a costs 1, more than max_cost 0.05|worker b was not heard of lately|worker c said goodbye"
	if got != want {
		t.Errorf("said %q, wanted %q", got, want)
	}
	q := r.QueueInfo("echo")
	if q.Queued != 1 || q.Known != 3 || q.Workers[0].Why != "does not poll now" {
		t.Errorf("queue %+v", q)
	}
}

// BenchmarkOfferPoll is one task offered and taken by the next poll.
func BenchmarkOfferPoll(b *testing.B) {
	for _, c := range []struct{ workers, queued int }{{10, 0}, {10_000, 0}, {10, 100_000}} {
		b.Run(fmt.Sprintf("workers=%d,queued=%d", c.workers, c.queued), func(b *testing.B) {
			r := newRig(b)
			for i := range c.workers {
				r.seated(i, i%5)
			}
			r.register(callC, "spare", "deep")
			for i := range c.queued {
				r.offer(i+1, "deep")
			}
			looked := r.Stats().Looked
			b.ReportAllocs()
			n := 1_000_000
			for b.Loop() {
				n++
				if c.queued > 0 {
					r.offer(n, "deep")
					g := r.mustTake(callC, "spare")
					r.Withdraw(g.JobID, 0)
					continue
				}
				task := r.offer(n, "echo")
				h := r.Hub
				h.mu.Lock()
				w := h.entry(task.JobID, 1).lease.worker
				w.poll = &poll{got: make(chan grant, 1), over: make(chan struct{})}
				h.sit(w)
				h.mu.Unlock()
				r.Withdraw(task.JobID, 0)
			}
			b.ReportMetric(float64(r.Stats().Looked-looked)/float64(b.N), "looks/op")
		})
	}
}
