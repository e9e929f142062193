// Events: progress and custom events, over HTTP and in three WebSocket forms.

package protocol

import (
	"bytes"
	"encoding/json"
	"math"
)

// EventProgress is the Type of an event that tells how far a task is.
const EventProgress = "progress"

// Event is something a worker tells about a running task.
type Event struct {
	ID       string // unique per event in C, empty before
	Type     string // EventProgress, or whatever the handler named
	WorkerID string // empty in A and B: find the worker by the task
	TaskID   string
	JobID    string
	// Progress is 0 to 1, and Message a text for people; only for EventProgress.
	Progress float64
	Message  string
	// Payload is what a custom event carries, as it came; nil when absent.
	Payload json.RawMessage
	// Timestamp is the worker's clock, seconds since 1970, 0 when not said.
	Timestamp float64
}

// IsProgress tells progress from custom events.
func (e Event) IsProgress() bool { return e.Type == EventProgress }

// ParseEvent reads a body of POST /_worker/events or a text frame of a worker's
// WebSocket: {"type":"progress_update"} of A, {"event":"progress_update"} of B,
// {"event_type":..,"payload":..} of C.
func ParseEvent(body []byte) (Event, error) {
	o, err := decodeObject(body)
	if err != nil {
		return Event{}, err
	}
	e := Event{
		ID:      looseText(o.raw("event_id")),
		TaskID:  looseText(firstOf(o, "target_task_id", "task_id", "origin_task_id")),
		JobID:   looseText(firstOf(o, "target_job_id", "job_id")),
		Payload: bytes.Clone(o.raw("payload")),
	}
	if e.WorkerID, err = o.id("worker_id"); err != nil {
		return Event{}, err
	}
	if at, err := o.number("timestamp"); err == nil && at != nil {
		e.Timestamp = *at
	}
	if e.Type = looseText(firstOf(o, "event_type", "event", "type")); e.Type == "" {
		return Event{}, &Error{Code: CodeMissing, Field: "event_type", What: `is needed; progress has "event_type": "progress"`}
	}
	if e.Type != "progress_update" && e.Type != EventProgress {
		return e, nil
	}
	e.Type = EventProgress
	return e, e.readProgress(o)
}

func (e *Event) readProgress(o object) error {
	if e.TaskID == "" {
		return &Error{Code: CodeMissing, Field: "task_id", What: "is needed with progress"}
	}
	from := o
	if o.has("payload") {
		inner, err := o.child("payload")
		if err != nil {
			return err
		}
		from = inner
	}
	fraction, err := from.number("progress")
	if err != nil {
		return err
	}
	if fraction != nil {
		e.Progress = math.Min(1, math.Max(0, *fraction))
	}
	e.Message = looseText(from.raw("message"))
	return nil
}

func firstOf(o object, spellings ...string) json.RawMessage {
	for _, name := range spellings {
		if raw := o.raw(name); raw != nil {
			return raw
		}
	}
	return nil
}
