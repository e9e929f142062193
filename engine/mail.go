package engine

import (
	"context"
	"errors"
	"sync"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file collects events of one job that come at the same time, so that one commit
// carries them all: fifty branches that return at once would else wait for fifty commits.
// Whoever gets the job's lock first takes the events of all that wait for it.

// letter is an event on its way to a job.
type letter struct {
	make func(*job.Job, store.Data) (job.Event, error) // builds the event from the job as it stands
	any  bool                                          // it needs nothing of what the job's owner has in memory
	done bool                                          // err holds its fate; both belong to whoever has the job's lock
	err  error
}

type mail struct {
	mu   sync.Mutex
	jobs map[string][]*letter
}

func (m *mail) put(id string, l *letter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs == nil {
		m.jobs = map[string][]*letter{}
	}
	m.jobs[id] = append(m.jobs[id], l)
}

// change applies the event that make builds from a job as it stands, again when somebody
// else changed the job meanwhile. make may refuse with an error. Events that come for one
// job at the same time share a commit: see mail.go.
//
// The error is ErrElsewhere for a job of another node's shard.
func (e *Engine) change(ctx context.Context, id string, make func(*job.Job, store.Data) (job.Event, error)) error {
	return e.post(ctx, id, &letter{make: make})
}

// changeAnywhere is change for events that need nothing of the memory of the job's owner: any
// node may commit them.
func (e *Engine) changeAnywhere(ctx context.Context, id string, make func(*job.Job, store.Data) (job.Event, error)) error {
	return e.post(ctx, id, &letter{make: make, any: true})
}

func (e *Engine) post(ctx context.Context, id string, own *letter) error {
	e.mail.put(id, own)
	defer e.locks.of(id)()
	for !own.done {
		e.serve(context.WithoutCancel(ctx), id, e.mail.take(id, own)) // others' events are in it
	}
	return own.err
}

// lettersTogether bounds what one commit carries.
const lettersTogether = 64

// take gives the letters of a job in the order in which they came, own among them. The
// caller has the job's lock, and own is not done, so it is still there.
func (m *mail) take(id string, own *letter) []*letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.jobs[id]
	n := min(len(all), lettersTogether)
	for i, l := range all { // own must be served now: its sender waits for nobody else
		if l == own && i >= n {
			all[0], all[i] = all[i], all[0]
		}
	}
	if n == len(all) {
		delete(m.jobs, id)
	} else {
		m.jobs[id] = all[n:]
	}
	return all[:n]
}

// serve applies letters until the fate of each is known; the caller has the job's lock.
func (e *Engine) serve(ctx context.Context, id string, letters []*letter) {
	for try := 1; len(letters) > 0; {
		joined, rest, err := e.join(ctx, id, letters)
		if errors.Is(err, store.ErrConflict) && try < conflictTries {
			try++
			letters = append(joined, rest...)
			continue
		}
		for _, l := range joined {
			l.err, l.done = err, true
		}
		letters = rest
	}
}

// join applies as many of the letters as one change can carry. Those that were refused are
// done; joined share the fate of the commit; rest must be built on what it leaves.
func (e *Engine) join(ctx context.Context, id string, letters []*letter) (joined, rest []*letter, err error) {
	s := e.enter(id)
	defer s.leave()
	if err := e.clear(ctx, id); err != nil {
		return letters, nil, err
	}
	j, data, err := e.load(ctx, id)
	if err != nil {
		return letters, nil, err
	}
	before, bp, revision := data, e.chartOf(ctx, j), j.Revision
	var c *job.Change
	for i, l := range letters {
		if !s.owned && !l.any {
			l.err, l.done = ErrElsewhere, true
			continue
		}
		ev, err := l.make(j, data)
		if err == nil && c != nil && (j.Revision != revision || !c.Carries(ev)) {
			rest = letters[i:]
			break
		}
		var next *job.Change
		if err == nil {
			next, err = e.machine(bp).Next(*j, ev, e.cfg.Clock.Now())
		}
		if err != nil && c == nil && e.isStale(ctx, j) { // it may fit what there is
			return letters[i:], nil, store.ErrConflict
		}
		if err != nil {
			l.err, l.done = err, true
			continue
		}
		joined = append(joined, l)
		if c == nil {
			c = next
		} else {
			c.Take(next)
		}
		j, data = &c.Job, after(data, c)
	}
	if c == nil {
		return nil, rest, nil
	}
	t := e.turnOf(bp)
	defer t.end()
	if c.Fence = s.fence; s.owned {
		c = e.together(ctx, bp, c, before, t)
	}
	return joined, rest, e.commit(ctx, c, before, t)
}
