// Pacing: how long to wait after a fault.

package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// backoff doubles its wait with every fault, up to a minute.
type backoff struct{ next, first time.Duration }

func newBackoff(first time.Duration) *backoff { return &backoff{next: first, first: first} }

func (b *backoff) reset() { b.next = b.first }

// wait sleeps after err: what the server asked for, else the present step with
// a random part, so that many workers do not come back at the same moment. It
// returns false when ctx ended first.
func (b *backoff) wait(ctx context.Context, err error) bool { return pause(ctx, b.step(err)) }

// step gives how long to wait after err, and makes the next one longer.
func (b *backoff) step(err error) time.Duration {
	d := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, maxBackoff)
	var refused *requestError
	if errors.As(err, &refused) {
		d = max(d, refused.retryAfter)
	}
	return d
}

// pause sleeps for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
