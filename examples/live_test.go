package examples

// This file tests what a single scripted job can not show: several jobs at one queue, a cancel
// and progress while a worker is busy, the one-time token of an approval. The engine and the
// workers' hub are the real ones; a worker is played by calling the hub as the HTTP layer does.

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store/anystore"
	"orrery/workers"
	"orrery/workers/protocol"
)

// grace is how long a worker may take to stop a cancelled task.
const grace = 30 * time.Second

// bench is an engine with one worker, in simulated time.
type bench struct {
	t      *testing.T
	ctx    context.Context
	clock  *clock.Fake
	engine *engine.Engine
	hub    *workers.Hub
	caller workers.Caller
}

// newBench loads one recipe and registers a worker for the task type; mods change what the
// engine is made of.
func newBench(t *testing.T, file, taskType string, mods ...func(*engine.Config)) *bench {
	t.Helper()
	return newBenchWith(t, file, taskType, workers.Config{}, mods...)
}

// newBenchWith is newBench with a hub of its own kind.
func newBenchWith(t *testing.T, file, taskType string, hub workers.Config, mods ...func(*engine.Config)) *bench {
	t.Helper()
	b := &bench{
		t: t, ctx: t.Context(), clock: clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
		caller: workers.Caller{WorkerID: "w1", Token: "secret", Age: protocol.AgeC18},
	}
	kept := anystore.New(t)
	var err error
	hub.Clock, hub.Records, hub.SharedToken = b.clock, kept, "secret"
	b.hub, err = workers.New(b.ctx, hub)
	b.must(err)
	cfg := engine.Config{Store: kept, Clock: b.clock, Blueprints: book{compile(t, file)}, Dispatcher: b.hub, CancelGrace: grace}
	for _, mod := range mods {
		mod(&cfg)
	}
	b.engine, err = engine.New(cfg)
	b.must(err)
	b.hub.Attach(b.engine)
	t.Cleanup(b.hub.Close)
	_, err = b.hub.Register(b.ctx, b.caller, fmt.Appendf(nil,
		`{"worker_id": "w1", "worker_type": "test", "supported_skills": [{"name": %q, "type": %q}], "available_skills": [%q]}`, taskType, taskType, taskType))
	b.must(err)
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) settle() {
	b.t.Helper()
	b.must(b.engine.Settle(b.ctx))
}

// start submits a job and lets it run until it waits.
func (b *bench) start(blueprint, data string) (id string) {
	b.t.Helper()
	id, _, err := b.engine.Submit(b.ctx, engine.Request{Blueprint: blueprint, InitialData: json.RawMessage(data)})
	b.must(err)
	b.settle()
	return id
}

// task is what a worker gets from a poll.
type task struct {
	JobID  string         `json:"job_id"`
	TaskID string         `json:"task_id"`
	Type   string         `json:"type"`
	Params map[string]any `json:"params"`
}

// take polls once; the task must be there already.
func (b *bench) take() (got task) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	body, err := b.hub.Poll(ctx, b.caller, nil, time.Minute, nil)
	b.must(err)
	if body == nil {
		b.t.Fatal("no task is queued")
	}
	b.must(json.Unmarshal(body, &got))
	return got
}

// give returns a result, its fields given as JSON.
func (b *bench) give(of task, fields string) {
	b.t.Helper()
	_, err := b.hub.Result(b.ctx, b.caller, fmt.Appendf(nil,
		`{"worker_id": "w1", "job_id": %q, "task_id": %q, %s}`, of.JobID, of.TaskID, fields))
	b.must(err)
	b.settle()
}

func (b *bench) view(id string) *engine.View {
	b.t.Helper()
	v, err := b.engine.View(b.ctx, id)
	b.must(err)
	return v
}

// ended checks where and how a job ended.
func (b *bench) ended(id string, status job.Status, state string) {
	b.t.Helper()
	if v := b.view(id); v.Status != status || v.State != state {
		b.t.Errorf("job is %s in %s, want %s in %s", v.Status, v.State, status, state)
	}
}

func TestUrgentJobsOvertake(t *testing.T) {
	b := newBench(t, "07-task-priority/blueprint.star", "computation")
	for _, data := range []string{`{"n": 1}`, `{"n": 2}`, `{"n": 3, "is_urgent": true}`, `{"n": 4}`, `{"n": 5, "is_urgent": true}`} {
		b.start("priority_flow", data)
		b.clock.Advance(time.Millisecond) // the order of arrival is known to the millisecond
	}
	for _, want := range []float64{3, 5, 1, 2, 4} {
		got := b.take()
		if got.Params["n"] != want {
			t.Errorf("the worker got job %v, want %v: the urgent ones first, else in order of arrival", got.Params["n"], want)
		}
		b.give(got, `"data": {"result": 1}`)
		b.ended(got.JobID, job.Finished, "finished")
	}
}

