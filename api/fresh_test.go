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
