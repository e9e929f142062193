package engine

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the copy of the history: nothing lost, nothing twice, and no job waits for it.

// memorySink keeps events as a database would, and fails as it is told.
type memorySink struct {
	events []HistoryEvent
	before error         // of the next Keep, which keeps nothing
	after  error         // of the next Keep, which has kept all
	block  chan struct{} // Keep waits for it, or for its context
	kept   int           // calls of Keep that kept something
}

func (m *memorySink) Last(_ context.Context, id string) (last int64, err error) {
	for _, e := range m.events {
		if e.JobID == id {
			last = max(last, e.RecordN)
		}
	}
	return last, nil
}

func (m *memorySink) Keep(ctx context.Context, events []HistoryEvent) error {
	if m.block != nil {
		select {
		case <-m.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := m.before; err != nil {
		m.before = nil
		return err
	}
	for _, e := range events {
		if !slices.ContainsFunc(m.events, func(x HistoryEvent) bool { return x.EventID == e.EventID }) {
			m.events = append(m.events, e)
		}
	}
	m.kept++
	err := m.after
	m.after = nil
	return err
}

func (m *memorySink) of(id string) (events []HistoryEvent) {
	for _, e := range m.events {
		if e.JobID == id {
			events = append(events, e)
		}
	}
	return events
}

// drain copies until there are no marks, with a crash after every failure.
func (r *rig) drain() {
	r.t.Helper()
	for tries := 0; ; tries++ {
		n, err := r.CopyHistory(r.ctx)
		switch {
		case tries > 1000:
			r.t.Fatal("the marks do not end")
		case err != nil:
			r.reboot()
		case n == 0:
			return
		}
	}
}

// sameCopy compares the sink with what the API gives.
func sameCopy(t *testing.T, r *rig, sink *memorySink, id string) {
	t.Helper()
	want, err := r.events(id)
	if err != nil {
		t.Fatal(err)
	}
	got := sink.of(id)
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("the copy of %s has %d events, the history %d:\n%s\n%s", id, len(got), len(want), names(got), names(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			a, _ := json.Marshal(got[i])
			b, _ := json.Marshal(want[i])
			t.Fatalf("event %d of the copy is\n%s, want\n%s", i, a, b)
		}
	}
}

func names(events []HistoryEvent) string {
	var out []string
	for _, e := range events {
		out = append(out, e.EventType)
	}
	return strings.Join(out, " ")
}

// A job with branches, retries and a child is copied whole: at once, after each of its commits,
// with failures of the sink in between, and with crashes.
func TestHistoryIsCopiedOnce(t *testing.T) {
	down := errors.New("the database is away")
	for name, disturb := range map[string]func(m *memorySink, n int){
		"undisturbed":            func(*memorySink, int) {},
		"away now and then":      func(m *memorySink, n int) { m.before = []error{nil, down}[n%2] },
		"kept, but not heard of": func(m *memorySink, n int) { m.after = []error{down, nil, down}[n%3] },
	} {
		for _, often := range []bool{true, false} {
			sink := &memorySink{}
			r := newRig(t, func(c *Config) { c.History = sink })
			id := r.begin("mixed", `{}`)
			n := 0
			if often {
				for !r.job(id).Status.Terminal() {
					disturb(sink, n)
					n++
					_, _ = r.CopyHistory(r.ctx) // the next one goes on where it failed
					task, ok := r.line.take(r.Engine)
					if !ok {
						r.pass(time.Minute)
						continue
					}
					o := success(`{"x": 1}`)
					if task.Type == flaky && task.Attempt == 1 {
						o = failure(job.CodeTransient)
					}
					o.Worker = task.Worker
					r.answer(task, o)
				}
			} else {
				playMixed(t, r, id)
			}
			disturb(sink, n)
			r.drain()
			sameCopy(t, r, sink, id)
			children, err := r.rows.Children(r.ctx, id)
			if err != nil || len(children) != 1 {
				t.Fatalf("%d children, %v", len(children), err)
			}
			sameCopy(t, r, sink, children[0])
			if left, err := r.rows.Messages(r.ctx, noon.AddDate(5000, 0, 0), 10); err != nil || len(left) != 0 {
				t.Errorf("%s: left in the outbox are %v, %v", name, left, err)
			}
		}
	}
}

// One event for every thing that happened, with the fields of recipe 23.
func TestHistoryTellsEverything(t *testing.T) {
	sink := &memorySink{}
	r := newRig(t, func(c *Config) { c.History = sink })
	id := r.begin("work", `{"n": 1}`)
	task := r.take()
	r.Progress(task, store.Progress{Progress: 0.5, Message: "half", Timestamp: job.Time{Time: r.clock.Now()}, TaskID: task.ID})
	r.clock.Advance(2 * time.Second)
	r.answer(task, failure(job.CodeTransient))
	r.pass(time.Minute)
	running, err := r.events(id)
	if err != nil {
		t.Fatal(err)
	}
	second := r.take()
	atWorker, err := r.events(id)
	if err != nil || len(atWorker) != len(running)+1 || atWorker[len(running)].EventType != "task_picked_up" || atWorker[len(running)].TaskID != second.ID {
		t.Errorf("while a worker has the task the history is %s (%v)", names(atWorker), err)
	}
	r.answer(second, success(`{"a": 1}`))
	r.drain()
	want := "created state_started task_dispatched task_picked_up progress task_attempt_failed task_requeued task_picked_up task_finished state_finished state_started state_finished"
	events := sink.of(id)
	if got := names(events); got != want {
		t.Fatalf("events are\n%s, want\n%s", got, want)
	}
	failed, done := events[5], events[9]
	if failed.Attempt != 1 || failed.Worker == "" || failed.TaskID != task.ID || !strings.Contains(string(failed.Details), job.CodeTransient) {
		t.Errorf("the failed attempt is %+v", failed)
	}
	if done.State != "start" || done.NextState != "finished" || done.Duration == nil || *done.Duration < 2000 || events[10].Previous != "start" {
		t.Errorf("the end of the first state is %+v, the next begins with %+v", done, events[10])
	}
	var snapshot map[string]any
	if err := json.Unmarshal(done.Snapshot, &snapshot); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"job_id", "blueprint_name", "current_state", "status", "initial_data", "state_history"} {
		if snapshot[key] == nil {
			t.Errorf("the snapshot %s lacks %s", done.Snapshot, key)
		}
	}
}

// A sink that hangs or is away stops no job, and is fed when it is back.
func TestJobsDoNotWaitForTheCopy(t *testing.T) {
	sink := &memorySink{block: make(chan struct{})}
	r := newRig(t, func(c *Config) { c.History = sink })
	r.run()
	var ids []string
	for range 5 {
		id, _, err := r.Submit(r.ctx, Request{Blueprint: "straight"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		await(t, r, id)
	}
	close(sink.block)
	for r.copied(ids) == false {
		r.clock.Advance(time.Minute)
	}
	for _, id := range ids {
		sameCopy(t, r, sink, id)
	}
}

// await waits until a job has ended.
func await(t *testing.T, r *rig, id string) {
	t.Helper()
	changed, stop := r.Watch(id)
	defer stop()
	for !r.job(id).Status.Terminal() {
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("job %s waits for the copy", id)
		}
	}
}

// copied reports whether no mark is left.
func (r *rig) copied(ids []string) bool {
	r.t.Helper()
	left, err := r.rows.Messages(r.ctx, noon.AddDate(5000, 0, 0), 10)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(left) == 0
}

// Snapshots are bounded, each and all together.
func TestSnapshotsAreBounded(t *testing.T) {
	b := newHistoryBuilder(&job.Job{ID: "j"}, json.RawMessage(`{"x":"`+strings.Repeat("i", 40<<10)+`"}`))
	b.history = json.RawMessage(`{"y":"` + strings.Repeat("h", 40<<10) + `"}`)
	if s := b.snapshot(&job.Record{}, "s"); len(s) > snapshotBytes || !strings.Contains(string(s), "hhh") || !strings.Contains(string(s), `"left out: `) {
		t.Errorf("40 KiB of each give a snapshot of %d bytes", len(s))
	}
	b.budget = 100 << 10
	total := 0
	for range 50 {
		total += len(b.snapshot(&job.Record{}, "s"))
	}
	if total > 200<<10 {
		t.Errorf("with a budget of 100 KiB, 50 snapshots have %d bytes", total)
	}
}
