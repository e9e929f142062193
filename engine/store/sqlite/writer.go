package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"time"

	"orrery/engine/killpoint"
	"orrery/engine/store"
	"orrery/engine/store/held"
	"orrery/engine/store/line"
)

// This file holds the one goroutine that writes: batches and commits.

// write is one thing to be written. do runs within a transaction; it returns ErrConflict or
// ErrExists only before its first change.
type write struct {
	do   func(w *writer) error
	size int        // bytes of text, about
	done chan error // nil: nobody waits; else room for one
	keep bool       // nobody waits, but while the disk is full or fails it is tried again
	out  *handOut   // it is held back for a while; see held.go
	sync bool       // all that is held goes before it
	nth  int64      // in the order of arrival
}

type writer struct {
	s        *Store
	c        *conn
	known    seqs
	delta    counts // what the transaction under way adds
	added    counts // what the batch adds, in one transaction or several
	held     holding
	nth      int64    // of the newest write taken from the line
	doing    int64    // nth of the write that is being applied
	again    []*write // kept from batches that a full disk refused
	value    int64    // version given to the newest value, this batch included; 0: not read yet
	log      walLog   // of SQLite
	redo     redo
	fold     folding
	fresh    freshJobs
	args     []driver.Value // of a statement, used again, as the next two are by batches
	acks     []ack
	verdicts []error
	seq      int64 // of the newest job; 0: not read yet

	wrote   bool       // the last batch
	touched [][16]byte // jobs, by the batch under way
	ran     int        // statements, by batches
	rows    int        // that those changed
	late    int        // bytes of texts that were encoded after their writes were put in line

	told time.Time // when the log last named a failure of the disk
}

// enqueue puts a write in line, waiting while the line is full.
func (s *Store) enqueue(ctx context.Context, w *write) error {
	return line.Put(ctx, s.queue, s.closing, w)
}

// write has something written and waits until it is durable.
func (s *Store) write(ctx context.Context, size int, do func(w *writer) error) error {
	return s.await(ctx, &write{do: do, size: size, done: make(chan error, 1)}, nil)
}

// await has it written; queued, unless it is nil, is called when the write is in line.
func (s *Store) await(ctx context.Context, w *write, queued func()) error {
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	if queued != nil {
		queued()
	}
	return line.Fate(w.done, s.stopped)
}

