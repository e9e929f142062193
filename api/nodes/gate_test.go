package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file cuts nodes off: from their store, and from everybody else.

// gated is a node's way to the store.
type gated struct {
	memory.Shared
	mu    sync.Mutex
	gate  chan struct{} // closed while the way is open
	dead  bool          // what waits is never done
	fated []error       // of commits that were held back
	held  int           // commits that were ever held back
}

var _ store.Shared = (*gated)(nil)

func newGated(rows memory.Shared) *gated {
	g := &gated{Shared: rows, gate: make(chan struct{})}
	close(g.gate)
	return g
}

// shut lets calls wait; dead ones fail when the way opens.
func (g *gated) shut(dead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate, g.dead = make(chan struct{}), dead
}

func (g *gated) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.gate:
	default:
		close(g.gate)
	}
}

// pass waits for the way. held says that it was shut.
func (g *gated) pass() (held bool, err error) {
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	select {
	case <-gate:
	default:
		<-gate
		held = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return held, errors.Join(errors.New("the node was killed"), store.ErrClosed)
	}
	return held, nil
}

// holds gives how many commits were held back.
func (g *gated) holds() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// late gives what became of commits that were held back.
func (g *gated) late() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]error(nil), g.fated...)
}

// Commit implements store.Committer.
func (g *gated) Commit(ctx context.Context, c *job.Change) error {
	g.mu.Lock()
	select {
	case <-g.gate:
	default:
		g.held++
	}
	g.mu.Unlock()
	held, err := g.pass()
	if err == nil {
		err = g.Shared.Commit(ctx, c)
	}
	if held {
		g.mu.Lock()
		g.fated = append(g.fated, err)
		g.mu.Unlock()
	}
	return err
}

// HandOut implements store.Committer: it waits for nobody, so what comes while the way is shut is lost.
func (g *gated) HandOut(t job.Task) {
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	select {
	case <-gate:
		g.Shared.HandOut(t)
	default:
	}
}

// Sync implements store.Committer.
func (g *gated) Sync(ctx context.Context) error {
	if _, err := g.pass(); err != nil {
		return err
	}
	return g.Shared.Sync(ctx)
}

// Hold implements store.Leases.
func (g *gated) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	if _, err := g.pass(); err != nil {
		return nil, err
	}
	return g.Shared.Hold(ctx, holder, info, ttl, names...)
}

// Yield implements store.Leases.
func (g *gated) Yield(ctx context.Context, holder string, names ...string) error {
	if _, err := g.pass(); err != nil {
		return err
	}
	return g.Shared.Yield(ctx, holder, names...)
}

// Draw implements store.Paces.
func (g *gated) Draw(ctx context.Context, key string, p store.Pace, n, back int) (store.Drawn, error) {
	if _, err := g.pass(); err != nil {
		return store.Drawn{}, err
	}
	return g.Shared.Draw(ctx, key, p, n, back)
}

// wire is a listener whose connections can be cut.
type wire struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
}

// Accept implements net.Listener.
func (w *wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.open[c] = true
	w.mu.Unlock()
	return c, nil
}

// cut ends the listener and everything that came by it.
func (w *wire) cut() {
	w.Listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
}
