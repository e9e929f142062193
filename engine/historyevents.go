package engine

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file turns the records of a job into events: one for each thing that happened.

// historyBuilder goes through the records of one job in their order.
type historyBuilder struct {
	job, blueprint string
	initial        json.RawMessage
	progress       []store.Progress
	budget         int // bytes that snapshots may still take; below 0: any number

	last     int64 // number of the newest record that was added
	open     bool  // the present state has begun and not ended
	began    time.Time
	state    string
	previous string          // the state before
	history  json.RawMessage // state_history so far
}

func newHistoryBuilder(j *job.Job, initial json.RawMessage) *historyBuilder {
	return &historyBuilder{job: j.ID, blueprint: j.Blueprint, initial: initial, budget: -1}
}

// size is about what the builder holds in memory.
func (b *historyBuilder) size() int { return len(b.initial) + len(b.history) + 1024 }

// recordEvents gives the names of what a record tells, where they differ from its kind.
var recordEvents = map[job.RecordKind]string{
	job.RecTaskEnd: "task_finished", job.RecTaskFail: "task_attempt_failed", job.RecApproval: "approval", job.RecCancelled: "cancelled",
}

// waitEvents gives the names of what a step that stays in its state has begun.
var waitEvents = map[job.Status]string{
	job.WaitingHuman: "approval_requested", job.WaitingSubJob: "sub_job_started", job.WaitingTimer: "timer_started",
}

// add gives the events of the next record.
func (b *historyBuilder) add(r *job.Record) (events []HistoryEvent, err error) {
	b.last = r.N
	if r.Kind == job.RecStep && !b.open {
		events = append(events, b.start(r, r.State, r.At.Add(-time.Duration(r.Duration*float64(time.Millisecond)))))
	}
	if err := b.fold(r); err != nil {
		return nil, err
	}
	left := r.Next != "" || r.Status.Terminal()
	events = append(events, b.told(r, left)...)
	if r.Kind == job.RecCreated {
		events = append(events, b.start(r, r.State, r.At.Time))
	} else if left && b.open {
		ms := float64(r.At.Sub(b.began).Microseconds()) / 1000
		done := b.event(r, "finished", "state_finished", r.State)
		done.Duration, done.NextState, done.Snapshot = &ms, r.Next, b.snapshot(r, r.State)
		events = append(events, done)
		b.open, b.previous = false, r.State
		if r.Next != "" {
			events = append(events, b.start(r, r.Next, r.At.Time))
		}
	}
	b.attach(events, r)
	return events, nil
}

// attach puts the record beside the event that tells it.
func (b *historyBuilder) attach(events []HistoryEvent, r *job.Record) {
	best := -1
	for i, e := range events {
		if e.EventType != "state_started" && e.EventType != "progress" && e.EventType != "task_picked_up" {
			best = i
			break
		}
	}
	if best < 0 && len(events) > 0 {
		best = 0
	}
	if best >= 0 {
		events[best].Record = r
	}
}

// told gives what happened beside the change of states.
func (b *historyBuilder) told(r *job.Record, left bool) (events []HistoryEvent) {
	if r.Kind != job.RecStep {
		if r.Task != nil && (r.Kind == job.RecTaskEnd || r.Kind == job.RecTaskFail) {
			if r.Task.LeasedAt != nil && r.Task.Worker != "" {
				events = append(events, b.pickedUp(r.N, r.State, r.Task))
			}
			events = append(events, b.progressOf(r)...)
		}
		name := string(r.Kind)
		if own, ok := recordEvents[r.Kind]; ok {
			name = own
		}
		e := b.event(r, "record", name, r.State)
		e.NextState, e.Details = r.Next, details(r)
		b.ofTask(&e, r.Task)
		return append(events, e)
	}
	for i := range r.Tasks {
		e := b.event(r, fmt.Sprintf("task%d", r.Tasks[i].N), "task_dispatched", r.State)
		e.Details = encoded(map[string]any{"task": r.Tasks[i].N, "task_type": r.Tasks[i].Type, "priority": r.Tasks[i].Priority})
		events = append(events, e)
	}
	name, waits := waitEvents[r.Status]
	switch {
	case r.Error != nil:
		name = "step_failed"
	case !waits && (left || len(events) > 0):
		return events
	case !waits: // an aggregator that stays, or a state that is entered again
		name = "step"
	}
	e := b.event(r, "record", name, r.State)
	e.Details = details(r)
	return append(events, e)
}

// event makes an event of a record; what tells the events of one record apart.
func (b *historyBuilder) event(r *job.Record, what, name, state string) HistoryEvent {
	return HistoryEvent{EventID: fmt.Sprintf("%s/%d/%s", b.job, r.N, what), JobID: b.job, Timestamp: Time(r.At.Time), State: state,
		EventType: name, Previous: b.previous, RecordN: r.N}
}

