package clustersim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"

	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	ownership "orrery/engine/node"
	"orrery/workers"
)

// This file holds a node: the real engine and hub over a link, beside others the real ownership
// of shards and the real package peers, a clock of its own, and how it dies and comes back.

const token = "worker-token"

// clusterSecret is what nodes know each other by.
var clusterSecret = []byte("a secret of the simulated nodes")

// leaveTime is how long a node that stops may take to give its shards away, as in package cli.
const leaveTime = 25 * time.Second

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
	link    *link
	clock   clock.Clock
	engine  *engine.Engine
	hub     *workers.Hub
	peers   *peers.Peers    // nil: it is alone
	self    *ownership.Node // nil: it is alone
	ctx     context.Context // ends with it
	cancel  context.CancelFunc
	held    context.Context // ends when it begins to stop
	release context.CancelFunc
	ended   sync.WaitGroup
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
	s := &server{link: newLink(n.w, n, n.w.disk), clock: n.clock}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.held, s.release = context.WithCancel(s.ctx)
	if err := n.build(s); err != nil {
		s.link.end()
		s.release()
		s.cancel()
		return nil, err
	}
	return s, nil
}

// build makes the parts of a server, as package cli does, and starts them.
func (n *node) build(s *server) error {
	bps, err := blueprint.LoadFS(s.ctx, fstest.MapFS{"plans.star": {Data: []byte(n.w.text)}}, nil)
	if err != nil {
		return err
	}
	bps.UseStore(s.link)
	log := slog.New(slog.DiscardHandler)
	if n.w.log != nil {
		log = slog.New(n.w.log.WithAttrs([]slog.Attr{slog.String("node", n.name)}))
	}
	ofHub := workers.Config{Clock: n.clock, Records: s.link, SharedToken: token, Log: log}
	ofEngine := engine.Config{Store: s.link, Blueprints: bps, Clock: n.clock, Log: log, Runners: 3, Callers: 2}
	id := fmt.Sprintf("%s-%d", n.name, n.starts) // of this life alone
	if n.w.shared != nil {
		s.peers, err = peers.New(peers.Config{ID: id, Secret: clusterSecret, Clock: n.clock, Log: log,
			Transport: &wire{w: n.w, node: n, from: s, r: n.w.random("wire", n.name, n.starts)}})
		if err != nil {
			return err
		}
		ofHub.Neighbors, ofEngine.Nodes = s.peers, s.peers
	}
	if s.hub, err = workers.New(s.ctx, ofHub); err != nil {
		return err
	}
	r := n.w.random("jitter", n.name, n.starts)
	var drawing sync.Mutex
	ofEngine.Dispatcher = s.hub
	ofEngine.Jitter = func() float64 {
		drawing.Lock()
		defer drawing.Unlock()
		return 0.5 + r.Float64()/2
	}
	if s.engine, err = engine.New(ofEngine); err != nil {
		return err
	}
	s.hub.Attach(s.engine)
	if s.peers != nil {
		s.self, err = ownership.New(ownership.Config{ID: id, URL: "http://" + n.name, Leases: s.link, Shards: s.engine, Clock: n.clock, Log: log, Work: []string{engine.WorkFiles}, Tell: s.peers.Tell})
		if err != nil {
			return err
		}
		s.peers.Bind(s.self, s.engine, s.hub)
	}
	if err := s.engine.Start(s.ctx); err != nil {
		return err
	}
	s.ended.Go(func() { s.hub.Run(s.ctx) })
	if s.self != nil {
		s.ended.Go(func() { s.self.Run(s.ctx) })
	}
	return nil
}

// leave takes the server away from the network, and gives it.
func (n *node) leave() *server {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.server
	n.server = nil
	return s
}

// take takes this very server away from the network; false if it is not there any more.
func (n *node) take(s *server) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != s {
		return false
	}
	n.server = nil
	return true
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

// retire ends the server as a signal does: what runs may finish, and beside others its shards
// are given away while requests are still answered.
func (n *node) retire() {
	s := n.up()
	if s == nil || s.held.Err() != nil {
		return
	}
	n.w.note("%s is stopped", n.name)
	s.release()
	n.w.actors.Go(func() {
		s.hub.Close()
		s.giveAway(leaveTime)
		if !n.take(s) { // it has died over that
			return
		}
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
		s.link.setPaused(false)
	}
}

// giveAway leaves the other nodes.
func (s *server) giveAway(within time.Duration) {
	if s.self == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_ = s.self.Leave(ctx) // what could not be given back ends by itself
}

func (s *server) stop(w *world) {
	s.hub.Close()
	s.release()
	if s.link.broken() {
		s.giveAway(0) // of a dead one nothing arrives: it ends what it has begun
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.engine.Stop(ctx); err != nil {
		w.fault("a server does not stop: %v", err)
	}
	s.cancel()
	s.ended.Wait()
	if s.peers != nil {
		s.peers.Close()
	}
}
