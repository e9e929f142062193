package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is a look: renew what is held, see who is alive, take what is free, give away
// what another is to have.

// Run looks until ctx ends. It gives nothing back: that is Leave.
func (n *Node) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		err := n.Tick(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			n.cfg.Log.Error("the leases of the nodes can not be read or renewed; it is tried again", "error", err)
		case err == nil && failing:
			n.cfg.Log.Info("the leases of the nodes are renewed again")
		}
		failing = err != nil
		t := n.cfg.Clock.NewTimer(n.cfg.Every)
		select {
		case <-t.C():
		case <-n.look:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// Tick looks once. What takes long (Gain, Lose) goes on after it, by Config.Go, and until ctx ends
// it is watched how long the leases stand.
func (n *Node) Tick(ctx context.Context) error {
	n.ticking.take()
	defer n.ticking.end()
	if n.hasLeft() {
		return nil
	}
	life := ctx
	ctx, cancel := n.within(ctx, n.cfg.TTL/2)
	defer cancel()
	n.compare()
	if err := n.renew(ctx, life, n.names); err != nil {
		n.expire()
		return err
	}
	all, err := n.cfg.Leases.Held(ctx, "")
	if err != nil {
		return fmt.Errorf("read the leases: %w", err)
	}
	news := n.learn(all)
	if len(n.free()) > 0 {
		if err := n.renew(ctx, life, n.free); err != nil {
			return err
		}
		news = true
	}
	if n.release() || news {
		n.tell()
	}
	return nil
}

// within bounds a call of the store by this node's clock.
func (n *Node) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	t := n.cfg.Clock.NewTimer(d)
	go func() {
		defer t.Stop()
		select {
		case <-t.C():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (n *Node) hasLeft() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.left
}

// names are the leases to renew: its own, work, and the shards that it has.
func (n *Node) names() []string {
	names := []string{nodePrefix + n.cfg.ID}
	for _, w := range n.cfg.Work {
		names = append(names, workPrefix+w)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for s, h := range n.shards {
		if h.phase != foreign {
			names = append(names, store.ShardLease(byte(s)))
		}
	}
	return names
}

// renew holds leases, and takes in what the store says that this node has. life is for how long
// it is watched that they stand.
func (n *Node) renew(ctx, life context.Context, which func() []string) error {
	n.leasing.take()
	names := which()
	began := n.cfg.Clock.Now() // not the end: the lease runs from somewhere in between
	passed := n.cfg.Clock.NewTimer(n.cfg.TTL)
	held, err := n.cfg.Leases.Hold(ctx, n.cfg.ID, n.info, n.cfg.TTL, names...)
	if err != nil {
		passed.Stop()
		n.leasing.end()
		return fmt.Errorf("renew %d leases: %w", len(names), err)
	}
	n.standUntil(life, began.Add(n.cfg.TTL).UnixMilli(), passed)
	gained, lost := n.accept(held)
	n.leasing.end()
	if lost.Len() > 0 {
		n.cfg.Log.Warn("other nodes have taken shards over", "shards", lost.Len())
	}
	n.drop(lost)
	if len(gained) > 0 {
		term := n.term
		n.move(func() { n.takeUp(term, gained) })
	}
	return nil
}

// standUntil notes that the leases stand until then by this node's clock, and no longer than
// until that much time has passed: a clock that is set back would have them stand too long, and
// one that counts time alone knows nothing of a machine that was suspended.
func (n *Node) standUntil(life context.Context, then int64, passed clock.Timer) {
	n.until.Store(then)
	go func() {
		defer passed.Stop()
		select {
		case <-passed.C():
			n.until.CompareAndSwap(then, 0) // unless they were renewed
		case <-life.Done():
		}
	}()
}

// accept compares what the store says that this node has with what it thought.
func (n *Node) accept(held []store.Lease) (gained map[byte]int64, lost store.ShardSet) {
	var fences [job.Shards]int64
	leads := map[string]bool{}
	for _, l := range held {
		if w, ok := strings.CutPrefix(l.Name, workPrefix); ok {
			leads[w] = true
		} else if s, ok := shardOf(l.Name); ok {
			fences[s] = l.Fence
		}
	}
	gained = map[byte]int64{}
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.shards {
		h, fence := &n.shards[s], fences[s]
		if h.phase != foreign && h.fence != fence { // another had it, be it that it is ours again
			lost.Add(byte(s))
			*h = holding{}
		}
		if h.phase == foreign && fence != 0 && n.underway[s] == 0 { // else when that has ended
			*h = holding{opening, fence}
			n.underway[s]++
			gained[byte(s)] = fence
		}
	}
	for w := range leads {
		if !n.leads[w] {
			n.cfg.Log.Info("this node does work that there is one of", "work", w)
		}
	}
	n.leads = leads
	return gained, lost
}

func shardOf(name string) (shard byte, ok bool) {
	text, ok := strings.CutPrefix(name, shardPrefix)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(text, 16, 8)
	return byte(v), err == nil
}

// announce wakes those who wait for something new; the caller holds the lock.
func (n *Node) announce() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// learn takes in who is alive and whose the shards are; first reports that the others do not
// know of this node yet.
func (n *Node) learn(all []store.Lease) (first bool) {
	peers, owners := map[string]Peer{}, [job.Shards]string{}
	for _, l := range all {
		id, ok := strings.CutPrefix(l.Name, nodePrefix)
		if !ok {
			continue
		}
		var i info
		if err := json.Unmarshal(l.Info, &i); err != nil {
			n.cfg.Log.Warn("what stands beside a node's lease can not be read", "node", id, "error", err)
		}
		peers[id] = Peer{ID: id, URL: i.URL, Version: i.Version, Started: i.Started, Self: id == n.cfg.ID}
	}
	for _, l := range all {
		p, alive := peers[l.Holder]
		if s, ok := shardOf(l.Name); ok {
			owners[s] = l.Holder
			p.Shards++
		} else if w, ok := strings.CutPrefix(l.Name, workPrefix); ok {
			p.Work = append(p.Work, w)
		}
		if alive {
			peers[l.Holder] = p
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	first = n.peers == nil
	n.peers, n.owners = peers, owners
	n.announce()
	return first
}

// targets says whose each shard is to be; the caller holds the lock.
func (n *Node) targets() [job.Shards]string {
	ids := make([]string, 0, len(n.peers))
	for id := range n.peers {
		ids = append(ids, id)
	}
	return wanted(ids)
}

// free names the shards that this node is to have and nobody has.
func (n *Node) free() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s, id := range n.targets() {
		if id == n.cfg.ID && n.owners[s] == "" && n.shards[s].phase == foreign && n.underway[s] == 0 {
			names = append(names, store.ShardLease(byte(s)))
		}
	}
	return names
}
