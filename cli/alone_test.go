package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"orrery/engine/clock"
	"orrery/engine/store/memory"
)

// This file tests that a store which processes share has one server.

func TestOneServerOnASharedStore(t *testing.T) {
	ctx := context.Background()
	clk := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	s := memory.NewShared(clk.Now)
	quiet := func(string, ...any) {}
	first, err := claimAlone(ctx, s, clk, quiet)
	if err != nil || first == nil {
		t.Fatalf("the first server gets %v, %v", first, err)
	}
	refused := make(chan error, 1)
	go func() { _, err := claimAlone(ctx, s, clk, quiet); refused <- err }()
	for done := false; !done; {
		select {
		case <-clk.Armed():
			if _, _, err := first.renew(ctx); err != nil {
				t.Fatal(err)
			}
			clk.Advance(aloneRenew)
		case err := <-refused:
			if err == nil || !strings.Contains(err.Error(), "another server uses this store") {
				t.Fatalf("the second server gets %v", err)
			}
			done = true
		}
	}
	clk.Advance(aloneFor + time.Second) // the first one was killed
	second, err := claimAlone(ctx, s, clk, quiet)
	if err != nil {
		t.Fatalf("after the first one's end: %v", err)
	}
	if held, _, err := first.renew(ctx); held || err != nil {
		t.Errorf("the first one comes back and holds the store: %v, %v", held, err)
	}
	if err := second.end(ctx); err != nil {
		t.Fatal(err)
	}
	if held, _, err := first.renew(ctx); !held || err != nil {
		t.Errorf("a store that was given back is not free: %v, %v", held, err)
	}
	if a, err := claimAlone(ctx, memory.New(), clk, quiet); a != nil || err != nil {
		t.Errorf("a store of one process needs no such right: %v, %v", a, err)
	}
}
