package node

import (
	"context"
	"fmt"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is what happens to shards on their way from one node to another.

// move runs what takes long.
func (n *Node) move(f func()) {
	n.moving.Add(1)
	n.cfg.Go(func() {
		defer n.moving.Done()
		f()
	})
}

// takeUp opens shards whose leases are ours. What fails is tried again at the next look, for
// the lease still stands.
func (n *Node) takeUp(ctx context.Context, fences map[byte]int64) {
	err := n.cfg.Shards.Gain(ctx, fences)
	stale, lost := store.ShardSet{}, false
	n.mu.Lock()
	for s, fence := range fences {
		h := &n.shards[s]
		switch {
		case *h != (holding{opening, fence}):
			lost = true
			stale.Add(s)
		case err != nil:
			*h = holding{}
			stale.Add(s)
		default:
			h.phase = open
		}
	}
	n.announce()
	n.mu.Unlock()
	n.drop(stale)
	n.mu.Lock()
	for s := range fences {
		n.underway[s]--
	}
	n.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		n.cfg.Log.Error("shards could not be taken up; it is tried again", "shards", len(fences), "error", err)
	} else if err == nil {
		n.cfg.Log.Info("shards were taken up", "shards", len(fences))
	}
	if err == nil || lost { // some may be another's by now, or this node's again
		n.Look()
	}
}

// release begins to give away what another is to have, and reports whether there is any.
func (n *Node) release() bool {
	var given []byte
	n.mu.Lock()
	for s, id := range n.targets() {
		if n.shards[s].phase == open && id != n.cfg.ID {
			n.shards[s].phase = closing
			n.underway[s]++
			given = append(given, byte(s))
		}
	}
	n.mu.Unlock()
	if len(given) == 0 {
		return false
	}
	n.move(func() { n.giveAway(given) })
	return true
}

// giveAway lets running steps end, ends the leases and tells the others.
func (n *Node) giveAway(given []byte) {
	ctx, cancel := n.within(n.moves, n.cfg.Patience)
	n.cfg.Shards.Lose(ctx, setOf(given...))
	cancel()
	names := make([]string, len(given))
	for i, s := range given {
		names[i] = store.ShardLease(s)
	}
	ctx, cancel = n.within(context.WithoutCancel(n.moves), n.cfg.TTL/2)
	defer cancel()
	n.leasing.take() // a look must not renew what has just been ended
	defer n.leasing.end()
	if err := n.cfg.Leases.Yield(ctx, n.cfg.ID, names...); err != nil {
		n.cfg.Log.Warn("leases of shards could not be ended; they end by themselves", "shards", len(given), "error", err)
	}
	n.mu.Lock()
	for _, s := range given {
		n.underway[s]--
		if n.shards[s].phase == closing {
			n.shards[s] = holding{}
		}
		if n.owners[s] == n.cfg.ID {
			n.owners[s] = ""
		}
	}
	n.announce()
	n.mu.Unlock()
	n.cfg.Log.Info("shards were given away", "shards", len(given))
	n.tell()
	n.Look()
}

// expire drops everything when the leases have ended by this node's clock: another node may
// have it all.
func (n *Node) expire() {
	if n.Current() {
		return
	}
	n.endTerm() // what is being read would come too late
	n.term, n.endTerm = context.WithCancel(n.moves)
	lost := store.ShardSet{}
	n.mu.Lock()
	for s := range n.shards {
		if n.shards[s].phase != foreign {
			lost.Add(byte(s))
			n.shards[s] = holding{}
		}
	}
	clear(n.leads)
	n.announce()
	n.mu.Unlock()
	if lost.Len() > 0 {
		n.cfg.Log.Error("the leases of this node have ended, and could not be renewed: it lets go of its shards", "shards", lost.Len())
	}
	n.drop(lost)
}

// compare finds shards that this node takes for open and that were not taken up all the same:
// nobody would work in them for ever, for their leases stand. They are gained anew.
func (n *Node) compare() {
	lost := store.ShardSet{}
	n.mu.Lock()
	opened := n.cfg.Shards.Opened() // under the lock: it opens first there and then here, and closes here first
	for s := range n.shards {
		if n.shards[s].phase == open && !opened.Has(byte(s)) {
			lost.Add(byte(s))
			n.shards[s] = holding{}
		}
	}
	n.mu.Unlock()
	if lost.Len() > 0 {
		n.cfg.Log.Error("shards of this node stood still; they are taken up anew", "shards", lost.Len())
	}
	n.drop(lost)
}

// tell makes the other nodes look.
func (n *Node) tell() {
	for _, p := range n.Peers() {
		n.cfg.Tell(p)
	}
}

// Leave gives everything back at once, when what runs has ended, or when ctx does; the others
// need not wait for any lease to end. The node looks no more.
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	n.left = true
	n.mu.Unlock()
	n.ticking.take() // what looks now ends first, and none comes after it
	n.mu.Lock()
	mine, half, names := store.ShardSet{}, store.ShardSet{}, []string{}
	for s := range n.shards {
		if n.shards[s].phase == opening {
			half.Add(byte(s))
		}
		if n.shards[s].phase != foreign {
			mine.Add(byte(s))
			n.shards[s].phase = closing
			names = append(names, store.ShardLease(byte(s)))
		}
	}
	n.mu.Unlock()
	n.ticking.end()
	patience, cancel := n.within(ctx, n.cfg.Patience)
	n.cfg.Shards.Lose(patience, mine)
	cancel()
	n.stop()
	n.moving.Wait()
	n.drop(half) // what was being taken up meanwhile
	for _, w := range n.cfg.Work {
		names = append(names, workPrefix+w)
	}
	names = append(names, nodePrefix+n.cfg.ID)
	ctx, cancel = n.within(context.WithoutCancel(ctx), n.cfg.TTL/2)
	defer cancel()
	err := n.cfg.Leases.Yield(ctx, n.cfg.ID, names...)
	n.mu.Lock()
	n.shards = [job.Shards]holding{}
	for s, id := range n.owners {
		if id == n.cfg.ID {
			n.owners[s] = ""
		}
	}
	clear(n.leads)
	n.until.Store(0)
	n.announce()
	n.mu.Unlock()
	n.tell()
	if err != nil {
		return fmt.Errorf("end the leases of this node (they end by themselves within %s): %w", n.cfg.TTL, err)
	}
	return nil
}

// Fences gives the shards that this node has opened, with their fence numbers, for tests and
// simulations.
func (n *Node) Fences() map[byte]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[byte]int64{}
	for s, h := range n.shards {
		if h.phase == open {
			out[byte(s)] = h.fence
		}
	}
	return out
}

// Wait returns when no shard is being taken up or given away.
func (n *Node) Wait() { n.moving.Wait() }
