package engine

import (
	"context"
	"encoding/json"

	"orrery/engine/job"
)

// This file builds the history of recipe 23 from the records of a job.

const (
	recordsBatch  = 1000
	snapshotBytes = 64 << 10 // of one event
	historyBytes  = 16 << 20 // of all snapshots of one reading
)

// HistoryEvent is one thing that happened to a job, as the original shows it. The record that
// it comes from stands beside the first event of each record.
type HistoryEvent struct {
	EventID   string          `json:"event_id"` // the same whenever the history is read
	JobID     string          `json:"job_id"`
	Timestamp Time            `json:"timestamp"`
	State     string          `json:"state"`
	EventType string          `json:"event_type"`
	Duration  *float64        `json:"duration_ms"`
	Previous  string          `json:"previous_state,omitempty"`
	NextState string          `json:"next_state,omitempty"`
	Worker    string          `json:"worker_id,omitempty"`
	Attempt   int             `json:"attempt_number,omitempty"`
	TaskID    string          `json:"task_id,omitempty"`
	Details   json.RawMessage `json:"details,omitempty"`          // what else there is to say, an object
	Snapshot  json.RawMessage `json:"context_snapshot,omitempty"` // the whole job, at most 64 KiB
	Record    *job.Record     `json:"record,omitempty"`

	RecordN int64 `json:"-"` // the number of the record that it comes from
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

// History gives a job's history as events, in the order in which they became known. Fault:
// not_found.
func (e *Engine) History(ctx context.Context, id string) ([]HistoryEvent, error) {
	b, err := e.historyBuilder(ctx, id)
	if err != nil {
		return nil, err
	}
	b.budget = historyBytes
	var events []HistoryEvent
	for {
		batch, err := e.store.Records(ctx, id, b.last, recordsBatch)
		if err != nil {
			return nil, err
		}
		for i := range batch {
			more, err := b.add(&batch[i])
			if err != nil {
				return nil, err
			}
			events = append(events, more...)
		}
		if len(batch) < recordsBatch {
			break
		}
	}
	open, err := e.store.OpenTasks(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range open { // what is at a worker now has no record yet
		if t := &open[i]; t.State == job.TaskLeased {
			events = append(events, b.pickedUp(b.last, b.state, noteOfLease(t)))
		}
	}
	return events, nil
}

func noteOfLease(t *job.Task) *job.TaskNote {
	return &job.TaskNote{N: t.N, ID: t.ID, Type: t.Type, Worker: t.Worker, Attempt: t.Attempt, LeasedAt: &job.Time{Time: t.LeasedAt}}
}

// historyBuilder reads what every event of a job says of the job as a whole.
func (e *Engine) historyBuilder(ctx context.Context, id string) (*historyBuilder, error) {
	j, data, err := e.store.Load(ctx, id)
	if err != nil {
		return nil, faultFrom(err, id)
	}
	progress, err := e.store.Progress(ctx, id)
	if err != nil {
		return nil, err
	}
	b := newHistoryBuilder(j, data.Initial)
	b.progress = progress
	return b, nil
}
