package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/node"
	"orrery/workers"
)

// This file holds what a node knows of the others, and what the engine asks of them.

// Membership is what is asked of this node's own place among the others; *node.Node
// implements it.
type Membership interface {
	Current() bool
	Leads(work string) bool
	Fenced(shard byte, fence int64)
	Refused() int64
	Owner(shard byte) (p node.Peer, ok bool)
	Peers() []node.Peer
	All() []node.Peer
	Changed() <-chan struct{}
	Look()
}

// Jobs is what other nodes ask of this node's engine; *engine.Engine implements it.
type Jobs interface {
	Look(jobID string)
	CancelHere(ctx context.Context, id, by string) error
	MigrateHere(ctx context.Context, id, by string) (*engine.Move, error)
}

// Hub is what other nodes tell this node's workers' side; *workers.Hub implements it.
type Hub interface {
	Heard(node string, list []workers.Unserved)
	StopHere(worker, taskID, jobID string)
	HearFrame(ctx context.Context, worker string, frame []byte) workers.Hearing
	Arrived(task string)
	Snapshot() []workers.View
	Stats() workers.Stats
}

var (
	_ Membership        = (*node.Node)(nil)
	_ Jobs              = (*engine.Engine)(nil)
	_ Hub               = (*workers.Hub)(nil)
	_ engine.Nodes      = (*Peers)(nil)
	_ workers.Neighbors = (*Peers)(nil)
)

// Config is what Peers is made of. ID and Secret are needed.
type Config struct {
	ID     string // of this node
	Secret []byte // that all nodes of the store know
	TLS    *tls.Config
	// Transport carries requests to other nodes; nil: connections of its own, with TLS. A
	// simulation puts its network here.
	Transport http.RoundTripper
	Clock     clock.Clock
	Log       *slog.Logger
}

// Peers are the other nodes. Make it with New, and give it the parts with Bind before any of
// them works; its methods may be called from any goroutine.
type Peers struct {
	cfg  Config
	http *http.Client
	self Membership
	jobs Jobs
	hub  Hub

	mu      sync.Mutex
	silent  map[string]time.Time       // nodes that did not answer, and until when they are not waited for
	looks   map[string]map[string]bool // jobs that owners are to be told of, by node
	sending sync.WaitGroup
	closed  bool
}

// How long other nodes are waited for.
const (
	dialTime    = time.Second
	messageTime = 2 * time.Second
	// silenceTime is how long a node that did not answer is left out where its answer is not
	// needed; its lease ends about then.
	silenceTime = 5 * time.Second
	idleMost    = 64 // connections to one node that stay open
)

