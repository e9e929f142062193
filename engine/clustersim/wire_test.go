package clustersim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"orrery/api/peers"
)

// This file is the network between nodes: it carries what package peers sends, with delays,
// losses and repetitions, and may be cut between two of them.

// partition holds which nodes can not reach each other.
type partition struct {
	mu  sync.Mutex
	cut map[string]int // by the two names
}

func between(a, b string) string {
	names := []string{a, b}
	slices.Sort(names)
	return names[0] + " " + names[1]
}

// set cuts two nodes apart by 1, or mends that by -1.
func (p *partition) set(a, b string, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut[between(a, b)] += by
}

// heal mends all.
func (p *partition) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.cut)
}

func (p *partition) parts(a, b string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut[between(a, b)] > 0
}

// wire is one server's way to the other nodes; it is the transport of its Peers.
type wire struct {
	w    *world
	node *node
	from *server
	mu   sync.Mutex
	r    *rand.Rand
}

var _ http.RoundTripper = (*wire)(nil)

// hop is what is drawn for one request between nodes.
type hop struct {
	there, back, late         time.Duration
	lost, lostBack, goesTwice bool
}

func (x *wire) draw() (h hop) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h = hop{there: latency(x.r), back: latency(x.r), late: latency(x.r) * time.Duration(1+x.r.IntN(200))}
	a, b, c := x.r.Float64(), x.r.Float64(), x.r.Float64()
	if !x.w.isCalm() {
		f := x.w.weather
		h.lost, h.lostBack, h.goesTwice = a < f.lost, b < f.lost, c < f.doubled
	}
	return h
}

// RoundTrip brings a request to a node, and its answer back.
func (x *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, h := req.Context(), x.draw()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	x.from.link.halt()
	to := x.w.named(req.URL.Host)
	if to == nil {
		return nil, fmt.Errorf("there is no node %q", req.URL.Host)
	}
	if err := nap(ctx, h.there); err != nil {
		return nil, err
	}
	if h.lost || x.w.parted.parts(x.node.name, to.name) || x.gone() { // nothing comes, until it is given up
		if err := nap(ctx, 5*time.Second); err != nil {
			return nil, err
		}
		return nil, errLost
	}
	bring := func() (*http.Response, bool) {
		return to.receive(req, body)
	}
	if h.goesTwice {
		x.w.actors.Go(func() {
			x.w.wait(h.late)
			bring() // whoever sent it twice hears the first answer
		})
	}
	got := make(chan *http.Response, 1)
	x.w.actors.Go(func() {
		if resp, ok := bring(); ok {
			got <- resp
		} else {
			close(got)
		}
	})
	select {
	case resp := <-got:
		if err := nap(ctx, h.back); err != nil {
			return nil, err
		}
		x.from.link.halt()
		if resp == nil || h.lostBack || x.w.parted.parts(x.node.name, to.name) || x.gone() {
			return nil, errLost
		}
		return resp, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// gone reports whether the server at this end has ended.
func (x *wire) gone() bool { return x.from.ctx.Err() != nil }

// receive lets the node's server answer; ok is false if there is none, or none any more.
func (n *node) receive(req *http.Request, body []byte) (*http.Response, bool) {
	s := n.up()
	if s == nil {
		return nil, false
	}
	s.link.halt() // what has come waits until the process goes on
	if s.ctx.Err() != nil {
		return nil, false
	}
	status, header, reply := s.take(req.Method, req.URL.RequestURI(), req.Header.Get(peers.Header), body)
	s.link.halt()
	if s.ctx.Err() != nil || n.up() != s {
		return nil, false
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(reply)), Request: req}, true
}

// nap waits, or until ctx ends.
func nap(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
