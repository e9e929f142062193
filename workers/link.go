package workers

import (
	"cmp"
	"context"
	"sync"

	"orrery/workers/protocol"
)

// This file holds WebSocket connections of workers: commands go out, progress comes in.

// Conn is one WebSocket, given by the HTTP layer. Send writes a text frame and may block;
// the hub calls it from one goroutine. Close may be called at any time, also twice.
type Conn interface {
	Send(frame []byte) error
	Close(code int, reason string)
}

// Identity is who a connection was authenticated as. Ages A and B name no worker with the
// shared token: WorkerID is "", and the worker is found by the tasks it speaks of.
type Identity struct {
	WorkerID string
}

// linkBuffer is how many commands may wait for a slow connection before it is closed.
const linkBuffer = 64

// Link is a connection in use. The HTTP layer calls Frame for every text frame that comes,
// and Gone when the connection has ended.
type Link struct {
	hub    *Hub
	conn   Conn
	id     string // "" for an anonymous connection
	worker string // of an anonymous connection: learned from its frames; guarded by hub.mu
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

// Connect takes a connection into use. Its identity comes from Authenticate (a worker id in
// the path or a header) or from WebSocketAuth.
func (h *Hub) Connect(conn Conn, who Identity) *Link {
	l := &Link{hub: h, conn: conn, id: who.WorkerID, out: make(chan []byte, linkBuffer), closed: make(chan struct{})}
	h.mu.Lock()
	h.links[l] = struct{}{}
	if w := h.workers[l.id]; w != nil {
		h.touch(w)
	}
	h.mu.Unlock()
	go l.write()
	select {
	case <-h.done:
		l.shut(1001, "the server is shutting down")
	default:
	}
	return l
}

func (l *Link) write() {
	for {
		select {
		case frame := <-l.out:
			if err := l.conn.Send(frame); err != nil {
				l.hub.log.Debug("a command could not be sent to a worker", "worker", l.id, "error", err)
				l.shut(1011, "sending failed")
				return
			}
		case <-l.closed:
			return
		}
	}
}

// Gone says that the connection has ended.
func (l *Link) Gone() {
	l.once.Do(func() {
		close(l.closed)
		l.hub.mu.Lock()
		delete(l.hub.links, l)
		l.hub.mu.Unlock()
	})
}

func (l *Link) shut(code int, reason string) {
	l.Gone()
	l.conn.Close(code, reason)
}

// Frame takes a text frame. A frame that can not be read is logged and ignored, as is one
// about a task of a worker that this connection may not speak for; a worker that speaks of a
// task it has not got any more is told to stop it.
func (l *Link) Frame(ctx context.Context, data []byte) {
	h := l.hub
	ev, err := protocol.ParseEvent(data)
	if err != nil {
		h.log.Debug("a worker's frame can not be read", "worker", l.id, "error", err)
		return
	}
	h.mu.Lock()
	id := cmp.Or(l.id, l.worker)
	h.mu.Unlock()
	said, known := h.hearAbroad(ctx, &ev, id, data)
	if !known {
		said = h.hearHere(ctx, &ev, id, l.id == "")
	}
	h.mu.Lock()
	if l.id == "" && said.Worker != "" {
		l.worker = said.Worker
	}
	if w := h.workers[cmp.Or(l.id, said.Worker)]; w != nil {
		h.touch(w)
	}
	h.mu.Unlock()
	if said.Stale {
		l.send(protocol.CancelFrame(ev.TaskID, ev.JobID))
	}
}

// hearHere takes an event of a connection. id is whose it is, as far as that is known;
// an anonymous one is the worker's that has the task.
func (h *Hub) hearHere(ctx context.Context, ev *protocol.Event, id string, anonymous bool) Hearing {
	h.mu.Lock()
	if e := h.find(ev.TaskID); anonymous && e != nil && !h.auth.individual(e.lease.worker.id) {
		id = e.lease.worker.id
	}
	if w := h.workers[id]; w != nil {
		h.touch(w)
	}
	h.mu.Unlock()
	return Hearing{Worker: id, Stale: h.hearEvent(ctx, id, ev)}
}

// send queues a command; a connection that takes none for too long is closed.
func (l *Link) send(frame []byte) {
	select {
	case <-l.closed:
	case l.out <- frame:
	default:
		go l.shut(1008, "too slow") // closing may block, and nobody waits for it
	}
}

// stop is a cancel on its way to the connections that may have the worker.
type stop struct {
	worker, task, job string
	links             []*Link
	own               bool // one of them is known to be the worker's
}

// stopOf prepares the cancel of a leased entry.
func (h *Hub) stopOf(e *entry) stop { return h.stopAt(e.lease.worker.id, e.lease.id, e.key.job) }

// stopAt finds the worker's own connections, and every anonymous one that is not known to be
// another worker's.
func (h *Hub) stopAt(worker, task, job string) stop {
	s := stop{worker: worker, task: task, job: job}
	shared := !h.auth.individual(worker)
	for l := range h.links {
		if l.id == worker || l.id == "" && shared && (l.worker == "" || l.worker == worker) {
			s.links = append(s.links, l)
			s.own = s.own || l.id == worker || l.worker == worker
		}
	}
	return s
}

// push sends cancels, outside the lock. A worker without a connection here may have one at
// another node.
func (h *Hub) push(stops []stop) {
	for _, s := range stops {
		frame := protocol.CancelFrame(s.task, s.job)
		for _, l := range s.links {
			l.send(frame)
		}
		if h.neighbors != nil && !s.own {
			h.neighbors.Stop(s.worker, s.task, s.job)
		}
	}
}
