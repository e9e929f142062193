package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers/protocol"
)

// This file takes results: the fence decides, the desk makes them durable.

// Result takes a worker's result. The reply is always meant for status 200, also when the
// result does not count. Errors: ErrUnauthorized, a bad request, and ErrStoreFull when it
// could not be made durable within 20 s.
func (h *Hub) Result(ctx context.Context, c Caller, body []byte) ([]byte, error) {
	r, err := protocol.ParseResult(body)
	if err != nil {
		return nil, badRequest(err)
	}
	id := r.WorkerID
	if id == "" {
		id = c.WorkerID
	}
	if id == "" { // hand-written workers may leave it out; the lease says who it is
		id = h.holder(r.TaskID)
	}
	if id == "" { // a repetition, or a task nobody has: any known token may hear that
		if _, ok := h.auth.owner(c.Token, h.clock.Now()); !ok {
			return nil, ErrUnauthorized
		}
	} else if c.WorkerID != "" && c.WorkerID != id || !h.admits(c, id) {
		return nil, ErrUnauthorized
	}
	h.mu.Lock()
	if w := h.workers[id]; w != nil {
		h.touch(w)
	}
	h.mu.Unlock()
	out, err := h.finish(ctx, r.TaskID, h.outcomeOf(&r, id))
	if err != nil {
		return nil, err
	}
	return protocol.ResultReply(out), nil
}

// holder gives the id of the worker that has the task, or "".
func (h *Hub) holder(taskID string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.find(taskID); e != nil {
		return e.lease.worker.id
	}
	return ""
}

// longestWord is how much is kept of a status or an error code, in bytes. It is longer than
// any name that a script can give to a transition or a retry, so a part matches none.
const longestWord = 300

func (h *Hub) outcomeOf(r *protocol.Result, worker string) engine.Outcome {
	o := engine.Outcome{Status: job.Clip(r.Status, longestWord), Data: r.Data, Worker: worker, Metadata: r.DataMetadata}
	if r.Error != nil {
		o.Error = &job.Error{Code: job.Clip(r.Error.Code, longestWord), Message: job.Cut(r.Error.Message)}
		switch n := len(r.Error.Details); {
		case n > h.limits.Details:
			o.Error.Details = fmt.Sprintf("left out: %d bytes; the limit %s is %d bytes", n, LimitDetails, h.limits.Details)
		case n > 0:
			o.Error.Details = r.Error.Details
		}
	}
	if n := len(r.Data); n > h.limits.Data {
		// Not a refusal, which a worker would answer by sending the same again.
		o.Status, o.Data = protocol.ResultFailure, nil
		o.Error = &job.Error{Code: job.CodeContract, Message: fmt.Sprintf(
			"the result's data has %d bytes; the limit %s is %d bytes: put large data into a file and return its name", n, LimitData, h.limits.Data)}
	}
	return o
}

// finish brings a result to the desk. Repetitions that arrive while the first is being
// written wait for it and are then answered the same.
func (h *Hub) finish(ctx context.Context, taskID string, o engine.Outcome) (protocol.Outcome, error) {
	for {
		k, ours := parseFence(taskID)
		opening := ours && !h.desk.Open(k.job) // asked first: when it is open, its leases are known
		h.mu.Lock()
		e := h.find(taskID)
		if e == nil {
			known := h.accepted.has(taskID)
			h.mu.Unlock()
			switch {
			case known:
				return protocol.Outcome{}, nil
			case opening: // or of another node
				return protocol.Outcome{}, fmt.Errorf("%w (%w)", ErrStoreFull, engine.ErrElsewhere)
			}
			return h.absent(ctx, taskID, o)
		}
		l := e.lease
		if l.worker.id != o.Worker {
			h.mu.Unlock()
			return wrongWorker(taskID), nil
		}
		if wait := l.returning; wait != nil {
			h.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return protocol.Outcome{}, ErrStoreFull
			}
		}
		l.returning = make(chan struct{})
		h.byJob[e.key.job].returning++
		h.mu.Unlock()
		return h.settle(ctx, e, l, o)
	}
}

func wrongWorker(taskID string) protocol.Outcome {
	return protocol.Outcome{Ignored: protocol.ReasonWrongWorker, Message: "task " + taskID + " is at another worker"}
}

