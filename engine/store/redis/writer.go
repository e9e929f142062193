package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/held"
)

// This file holds the goroutines that write jobs. Each has the shards of its share and one
// pipeline under way: what comes meanwhile goes with the next, so that many commits cost one
// round trip and one sync of the server's file. What one goroutine writes about a job keeps
// its order, for one writer does it all.

// write is one call of a script that changes a shard.
type write struct {
	script *script
	key    string
	args   []any
	size   int                   // bytes of text, about
	told   func(reply any) error // what the reply means; nil: nothing
	done   chan error            // nil: nobody waits; else room for one
	keep   bool                  // nobody waits, but while the server is away it is tried again
	out    *handOut              // it is held back for a while
	job    string                // whose held hand-outs go before it; "": of none
	tasks  []job.Task            // that it writes: their held hand-outs need not be
	sync   bool                  // all that is held goes before it; it calls nothing
	cmd    *goredis.Cmd          // of the pipeline under way

	carried []*write // hand-outs that need not be written if this one is
}

type writer struct {
	s     *Store
	queue chan *write
	held  held.Line[string, *write]
	again []*write // kept from pipelines that failed
	told  time.Time
	gone  chan struct{} // closed when it has ended
}

// keptAtMost bounds the hand-outs that wait for a server that is away.
const keptAtMost = 100_000

// retryKept is the time between two tries of what was kept.
const retryKept = 200 * time.Millisecond

func (s *Store) writerOf(shard byte) *writer { return s.writers[int(shard)%len(s.writers)] }

// enqueue puts a write in line, waiting while the line is full.
func (w *writer) enqueue(ctx context.Context, x *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.s.closing:
		return store.ErrClosed
	default:
	}
	select {
	case w.queue <- x:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.s.closing:
		return store.ErrClosed
	}
}

// await has it written and waits for the answer; queued, unless it is nil, is called when
// the write is in line.
func (w *writer) await(ctx context.Context, x *write, queued func()) error {
	if err := w.enqueue(ctx, x); err != nil {
		return err
	}
	if queued != nil {
		queued()
	}
	select {
	case err := <-x.done:
		return err
	case <-w.gone:
	}
	select {
	case err := <-x.done: // it was in the last pipeline
		return err
	default:
		return store.ErrClosed // it came too late for that
	}
}

// later has something written that nobody waits for; a failure is logged.
func (w *writer) later(x *write) {
	if err := w.enqueue(context.Background(), x); err != nil && !errors.Is(err, store.ErrClosed) {
		w.s.opts.Log.Warn("not written", "store", w.s.name, "error", err)
	}
}

// run writes until the store is closed.
func (w *writer) run() {
	defer close(w.gone)
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	batch := make([]*write, 0, w.s.opts.MaxBatch)
	for {
		tick.Stop()
		if wait, any := w.rest(); any {
			tick.Reset(wait)
		}
		select {
		case first := <-w.queue:
			if batch = w.gather(batch[:0], first); len(batch) > 0 {
				w.send(batch)
				clear(batch)
			}
		case <-tick.C:
			batch = append(batch[:0], w.again...)
			w.again = nil
			if batch = w.held.Due(batch, false); len(batch) > 0 {
				w.send(batch)
				clear(batch)
			}
		case <-w.s.closing:
			w.finish(batch)
			return
		}
	}
}

// rest gives the time until something must be done that is in no line.
func (w *writer) rest() (d time.Duration, any bool) {
	if len(w.again) > 0 {
		return retryKept, true
	}
	return w.held.Wait()
}

// gather takes first and what else is in line. It never waits: a lone write goes at once.
func (w *writer) gather(batch []*write, first *write) []*write {
	runtime.Gosched() // lets those that the last answers woke get in line
	batch = append(batch, w.again...)
	w.again = nil
	batch = w.held.Due(batch, false)
	size := 0
	for next := first; ; {
		batch = w.take(batch, next)
		size += next.size
		if len(batch) >= w.s.opts.MaxBatch || size >= w.s.opts.MaxBatchBytes {
			return batch
		}
		select {
		case next = <-w.queue:
		default:
			return batch
		}
	}
}

