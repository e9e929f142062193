package workers

import (
	"context"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers/protocol"
)

// This file takes what workers tell about running tasks: progress and events of their own.

// Event takes the body of POST /_worker/events.
func (h *Hub) Event(ctx context.Context, c Caller, body []byte) ([]byte, error) {
	ev, err := protocol.ParseEvent(body)
	if err != nil {
		return nil, badRequest(err)
	}
	id := c.WorkerID
	if id == "" {
		id = ev.WorkerID
	}
	if id == "" {
		id = h.holder(ev.TaskID)
	}
	if ev.WorkerID != "" && ev.WorkerID != id || !h.admits(c, id) {
		return nil, ErrUnauthorized
	}
	h.mu.Lock()
	if w := h.workers[id]; w != nil {
		h.touch(w)
	}
	h.mu.Unlock()
	h.hearEvent(ctx, id, &ev)
	return protocol.EventReply(), nil
}

// hearEvent notes an event of the worker's task. stale is true when it is about a task that
// the worker has not got any more, and should stop.
func (h *Hub) hearEvent(ctx context.Context, workerID string, ev *protocol.Event) (stale bool) {
	h.mu.Lock()
	e := h.find(ev.TaskID)
	switch {
	case e == nil:
		h.mu.Unlock()
		return h.gaveOut(ctx, ev.TaskID)
	case e.lease.worker.id != workerID:
		h.mu.Unlock()
		return true
	}
	e.lease.confirmed, e.lease.misses = true, 0
	id := e.lease.id
	now := h.clock.Now()
	wanted := ev.IsProgress() && h.mayReport(e, now)
	asked := e.lease.cancel
	h.mu.Unlock()
	if !ev.IsProgress() {
		h.log.Debug("a worker sent an event", "type", ev.Type, "worker", workerID, "task_id", id)
	}
	if wanted {
		h.desk.Progress(h.reported(e, id), store.Progress{Progress: ev.Progress, Message: ev.Message, Timestamp: job.Time{Time: now}, TaskID: id})
	}
	return asked // it was told already; telling it again reaches those that connected since
}

// reported gives what a report is about; its params are not needed and not read for it.
func (h *Hub) reported(e *entry, id string) job.Task {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.lease != nil && e.task != nil {
		return e.stamped(*e.task)
	}
	return job.Task{JobID: e.key.job, N: e.key.n, ID: id, Type: e.class.taskType, State: job.TaskLeased, HandOut: int(e.handOut), Attempt: int(e.attempt)}
}

// mayReport counts the reports of one second; the first one that is dropped of a hand-out is told.
func (h *Hub) mayReport(e *entry, now time.Time) bool {
	l := e.lease
	if now.Sub(l.second) >= time.Second {
		l.second, l.reports = now, 0
	}
	if l.reports++; l.reports <= h.limits.Progress {
		return true
	}
	if !l.flooded {
		l.flooded = true
		h.log.Warn("a worker reports progress too often; what is too much is dropped",
			"worker", l.worker.id, "task_id", l.id, "limit", LimitProgress, "value", h.limits.Progress, "asked", l.reports)
	}
	return false
}