// New makes Peers that know nobody yet.
func New(cfg Config) (*Peers, error) {
	if cfg.ID == "" || len(cfg.Secret) < 16 {
		return nil, errors.New("peers: ID and a Secret of 16 bytes or more are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Peers{cfg: cfg, silent: map[string]time.Time{}, looks: map[string]map[string]bool{}}
	if cfg.Transport == nil {
		// No proxy: nodes speak to each other directly. What is relayed comes back as it is.
		cfg.Transport = &http.Transport{
			DialContext:     (&net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig: cfg.TLS, MaxIdleConnsPerHost: idleMost, IdleConnTimeout: time.Minute, DisableCompression: true,
		}
	}
	p.http = &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// Bind gives the parts that the others speak to.
func (p *Peers) Bind(self Membership, jobs Jobs, hub Hub) { p.self, p.jobs, p.hub = self, jobs, hub }

// Close waits for messages on their way; later ones are not sent.
func (p *Peers) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.sending.Wait()
	p.http.CloseIdleConnections()
}

// Owner gives the node that a job belongs to. ok is false while it is nobody's.
func (p *Peers) Owner(jobID string) (owner node.Peer, ok bool) {
	return p.self.Owner(job.ShardOf(jobID))
}

// Others gives the other nodes that are alive.
func (p *Peers) Others() []node.Peer { return p.self.Peers() }

// All gives the nodes that are alive, this one too.
func (p *Peers) All() []node.Peer {
	if p.self == nil { // nobody is known before Bind
		return nil
	}
	return p.self.All()
}

// Changed gives a channel that is closed when it has changed whose jobs are whose.
func (p *Peers) Changed() <-chan struct{} { return p.self.Changed() }

// Current implements engine.Nodes.
func (p *Peers) Current() bool { return p.self.Current() }

// Leads implements engine.Nodes.
func (p *Peers) Leads(work string) bool { return p.self.Leads(work) }

// Fenced implements engine.Nodes.
func (p *Peers) Fenced(shard byte, fence int64) { p.self.Fenced(shard, fence) }

// Refused counts the commits of this process that came when another node had taken over.
func (p *Peers) Refused() int64 { return p.self.Refused() }

// Look implements engine.Nodes: the owner is told soon, together with other jobs of its own.
func (p *Peers) Look(jobID string) {
	owner, ok := p.Owner(jobID)
	if !ok || owner.Self { // whoever gets the shard reads what there is
		return
	}
	p.mu.Lock()
	list, on := p.looks[owner.ID]
	if !on {
		list = map[string]bool{}
		p.looks[owner.ID] = list
	}
	list[jobID] = true
	p.mu.Unlock()
	if !on {
		p.later(func(ctx context.Context) { p.sendLooks(ctx, owner) })
	}
}

func (p *Peers) sendLooks(ctx context.Context, owner node.Peer) {
	p.mu.Lock()
	list := make([]string, 0, len(p.looks[owner.ID]))
	for id := range p.looks[owner.ID] {
		list = append(list, id)
	}
	delete(p.looks, owner.ID)
	p.mu.Unlock()
	if err := p.send(ctx, owner, wordLook, lookMessage{list}, nil); err != nil { // it looks by itself every few seconds
		p.cfg.Log.Debug("a node could not be told of changed jobs", "node", owner.ID, "jobs", len(list), "error", err)
	}
}

// Cancel implements engine.Nodes.
func (p *Peers) Cancel(ctx context.Context, id, by string) error {
	owner, ok := p.Owner(id)
	if !ok {
		return engine.ErrElsewhere
	}
	if owner.Self { // it has become this node's own meanwhile
		return p.jobs.CancelHere(ctx, id, by)
	}
	var said refusal
	if err := p.send(ctx, owner, wordCancel, jobMessage{id, by}, &said); err != nil {
		p.cfg.Log.Warn("the owner of a job that is to be cancelled can not be reached", "job", id, "node", owner.ID, "error", err)
		return engine.ErrElsewhere
	}
	if said.Code != "" {
		return &engine.Fault{Code: said.Code, Message: said.Message}
	}
	return nil
}

// Migrate implements engine.Nodes.
func (p *Peers) Migrate(ctx context.Context, id, by string) (*engine.Move, error) {
	owner, ok := p.Owner(id)
	if !ok {
		return nil, engine.ErrElsewhere
	}
	if owner.Self {
		return p.jobs.MigrateHere(ctx, id, by)
	}
	var said migrateAnswer
	if err := p.send(ctx, owner, wordMigrate, jobMessage{id, by}, &said); err != nil {
		p.cfg.Log.Warn("the owner of a job that is to be migrated can not be reached", "job", id, "node", owner.ID, "error", err)
		return nil, engine.ErrElsewhere
	}
	if said.Code != "" {
		return nil, &engine.Fault{Code: said.Code, Message: said.Message}
	}
	return said.Move, nil
}

// Unserved implements workers.Neighbors.
func (p *Peers) Unserved(list []workers.Unserved) { p.toAll(wordUnserved, list) }

// Stop implements workers.Neighbors.
func (p *Peers) Stop(worker, taskID, jobID string) {
	p.toAll(wordStop, stopMessage{worker, taskID, jobID})
}

// Hear implements workers.Neighbors.
func (p *Peers) Hear(ctx context.Context, jobID, worker string, frame []byte) (said workers.Hearing, err error) {
	owner, ok := p.Owner(jobID)
	if !ok || owner.Self {
		return said, engine.ErrElsewhere
	}
	err = p.send(ctx, owner, wordFrame, frameMessage{worker, frame}, &said)
	return said, err
}

// Tell has a node look at the leases now; it returns at once. It is node.Config.Tell.
func (p *Peers) Tell(to node.Peer) {
	p.later(func(ctx context.Context) {
		if err := p.send(ctx, to, wordLeases, struct{}{}, nil); err != nil { // it looks by itself soon
			p.cfg.Log.Debug("a node could not be told that leases have changed", "node", to.ID, "error", err)
		}
	})
}

// later runs f in the background, within the time of a message.
func (p *Peers) later(f func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.sending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), messageTime)
		defer cancel()
		f(ctx)
	})
}

// toAll sends a message to every other node, in the background; whom it does not reach learns
// of it otherwise.
func (p *Peers) toAll(word string, message any) {
	for _, to := range p.Others() {
		p.later(func(ctx context.Context) {
			if err := p.send(ctx, to, word, message, nil); err != nil {
				p.cfg.Log.Debug("a node could not be told something", "node", to.ID, "what", word, "error", err)
			}
		})
	}
}