// later has something written that nobody waits for; a failure is logged.
func (s *Store) later(what string, w *write) {
	do := w.do
	w.do = func(w *writer) error {
		if err := do(w); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	err := s.enqueue(unhurried, w)
	if err != nil && !errors.Is(err, store.ErrClosed) {
		s.opts.Log.Warn("not written", "what", what, "error", err)
	}
}

// run writes batches until the store is closed.
func (w *writer) run() {
	defer close(w.s.stopped)
	idle := time.NewTimer(w.s.opts.Idle)
	defer idle.Stop()
	overdue := time.NewTimer(held.For)
	defer overdue.Stop()
	batch := make([]*write, 0, w.s.opts.MaxBatch)
	for {
		wait, any := w.held.Wait()
		if overdue.Stop(); any {
			overdue.Reset(wait)
		}
		select {
		case first := <-w.s.queue:
			if batch = w.gather(w.kept(batch), first); len(batch) == 0 {
				continue // hand-outs alone
			}
			w.commit(batch)
			clear(batch)
			w.afterBatch()
			idle.Reset(w.patience())
		case <-overdue.C:
			if batch = w.held.Due(batch[:0], false); len(batch) > 0 {
				w.commit(batch)
				w.afterBatch()
				idle.Reset(w.patience())
			}
		case <-w.s.foldWanted:
			w.lookFolded()
			idle.Reset(w.patience())
		case p := <-w.s.peeks:
			p.done <- w.peek(p)
			idle.Reset(w.patience())
		case <-idle.C:
			switch {
			case len(w.again) > 0:
				w.commit(w.kept(batch))
				w.afterBatch()
			case w.fold.open || w.fold.lost:
				w.lookFolded()
			default:
				w.rest()
				continue
			}
			idle.Reset(w.patience())
		case <-w.s.closing:
			w.finish(batch)
			return
		}
	}
}

// kept empties the batch and moves in what a full disk refused before: it is older than all
// that waits in line.
func (w *writer) kept(batch []*write) []*write {
	batch = append(batch[:0], w.again...)
	w.again = nil
	return batch
}

// gather adds first and what else is in line, and holds hand-outs back; what was held long
// enough goes before them. It never waits: a lone write goes at once.
func (w *writer) gather(batch []*write, first *write) []*write {
	runtime.Gosched() // lets those that the last batch woke get in line
	batch = w.held.Due(batch, false)
	size := 0
	for next := first; ; {
		batch = w.take(batch, next)
		size += next.size
		if len(batch) >= w.s.opts.MaxBatch || size >= w.s.opts.MaxBatchBytes {
			return batch
		}
		select {
		case next = <-w.s.queue:
		default:
			return batch
		}
	}
}

// take adds a write that comes from the line.
func (w *writer) take(batch []*write, next *write) []*write {
	w.nth++
	next.nth = w.nth
	switch {
	case next.out != nil:
		w.held.Add(next.out.id, next)
		return batch
	case next.sync:
		batch = w.held.Due(batch, true)
	}
	return append(batch, next)
}

// finish writes what is in line at the end and closes the connection.
func (w *writer) finish(batch []*write) {
	if len(w.again) > 0 {
		w.commit(w.kept(batch))
	}
	for {
		select {
		case first := <-w.s.queue:
			if batch = w.gather(batch[:0], first); len(batch) > 0 {
				w.commit(batch)
			}
			continue
		default:
		}
		break
	}
	if batch = w.held.Due(batch[:0], true); len(batch) > 0 {
		w.commit(batch)
	}
	folded := w.foldNow()
	synced := w.s.syncer.close()
	w.rest()
	w.s.failed = errors.Join(folded, synced, w.endRedo(folded), w.log.close(), w.c.close()) // SQLite empties and removes its log
}

// commit writes the batch in one transaction, and with it what comes while the log is being
// synced: the next sync can not begin sooner. If a statement fails, each write goes in a
// transaction of its own, until several in a row meet a full or failing disk.
func (w *writer) commit(batch []*write) {
	w.touched, w.added = w.touched[:0], counts{}
	verdicts := append(w.verdicts[:0], make([]error, len(batch))...)
	err := w.transact(&batch, &verdicts, w.s.syncer.underway())
	written := err == nil
	switch {
	case err == nil:
	case len(batch) == 1, code(err) == busy, isUnavailable(err): // another program holds the file, or the disk fails: all wait no longer
		for i := range verdicts {
			verdicts[i] = w.explain(err)
		}
	default:
		written = w.oneByOne(batch, verdicts)
	}
	acks := w.acks[:0]
	for i, b := range batch {
		switch {
		case b.done != nil:
			acks = append(acks, ack{b.done, verdicts[i]})
		case b.keep && passing(verdicts[i]):
			w.again = append(w.again, b)
		case verdicts[i] != nil:
			w.s.opts.Log.Warn("not written", "store", w.s.path, "error", verdicts[i])
		}
	}
	if w.wrote = written; written {
		w.s.syncer.commits(acks, w.touched, w.added, !w.fold.open && !w.fold.lost)
	} else {
		w.s.syncer.told()
		for _, a := range acks {
			a.to <- a.verdict
		}
	}
	clear(verdicts)
	clear(acks)
	w.verdicts, w.acks = verdicts, acks
}

// triedWhenFull are the writes in a row that a full disk may refuse before those behind them
// are refused untried: each that fails takes along what is not folded, which is then run again.
const triedWhenFull = 2

// oneByOne applies the writes in transactions of their own, and says whether one was written.
func (w *writer) oneByOne(batch []*write, verdicts []error) (written bool) {
	if w.fold.lost { // by the whole batch; folded, the single ones do not take it along again
		w.lookFolded()
	}
	refused := 0
	for i := range batch {
		if refused == triedWhenFull {
			verdicts[i] = verdicts[i-1]
			continue
		}
		one, verdict := batch[i:i+1:i+1], make([]error, 1)
		if err := w.transact(&one, &verdict, nil); err != nil {
			verdict[0] = w.explain(err)
		} else {
			written = true
		}
		if refused++; !passing(verdict[0]) {
			refused = 0
		}
		verdicts[i] = verdict[0]
	}
	return written
}

// transact applies the writes and commits, taking more from the line until sync is closed;
// nil: it takes none. Refusals go into verdicts; any other error rolls everything back.
func (w *writer) transact(batch *[]*write, verdicts *[]error, sync <-chan struct{}) (err error) {
	killpoint.At("sqlite.before-begin")
	w.delta, w.held.settled = counts{}, w.held.settled[:0]
	if err := w.freshen(); err != nil {
		return err
	}
	grown := w.fold.grown
	defer func() {
		if err != nil {
			w.fold.grown = grown
			err = errors.Join(err, w.rollback())
		}
	}()
	if err := w.begin(); err != nil {
		return err
	}
	w.redo.start()
	size, direct := 0, batchSum{}
	for i := 0; ; i++ {
		if i == len(*batch) {
			if more, err := w.more(batch, verdicts, size, sync); err != nil {
				return err
			} else if !more {
				break
			}
		}
		b := (*batch)[i]
		w.doing = b.nth
		size += b.size
		ran, rows, late := w.ran, w.rows, w.late
		err := b.do(w)
		if w.ran > ran {
			direct.add(w.rows-rows, b.size+w.late-late)
		}
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
			(*verdicts)[i] = err
		} else if err != nil {
			return err
		}
	}
	if err := w.count(); err != nil {
		return err
	}
	killpoint.At("sqlite.before-commit")
	if err := w.keep(direct); err != nil {
		return err
	}
	killpoint.At("sqlite.after-commit")
	for k, n := range w.delta {
		w.added[k] += n
	}
	w.held.done()
	return nil
}

