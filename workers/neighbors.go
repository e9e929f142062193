package workers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"orrery/engine/job"
	"orrery/workers/protocol"
)

// This file is for workers at several nodes of one store: a node whose queue has tasks that
// no poll took tells the others, and one of them that has a fitting poll asks for a task on
// its behalf, once. So a long poll is held by one node only, and nobody has to be told that
// it has ended. What was missed is told again every second.

// Neighbors is how the hub reaches the other nodes. None of its methods but Hear waits.
type Neighbors interface {
	// Unserved tells all others which tasks wait here.
	Unserved(list []Unserved)
	// Stop brings a cancel to the connections of a worker at other nodes.
	Stop(worker, taskID, jobID string)
	// Hear brings a frame of a connection to the node that owns the job. worker is "" for one
	// that names none.
	Hear(ctx context.Context, jobID, worker string, frame []byte) (Hearing, error)
}

// Unserved is tasks of one type with equal requirements that wait at a node.
type Unserved struct {
	Type      string          `json:"type"`
	Resources json.RawMessage `json:"resources,omitempty"`
	MaxCost   *float64        `json:"max_cost,omitempty"`
	Strategy  string          `json:"strategy,omitempty"` // of the first one
	Waiting   int             `json:"waiting"`

	// Of the first one: where it stands in a queue, and how long it has waited. The clocks of
	// nodes differ, so it is no date.
	Rank     float64 `json:"rank"`
	WaitedMS int64   `json:"waited_ms"`
}

// Hearing is what became of a frame.
type Hearing struct {
	Worker string `json:"worker,omitempty"` // whose it was
	Stale  bool   `json:"stale,omitempty"`  // the worker is to stop the task
}

// repeatEvery is how often what waits is told again.
const repeatEvery = time.Second

// mostTold bounds the classes of one message, and what is remembered of one node.
const mostTold = 500

// frameTime is how long a frame may take to its node.
const frameTime = 2 * time.Second

// news is that tasks of a class wait at another node.
type news struct {
	node     string
	class    *class
	strategy string
	rank     float64 // of the first one
	queued   int64   // likewise, by this node's clock, in Unix nanoseconds
}

// ahead reports whether what waits there comes before a task that waits here, by more than
// news can be late. slack is that lateness as a rank.
func (n *news) ahead(e *entry, slack float64) bool {
	if n.rank != e.rank {
		return n.rank-e.rank > slack
	}
	return n.queued+int64(repeatEvery) < e.queued
}

// abroad is what is known of the other nodes' queues, and what they are to be told.
type abroad struct {
	fresh  chan struct{}      // something waits that was not told yet
	told   map[*class]string  // that are to be told, with the strategy of the first task
	nodes  map[string][]*news // by node, in the order in which they came
	passes int                // counts the polls that others could serve, too
}

func newAbroad() abroad {
	return abroad{fresh: make(chan struct{}, 1), told: map[*class]string{}, nodes: map[string][]*news{}}
}

// unserved notes an entry that no poll here took. One that joins others in its queue needs no
// word of its own: who has heard of those asks until there is none left.
func (h *Hub) unserved(e *entry) {
	if h.neighbors == nil || len(e.class.waiting) > 1 {
		return
	}
	h.abroad.told[e.class] = strategyName(e)
	select {
	case h.abroad.fresh <- struct{}{}:
	default:
	}
}

func strategyName(e *entry) string {
	if e.task == nil {
		return ""
	}
	return e.task.Strategy
}

// tellNeighbors tells the others what waits, at once and again while it does.
func (h *Hub) tellNeighbors(ctx context.Context) {
	timer := h.clock.NewTimer(repeatEvery)
	defer func() { timer.Stop() }()
	for {
		var list []Unserved
		select {
		case <-ctx.Done():
			return
		case <-h.abroad.fresh:
			list = h.newlyUnserved()
		case <-timer.C():
			list = h.allUnserved()
			timer = h.clock.NewTimer(repeatEvery)
		}
		if len(list) > 0 {
			h.neighbors.Unserved(list)
		}
	}
}

func (h *Hub) newlyUnserved() (list []Unserved) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, strategy := range h.abroad.told {
		if len(c.waiting) > 0 && len(list) < mostTold {
			list = append(list, h.word(c, strategy))
		}
	}
	clear(h.abroad.told)
	return list
}

func (h *Hub) allUnserved() (list []Unserved) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, q := range h.queues {
		for _, c := range q.classes {
			if len(list) == mostTold {
				return list
			}
			list = append(list, h.word(c, strategyName(c.waiting[0])))
		}
	}
	return list
}

// word is what others are told of a class in which something waits.
func (h *Hub) word(c *class, strategy string) Unserved {
	first := c.waiting[0]
	return Unserved{
		Type: c.taskType, Resources: json.RawMessage(c.needs), MaxCost: c.req.maxCost, Strategy: strategy, Waiting: len(c.waiting),
		Rank: first.rank, WaitedMS: (h.clock.Now().UnixNano() - first.queued) / int64(time.Millisecond),
	}
}

// Heard takes in what waits at another node, and wakes as many polls as could be served.
func (h *Hub) Heard(node string, list []Unserved) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range list[:min(len(list), mostTold)] {
		c := h.classOf(&job.Task{Type: u.Type, Resources: u.Resources, MaxCost: u.MaxCost})
		n := &news{node: node, class: &class{taskType: c.taskType, key: c.key, needs: c.needs, judge: judge{req: c.req}}, strategy: u.Strategy,
			rank: u.Rank, queued: h.clock.Now().UnixNano() - u.WaitedMS*int64(time.Millisecond)}
		h.abroad.keep(n)
		for range u.Waiting {
			if !h.wake(n) {
				break
			}
		}
	}
}

