package faultproxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// This file moves the bytes of one link.

type link struct {
	p              *Proxy
	client, server net.Conn
	once           sync.Once
	over           chan struct{} // closed by reset
}

// parcel is what was read at once, and when it may go on; no text is the end of the stream.
type parcel struct {
	text []byte
	due  time.Time
}

// underWay bounds the parcels of a side that are kept; a sender with more waits, as on a line
// whose windows are full.
const underWay = 256

// run passes both directions on until both have ended.
func (l *link) run() {
	var sides sync.WaitGroup
	sides.Go(func() { l.pass(l.client, l.server, ToServer) })
	sides.Go(func() { l.pass(l.server, l.client, ToClient) })
	sides.Wait()
	l.reset() // both have sent all; only the handles are left
}

// pass moves one direction: a reader that stamps, and a writer that waits.
func (l *link) pass(from, to net.Conn, side Side) {
	line := make(chan parcel, underWay)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(line)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			set, _ := l.p.now()
			if n > 0 && !l.send(line, parcel{buf[:n], time.Now().Add(set.delay)}) {
				return
			}
			if err != nil {
				if err == io.EOF {
					l.send(line, parcel{due: time.Now().Add(set.delay)})
				} else {
					l.reset()
				}
				return
			}
		}
	})
	for one := range line {
		if !l.deliver(one, to, side) {
			l.reset()
			break
		}
	}
	reading.Wait()
}

func (l *link) send(line chan<- parcel, one parcel) bool {
	select {
	case line <- one:
		return true
	case <-l.over:
		return false
	}
}

// deliver waits until a parcel may go on, and writes it; false ends the link.
func (l *link) deliver(one parcel, to net.Conn, side Side) bool {
	for {
		set, changed := l.p.now()
		if set.held&side == 0 {
			left := time.Until(one.due)
			if left <= 0 {
				break
			}
			due := time.NewTimer(left)
			select {
			case <-due.C:
			case <-changed:
			case <-l.over:
			}
			due.Stop()
		} else {
			select {
			case <-changed:
			case <-l.over:
			}
		}
		select {
		case <-l.over:
			return false
		default:
		}
	}
	set, _ := l.p.now()
	if set.lose && side == ToClient && len(one.text) > 0 {
		return false
	}
	if set.tap != nil {
		set.tap(side, one.text)
	}
	if len(one.text) == 0 {
		if half, ok := to.(*net.TCPConn); ok {
			return half.CloseWrite() == nil
		}
		return false
	}
	_, err := to.Write(one.text)
	return err == nil
}

// reset ends the link at once on both sides.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.over)
		reset(l.client)
		reset(l.server)
	})
}

// reset closes a connection so that the other side hears of an error, not of an end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // of a connection that is gone already: nothing is left to do
	}
	_ = c.Close()
}
