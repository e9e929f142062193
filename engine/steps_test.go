package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"orrery/engine/job"
)

// This file tests the list of ready jobs, the runners, data stores under them, watchers and
// the stop.

func TestReadyListKeepsOrderAndNoDoubles(t *testing.T) {
	l := newReadyList()
	for _, id := range []string{"a", "b", "a", "c"} {
		l.push(id)
	}
	for _, want := range []string{"a", "b", "c"} {
		if id, refill, ok := l.pop(false); id != want || refill || !ok {
			t.Errorf("pop gives %q %v %v, want %q", id, refill, ok, want)
		}
	}
	l.push("a") // taken out before: it may be ready again
	if id, _, _ := l.pop(false); id != "a" {
		t.Errorf("pop gives %q, want a again", id)
	}
	if _, _, ok := l.pop(false); ok {
		t.Error("an empty list gave something")
	}
}

func TestReadyListOverflows(t *testing.T) {
	l := newReadyList()
	for i := range maxReady + 5 {
		l.push(fmt.Sprint(i))
	}
	for range maxReady {
		if _, refill, ok := l.pop(false); refill || !ok {
			t.Fatal("what is in the list comes before a refill")
		}
	}
	if _, refill, ok := l.pop(false); !refill || !ok {
		t.Fatal("what did not fit was forgotten")
	}
	if _, _, ok := l.pop(false); ok {
		t.Error("two runners read the store at once")
	}
	l.refilled()
	if _, _, ok := l.pop(false); ok {
		t.Error("read again without a reason")
	}
}

func TestReadyListCloses(t *testing.T) {
	l := newReadyList()
	ended := make(chan bool)
	go func() {
		_, _, ok := l.pop(true)
		ended <- ok
	}()
	l.close()
	if <-ended {
		t.Error("a closed list gave something")
	}
}

// Jobs that the list in memory does not hold are found in the store.
func TestReadyJobsAreReadFromTheStore(t *testing.T) {
	r := newRig(t)
	r.alone("straight")
	var ids []string
	for range 50 {
		ids = append(ids, r.submit("straight", `{}`))
	}
	r.ready = newReadyList() // as after a start, or an overflow
	r.settle()
	r.is(ids[0], job.Pending, "start")
	r.ready.overflow()
	r.settle()
	for _, id := range ids {
		r.is(id, job.Finished, "finished")
	}
}

// No increment of a shared counter is lost or doubled, with many runners at once.
func TestCounterIsExactUnderRunners(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Runners = 8 })
	r.run()
	const jobs = 200
	ids := make([]string, jobs)
	var group sync.WaitGroup
	for i := range jobs {
		group.Go(func() {
			id, _, err := r.Submit(r.ctx, Request{Blueprint: "count"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	group.Wait()
	for _, id := range ids {
		r.waitFor(id, job.Finished)
	}
	report := r.submit("count", `{"report": true}`)
	r.waitFor(report, job.Finished)
	if got := r.history(report, "n"); got != fmt.Sprint(jobs) {
		t.Errorf("the counter says %s, want %d", got, jobs)
	}
}

func TestCircleIsStopped(t *testing.T) {
	r := newRig(t)
	id := r.begin("circle", `{}`)
	j := r.is(id, job.Quarantined, "start")
	if j.Error.Code != job.CodeTransitionLimit || j.Step != int64(r.cfg.Limits.Streak)+1 {
		t.Errorf("%v after %d steps", j.Error, j.Step)
	}
	r.is(r.begin("circle", `{"out": true}`), job.Finished, "finished")
}

func TestWatch(t *testing.T) {
	r := newRig(t)
	id := r.begin("ask", `{}`)
	one, stopOne := r.Watch(id)
	two, stopTwo := r.Watch(id)
	if err := r.Decide(r.ctx, id, "no", "ann"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []<-chan struct{}{one, two} {
		select {
		case <-c:
		default:
			t.Error("a watcher was not told")
		}
	}
	stopOne()
	if err := r.Decide(r.ctx, id, "no", "ann"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-one:
		t.Error("a watcher that stopped was told")
	case <-two:
	}
	stopTwo()
	stopTwo() // harmless
	if n := len(r.watch.byID); n != 0 {
		t.Errorf("%d jobs are still watched by nobody", n)
	}
}

// Stop lets the step that runs end and be kept.
func TestStopWaitsForTheStep(t *testing.T) {
	r := newRig(t)
	r.alone("slow")
	if err := r.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	id := r.submit("slow", `{}`)
	for wake := noon.Add(seconds(0.5)); ; {
		if at, ok := r.clock.Next(); ok && at.Equal(wake) {
			break // the handler sleeps
		}
		select {
		case <-r.clock.Armed():
		case <-r.ctx.Done():
			t.Fatal("the handler never slept")
		}
	}
	r.Engine.cancel() // the first thing that Stop does
	hurry, cancel := context.WithCancel(r.ctx)
	cancel()
	if err := r.Stop(hurry); err == nil {
		t.Error("Stop did not say that a step still runs")
	}
	r.clock.Advance(seconds(0.5))
	if err := r.Stop(r.ctx); err != nil {
		t.Fatal(err)
	}
	// The first look at the store may have given the job to a second runner too: one more step is fine.
	if j := r.job(id); j.Step < 1 {
		t.Errorf("the job is %s after %d steps: the step that ran was not kept", j.Status, j.Step)
	}
}