// more waits for another write while a sync is under way, and writes fresh jobs meanwhile that
// must be written anyway; false: the batch is complete.
func (w *writer) more(batch *[]*write, verdicts *[]error, size int, sync <-chan struct{}) (bool, error) {
	for n := len(*batch); sync != nil && n < w.s.opts.MaxBatch && size < w.s.opts.MaxBatchBytes; {
		select {
		case <-sync:
			return false, nil
		default:
		}
		if len(w.s.foldWanted) > 0 { // a reader waits for this batch to end
			return false, nil
		}
		if len(w.s.queue) == 0 && w.due() {
			if err := w.writeOldest(); err != nil {
				return false, err
			}
			continue
		}
		select {
		case next := <-w.s.queue:
			if *batch = w.take(*batch, next); len(*batch) > n {
				*verdicts = append(*verdicts, make([]error, len(*batch)-n)...)
				return true, nil
			}
		case <-sync:
			return false, nil
		}
	}
	return false, nil
}

// rollback ends a failed transaction and forgets what was learned in it; the batches before
// that were in it are owed. SQLite itself has ended it already after some failures, such as
// a full disk.
func (w *writer) rollback() error {
	w.known.forget()
	w.value, w.fresh, w.seq = 0, freshJobs{}, 0
	if !w.fold.open {
		return nil
	}
	w.fold.open, w.fold.lost, w.fold.counts = false, w.fold.owed > 0, counts{}
	if _, err := w.c.exec("ROLLBACK"); err != nil && code(err) != plainError {
		return err
	}
	return nil
}