// settle writes the result of a lease that is marked as returning, and ends the lease.
func (h *Hub) settle(ctx context.Context, e *entry, l *lease, o engine.Outcome) (protocol.Outcome, error) {
	t, err := h.whole(ctx, e, l.id)
	var taken engine.Taken
	switch {
	case errors.Is(err, errGone):
	case errors.Is(err, store.ErrNotFound):
		taken = engine.Taken{Reason: protocol.ReasonJobNotFound, Message: "the job is not known any more"}
	case err == nil:
		taken, err = h.bring(ctx, t, o)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	close(l.returning)
	if e.lease == l {
		h.byJob[e.key.job].returning--
	}
	l.returning = nil
	switch {
	case errors.Is(err, errGone):
		return protocol.Outcome{Ignored: protocol.ReasonStaleTask, Message: "the task was taken back"}, nil
	case errors.Is(err, engine.ErrElsewhere):
		return protocol.Outcome{}, fmt.Errorf("%w (%w)", ErrStoreFull, err)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		h.log.Error("a result could not be stored; the worker must send it again", "task_id", l.id, "worker", o.Worker, "error", err)
		return protocol.Outcome{}, fmt.Errorf("%w (%w)", ErrStoreFull, err)
	}
	if e.lease == l { // the engine may have withdrawn or offered it again meanwhile
		h.drop(e)
	}
	if !taken.Accepted {
		return protocol.Outcome{Ignored: taken.Reason, Message: taken.Message}, nil
	}
	h.accepted.add(l.id)
	if o.Status != protocol.ResultCancelled {
		l.worker.results.add(o.Status != protocol.ResultFailure)
		h.reseat(l.worker)
	}
	return protocol.Outcome{}, nil
}

// bring gives the result to the desk, again and again for up to 20 s while it can not be
// written: workers of age B do not send a result twice.
func (h *Hub) bring(ctx context.Context, t job.Task, o engine.Outcome) (engine.Taken, error) {
	end := h.clock.Now().Add(resultHold)
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		taken, err := h.desk.Returned(ctx, t, o)
		if err == nil {
			return taken, nil
		}
		o.Again = true
		left := end.Sub(h.clock.Now())
		if left <= 0 || ctx.Err() != nil || errors.Is(err, engine.ErrElsewhere) {
			return taken, err
		}
		timer := h.clock.NewTimer(min(wait, left))
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// absent answers a result for a fence that no lease in memory has: the row decides.
func (h *Hub) absent(ctx context.Context, taskID string, o engine.Outcome) (protocol.Outcome, error) {
	k, ok := parseFence(taskID)
	if !ok {
		return protocol.Outcome{Ignored: protocol.ReasonJobNotFound, Message: "this server gives out no such task id"}, nil
	}
	row, err := h.desk.Task(ctx, k.job, k.n)
	if !h.desk.Open(k.job) { // its shard has gone to another node since the lease was looked for
		return protocol.Outcome{}, fmt.Errorf("%w (%w)", ErrStoreFull, engine.ErrElsewhere)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return protocol.Outcome{Ignored: protocol.ReasonJobNotFound, Message: "the job or task is not known"}, nil
	case err != nil:
		return protocol.Outcome{}, fmt.Errorf("%w (%w)", ErrStoreFull, err)
	case row.ID == taskID && o.Worker != "" && row.Worker != o.Worker:
		return wrongWorker(taskID), nil
	case row.ID == taskID && row.State == job.TaskDone: // accepted before a restart
		return protocol.Outcome{}, nil
	case row.ID == taskID && row.State == job.TaskClosed:
		return protocol.Outcome{Ignored: protocol.ReasonJobTerminated, Message: "the task is no longer wanted"}, nil
	}
	return protocol.Outcome{Ignored: protocol.ReasonStaleTask, Message: "the task was given to a worker again, or has ended"}, nil
}

// fences remembers the newest accepted fences.
type fences struct {
	ids  map[string]struct{}
	ring []string
	next int
}

func (f *fences) has(id string) bool {
	_, ok := f.ids[id]
	return ok
}

func (f *fences) add(id string) {
	if f.ids == nil {
		f.ids = map[string]struct{}{}
	}
	if len(f.ring) < acceptedKept {
		f.ring = append(f.ring, id)
	} else {
		delete(f.ids, f.ring[f.next])
		f.ring[f.next] = id
		f.next = (f.next + 1) % acceptedKept
	}
	f.ids[id] = struct{}{}
}