func TestCancelReachesTheBusyWorker(t *testing.T) {
	b := newBench(t, "10-cancel-running-task/blueprint.star", "long_video_processing")
	id := b.start("cancellable_flow", `{"frames": 1000}`)
	busy := b.take()
	if b.hub.Cancelled(busy.TaskID) {
		t.Error("the task counts as cancelled before anybody asked")
	}
	b.must(b.engine.Cancel(b.ctx, id, "test"))
	b.settle()
	if !b.hub.Cancelled(busy.TaskID) {
		t.Error("check_for_cancellation would not hear of the cancel")
	}
	if v := b.view(id); v.CancelRequestedAt == nil || v.Status.Terminal() {
		t.Errorf("before the worker has answered the job is %s, cancel_requested_at %v; want it open with a date", v.Status, v.CancelRequestedAt)
	}
	b.give(busy, `"status": "cancelled"`)
	b.ended(id, job.Cancelled, "task_cancelled")
}

func TestCancelDoesNotWaitForASilentWorker(t *testing.T) {
	b := newBench(t, "10-cancel-running-task/blueprint.star", "long_video_processing")
	id := b.start("cancellable_flow", `{}`)
	busy := b.take()
	b.must(b.engine.Cancel(b.ctx, id, "test"))
	b.settle()
	b.clock.Advance(grace + time.Second)
	b.settle()
	b.ended(id, job.Cancelled, "task_cancelled")
	b.give(busy, `"data": {"frames": 1000}`)
	b.ended(id, job.Cancelled, "task_cancelled")
}

func TestProgressIsShownWithTheJob(t *testing.T) {
	b := newBench(t, "11-task-progress/blueprint.star", "train_model")
	id := b.start("training_flow", `{"epochs": 2}`)
	busy := b.take()
	for epoch := 1; epoch <= 2; epoch++ {
		b.clock.Advance(time.Second)
		_, err := b.hub.Event(b.ctx, b.caller, fmt.Appendf(nil,
			`{"event_id": "e%d", "event_type": "progress", "worker_id": "w1", "origin_worker_id": "w1", "target_job_id": %q, "target_task_id": %q, "origin_task_id": %q,
			  "payload": {"progress": %g, "message": "epoch %d of 2 done"}}`, epoch, busy.JobID, busy.TaskID, busy.TaskID, float64(epoch)/2, epoch))
		b.must(err)
	}
	b.give(busy, `"data": {"epochs_done": 2}`)
	b.ended(id, job.Finished, "finished")

	var history struct {
		Updates []struct {
			Progress  float64
			Message   string
			Timestamp time.Time
			TaskID    string `json:"task_id"`
		} `json:"progress_updates"`
		Done int `json:"epochs_done"`
	}
	b.must(json.Unmarshal(b.view(id).StateHistory, &history))
	if len(history.Updates) != 2 || history.Done != 2 {
		t.Fatalf("state_history is %s, want two progress_updates and epochs_done 2", b.view(id).StateHistory)
	}
	for i, u := range history.Updates {
		want := fmt.Sprintf("epoch %d of 2 done", i+1)
		if u.Message != want || u.Progress != float64(i+1)/2 || u.TaskID != busy.TaskID || u.Timestamp.IsZero() {
			t.Errorf("update %d is %+v, want %q of task %s with a time", i, u, want, busy.TaskID)
		}
	}
}

func TestApprovalTokenDecidesOnce(t *testing.T) {
	b := newBench(t, "02-human-approval/blueprint.star", "data_generation")
	first, second := b.start("moderation_flow", `{"topic": "a"}`), b.start("moderation_flow", `{"topic": "b"}`)
	for range 2 {
		b.give(b.take(), `"data": {"text": "..."}`)
	}
	// A token is made for one job and one step; the step is where the job waits now.
	tokenOf := func(id string) string {
		for step := range int64(10) {
			if token := b.engine.ApprovalToken(id, step); b.engine.CheckToken(b.ctx, id, token) == nil {
				return token
			}
		}
		t.Fatalf("job %s waits for no token", id)
		return ""
	}
	token := tokenOf(first)
	for what, bad := range map[string]string{"no": "", "another job's": tokenOf(second), "a made-up": "AAAA"} {
		if err := b.engine.DecideByToken(b.ctx, first, "approved", bad); engine.FaultCode(err) != engine.BadToken {
			t.Errorf("with %s token: %v, want bad_token", what, err)
		}
	}
	if err := b.engine.DecideByToken(b.ctx, first, "maybe", token); engine.FaultCode(err) != engine.BadDecision {
		t.Errorf("a decision that is not offered: %v, want bad_decision", err)
	}
	b.must(b.engine.DecideByToken(b.ctx, first, "rejected", token))
	b.settle()
	b.ended(first, job.Finished, "rejected_by_moderator")
	if err := b.engine.DecideByToken(b.ctx, first, "approved", token); engine.FaultCode(err) != engine.BadToken {
		t.Errorf("the same token again: %v, want bad_token", err)
	}

	// The other job is decided by nobody.
	b.clock.Advance(24*time.Hour + time.Second)
	b.settle()
	b.ended(second, job.Failed, "approval_expired")
	if err := b.engine.Decide(b.ctx, second, "approved", "late"); engine.FaultCode(err) != engine.Ended {
		t.Errorf("a late decision: %v, want ended", err)
	}
}