// take adds a write that comes from the line, after what is held of the same job.
func (w *writer) take(batch []*write, next *write) []*write {
	switch {
	case next.out != nil:
		w.held.Add(next.out.job, next)
		return batch
	case next.sync:
		batch = w.held.Due(batch, true)
	case next.job != "":
		batch = w.settle(batch, next)
	}
	return append(batch, next)
}

// finish writes what is in line at the end.
func (w *writer) finish(batch []*write) {
	for {
		select {
		case first := <-w.queue:
			if batch = w.gather(batch[:0], first); len(batch) > 0 {
				w.send(batch)
			}
			continue
		default:
		}
		break
	}
	batch = append(batch[:0], w.again...)
	w.again = nil
	if batch = w.held.Due(batch, true); len(batch) > 0 {
		w.send(batch)
	}
	if n := len(w.again); n > 0 {
		w.s.opts.Log.Warn("hand-outs not written; their tasks are queued again", "store", w.s.name, "hand_outs", n)
	}
}

// send carries a batch out and tells everybody what came of it.
func (w *writer) send(batch []*write) {
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opts.Timeout)
	defer cancel()
	w.exec(ctx, batch)
	var unknown []*write // to servers without the scripts: nothing was done
	for _, x := range batch {
		if x.cmd != nil && isNoScript(x.cmd.Err()) {
			unknown = append(unknown, x)
		}
	}
	if len(unknown) > 0 {
		if err := w.s.load(ctx); err == nil {
			w.exec(ctx, unknown)
		}
	}
	var failed error // of what a sync waits for, too
	for _, x := range batch {
		err := failed
		if x.cmd != nil {
			err = w.verdict(x)
		}
		if passing(err) {
			failed = err
			w.complain(err)
		}
		if err != nil {
			w.revive(x)
		}
		switch {
		case x.done != nil:
			x.done <- err
		case x.keep && passing(err) && len(w.again) < keptAtMost:
			w.again = append(w.again, x)
		case err != nil:
			w.s.opts.Log.Warn("not written", "store", w.s.name, "error", err)
		}
		x.cmd = nil
	}
}

func (w *writer) exec(ctx context.Context, batch []*write) {
	p := w.s.client.Pipeline()
	for _, x := range batch {
		if !x.sync {
			x.cmd = x.script.call(ctx, p, x.key, x.args...)
		}
	}
	if p.Len() > 0 {
		_, _ = p.Exec(ctx) // every command has its own error
	}
}

// verdict reads the reply of one write.
func (w *writer) verdict(x *write) error {
	reply, err := x.cmd.Result()
	if err != nil {
		return w.s.classify(err)
	}
	if x.told != nil {
		return x.told(reply)
	}
	return nil
}

// revive sends the hand-outs that a change would have made needless, for it was refused.
func (w *writer) revive(x *write) {
	for _, out := range x.carried {
		if len(w.again) < keptAtMost {
			w.again = append(w.again, out)
		}
	}
	x.carried = nil
}

// toldEvery keeps a server that is away from filling the log as well.
const toldEvery = 10 * time.Second

func (w *writer) complain(err error) {
	if now := time.Now(); now.Sub(w.told) > toldEvery {
		w.told = now
		w.s.opts.Log.Error("the store can not be written; writes are refused until it can", "store", w.s.name, "error", err)
	}
}

// Sync returns when all that was queued before it is written, held hand-outs included.
func (s *Store) Sync(ctx context.Context) error {
	fates := make([]chan error, len(s.writers))
	for i, w := range s.writers {
		fates[i] = make(chan error, 1)
		go func() {
			fates[i] <- w.await(ctx, &write{sync: true, done: make(chan error, 1)}, nil)
		}()
	}
	var failed error
	for _, f := range fates {
		failed = errors.Join(failed, <-f)
	}
	if failed != nil {
		return fmt.Errorf("write what is in line: %w", failed)
	}
	return nil
}
