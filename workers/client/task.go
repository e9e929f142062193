// Tasks as handlers see them.

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"orrery/workers/protocol"
)

// Task is one piece of work. Its methods are safe for concurrent use, except
// EndWith.
type Task struct {
	ID       string
	JobID    string
	Type     string
	Priority float64
	// Params is what the blueprint gave, decoded as encoding/json does: numbers
	// are float64. Use Decode for whole numbers beyond 2^53.
	Params map[string]any
	// Tracing holds the W3C trace headers below which the task stands. A handler that makes
	// a span of its own puts that span's headers here: the result is sent with them.
	Tracing map[string]string
	// Deadline is when the result is of no more use; zero when there is none.
	Deadline time.Time

	raw    json.RawMessage
	status string
	worker *Worker
	link   *link // to the orchestrator that it came from
	broken error // why the task cannot be done, found before its handler runs
}

// Decode reads the params into v, usually a pointer to a struct. The error is
// marked as invalid input, so a handler can return it as it is.
func (t *Task) Decode(v any) error {
	if err := json.Unmarshal(t.raw, v); err != nil {
		return Invalid(fmt.Errorf("params of task type %s: %w", t.Type, err))
	}
	return nil
}

// EndWith gives the result a status of the blueprint's own, such as
// "needs_review", instead of success. It has no effect if the handler fails.
func (t *Task) EndWith(status string) { t.status = status }

// Progress tells how far the task is, from 0 to 1, with a text for people. An
// error means that nobody heard it; the task can go on.
func (t *Task) Progress(ctx context.Context, fraction float64, text string) error {
	return t.Event(ctx, protocol.EventProgress, map[string]any{"progress": fraction, "message": text})
}

// Event sends an event of a kind of the handler's own, over the WebSocket when
// it is open, else over HTTP.
func (t *Task) Event(ctx context.Context, kind string, payload map[string]any) error {
	w := t.worker
	body, err := w.signed(t.link, w.eventMessage(t, uuid.NewString(), kind, payload))
	if err != nil {
		return err
	}
	if t.link.sendOnSocket(ctx, body) {
		return nil
	}
	_, err = t.link.do(ctx, http.MethodPost, "/events", body, requestTimeout)
	return err
}

// Cancelled asks the server whether the job's owner wants the task stopped. The
// handler's context tells the same without asking, a heartbeat later at most
// when there is no WebSocket.
func (t *Task) Cancelled(ctx context.Context) (bool, error) {
	got, err := t.link.do(ctx, http.MethodGet, "/tasks/"+url.PathEscape(t.ID)+"/cancelled", nil, requestTimeout)
	if err != nil {
		return false, err
	}
	var reply struct {
		Cancelled bool `json:"cancelled"`
	}
	if err := json.Unmarshal(got.body, &reply); err != nil {
		return false, err
	}
	return reply.Cancelled, nil
}

// decodeTask reads the answer to a poll. A task that names itself but cannot be
// done is returned as broken, so that the server hears about it.
func (w *Worker) decodeTask(l *link, body []byte) (*Task, error) {
	var wire struct {
		JobID    string            `json:"job_id"`
		TaskID   string            `json:"task_id"`
		Type     string            `json:"type"`
		Params   json.RawMessage   `json:"params"`
		Tracing  map[string]string `json:"tracing_context"`
		Priority float64           `json:"priority"`
		Deadline int64             `json:"deadline"`
		Sig      string            `json:"sig"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.TaskID == "" {
		return nil, errors.Join(errors.New("the server sent something that is no task"), err)
	}
	t := &Task{
		ID: wire.TaskID, JobID: wire.JobID, Type: wire.Type, Priority: wire.Priority, Tracing: wire.Tracing,
		Params: map[string]any{}, raw: wire.Params, worker: w, link: l,
	}
	if t.Tracing == nil {
		t.Tracing = map[string]string{}
	}
	if wire.Deadline > 0 {
		t.Deadline = time.Unix(wire.Deadline, 0)
	}
	if len(t.raw) == 0 {
		t.raw = json.RawMessage("{}")
	}
	if err := json.Unmarshal(t.raw, &t.Params); err != nil {
		t.broken = Invalid(fmt.Errorf("params must be an object: %w", err))
	}
	if w.cfg.SecretKey != "" {
		want, err := protocol.Sign(body, w.cfg.SecretKey)
		if err != nil || want != wire.Sig {
			t.broken = &Failure{Code: protocol.ErrSecurity, Err: errors.New("the task's signature is missing or wrong; check that server and worker have the same ORCHESTRATOR_SECRET_KEY")}
		}
	}
	return t, nil
}