func (b *historyBuilder) start(r *job.Record, state string, at time.Time) HistoryEvent {
	b.open, b.began, b.state = true, at, state
	e := b.event(r, "started", "state_started", state)
	e.Timestamp, e.Snapshot = Time(at), b.snapshot(r, state)
	return e
}

// pickedUp says that a worker got a task. Its id is that of the hand-out, so it is the same
// before and after the result.
func (b *historyBuilder) pickedUp(record int64, state string, n *job.TaskNote) HistoryEvent {
	e := HistoryEvent{EventID: b.job + "/picked_up/" + n.ID, JobID: b.job, Timestamp: Time(n.LeasedAt.Time), State: state,
		EventType: "task_picked_up", Previous: b.previous, RecordN: record}
	b.ofTask(&e, n)
	return e
}

func (b *historyBuilder) ofTask(e *HistoryEvent, n *job.TaskNote) {
	if n != nil {
		e.Worker, e.Attempt, e.TaskID = n.Worker, n.Attempt, n.ID
	}
}

// progressOf gives the reports about the try that a record ends. Their ids come from what they
// say, because the store keeps only the newest and numbers none.
func (b *historyBuilder) progressOf(r *job.Record) (events []HistoryEvent) {
	for _, p := range b.progress {
		if p.TaskID != r.Task.ID {
			continue
		}
		h := fnv.New64a()
		fmt.Fprint(h, p.Progress, p.Message) // a hash never fails
		e := b.event(r, fmt.Sprintf("progress/%d/%x", p.Timestamp.UnixMilli(), h.Sum64()), "progress", r.State)
		if slices.ContainsFunc(events, func(x HistoryEvent) bool { return x.EventID == e.EventID }) {
			continue // said twice in a millisecond
		}
		e.Timestamp, e.Details = Time(p.Timestamp.Time), encoded(map[string]any{"progress": p.Progress, "message": p.Message})
		b.ofTask(&e, r.Task)
		events = append(events, e)
	}
	return events
}

// details gives what a record says beside states and tasks; nil when it is nothing.
func details(r *job.Record) json.RawMessage {
	d := map[string]any{}
	if r.Error != nil {
		d["error"] = map[string]any{"code": r.Error.Code, "message": r.Error.Message}
	}
	if r.By != "" {
		d["by"] = r.By
	}
	if r.Detail != "" {
		d["detail"] = r.Detail
	}
	if r.Task != nil {
		d["task_type"] = r.Task.Type
		if r.Task.Status != "" {
			d["status"] = r.Task.Status
		}
		if len(r.Task.Files) > 0 {
			d["data_metadata"] = r.Task.Files
		}
		if r.Task.Emulated {
			d["emulated"] = true
		}
	}
	if len(d) == 0 {
		return nil
	}
	return encoded(d)
}

func encoded(d map[string]any) json.RawMessage {
	raw, err := json.Marshal(d)
	if err != nil { // texts and numbers, and JSON that the store has read
		return json.RawMessage(`{}`)
	}
	return raw
}

// fold applies what a record changed in state_history.
func (b *historyBuilder) fold(r *job.Record) error {
	for _, key := range r.Unset {
		fields, err := job.Fields(b.history)
		if err != nil {
			return err
		}
		kept := fields[:0]
		for _, f := range fields {
			if f.Key != key {
				kept = append(kept, f)
			}
		}
		b.history = job.Object(kept)
	}
	set := make([]job.Field, 0, len(r.Set))
	for _, key := range slices.Sorted(maps.Keys(r.Set)) { // the same whenever the history is read
		set = append(set, job.Field{Key: key, Value: r.Set[key]})
	}
	next, err := job.Merge(b.history, job.Object(set))
	b.history = next
	return err
}

// snapshot is the whole job as it was, with what is too long left out and said.
func (b *historyBuilder) snapshot(r *job.Record, state string) json.RawMessage {
	history, initial := orEmpty(b.history), orEmpty(b.initial)
	const rest = 1 << 10 // for the other fields
	if len(history) > snapshotBytes-rest {
		history = text(fmt.Sprintf("left out: %d bytes, over %d", len(b.history), snapshotBytes))
	}
	if len(initial)+len(history) > snapshotBytes-rest {
		initial = text(fmt.Sprintf("left out: %d bytes", len(b.initial)))
	}
	if b.budget >= 0 && len(history)+len(initial) > b.budget {
		history, initial = text("left out: the snapshots before it filled the answer"), text("left out")
	}
	out := job.Object([]job.Field{
		{Key: "job_id", Value: text(b.job)},
		{Key: "blueprint_name", Value: text(b.blueprint)},
		{Key: "current_state", Value: text(state)},
		{Key: "status", Value: text(string(r.Status))},
		{Key: "initial_data", Value: initial},
		{Key: "state_history", Value: history},
	})
	if b.budget >= 0 {
		b.budget = max(0, b.budget-len(out))
	}
	return out
}

func text(s string) json.RawMessage {
	out, err := json.Marshal(s)
	if err != nil { // a string always encodes
		panic(err)
	}
	return out
}
