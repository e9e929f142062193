package api

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// This file ends connections on which nothing was ever asked, when the server stops. Browsers,
// and other nodes, open some ahead of need; the framework would wait for their first request
// as long as for a slow one's.

// freshList is the connections that nothing has come on yet.
type freshList struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

// freshListener notes what it accepts.
type freshListener struct {
	net.Listener
	list *freshList
}

// Accept implements net.Listener. What speaks TLS goes on showing that it does.
func (l freshListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.list.add(c)
	if secure, ok := c.(*tls.Conn); ok {
		return &freshTLS{Conn: secure, first: first{list: l.list}}, nil
	}
	return &freshConn{Conn: c, first: first{list: l.list}}, nil
}

func (f *freshList) add(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		c.Close()
		return
	}
	if f.conns == nil {
		f.conns = map[net.Conn]struct{}{}
	}
	f.conns[c] = struct{}{}
}

func (f *freshList) drop(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

// end closes them all, and those that come later.
func (f *freshList) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for c := range f.conns {
		c.Close()
	}
	clear(f.conns)
}

// first takes a connection off the list when its first bytes, or its end, have come. One
// goroutine reads.
type first struct {
	list *freshList
	came bool
}

func (f *first) read(c net.Conn, n int, err error) (int, error) {
	if !f.came {
		f.came = true
		f.list.drop(c)
		if errors.Is(err, net.ErrClosed) { // by end: for the framework that is no fault
			err = io.EOF
		}
	}
	return n, err
}

// deadline is what was set last, by the one goroutine that reads. The framework sets one for
// each request, which costs more than to see that the last one will do: it may come half a second
// early when it is far off.
type deadline struct{ at time.Time }

const deadlineStep = 500 * time.Millisecond

// stands says that the last deadline will do for t; else t is taken for the last one.
func (d *deadline) stands(t time.Time) bool {
	if !t.IsZero() && !t.Before(d.at) && t.Sub(d.at) < deadlineStep && time.Until(d.at) > 10*deadlineStep {
		return true
	}
	d.at = t
	return false
}

type freshConn struct {
	net.Conn
	first
	reading deadline
}

// Read implements net.Conn.
func (c *freshConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return c.read(c.Conn, n, err)
}

// SetReadDeadline implements net.Conn. The framework takes an error for a fault of its own and
// panics; of a connection that was closed here the next read tells.
func (c *freshConn) SetReadDeadline(t time.Time) error {
	if c.reading.stands(t) {
		return nil
	}
	return unlessClosed(c.Conn.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn, likewise.
func (c *freshConn) SetWriteDeadline(t time.Time) error {
	return unlessClosed(c.Conn.SetWriteDeadline(t))
}

func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type freshTLS struct {
	*tls.Conn
	first
	reading deadline
}

// Read implements net.Conn.
func (c *freshTLS) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return c.read(c.Conn, n, err)
}

// SetReadDeadline implements net.Conn, as that of freshConn.
func (c *freshTLS) SetReadDeadline(t time.Time) error {
	if c.reading.stands(t) {
		return nil
	}
	return unlessClosed(c.Conn.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn, as that of freshConn.
func (c *freshTLS) SetWriteDeadline(t time.Time) error {
	return unlessClosed(c.Conn.SetWriteDeadline(t))
}
