package line

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"orrery/engine/store"
	"orrery/engine/store/held"
)

// This file holds what is in line and the goroutine that takes it from there.

// Options are what a driver gives its lines. All fields are needed.
type Options[D any] struct {
	Store         string // what the store is called in the log
	Log           *slog.Logger
	MaxBatch      int  // writes that are sent together
	MaxBatchBytes int  // text that is sent together, about
	OneChange     bool // a second change of a job begins the next batch

	// Send carries a batch out and gives what came of each write, in order.
	Send func(batch []*Write[D]) (verdicts []error)
	// Passing tells failures that may be gone at the next try.
	Passing func(error) bool
}

// Line is one goroutine that writes. Make it with Start.
type Line[D any] struct {
	opts    Options[D]
	queue   chan *Write[D]
	closing <-chan struct{}
	gone    chan struct{} // closed when it has ended

	held  held.Line[string, *Write[D]]
	next  *Write[D]   // taken from the queue, but not to be in one batch with what was taken before
	again []*Write[D] // hand-outs that a full or absent server refused
	told  time.Time   // when the log last named a failure of the server
}

// Start makes a line that writes until closing is closed, and then what is in it.
func Start[D any](opts Options[D], closing <-chan struct{}) *Line[D] {
	l := &Line[D]{opts: opts, queue: make(chan *Write[D], 4*opts.MaxBatch), closing: closing, gone: make(chan struct{})}
	go l.run()
	return l
}

// Gone is closed when the line has written all it took.
func (l *Line[D]) Gone() <-chan struct{} { return l.gone }

// Put puts a write in a queue, waiting while that is full, until closing is closed.
func Put[T any](ctx context.Context, queue chan<- T, closing <-chan struct{}, w T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-closing:
		return store.ErrClosed
	default:
	}
	select {
	case queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-closing:
		return store.ErrClosed
	}
}

// Fate waits for what came of a write that was put in a queue whose reader closes gone when it
// has answered all it took.
func Fate(done <-chan error, gone <-chan struct{}) error {
	select {
	case err := <-done:
		return err
	case <-gone:
	}
	select {
	case err := <-done: // it was in the last batch
		return err
	default:
		return store.ErrClosed // it came too late for that
	}
}

// Await has it written and gives what came of it; queued, unless it is nil, is called when the
// write is in line. The error of ctx means that nothing was written.
func (l *Line[D]) Await(ctx context.Context, w *Write[D], queued func()) error {
	w.done = make(chan error, 1)
	if err := Put(ctx, l.queue, l.closing, w); err != nil {
		return err
	}
	if queued != nil {
		queued()
	}
	return Fate(w.done, l.gone)
}

// Later has something written that nobody waits for; a failure is logged.
func (l *Line[D]) Later(w *Write[D]) {
	if err := Put(context.Background(), l.queue, l.closing, w); err != nil && !errors.Is(err, store.ErrClosed) {
		l.warn(w, err)
	}
}

func (l *Line[D]) warn(w *Write[D], err error) {
	l.opts.Log.Warn("not written", "store", l.opts.Store, "what", w.What, "job", w.Job, "error", err)
}

// All returns when everything that was in these lines before it is written, held hand-outs
// included.
func All[D any](ctx context.Context, lines []*Line[D]) error {
	fates := make(chan error, len(lines))
	for _, l := range lines {
		go func() { fates <- l.Await(ctx, &Write[D]{Kind: Sync}, nil) }()
	}
	var failed error
	for range lines {
		failed = errors.Join(failed, <-fates)
	}
	return failed
}

// run writes until the store is closed.
func (l *Line[D]) run() {
	defer close(l.gone)
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	batch := make([]*Write[D], 0, l.opts.MaxBatch)
	for {
		if first := l.next; first != nil {
			l.next = nil
			batch = l.send(l.gather(batch, first))
			continue
		}
		if wait, any := l.rest(); any {
			tick.Reset(wait)
		} else {
			tick.Stop()
		}
		select {
		case first := <-l.queue:
			batch = l.send(l.gather(batch, first))
		case <-tick.C:
			batch = l.send(l.overdue(batch, false))
		case <-l.closing:
			l.finish(batch)
			return
		}
	}
}

