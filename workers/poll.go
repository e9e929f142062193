package workers

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers/protocol"
)

// This file holds the long poll: how a worker takes a task.

// poll is a worker's open request for work.
type poll struct {
	got  chan grant    // receives at most one
	over chan struct{} // closed when another poll replaced it, or the worker went offline
}

// grant is a leased entry with its fence, or news of another node's work, on its way to a poll.
type grant struct {
	e    *entry
	id   string
	news *news // not nil: there may be a task at another node
}

// give leases an entry to a worker with an open poll and wakes it.
func (h *Hub) give(e *entry, w *worker) {
	h.rise(w)
	p := w.poll
	w.poll = nil
	p.got <- grant{e: e, id: h.leaseTo(e, w).id}
}

// endPoll closes the worker's open poll, if there is one; it then answers 204.
func (h *Hub) endPoll(w *worker) {
	if w.poll == nil {
		return
	}
	h.rise(w)
	close(w.poll.over)
	w.poll = nil
}

// Ask brings a poll to another node, which answers at once: a task as JSON, or nil.
type Ask func(ctx context.Context, node string) ([]byte, error)

// Poll waits for a task that the worker may do, at most hold (and MaxHold, and the query's
// timeout), and gives it as JSON; nil means that there is none (204). query is the request's
// query string: age C says there what it takes now. A second poll of a worker ends the first.
//
// ask, if it is not nil, is called for each node that has told of a task which the worker may
// do.
func (h *Hub) Poll(ctx context.Context, c Caller, query url.Values, hold time.Duration, ask Ask) ([]byte, error) {
	if !protocol.ValidID(c.WorkerID) || !h.Admits(c) {
		return nil, ErrUnauthorized
	}
	hold = min(hold, MaxHold)
	if text := query.Get("timeout"); text != "" {
		if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 && s < hold.Seconds() {
			hold = time.Duration(s * float64(time.Second))
		}
	}
	end := h.clock.Now().Add(hold)
	timer := h.clock.NewTimer(hold)
	defer timer.Stop()
	for {
		g, ok := h.await(ctx, c, query, timer, end, ask != nil)
		if !ok {
			return nil, nil
		}
		if g.news != nil {
			if body := h.askAt(ctx, g.news, ask); body != nil {
				return body, nil
			}
			continue
		}
		body, err := h.deliver(ctx, g.e, g.id)
		if err == nil {
			return body, nil
		}
		if !errors.Is(err, errGone) {
			if !errors.Is(err, engine.ErrElsewhere) {
				h.log.Warn("a task could not be handed out and stays queued", "task_id", g.id, "worker", c.WorkerID, "error", err)
			}
			h.pause(ctx, timer)
			return nil, nil
		}
	}
}

// await gives a leased entry, or news if those are wanted; ok is false when the poll ends
// without either. It waits for the timer, which fires at end; past that it only looks.
func (h *Hub) await(ctx context.Context, c Caller, query url.Values, timer clock.Timer, end time.Time, news bool) (g grant, ok bool) {
	select {
	case <-h.done:
		return g, false
	case <-ctx.Done(): // nobody is there to take a task
		return g, false
	default:
	}
	h.mu.Lock()
	w := h.meet(c, query)
	h.endPoll(w)
	if g, ok := h.findWork(w, news); ok {
		h.mu.Unlock()
		return g, true
	}
	if !h.clock.Now().Before(end) {
		h.mu.Unlock()
		return g, false
	}
	p := &poll{got: make(chan grant, 1), over: make(chan struct{})}
	w.poll, w.roams = p, news
	h.sit(w)
	h.mu.Unlock()

	select {
	case g = <-p.got:
		return g, h.wanted(ctx, g)
	case <-ctx.Done():
	case <-timer.C():
	case <-p.over:
	case <-h.done:
	}
	h.mu.Lock()
	if w.poll == p {
		h.endPoll(w)
	}
	h.touch(w) // an open poll was a sign of life until now
	h.mu.Unlock()
	select {
	case g = <-p.got: // given in the moment the poll ended
		return g, g.news == nil && h.wanted(ctx, g)
	default:
		return g, false
	}
}

// meet notes that a worker polls.
func (h *Hub) meet(c Caller, query url.Values) *worker {
	w := h.worker(c.WorkerID)
	h.touch(w)
	if !w.known {
		w.age, w.version = c.Age, c.Version
	}
	w.hear(query)
	return w
}

// findWork looks for a task of this node, or for news of another's. Neither keeps the other
// waiting for ever, see newsFor.
func (h *Hub) findWork(w *worker, news bool) (g grant, ok bool) {
	if w.offline {
		return g, false
	}
	e := h.firstFor(w)
	if news {
		if n := h.newsFor(w, e); n != nil {
			return grant{news: n}, true
		}
	}
	if e == nil {
		return g, false
	}
	return grant{e: e, id: h.leaseTo(e, w).id}, true
}

// wanted tells whether somebody is still there to take the task, else it is queued again.
func (h *Hub) wanted(ctx context.Context, g grant) bool {
	if ctx.Err() == nil {
		return true
	}
	if g.news != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if g.e.lease != nil && g.e.lease.id == g.id {
		h.takeBack(g.e)
	}
	return false
}

