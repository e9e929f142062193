package clustersim

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/workers"
)

// This file holds a node: the real engine and hub over a link, a clock of its own, and how it
// dies and comes back.

const token = "worker-token"

// skewed is a node's clock: the world's time, and some seconds beside it.
type skewed struct {
	w      *world
	offset atomic.Int64 // nanoseconds
}

var _ clock.Clock = (*skewed)(nil)

// Now gives the node's time, cut to milliseconds as the real clock's.
func (c *skewed) Now() time.Time {
	return c.w.now().Add(time.Duration(c.offset.Load())).UTC().Truncate(time.Millisecond)
}

// NewTimer is a timer of the bubble; a jump of the clock does not move it.
func (c *skewed) NewTimer(d time.Duration) clock.Timer { return bubbleTimer{time.NewTimer(d)} }

type bubbleTimer struct{ t *time.Timer }

func (b bubbleTimer) C() <-chan time.Time { return b.t.C }
func (b bubbleTimer) Stop() bool          { return b.t.Stop() }

// node is one machine of the cluster, which may run a server or not.
type node struct {
	w      *world
	name   string
	clock  *skewed
	starts int

	mu     sync.Mutex
	server *server // nil: it is down
}

// server is one life of a node.
type server struct {
	link   *link
	engine *engine.Engine
	hub    *workers.Hub
	ctx    context.Context // ends with it
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func newNode(w *world, name string) *node {
	n := &node{w: w, name: name, clock: &skewed{w: w}}
	n.jump(w.random("skew", name, 0).Int64N(4_000) - 2_000)
	return n
}

// jump puts the node's clock so many milliseconds beside the world's.
func (n *node) jump(ms int64) { n.clock.offset.Store(ms * int64(time.Millisecond)) }

// up gives the server that runs, or nil.
func (n *node) up() *server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// boot starts the node, again and again while the store lets it not, until the world is over.
func (n *node) boot() {
	for {
		select {
		case <-n.w.over:
			return
		default:
		}
		n.starts++
		s, err := n.start()
		if err == nil {
			n.mu.Lock()
			n.server = s
			n.mu.Unlock()
			n.w.note("%s is up (start %d)", n.name, n.starts)
			select {
			case <-n.w.over: // it was starting meanwhile
				n.retire()
			default:
			}
			return
		}
		n.w.note("%s can not start: %v", n.name, err)
		n.w.wait(time.Second)
	}
}

func (n *node) start() (*server, error) {
	s := &server{link: newLink(n.w, n, n.w.disk)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	fail := func(err error) (*server, error) {
		s.link.end()
		s.cancel()
		return nil, err
	}
	bps, err := blueprint.LoadFS(s.ctx, fstest.MapFS{"plans.star": {Data: []byte(n.w.text)}}, nil)
	if err != nil {
		return fail(err)
	}
	bps.UseStore(s.link)
	log := slog.New(slog.DiscardHandler)
	if n.w.log != nil {
		log = slog.New(n.w.log.WithAttrs([]slog.Attr{slog.String("node", n.name)}))
	}
	s.hub, err = workers.New(s.ctx, workers.Config{Clock: n.clock, Records: s.link, SharedToken: token, Log: log})
	if err != nil {
		return fail(err)
	}
	r := n.w.random("jitter", n.name, n.starts)
	var drawing sync.Mutex
	s.engine, err = engine.New(engine.Config{
		Store: s.link, Blueprints: bps, Dispatcher: s.hub, Clock: n.clock, Log: log, Runners: 3, Callers: 2,
		Jitter: func() float64 {
			drawing.Lock()
			defer drawing.Unlock()
			return 0.5 + r.Float64()/2
		},
	})
	if err != nil {
		return fail(err)
	}
	s.hub.Attach(s.engine)
	if err := s.engine.Start(s.ctx); err != nil {
		return fail(err)
	}
	s.ended.Go(func() { s.hub.Run(s.ctx) })
	return s, nil
}

// leave takes the server away from the network, and gives it.
func (n *node) leave() *server {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.server
	n.server = nil
	return s
}

// die ends the server at once: nothing of it reaches the store or the network any more.
func (n *node) die(how string) {
	s := n.leave()
	if s == nil {
		return
	}
	n.w.note("%s dies %s", n.name, how)
	s.link.end()
	s.cancel()
	n.w.actors.Go(func() {
		s.stop(n.w)
		n.comeBack()
	})
}

// retire ends the server as a signal does: what runs may finish.
func (n *node) retire() {
	s := n.leave()
	if s == nil {
		return
	}
	n.w.note("%s is stopped", n.name)
	n.w.actors.Go(func() {
		s.stop(n.w)
		s.link.write()
		s.link.end()
		n.comeBack()
	})
}

// comeBack starts the node again after a while, as whoever watches over it does.
func (n *node) comeBack() {
	if n.w.pause(time.Duration(n.w.random("away", n.name, n.starts).ExpFloat64() * float64(3*time.Second))) {
		n.boot()
	}
}

// spare takes back what is planned for the node.
func (n *node) spare() {
	if s := n.up(); s != nil {
		s.link.dieAt(0, false)
	}
}

func (s *server) stop(w *world) {
	s.hub.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.engine.Stop(ctx); err != nil {
		w.fault("a server does not stop: %v", err)
	}
	s.cancel()
	s.ended.Wait()
}
