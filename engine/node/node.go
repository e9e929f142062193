package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds a node: what it is made of, and what it knows.

// Defaults of Config.
const (
	DefaultTTL      = 10 * time.Second
	DefaultPatience = 5 * time.Second
)

// Prefixes of the names of leases; those of shards are store.ShardLease.
const (
	nodePrefix  = "node/"
	workPrefix  = "work/"
	shardPrefix = "shard/"
)

// Shards is told what this node owns; *engine.Engine implements it.
type Shards interface {
	// Gain takes shards up, each with the fence number of its lease: it reads what the store
	// has of their jobs. With an error none of them was taken up.
	Gain(ctx context.Context, fences map[byte]int64) error
	// Lose lets go of shards: nothing new begins in them, what runs may end until ctx does,
	// and then all that memory has of them is dropped. Shards that were not there do not matter.
	Lose(ctx context.Context, lost store.ShardSet)
	// Opened gives what was taken up and not let go of. It waits for nobody.
	Opened() store.ShardSet
}

// Config is what a node is made of. ID, Leases and Shards are needed.
type Config struct {
	ID       string // of this process alone: a name that was used before would renew dead leases
	URL      string // where other nodes reach it
	Version  string // of the program, for people
	Leases   store.Leases
	Shards   Shards
	Clock    clock.Clock
	Log      *slog.Logger
	TTL      time.Duration // of leases; 0: DefaultTTL
	Every    time.Duration // between looks; 0: a fifth of TTL
	Patience time.Duration // that running steps get when a shard moves; 0: DefaultPatience
	Work     []string      // what there must be one of, without prefix
	Tell     func(Peer)    // tells a node that leases have changed, so that it looks now; returns at once; nil: it finds out
	Go       func(func())  // runs what takes long; nil: a goroutine each
}

// Peer is a node as others see it.
type Peer struct {
	ID      string    `json:"id"`
	URL     string    `json:"url"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started"`
	Shards  int       `json:"shards"`         // that it owns
	Work    []string  `json:"work,omitempty"` // that it does
	Self    bool      `json:"self,omitempty"`
}

// info is what stands beside every lease of a node.
type info struct {
	URL     string    `json:"url"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started"`
}

// phase is how far a shard is with this node.
type phase uint8

const (
	foreign phase = iota
	opening       // the lease is ours, and the engine reads what there is
	open
	closing // given away as soon as what runs has ended
)

// holding is what this node has of a shard.
type holding struct {
	phase phase
	fence int64
}

// turn is a lock that is held while the store is waited for. It is a channel and no mutex, so
// that a simulation in virtual time can tell who waits for whom.
type turn chan struct{}

// take waits for the turn.
func (t turn) take() { t <- struct{}{} }

// end lets the next one have it.
func (t turn) end() { <-t }

// Node is one process among several. Make it with New; its methods may be called from any
// goroutine.
type Node struct {
	cfg   Config
	info  json.RawMessage
	look  chan struct{}
	until atomic.Int64 // the leases stand up to then by this clock, in milliseconds since 1970; 0: not any more
	late  atomic.Int64 // commits that were refused

	ticking turn // one look at a time
	leasing turn // one change of the leases at a time, with what this node makes of it
	moving  sync.WaitGroup
	moves   context.Context // of Gain and Lose; ends with Leave
	stop    context.CancelFunc
	term    context.Context // of Gain; ends with the leases, and with moves. Only looks have it
	endTerm context.CancelFunc

	mu     sync.Mutex
	shards [job.Shards]holding
	// underway counts the calls of Gain and Lose for a shard that have not ended, so that none is
	// gained under them: a lease that had ended may come back under its old number, and then
	// nothing tells what an earlier call does late from what is to be.
	underway [job.Shards]int

	owners  [job.Shards]string // holders of the other shards' leases, at the last look
	peers   map[string]Peer    // alive at the last look, this node too; nil before the first
	leads   map[string]bool
	left    bool
	changed chan struct{} // closed when what is known has changed
}

