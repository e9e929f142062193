package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"orrery/engine/job"
)

// This file builds the history of recipe 23 from the records of a job.

const (
	recordsBatch  = 1000
	snapshotBytes = 64 << 10
)

// HistoryEvent is one entry of the history as the original shows it, with the record that
// it comes from beside it.
type HistoryEvent struct {
	EventID   string          `json:"event_id"`
	JobID     string          `json:"job_id"`
	Timestamp Time            `json:"timestamp"`
	State     string          `json:"state"`
	EventType string          `json:"event_type"`
	Duration  *float64        `json:"duration_ms"`
	NextState string          `json:"next_state,omitempty"`
	Snapshot  json.RawMessage `json:"context_snapshot,omitempty"`
	Record    *job.Record     `json:"record,omitempty"`
}

// Records gives a job's history records with N > after, all of them. Fault: not_found.
func (e *Engine) Records(ctx context.Context, id string, after int64) ([]job.Record, error) {
	if _, err := e.store.Job(ctx, id); err != nil {
		return nil, faultFrom(err, id)
	}
	var all []job.Record
	for {
		batch, err := e.store.Records(ctx, id, after, recordsBatch)
		if err != nil {
			return nil, err
		}
		all = append(all, batch...)
		if len(batch) < recordsBatch {
			return all, nil
		}
		after = batch[len(batch)-1].N
	}
}

// History gives a job's history as events: state_started and state_finished for each state
// passed, and the other records under their own names. Fault: not_found.
func (e *Engine) History(ctx context.Context, id string) ([]HistoryEvent, error) {
	records, err := e.Records(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	b := historyBuilder{job: id}
	for i := range records {
		if err := b.add(&records[i]); err != nil {
			return nil, err
		}
	}
	return b.events, nil
}

type historyBuilder struct {
	job    string
	open   bool // the present state has begun and not ended
	began  time.Time
	state  json.RawMessage // state_history so far
	events []HistoryEvent
}

func (b *historyBuilder) add(r *job.Record) error {
	if r.Kind == job.RecStep && !b.open {
		b.start(r, r.State, r.At.Add(-time.Duration(r.Duration*float64(time.Millisecond))))
	}
	if r.Kind == job.RecCreated {
		b.start(r, r.State, r.At.Time)
	}
	if err := b.fold(r); err != nil {
		return err
	}
	left := r.Next != "" || r.Status.Terminal()
	if r.Kind != job.RecCreated && (r.Kind != job.RecStep || !left) {
		b.events = append(b.events, HistoryEvent{EventID: b.id(r, "record"), JobID: b.job, Timestamp: Time(r.At.Time),
			State: r.State, EventType: string(r.Kind), NextState: r.Next, Record: r})
	}
	if left && b.open {
		ms := float64(r.At.Sub(b.began).Microseconds()) / 1000
		b.events = append(b.events, HistoryEvent{EventID: b.id(r, "finished"), JobID: b.job, Timestamp: Time(r.At.Time),
			State: r.State, EventType: "state_finished", Duration: &ms, NextState: r.Next, Snapshot: b.snapshot(r), Record: stepOnly(r)})
		b.open = false
		if r.Next != "" {
			b.start(r, r.Next, r.At.Time)
		}
	}
	return nil
}

// stepOnly attaches the record to state_finished when it has no event of its own.
func stepOnly(r *job.Record) *job.Record {
	if r.Kind == job.RecStep {
		return r
	}
	return nil
}

func (b *historyBuilder) start(r *job.Record, state string, at time.Time) {
	b.open, b.began = true, at
	b.events = append(b.events, HistoryEvent{EventID: b.id(r, "started"), JobID: b.job, Timestamp: Time(at),
		State: state, EventType: "state_started", Snapshot: b.snapshot(r)})
}

// id is the same whenever the history is read.
func (b *historyBuilder) id(r *job.Record, what string) string {
	return fmt.Sprintf("%s/%d/%s", b.job, r.N, what)
}

func (b *historyBuilder) fold(r *job.Record) error {
	for _, key := range r.Unset {
		fields, err := job.Fields(b.state)
		if err != nil {
			return err
		}
		kept := fields[:0]
		for _, f := range fields {
			if f.Key != key {
				kept = append(kept, f)
			}
		}
		b.state = job.Object(kept)
	}
	set := make([]job.Field, 0, len(r.Set))
	for _, key := range slices.Sorted(maps.Keys(r.Set)) { // the same whenever the history is read
		set = append(set, job.Field{Key: key, Value: r.Set[key]})
	}
	next, err := job.Merge(b.state, job.Object(set))
	b.state = next
	return err
}

func (b *historyBuilder) snapshot(r *job.Record) json.RawMessage {
	fields := []job.Field{
		{Key: "status", Value: text(string(r.Status))},
		{Key: "state_history", Value: orEmpty(b.state)},
	}
	if len(b.state) > snapshotBytes {
		fields[1].Value = text(fmt.Sprintf("left out: %d bytes, over %d", len(b.state), snapshotBytes))
	}
	return job.Object(fields)
}

func text(s string) json.RawMessage {
	out, err := json.Marshal(s)
	if err != nil { // a string always encodes
		panic(err)
	}
	return out
}
