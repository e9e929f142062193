// Doing one task: the handler's run, its outcome, and sending the result.

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"

	"orrery/workers/protocol"
)

// execution is a running task.
type execution struct {
	stop context.CancelCauseFunc
	over bool // the handler has returned, and its result could not be sent at once
}

// start runs a task beside the polls. Its context does not end with the
// worker's: running tasks are let finish.
func (w *Worker) start(ctx context.Context, t *Task) {
	taskCtx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	w.mu.Lock()
	if _, twice := w.running[t.ID]; twice {
		w.mu.Unlock()
		stop(nil)
		<-w.slots
		w.log.Warn("the server handed out a task that runs here already, ignored", "task_id", t.ID)
		return
	}
	e := &execution{stop: stop}
	w.running[t.ID] = e
	w.mu.Unlock()
	w.changed()
	w.tasks.Go(func() {
		defer stop(nil)
		result := w.outcome(taskCtx, t)
		var once sync.Once
		free := func() { once.Do(func() { <-w.slots }) }
		w.deliver(context.WithoutCancel(ctx), t, result, func() {
			// A server that is down must not keep the worker from the others. The task is
			// still listed in heartbeats, so that its own server does not give it away.
			w.mu.Lock()
			e.over = true
			w.mu.Unlock()
			free()
		})
		w.mu.Lock()
		delete(w.running, t.ID)
		w.mu.Unlock()
		free()
		w.changed()
	})
}

// outcome runs the handler and turns what it did into a result.
func (w *Worker) outcome(ctx context.Context, t *Task) message {
	var data map[string]any
	err := t.broken
	if err == nil {
		data, err = w.call(ctx, t)
	}
	m := message{"job_id": t.JobID, "task_id": t.ID, "origin_worker_id": w.cfg.ID}
	switch {
	case err == nil:
		m["data"] = data
		if data == nil {
			m["data"] = message{}
		}
		if t.status != "" && t.status != protocol.ResultSuccess {
			m["status"] = t.status
		}
		return m
	case errors.Is(context.Cause(ctx), errCancelled):
		m["status"] = protocol.ResultCancelled
		return m
	case errors.Is(context.Cause(ctx), errShutdown):
		err = Transient(fmt.Errorf("the worker was stopped: %w", err))
	}
	m["status"] = protocol.ResultFailure
	m["data"] = message{}
	m["error"] = failureOf(err)
	w.log.Warn("task failed", "task_id", t.ID, "job_id", t.JobID, "type", t.Type, "error", err)
	return m
}

func failureOf(err error) message {
	e := message{"code": protocol.ErrTransient, "message": err.Error()}
	var f *Failure
	if errors.As(err, &f) {
		e["code"] = f.Code
		if len(f.Details) > 0 {
			e["details"] = f.Details
		}
	}
	return e
}

// call runs the handler. A panic fails its task only, and the orchestrator
// tries it again as it does after any error without a mark.
func (w *Worker) call(ctx context.Context, t *Task) (data map[string]any, err error) {
	h, ok := w.handlers[t.Type]
	if !ok {
		return nil, Permanent(fmt.Errorf("this worker has no handler for the task type %q", t.Type))
	}
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("handler panicked", "task_id", t.ID, "type", t.Type, "panic", p, "stack", string(debug.Stack()))
			data, err = nil, &Failure{Code: protocol.ErrInternal, Err: fmt.Errorf("the handler of %s panicked: %v", t.Type, p)}
		}
	}()
	return h(ctx, t)
}

// deliver sends a result until the server has it, at most ResultAttempts times. late
// is called before every wait.
func (w *Worker) deliver(ctx context.Context, t *Task, m message, late func()) {
	log := w.log.With("task_id", t.ID, "job_id", t.JobID)
	body, err := w.signed(t.link, m)
	if err != nil {
		m = message{"job_id": t.JobID, "task_id": t.ID, "status": protocol.ResultFailure, "data": message{}}
		m["error"] = failureOf(Permanent(fmt.Errorf("what the handler of %s returned cannot be sent: %w", t.Type, err)))
		if body, err = w.signed(t.link, m); err != nil {
			log.Error("the result cannot be written, the server will hand the task out again", "error", err)
			return
		}
	}
	ctx = context.WithValue(ctx, traceKey{}, t.Tracing)
	wait := newBackoff(w.cfg.RetryDelay)
	for attempt := 1; ; attempt++ {
		got, err := t.link.do(ctx, http.MethodPost, "/tasks/result", body, requestTimeout)
		if err == nil {
			logIgnored(log, got.body)
			return
		}
		if attempt >= w.cfg.ResultAttempts || finalRefusal(statusOf(err)) {
			log.Error("the result is lost, the server will hand the task out again", "attempts", attempt, "error", err)
			return
		}
		log.Warn("the result was not taken, will send it again", "attempt", attempt, "error", err)
		late()
		wait.wait(ctx, err)
	}
}

// finalRefusal tells answers that the same message would get again.
func finalRefusal(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func logIgnored(log *slog.Logger, body []byte) {
	var reply struct{ Status, Reason, Message string }
	if json.Unmarshal(body, &reply) == nil && reply.Status == "ignored" {
		log.Info("the server ignored the result", "reason", reply.Reason, "message", reply.Message)
	}
}
