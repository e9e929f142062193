package examples

// This file tests recipes 6, 8 and 19 with several workers at once: who of those that wait for
// work gets a task, and why the others do not.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/job"
	"orrery/workers"
	"orrery/workers/protocol"
)

// member is one worker of a fleet: what it says about itself, and how it works.
type member struct {
	id     string
	fields string // of its registration, beside the id and the skill
	age    protocol.Age
	keeps  bool // gives no results, so that its tasks pile up
	fails  int  // its first results are failures
}

// fleet is a bench whose workers all poll at the same time. It lives in a synctest bubble:
// settled waits until every worker waits for work.
type fleet struct {
	*bench
	skill string
	polls map[string]chan task // what a worker's open poll brought
	takes map[string][]string  // the jobs that each worker got, in order
	byID  map[string]member
}

func newFleet(t *testing.T, file, skill string, members []member) *fleet {
	t.Helper()
	f := &fleet{bench: newBench(t, file, "nothing"), skill: skill, polls: map[string]chan task{}, takes: map[string][]string{}, byID: map[string]member{}}
	for _, m := range members {
		f.byID[m.id] = m
		skills := fmt.Sprintf(`"supported_skills": [{"name": %q, "type": %q}], "available_skills": [%q]`, skill, skill, skill)
		switch m.age {
		case protocol.AgeA:
			skills = fmt.Sprintf(`"supported_tasks": [%q]`, skill)
		case protocol.AgeB7:
			skills = fmt.Sprintf(`"supported_skills": [%q]`, skill)
		}
		if m.fields != "" {
			skills += ", " + m.fields
		}
		_, err := f.hub.Register(f.ctx, f.as(m.id), fmt.Appendf(nil, `{"worker_id": %q, "worker_type": "test", %s}`, m.id, skills))
		f.must(err)
		f.poll(m.id)
	}
	return f
}

func (f *fleet) as(id string) workers.Caller {
	return workers.Caller{WorkerID: id, Token: "secret", Age: f.byID[id].age}
}

// poll asks for work in the background, as a worker with a free place does.
func (f *fleet) poll(id string) {
	got := make(chan task, 1)
	f.polls[id] = got
	go func() {
		defer close(got)
		body, err := f.hub.Poll(f.ctx, f.as(id), nil, time.Minute, nil)
		if err != nil || body == nil {
			return
		}
		var one task
		if json.Unmarshal(body, &one) == nil {
			got <- one
		}
	}()
	synctest.Wait()
}

// serve starts a job and lets the worker that gets its task work as its member says. It
// returns the worker's id, "" when nobody got it.
func (f *fleet) serve(blueprint, data string) (worker, jobID string) {
	f.t.Helper()
	jobID = f.start(blueprint, data)
	synctest.Wait()
	for _, id := range slices.Sorted(keysOf(f.polls)) {
		select {
		case got, ok := <-f.polls[id]:
			if !ok {
				f.t.Fatalf("the poll of %s ended without a task", id)
			}
			f.work(id, got)
			return id, jobID
		default:
		}
	}
	return "", jobID
}

func (f *fleet) work(id string, got task) {
	f.t.Helper()
	f.takes[id] = append(f.takes[id], got.JobID)
	m := f.byID[id]
	switch {
	case m.keeps:
	case len(f.takes[id]) <= m.fails:
		f.result(id, got, `"status": "failure", "error": {"code": "PERMANENT_ERROR", "message": "broken"}`)
	default:
		f.result(id, got, fmt.Sprintf(`"data": {"by": %q}`, id))
	}
	f.clock.Advance(time.Millisecond)
	f.poll(id)
}

func (f *fleet) result(id string, of task, fields string) {
	f.t.Helper()
	_, err := f.hub.Result(f.ctx, f.as(id), fmt.Appendf(nil, `{"worker_id": %q, "job_id": %q, "task_id": %q, %s}`, id, of.JobID, of.TaskID, fields))
	f.must(err)
	f.settle()
}