// rest gives the time until something must be done that is in no line.
func (l *Line[D]) rest() (d time.Duration, any bool) {
	d, any = l.held.Wait()
	if len(l.again) > 0 && (!any || d > tryAgainAfter) {
		return tryAgainAfter, true
	}
	return d, any
}

// overdue adds what was kept, which is older than all else, and what was held long enough; with
// all, everything that is held.
func (l *Line[D]) overdue(batch []*Write[D], all bool) []*Write[D] {
	batch = append(batch, l.again...)
	l.again = nil
	return l.held.Due(batch, all)
}

// gather adds first and what else is in line. It never waits: a lone write goes at once.
func (l *Line[D]) gather(batch []*Write[D], first *Write[D]) []*Write[D] {
	runtime.Gosched() // lets those that the last answers woke get in line
	batch = l.overdue(batch, false)
	size, changed := 0, map[string]bool{}
	for next := first; ; {
		if l.opts.OneChange && next.Kind == Change {
			if changed[next.Job] {
				l.next = next
				return batch
			}
			changed[next.Job] = true
		}
		batch = l.take(batch, next)
		size += next.Size
		if len(batch) >= l.opts.MaxBatch || size >= l.opts.MaxBatchBytes {
			return batch
		}
		select {
		case next = <-l.queue:
		default:
			return batch
		}
	}
}

// take adds a write that comes from the line, after what must go before it.
func (l *Line[D]) take(batch []*Write[D], next *Write[D]) []*Write[D] {
	switch next.Kind {
	case HandOut:
		l.held.Add(next.Job, next)
		return batch
	case Sync:
		batch = l.held.Due(batch, true)
	case Change: // it was built on them
		batch, next.spare = l.held.Take(batch, next.Job, next.replaces)
	}
	return append(batch, next)
}

// finish writes what is in line at the end.
func (l *Line[D]) finish(batch []*Write[D]) {
	for {
		first := l.next
		if l.next = nil; first == nil {
			select {
			case first = <-l.queue:
			default:
			}
		}
		if first == nil {
			break
		}
		batch = l.send(l.gather(batch, first))
	}
	l.send(l.overdue(batch, true))
	if n := len(l.again); n > 0 {
		l.opts.Log.Warn("hand-outs not written; their tasks are queued again", "store", l.opts.Store, "hand_outs", n)
	}
}

// send carries a batch out, tells everybody what came of it, and gives it back empty.
func (l *Line[D]) send(batch []*Write[D]) []*Write[D] {
	if len(batch) == 0 {
		return batch
	}
	for i, err := range l.opts.Send(batch) {
		l.tell(batch[i], err)
	}
	clear(batch)
	return batch[:0]
}

func (l *Line[D]) tell(w *Write[D], err error) {
	passing := err != nil && l.opts.Passing(err)
	if passing {
		l.complain(err)
	}
	if err != nil { // what it would have said is not written
		for _, out := range w.spare {
			l.keep(out)
		}
	}
	w.spare = nil
	switch {
	case w.done != nil:
		w.done <- err
	case passing && w.Kind == HandOut && l.keep(w):
	case err != nil:
		l.warn(w, err)
	}
}

// keep has a hand-out sent again; false: there are too many.
func (l *Line[D]) keep(out *Write[D]) bool {
	if len(l.again) >= keptAtMost {
		return false
	}
	l.again = append(l.again, out)
	return true
}

func (l *Line[D]) complain(err error) {
	if now := time.Now(); now.Sub(l.told) > toldEvery {
		l.told = now
		l.opts.Log.Error("the store can not be written; writes are refused until it can", "store", l.opts.Store, "error", err)
	}
}
