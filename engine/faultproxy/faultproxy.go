// Package faultproxy stands between a program and a server in tests, and does what networks
// do: cut, refuse, delay, hold, and lose answers to what was done.
//
// Words: a link is one connection of a client with the one to the server behind it; a side is
// one direction of it. What is set holds for all links, those that are there included, until
// it is set otherwise. The proxy knows bytes only, so it serves any protocol over TCP.
package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// This file holds the proxy and what can be done with it; link.go moves the bytes.

// Side is a direction, or both.
type Side uint8

// The directions.
const (
	Neither  Side = 0
	ToServer Side = 1
	ToClient Side = 2
	Both          = ToServer | ToClient
)

// Proxy listens on a loopback port of its own. Make it with Start.
type Proxy struct {
	listener net.Listener
	working  sync.WaitGroup

	mu      sync.Mutex
	target  string
	links   map[*link]struct{}
	set     setting
	changed chan struct{} // closed, and made anew, at every change of set
	ever    int
	closed  bool
}

// setting is what holds now.
type setting struct {
	held   Side
	delay  time.Duration // of each direction
	refuse bool
	lose   bool
	tap    func(Side, []byte)
}

// Start begins to pass connections on to the address of a server.
func Start(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a fault proxy: %w", err)
	}
	p := &Proxy{target: target, listener: ln, links: map[*link]struct{}{}, changed: make(chan struct{})}
	p.working.Go(p.accept)
	return p, nil
}

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Links gives the number of links that are there, and of all that ever were.
func (p *Proxy) Links() (now, ever int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links), p.ever
}

// Hold lets no byte through in the given direction; what comes is kept, and goes on when it is
// let go. Both is a partition in which nobody hears of anything: connections stay.
func (p *Proxy) Hold(s Side) { p.change(func(now *setting) { now.held = s }) }

// Delay keeps every byte back for so long, in each direction; 0 ends it. What is under way
// already keeps the delay that it came with.
func (p *Proxy) Delay(d time.Duration) { p.change(func(now *setting) { now.delay = d }) }

// Refuse resets new connections at once while it is on; those that are there stay.
func (p *Proxy) Refuse(on bool) { p.change(func(now *setting) { now.refuse = on }) }

// LoseAnswers resets a link when the server's next bytes come, which are dropped: what was
// asked for was done, and the client is told that it failed.
func (p *Proxy) LoseAnswers(on bool) { p.change(func(now *setting) { now.lose = on }) }

// Tap has f called with all that is passed on from now on, from several goroutines, before it is;
// nil ends it. f must not keep the text.
func (p *Proxy) Tap(f func(Side, []byte)) { p.change(func(now *setting) { now.tap = f }) }

// Lead passes connections that come from now on to another server, as a name does that leads
// elsewhere; those that are there stay.
func (p *Proxy) Lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut resets all links that are there.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Down is Refuse(true) and Cut: the server is gone. Refuse(false) brings it back.
func (p *Proxy) Down() {
	p.Refuse(true)
	p.Cut()
}

// Heal undoes all that was set.
func (p *Proxy) Heal() { p.change(func(now *setting) { *now = setting{} }) }

// Close ends the proxy and every link, and waits for them.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.working.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) change(do func(now *setting)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do(&p.set)
	close(p.changed)
	p.changed = make(chan struct{})
}

// now gives what holds, and what tells that it does no more.
func (p *Proxy) now() (setting, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.set, p.changed
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		if set, _ := p.now(); set.refuse {
			reset(c)
			continue
		}
		p.working.Go(func() { p.serve(c) })
	}
}

// serve makes a link of a client's connection and waits for its end.
func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		reset(client) // as the server itself would
		return
	}
	l := &link{p: p, client: client, server: server, over: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.ever++
	stop := p.closed
	p.mu.Unlock()
	if stop { // Close looked before this link was there
		l.reset()
	}
	l.run()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}