// close ends the open polls, so that the bubble can end.
func (f *fleet) close() {
	f.hub.Close()
	synctest.Wait()
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// spread gives how many tasks each worker got, in order of id.
func (f *fleet) spread() string {
	var parts []string
	for _, id := range slices.Sorted(keysOf(f.byID)) {
		parts = append(parts, fmt.Sprintf("%s %d", id, len(f.takes[id])))
	}
	return strings.Join(parts, ", ")
}

func price(v float64) string { return fmt.Sprintf(`"cost_per_skill": {"critical_computation": %g}`, v) }

func TestStrategiesSpreadTasks(t *testing.T) {
	var ten []member
	for i := range 10 {
		ten = append(ten, member{id: fmt.Sprintf("w%d", i), fields: price(0.01 * float64(10-i))})
	}
	warm := func(v float64) string { return price(v) + `, "hot_skills": ["critical_computation"]` }
	cached := func(v float64) string { return price(v) + `, "hot_cache": ["critical_computation"]` }
	for _, c := range []struct {
		name, strategy, want string
		members              []member
		tasks                int
	}{
		{"equal workers take turns", "default", "a 20, b 20, c 20", []member{{id: "a"}, {id: "b"}, {id: "c"}}, 60},
		{"the cheapest gets all", "default", "a 0, b 60, c 0", []member{{id: "a", fields: price(3)}, {id: "b", fields: price(1)}, {id: "c", fields: price(2)}}, 60},
		{"warm ones first, the cheaper of them", "default", "cheap 0, warm 0, warmer 60",
			[]member{{id: "cheap", fields: price(1)}, {id: "warm", fields: warm(9)}, {id: "warmer", fields: warm(8)}}, 60},
		{"a full cache is warm too", "default", "cheap 0, old 60, older 0",
			[]member{{id: "cheap", fields: price(1), age: protocol.AgeB7}, {id: "old", fields: cached(9), age: protocol.AgeA}, {id: "older", fields: price(9), age: protocol.AgeA}}, 60},
		{"turns whatever the price", "round_robin", "w0 6, w1 6, w2 6, w3 6, w4 6, w5 6, w6 6, w7 6, w8 6, w9 6", ten, 60},
		{"tasks pile up evenly", "least_connections", "a 20, b 20, c 20", []member{{id: "a", keeps: true}, {id: "b", keeps: true}, {id: "c", keeps: true}}, 60},
		{"the busy one is left alone", "least_connections", "busy 1, idle 30, other 29", []member{{id: "busy", keeps: true}, {id: "idle"}, {id: "other"}}, 60},
		{"price alone", "cheapest", "w0 0, w1 0, w2 0, w3 0, w4 0, w5 0, w6 0, w7 0, w8 0, w9 60", ten, 60},
		{"no price stands last", "cheapest", "a 0, b 60, c 0", []member{{id: "a"}, {id: "b", fields: price(100)}, {id: "c"}}, 60},
		// bad is half as dear and fails its first three of five: 1 / 0.4 is more than 2.
		{"reputation counts", "best_value", "bad 5, good 55, worse 0",
			[]member{{id: "bad", fields: price(1), fails: 3}, {id: "good", fields: price(2)}, {id: "worse", fields: price(3)}}, 60},
	} {
		t.Run(c.strategy+": "+c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "06-dispatch-strategies/any_strategy.star", "critical_computation", c.members)
				for range c.tasks {
					if who, id := f.serve("try_strategy", fmt.Sprintf(`{"strategy": %q}`, c.strategy)); who == "" {
						t.Fatalf("nobody got the task of job %s", id)
					}
				}
				t.Logf("%d tasks: %s", c.tasks, f.spread())
				if got := f.spread(); got != c.want {
					t.Errorf("%d tasks went to %s, want %s", c.tasks, got, c.want)
				}
				f.close()
			})
		})
	}
}

// A job's own strategy is the recipe's: with one worker idle, the busy ones get nothing.
func TestCriticalFlowTakesTheIdleWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "06-dispatch-strategies/blueprint.star", "critical_computation",
			[]member{{id: "a", keeps: true}, {id: "b", keeps: true}, {id: "z"}})
		for range 12 {
			f.serve("critical_flow", `{"n": 2}`)
		}
		if got := f.spread(); got != "a 1, b 1, z 10" {
			t.Errorf("tasks went to %s", got)
		}
		f.close()
	})
}

// nobody waits until the hub may say that no worker suits, and runs the job on.
func (f *fleet) nobody() {
	f.t.Helper()
	for range 10 {
		f.clock.Advance(workers.DefaultTTL / 9)
		for id := range f.byID { // the polls stay open; heartbeats come as ever
			_, err := f.hub.Heartbeat(f.ctx, f.as(id), nil)
			f.must(err)
		}
		f.hub.Sweep(f.ctx)
		f.settle()
	}
}

func compression(v string) string { return `"cost_per_skill": {"image_compression": ` + v + `}` }

func TestTheCheapestWithinMaxCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "08-cheapest-worker/blueprint.star", "image_compression", []member{
			{id: "dear", fields: compression("0.2")}, {id: "fair", fields: compression("0.05")}, {id: "cheap", fields: `"cost_per_second": 0.02`}, {id: "silent"},
		})
		for range 5 {
			_, id := f.serve("cost_optimized_flow", `{"image": "a.png"}`)
			f.ended(id, job.Finished, "finished")
		}
		if got := f.spread(); got != "cheap 5, dear 0, fair 0, silent 0" {
			t.Errorf("tasks went to %s", got)
		}
		f.close()
	})
}

func TestNoneCheapEnoughFailsAndSaysEveryPrice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "08-cheapest-worker/blueprint.star", "image_compression", []member{
			{id: "dear", fields: compression("0.2")}, {id: "dearer", fields: compression("0.3")}, {id: "silent"},
		})
		who, id := f.serve("cost_optimized_flow", `{"image": "a.png"}`)
		if who != "" {
			t.Fatalf("%s got a task that it is too dear for", who)
		}
		why, err := f.engine.Why(f.ctx, id)
		f.must(err)
		text := strings.Join(why.Details, "\n")
		for _, want := range []string{"dear costs 0.2, more than max_cost 0.05", "dearer costs 0.3", "silent says no cost"} {
			if !strings.Contains(text, want) {
				t.Errorf("why says %q, which lacks %q", text, want)
			}
		}
		f.nobody()
		f.ended(id, job.Failed, "too_expensive")
		v := f.view(id)
		const want = `no worker of type "image_compression" may do this task: dear costs 0.2, more than max_cost 0.05; dearer costs 0.3, more than max_cost 0.05; silent says no cost, and max_cost is 0.05`
		if v.Error == nil || v.Error.Code != job.CodeNoSuitableWorker || v.Error.Message != want {
			t.Errorf("error %+v, want %s", v.Error, want)
		}
		f.close()
	})
}

func TestOnlyFittingHardwareGetsTheTask(t *testing.T) {
	const model = `"stable-diffusion"`
	members := []member{
		{id: "a-old", age: protocol.AgeA, fields: `"resources": {"gpu_info": {"model": "NVIDIA T4", "vram_gb": 16}}, "installed_models": [{"name": ` + model + `, "version": "1.5"}]`},
		{id: "b-old", age: protocol.AgeB7, fields: `"resources": {"gpu_info": {"model": "Tesla NVIDIA T4", "vram_gb": 24}}, "installed_models": [{"name": ` + model + `, "version": "1.5"}]`},
		{id: "c-new", age: protocol.AgeC18, fields: `"resources": {"devices": [{"id": "0", "type": "gpu", "model": "NVIDIA T4", "properties": {"memory_gb": 16}}]}, "installed_artifacts": [{"name": ` + model + `, "version": "1.5"}]`},
		{id: "d-small", fields: `"resources": {"gpu_info": {"model": "NVIDIA T4", "vram_gb": 8}}, "installed_models": ["stable-diffusion-1.5"]`},
		{id: "e-bare", fields: `"resources": {"cpu_cores": 128}`},
		{id: "f-model", fields: `"resources": {"gpu_info": {"model": "NVIDIA T4", "vram_gb": 16}}, "installed_models": [{"name": ` + model + `, "version": "2.0"}]`},
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "19-resource-requirements/blueprint.star", "video_montage", members)
		for range 9 {
			_, id := f.serve("gpu_intensive_flow", `{"clip": "x"}`)
			f.ended(id, job.Finished, "finished")
		}
		if got := f.spread(); got != "a-old 3, b-old 3, c-new 3, d-small 0, e-bare 0, f-model 0" {
			t.Errorf("tasks went to %s", got)
		}
		f.close()
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "19-resource-requirements/blueprint.star", "video_montage", members[3:])
		_, id := f.serve("gpu_intensive_flow", `{"clip": "x"}`)
		why, err := f.engine.Why(f.ctx, id)
		f.must(err)
		refusals := []string{"d-small its GPU is NVIDIA T4 with 8 GB", "e-bare has no GPU", `f-model does not have the model "stable-diffusion-1.5" installed`}
		for _, want := range refusals {
			if text := strings.Join(why.Details, "\n"); !strings.Contains(text, want) {
				t.Errorf("why says %q, which lacks %q", text, want)
			}
		}
		f.nobody()
		f.ended(id, job.Failed, "failed")
		for _, want := range refusals {
			if v := f.view(id); v.Error == nil || !strings.Contains(v.Error.Message, want) {
				t.Errorf("error %+v, which lacks %q", v.Error, want)
			}
		}
		f.close()
	})
}