// wake sends a poll that is open here to where there is news; false when none fits.
func (h *Hub) wake(n *news) bool {
	s := h.pick(n.class, n.strategy)
	if s == nil || !s.worker.roams {
		return false
	}
	w := s.worker
	h.rise(w)
	p := w.poll
	w.poll = nil
	p.got <- grant{news: n}
	return true
}

// keep remembers news in place of older news of the same.
func (a *abroad) keep(n *news) {
	list := slices.DeleteFunc(a.nodes[n.node], func(old *news) bool { return old.class.taskType == n.class.taskType && old.class.key == n.class.key })
	if len(list) < mostTold {
		list = append(list, n)
	}
	a.nodes[n.node] = list
}

// knows reports whether news stands, and was not told anew meanwhile.
func (a *abroad) knows(n *news) bool { return slices.Contains(a.nodes[n.node], n) }

// drop forgets news.
func (a *abroad) drop(n *news) {
	if a.nodes[n.node] = slices.DeleteFunc(a.nodes[n.node], func(old *news) bool { return old == n }); len(a.nodes[n.node]) == 0 {
		delete(a.nodes, n.node)
	}
}

// turnAbroad: of so many polls that a task here could serve, one goes to another node anyway.
// What is known of the others is up to a second old, and a task that is first in its queue may
// have come since.
const turnAbroad = 8

// newsFor finds news of tasks that a worker may do, for a poll for which here waits, if it is
// not nil. The way to another node and back costs both of them more than a task of their own, so
// one of this node goes first unless others have waited longer.
func (h *Hub) newsFor(w *worker, here *entry) *news {
	var fit []*news
	for _, list := range h.abroad.nodes {
		for _, n := range list {
			if slices.Contains(w.available, n.class.taskType) && n.class.suits(w) {
				fit = append(fit, n)
				break // one of each node: it gives the best of what it has
			}
		}
	}
	if len(fit) == 0 {
		return nil
	}
	slices.SortFunc(fit, func(x, y *news) int { return cmp.Compare(x.node, y.node) })
	h.abroad.passes++
	switch passes := h.abroad.passes; {
	case here == nil:
		return fit[passes%len(fit)]
	case passes%turnAbroad == 0:
		return fit[passes/turnAbroad%len(fit)]
	}
	slack := 0.0
	if h.aging > 0 {
		slack = repeatEvery.Seconds() / h.aging.Seconds()
	}
	fit = slices.DeleteFunc(fit, func(n *news) bool { return !n.ahead(here, slack) })
	if len(fit) == 0 {
		return nil
	}
	return slices.MinFunc(fit, func(x, y *news) int { return cmp.Or(cmp.Compare(y.rank, x.rank), cmp.Compare(x.queued, y.queued)) })
}

// askAt asks another node for a task; nil when there is none for this worker.
func (h *Hub) askAt(ctx context.Context, n *news, ask Ask) []byte {
	body, err := ask(ctx, n.node)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil: // it tells again when it can be reached
		delete(h.abroad.nodes, n.node)
		h.log.Debug("a node that has work could not be asked for it", "node", n.node, "error", err)
	case body == nil:
		h.abroad.drop(n)
	case h.abroad.knows(n): // where there was one there may be more
		h.wake(n)
	}
	return body
}

// PollOnce is Poll for a poll that is held by another node: it looks, and answers at once. A
// poll of the same worker that is open here stays open, for it would have had the task. id is
// the task's.
func (h *Hub) PollOnce(ctx context.Context, c Caller, query url.Values) (body []byte, id string, err error) {
	if !protocol.ValidID(c.WorkerID) || !h.Admits(c) {
		return nil, "", ErrUnauthorized
	}
	for {
		h.mu.Lock()
		w := h.meet(c, query)
		var g grant
		ok := false
		if w.poll == nil {
			g, ok = h.findWork(w, false)
		}
		h.mu.Unlock()
		if !ok {
			return nil, "", nil
		}
		body, err := h.deliver(ctx, g.e, g.id)
		if err == nil {
			return body, g.id, nil
		}
		if !errors.Is(err, errGone) {
			h.log.Warn("a task could not be handed out and stays queued", "task_id", g.id, "worker", c.WorkerID, "error", err)
			return nil, "", nil
		}
	}
}

// StopHere sends a cancel of another node to the connections that the worker may have here.
func (h *Hub) StopHere(worker, taskID, jobID string) {
	h.mu.Lock()
	s := h.stopAt(worker, taskID, jobID)
	h.mu.Unlock()
	frame := protocol.CancelFrame(taskID, jobID)
	for _, l := range s.links {
		l.send(frame)
	}
}

// HearFrame takes a frame of a connection at another node, which has let the worker in.
func (h *Hub) HearFrame(ctx context.Context, worker string, frame []byte) Hearing {
	ev, err := protocol.ParseEvent(frame)
	if err != nil {
		return Hearing{}
	}
	return h.hearHere(ctx, &ev, worker, worker == "")
}

// hearAbroad brings a frame to the node that owns the task's job; done is false when that is
// this one. What does not arrive is lost, as with a connection that breaks.
func (h *Hub) hearAbroad(ctx context.Context, ev *protocol.Event, worker string, frame []byte) (said Hearing, done bool) {
	jobID, ok := JobOf(ev.TaskID)
	if h.neighbors == nil || !ok || h.desk.Mine(jobID) {
		return said, false
	}
	ctx, cancel := context.WithTimeout(ctx, frameTime)
	defer cancel()
	said, err := h.neighbors.Hear(ctx, jobID, worker, frame)
	if err != nil {
		h.log.Debug("a worker's frame did not reach the node of its task", "worker", worker, "task_id", ev.TaskID, "error", err)
		return Hearing{Worker: worker}, true
	}
	return said, true
}