// takeBack undoes a hand-out that never left the process: the task is queued as before, and
// goes to another open poll if one fits.
func (h *Hub) takeBack(e *entry) {
	h.endLease(e)
	e.handOut--
	e.attempt--
	h.enqueue(e)
	name := ""
	if e.task != nil {
		name = e.task.Strategy
	}
	if s := h.pick(e.class, name); s != nil {
		h.give(e, s.worker)
	} else {
		h.unserved(e)
	}
}

// hear reads what age C says in the query. For ages A and B a poll means that the worker is
// not busy, whatever its last heartbeat said.
func (w *worker) hear(query url.Values) {
	if names := splitNames(query.Get("available_skills")); len(names) > 0 {
		w.available, w.namesAvailable = names, true
	}
	if query.Has("hot_skills") {
		w.setHot(splitNames(query.Get("hot_skills")), w.hotCache)
	}
	if w.known && !w.age.ReRegisters() && len(w.available) == 0 {
		w.available = w.reg.Skills
	}
}

func splitNames(list string) []string {
	var out []string
	seen := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		if name != "" && !seen[name] && len(out) < protocol.MaxNames {
			seen[name] = true
			out = append(out, strings.Clone(name)) // the request's memory is used again
		}
	}
	return out
}

// deliver writes the task for the wire and notes the hand-out. errGone: the lease ended
// meanwhile, look for another task. Any other error left the task in its queue.
func (h *Hub) deliver(ctx context.Context, e *entry, id string) ([]byte, error) {
	t, err := h.whole(ctx, e, id)
	if err == nil {
		var body []byte
		if body, err = h.encode(&t); err == nil {
			return body, h.sent(e, t)
		}
		return nil, h.refuse(ctx, e, t, err)
	}
	if errors.Is(err, errGone) {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.lease == nil || e.lease.id != id {
		return nil, errGone
	}
	if errors.Is(err, store.ErrNotFound) {
		h.drop(e) // the job was removed
		return nil, errGone
	}
	h.putBack(e)
	return nil, err
}

// putBack undoes a hand-out that could not be done. The task is not offered to another poll: it
// would fail just the same.
func (h *Hub) putBack(e *entry) {
	h.endLease(e)
	e.handOut--
	e.attempt--
	h.enqueue(e)
}

// sent notes the hand-out, unless the lease ended meanwhile.
func (h *Hub) sent(e *entry, t job.Task) error {
	if !h.desk.Mine(t.JobID) {
		// Its shard is on the way to another node, and Drop comes; or this node does not know for
		// a moment whether its leases stand, and then nobody would bring the task back.
		h.mu.Lock()
		defer h.mu.Unlock()
		if e.lease == nil || e.lease.id != t.ID {
			return errGone
		}
		h.putBack(e)
		return engine.ErrElsewhere
	}
	due := t.LeasedAt.Add(time.Duration(h.desk.AttemptSeconds(t) * float64(time.Second)))
	t.Due = &due
	h.mu.Lock()
	if e.lease == nil || e.lease.id != t.ID {
		h.mu.Unlock()
		return errGone
	}
	e.lease.due = &due
	h.mu.Unlock()
	h.desk.HandedOut(t)
	return nil
}

// refuse fails a task that has no wire form, so that it does not block its queue.
func (h *Hub) refuse(ctx context.Context, e *entry, t job.Task, cause error) error {
	if err := h.sent(e, t); err != nil {
		return err
	}
	h.mu.Lock()
	h.drop(e)
	h.mu.Unlock()
	_, err := h.desk.Returned(ctx, t, engine.Outcome{Status: protocol.ResultFailure, Worker: t.Worker, Error: &job.Error{
		Code: job.CodeInvalidInput, Message: "the task can not be written for a worker: " + cause.Error()}})
	if err != nil {
		h.mu.Lock()
		if h.entry(e.key.job, e.key.n) == nil {
			h.adopt(&t, false) // its deadline will end it
		}
		h.mu.Unlock()
		return err
	}
	return errGone
}

func (h *Hub) encode(t *job.Task) ([]byte, error) {
	wire := protocol.Task{JobID: t.JobID, TaskID: t.ID, Type: t.Type, Params: t.Params, Tracing: t.Trace, Priority: t.Priority}
	if len(t.Files) > 0 {
		var files map[string]job.FileNote
		if err := json.Unmarshal(t.Files, &files); err != nil {
			return nil, err
		}
		wire.Files = make(map[string]protocol.File, len(files))
		for path, f := range files {
			wire.Files[path] = protocol.File{URI: f.URI, Size: f.Size, ETag: f.ETag}
		}
	}
	if h.secret != "" {
		return protocol.SignTask(wire, h.secret)
	}
	return protocol.EncodeTask(wire)
}

// pause holds a poll that can not be served for a second, but not over its end.
func (h *Hub) pause(ctx context.Context, end clock.Timer) {
	t := h.clock.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C():
	case <-end.C():
	case <-ctx.Done():
	case <-h.done:
	}
}
