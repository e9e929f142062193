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

// Records gives the next history records of a job, those with N > after: as many as a page
// of the store holds, and none when there are no more. Fault: not_found.
func (e *Engine) Records(ctx context.Context, id string, after int64) ([]job.Record, error) {
	page, err := e.store.Records(ctx, id, after, recordsBatch)
	return page, faultFrom(err, id)
}

// eachRecord calls fn for the records of a job after one of them, in order, with no more than
// a page of them in memory; fn says whether to go on.
func (e *Engine) eachRecord(ctx context.Context, id string, after int64, fn func(*job.Record) (more bool, err error)) error {
	for {
		page, err := e.store.Records(ctx, id, after, recordsBatch)
		if err != nil || len(page) == 0 {
			return faultFrom(err, id)
		}
		for i := range page {
			if more, err := fn(&page[i]); err != nil || !more {
				return err
			}
		}
		after = page[len(page)-1].N
	}
}

// History calls take with the events of a job's history, a record's at a time, in the order
// in which they became known: a history may be larger than memory. Fault: not_found, before
// the first call.
func (e *Engine) History(ctx context.Context, id string, take func([]HistoryEvent) error) error {
	b, err := e.historyBuilder(ctx, id)
	if err != nil {
		return err
	}
	b.budget = historyBytes
	err = e.eachRecord(ctx, id, 0, func(r *job.Record) (bool, error) {
		events, err := b.add(r)
		if err == nil {
			err = take(events)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return e.eachOpen(ctx, id, func(t *job.Task) error {
		if t.State != job.TaskLeased { // what is at a worker now has no record yet
			return nil
		}
		return take([]HistoryEvent{b.pickedUp(b.last, b.state, noteOfLease(t))})
	})
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
