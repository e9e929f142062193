package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file measures a driver with changes of the size that small jobs make.

// Benchmark runs every measurement on a fresh store each; "changes/s" counts commits.
func Benchmark(b *testing.B, open func(t testing.TB) store.Store) {
	for _, m := range []struct {
		name string
		run  func(b *testing.B, d *bed)
	}{
		{"create", benchCreate},
		{"step", benchStep},
		{"result", benchResult},
		{"hand-out", benchHandOut},
		{"load", benchLoad},
		{"list", benchList},
		{"life/1", func(b *testing.B, d *bed) { benchLife(b, d, 1) }},
		{"life/64", func(b *testing.B, d *bed) { benchLife(b, d, 64) }},
		{"steps/1", func(b *testing.B, d *bed) { benchSteps(b, d, 1) }},
		{"steps/64", func(b *testing.B, d *bed) { benchSteps(b, d, 64) }},
		{"steps/256", func(b *testing.B, d *bed) { benchSteps(b, d, 256) }},
	} {
		b.Run(m.name, func(b *testing.B) {
			d := newBed(b, open)
			b.ReportAllocs()
			b.ResetTimer()
			m.run(b, d)
		})
	}
}

func rate(b *testing.B, changes int) {
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
}

func benchCreate(b *testing.B, d *bed) {
	for b.Loop() {
		d.create()
	}
	rate(b, b.N)
}

func benchStep(b *testing.B, d *bed) {
	j := d.create()
	for b.Loop() {
		j = d.step(j, dispatch)
	}
	rate(b, b.N)
}

func benchResult(b *testing.B, d *bed) {
	j := d.create(tasks(1))
	for i := 0; b.Loop(); i++ {
		j = d.step(j, func(c *job.Change) {
			c.Results = []job.Result{{Group: 1, TaskID: fmt.Sprint(i), Type: "pack", Status: "success", Data: json.RawMessage(`{"packed":true}`)}}
		})
	}
	rate(b, b.N)
}

func benchHandOut(b *testing.B, d *bed) {
	c := d.fresh(tasks(1))
	d.must(d.Commit(d.ctx, c))
	t := c.Tasks[0]
	for b.Loop() {
		d.HandOut(handedOut(t, epoch))
	}
	d.settle()
}

func benchLoad(b *testing.B, d *bed) {
	j := d.create(dispatch)
	for b.Loop() {
		if _, _, err := d.Load(d.ctx, j.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func benchList(b *testing.B, d *bed) {
	d.must(crowd(50, func(i int) error {
		for n := range 20 {
			if err := d.Commit(d.ctx, freshAt(at(i*20+n))); err != nil {
				return err
			}
		}
		return nil
	}))
	for b.Loop() {
		if _, err := d.List(d.ctx, store.Query{Limit: 50, Client: "ada"}); err != nil {
			b.Fatal(err)
		}
	}
}

// dispatch is what a small step does: state_history, one task, one wait.
func dispatch(c *job.Change) {
	status(job.WaitingWorker, false)(c)
	tasks(1)(c)
	c.StateHistory = json.RawMessage(`{"order":7,"customer":"ada","total":19.5,"lines":[{"sku":"a-1","n":2},{"sku":"b-2","n":1}]}`)
	c.Job.Wait = &job.Wait{For: job.WaitingWorker, Since: epoch, Detail: "waits for a worker to pack", Task: c.Job.LastTask}
	c.Records[0].Set = map[string]json.RawMessage{"total": json.RawMessage("19.5")}
	c.Records[0].Handler = "pack"
}

// ended is what the last step does.
func ended(c *job.Change) {
	status(job.Finished, false)(c)
	c.Job.State, c.Job.EndedAt = "end", ptr(at(1))
}

// inCrowd shares b.N turns between n goroutines.
func inCrowd(b *testing.B, n int, turn func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := turn(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// benchLife takes jobs from their creation over one task to their end: four commits and a
// hand-out each.
func benchLife(b *testing.B, d *bed, n int) {
	inCrowd(b, n, func(i int) error {
		c := freshAt(at(0).Add(time.Duration(i) * time.Millisecond))
		if err := d.Commit(d.ctx, c); err != nil {
			return err
		}
		if _, _, err := d.Load(d.ctx, c.Job.ID); err != nil {
			return err
		}
		c = next(c.Job, dispatch)
		if err := d.Commit(d.ctx, c); err != nil {
			return err
		}
		out := handedOut(c.Tasks[0], epoch)
		d.HandOut(out)
		out.State = job.TaskDone
		c = next(c.Job, status(job.Running, true), func(c *job.Change) { c.Tasks = []job.Task{out}; c.StateHistory = json.RawMessage(`{"a":1}`) })
		if err := d.Commit(d.ctx, c); err != nil {
			return err
		}
		return d.Commit(d.ctx, next(c.Job, ended))
	})
	rate(b, 4*b.N)
}

// benchSteps commits small steps of 2,000 jobs in turn, n at a time.
func benchSteps(b *testing.B, d *bed, n int) {
	const jobs = 2000
	free := make(chan job.Job, jobs)
	d.must(crowd(jobs/20, func(i int) error {
		for k := range 20 {
			c := freshAt(at(i*20 + k))
			if err := d.Commit(d.ctx, c); err != nil {
				return err
			}
			free <- c.Job
		}
		return nil
	}))
	b.ResetTimer()
	inCrowd(b, n, func(int) error {
		c := next(<-free, dispatch)
		err := d.Commit(d.ctx, c)
		free <- c.Job
		return err
	})
	rate(b, b.N)
}