// New makes a node; it is nobody before its first look.
func New(cfg Config) (*Node, error) {
	if cfg.ID == "" || strings.Contains(cfg.ID, "/") || cfg.Leases == nil || cfg.Shards == nil {
		return nil, errors.New("node: ID (without a slash), Leases and Shards are needed")
	}
	cfg.TTL, cfg.Patience = cmp.Or(cfg.TTL, DefaultTTL), cmp.Or(cfg.Patience, DefaultPatience)
	cfg.Every = cmp.Or(cfg.Every, cfg.TTL/5)
	if cfg.Clock == nil {
		cfg.Clock = clock.Real{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Tell == nil {
		cfg.Tell = func(Peer) {}
	}
	if cfg.Go == nil {
		cfg.Go = func(f func()) { go f() }
	}
	text, err := json.Marshal(info{cfg.URL, cfg.Version, cfg.Clock.Now()})
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, info: text, look: make(chan struct{}, 1), leads: map[string]bool{}, changed: make(chan struct{}),
		ticking: make(turn, 1), leasing: make(turn, 1),
	}
	n.moves, n.stop = context.WithCancel(context.Background())
	n.term, n.endTerm = context.WithCancel(n.moves)
	return n, nil
}

// ID is this node's name.
func (n *Node) ID() string { return n.cfg.ID }

// Current reports whether the leases of this node stand by its own clock. It costs nothing.
func (n *Node) Current() bool { return n.cfg.Clock.Now().UnixMilli() < n.until.Load() }

// Owner gives the node that a shard belongs to: this one once it has taken it up, another as
// the last look has it. ok is false while it is nobody's, or on its way.
func (n *Node) Owner(shard byte) (p Peer, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.shards[shard]; h.phase != foreign {
		return Peer{ID: n.cfg.ID, URL: n.cfg.URL, Self: true}, h.phase == open
	}
	if n.owners[shard] == n.cfg.ID {
		return Peer{}, false
	}
	p, ok = n.peers[n.owners[shard]]
	return p, ok
}

// Peers gives the other nodes that were alive at the last look, in order of id.
func (n *Node) Peers() []Peer {
	return slices.DeleteFunc(n.All(), func(p Peer) bool { return p.Self })
}

// All gives the nodes that were alive at the last look, this one too, in order of id.
func (n *Node) All() []Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.SortedFunc(maps.Values(n.peers), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
}

// Leads reports whether this node does a work that there must be one of.
func (n *Node) Leads(work string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leads[work] && n.Current()
}

// Changed gives a channel that is closed when this node knows something new of who owns what.
func (n *Node) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// Look makes Run look at the leases now.
func (n *Node) Look() {
	select {
	case n.look <- struct{}{}:
	default:
	}
}

// Fenced says that a commit with this fence number of the shard was refused: this node does not
// know yet that another has taken the shard over. When it has the shard under another number by
// now, the commit was only late.
func (n *Node) Fenced(shard byte, fence int64) {
	n.late.Add(1)
	n.mu.Lock()
	h := &n.shards[shard]
	if h.phase == foreign || h.fence != fence {
		n.mu.Unlock()
		return
	}
	*h = holding{}
	n.underway[shard]++
	n.mu.Unlock()
	n.cfg.Log.Warn("another node has taken a shard over while this one was not looking", "shard", shard)
	n.drop(setOf(shard))
	n.mu.Lock()
	n.underway[shard]--
	n.mu.Unlock()
	n.Look()
}

// Refused counts the commits of this process that were refused because another node had
// taken their shard over.
func (n *Node) Refused() int64 { return n.late.Load() }

// drop lets go of shards that are not ours any more, at once.
func (n *Node) drop(lost store.ShardSet) {
	if lost.Len() == 0 {
		return
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	n.cfg.Shards.Lose(now, lost)
}

func setOf(shards ...byte) (s store.ShardSet) {
	for _, one := range shards {
		s.Add(one)
	}
	return s
}
