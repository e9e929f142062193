package engine

import (
	"context"
	"time"
)

// This file waits by the engine's clock.

// nap waits for a signal (nil: none), at most for so long; false when ctx has ended.
func (e *Engine) nap(ctx context.Context, signal <-chan struct{}, most time.Duration) bool {
	t := e.cfg.Clock.NewTimer(most)
	defer t.Stop()
	select {
	case <-signal:
	case <-t.C():
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (e *Engine) sleep(ctx context.Context, d time.Duration) error {
	e.nap(ctx, nil, d)
	return ctx.Err()
}

// later runs f in a second: the store did not take a write, and may do so then.
func (e *Engine) later(ctx context.Context, f func()) { e.laterBy(ctx, retryStore, f) }

func (e *Engine) laterBy(ctx context.Context, d time.Duration, f func()) {
	e.goes(func() {
		if e.nap(ctx, nil, d) {
			f()
		}
	})
}
