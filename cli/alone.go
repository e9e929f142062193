package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"orrery/engine/clock"
	"orrery/engine/store"
)

// This file keeps a second server from a store that several processes could open: servers do
// not share their jobs yet, so each would take all of them. SQLite's lock on the file does the
// same for that store.

const (
	aloneLease = "serve"
	aloneFor   = 15 * time.Second // after a kill, the next server waits so long
	aloneRenew = 3 * time.Second
)

// alone is the right to be the one server on a store.
type alone struct {
	leases store.Leases
	holder string
	info   json.RawMessage
}

// claimAlone takes the right, waiting for the lease of a server that died. It is nil for a
// store that only one process can open anyway.
func claimAlone(ctx context.Context, s store.Store, clk clock.Clock, say func(text string, args ...any)) (*alone, error) {
	shared, ok := s.(store.Shared)
	if !ok || !s.Features().Shared {
		return nil, nil
	}
	id := make([]byte, 8)
	rand.Read(id) // never fails
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	info, err := json.Marshal(map[string]any{"host": host, "pid": os.Getpid()})
	if err != nil {
		return nil, err
	}
	a := &alone{leases: shared, holder: hex.EncodeToString(id), info: info}
	for began := clk.Now(); ; {
		held, other, err := a.renew(ctx)
		if err != nil || held {
			return a, err
		}
		if clk.Now().Sub(began) > aloneFor+aloneRenew {
			return nil, &failure{line: fmt.Sprintf("another server uses this store (%s): stop it first; several servers on one store are not supported yet", other)}
		}
		say("another server used this store a moment ago; waiting until it has surely ended", "server", other, "at most", aloneFor+aloneRenew)
		if err := nap(ctx, clk, aloneRenew); err != nil {
			return nil, err
		}
	}
}

// takenOver ends a server whose store another one has.
type takenOver struct{ by string }

func (t *takenOver) Error() string {
	return "another server has taken the store over while this one did not answer: " + t.by
}

// renew takes or keeps the right; other says who has it when that failed.
func (a *alone) renew(ctx context.Context) (held bool, other string, err error) {
	leases, err := a.leases.Hold(ctx, a.holder, a.info, aloneFor, aloneLease)
	if err != nil {
		return false, "", fmt.Errorf("see whether another server uses the store: %w", err)
	}
	if len(leases) > 0 {
		return true, "", nil
	}
	all, err := a.leases.Held(ctx, aloneLease)
	if err != nil || len(all) == 0 {
		return false, "it ended just now", err
	}
	return false, string(all[0].Info), nil
}

// keep renews the right until ctx ends, and calls lost when another server has it.
func (a *alone) keep(ctx context.Context, clk clock.Clock, lost func(other string)) {
	for nap(ctx, clk, aloneRenew) == nil {
		if held, other, err := a.renew(ctx); err == nil && !held {
			lost(other)
			return
		}
	}
}

// end gives the right back.
func (a *alone) end(ctx context.Context) error {
	return a.leases.Yield(ctx, a.holder, aloneLease)
}

// nap waits; its error is the context's.
func nap(ctx context.Context, clk clock.Clock, d time.Duration) error {
	t := clk.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
