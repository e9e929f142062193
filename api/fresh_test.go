package api

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// This file tests that connections which ask nothing do not hold the end of a server.

func TestASilentConnectionDoesNotHoldTheEnd(t *testing.T) {
	b := newBench(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.s.Serve(ln) }()
	silent, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// One that asks is accepted after it, so both are there.
	asks, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer asks.Close()
	if _, err := asks.Write([]byte("GET /_public/status HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := asks.Read(answer); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Fatalf("%q, %v", answer, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // the framework would wait for 5 s at least
	defer cancel()
	if err := b.s.Shutdown(ctx); err != nil {
		t.Errorf("the server did not end: %v", err)
	}
	<-served
}

// deadlines is a connection that notes the deadlines set.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func TestADeadlineIsSetWhenTheLastOneWillNotDo(t *testing.T) {
	below := &deadlines{}
	c := &freshConn{Conn: below}
	far := time.Now().Add(time.Minute)
	near := time.Now().Add(deadlineStep)
	for i, step := range []struct {
		to  time.Time
		set bool
	}{
		{far, true}, {far, false}, {far.Add(deadlineStep - 1), false}, {far.Add(deadlineStep), true}, // half a second later
		{far, true},                                           // sooner
		{time.Time{}, true}, {time.Time{}, true}, {far, true}, // none, and one again
		{near, true}, {near.Add(1), true}, // soon: to the point
		{time.Now().Add(-time.Second), true}, {far, true}, // it has passed
	} {
		before := len(below.set)
		if err := c.SetReadDeadline(step.to); err != nil {
			t.Fatal(err)
		}
		if got := len(below.set) > before; got != step.set || got && !below.set[before].Equal(step.to) {
			t.Errorf("step %d: set %v, want %v", i, got, step.set)
		}
	}
}
