package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file brings batches into SQLite. The writer's transaction stays open over many
// batches, each of which is durable by the redo log; a fold commits it, so that readers see
// the batches. The number of the newest batch is part of each fold: after a crash, what the
// redo log has beyond it is run again.
//
// A fold happens when a reader wants to see what was acknowledged, when the pages touched
// might not fit into the room that is kept in SQLite's log (so that a full disk can not
// refuse what was acknowledged), and after a quiet moment.

// foldAfter is the quiet time after which batches are folded.
const foldAfter = 50 * time.Millisecond

// Keys in the table numbers, beside the statuses.
const (
	foldedNumber = -1 // the newest batch that is in the file
	storeNumber  = -2 // a random number that tells this store from others
)

// folding is what the writer knows of the transaction that is open.
type folding struct {
	open   bool
	owed   int                 // entries of the redo log since the last fold
	from   int64               // where the first of them begins
	named  int                 // names that stood in the log before it
	grown  growth              // what they change in SQLite's file
	names  map[string]struct{} // blueprints and clients of new jobs
	lost   bool                // a failed transaction took them away: they must be run again before anything else
	counts counts              // what they add
	stale  bool                // the log lacks a batch that SQLite has: it must begin anew
}

// growth is what batches change in SQLite's file.
type growth struct {
	pages int   // that statements touch, at most, beside those of new jobs
	jobs  int   // that are new, and were in memory for a while at least
	bytes int   // of their texts
	apart int   // entries of indexes that do not stand at their ends
	due   int64 // the latest of those that were counted
}

// namePages are for an entry in each of the indexes by blueprint and client, and for a split.
const namePages = 3

// foldBytes bounds the bytes that a fold now would add to SQLite's log. The rows of new jobs
// stand at the ends of their tables; measured were 0.1 to 0.2 pages a job beside its texts. A
// page that is just over half full with one row takes no other.
func (w *writer) foldBytes() int64 {
	g := &w.fold.grown
	return int64(g.pages+(g.jobs+3)/4+2*g.bytes/pageSize+g.apart+namePages*len(w.fold.names)) * pageBytes
}

// grow counts a new job, or what its texts have become longer, and what its change adds to the
// indexes.
func (w *writer) grow(f *freshJob, r *rows, jobs, bytes int) {
	g := &w.fold.grown
	w.fresh.bytes += bytes
	g.jobs += jobs
	g.bytes += bytes
	g.dates(r.due)
	for i := range r.tasks {
		g.dates(r.tasks[i].due)
	}
	if jobs == 0 {
		return
	}
	if f.parent != nil {
		g.apart++
	}
	if w.fold.names == nil {
		w.fold.names = map[string]struct{}{}
	}
	w.fold.names[f.blueprint], w.fold.names[f.client] = struct{}{}, struct{}{}
}

// dates counts an entry in an index of dates. They come in order for the most part.
func (g *growth) dates(due driver.Value) {
	if at, ok := due.(int64); !ok {
		return
	} else if at >= g.due {
		g.due = at
	} else {
		g.apart++
	}
}

// begin opens the transaction, and makes good what an earlier one lost.
func (w *writer) begin() error {
	if w.fold.open {
		return nil
	}
	if _, err := w.c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	w.fold.open = true
	if !w.fold.lost {
		return nil
	}
	text, err := w.redo.since(w.fold.from)
	again := 0
	if err == nil {
		err = replayFrom(text, w.redo.names[:w.fold.named:w.fold.named], func(_ uint64, all []statement) error {
			again++
			return w.rerun(all)
		})
	}
	if err == nil && again != w.fold.owed {
		err = fmt.Errorf("%d of %d can not be read from %s: stop Orrery, look at the disk, and start it", w.fold.owed-again, w.fold.owed, w.redo.path)
	}
	if err != nil {
		return fmt.Errorf("bring back batches that are in the redo log: %w", err)
	}
	w.fold.lost = false
	return nil
}

func (w *writer) rerun(all []statement) error {
	for _, st := range all {
		var err error
		if st.text == rowsText {
			err = w.putAgain(st.args)
		} else {
			_, err = w.c.exec(st.text, st.args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement of a batch and notes it for the redo log when it changed something.
func (w *writer) exec(text string, args ...driver.Value) (int64, error) {
	n, err := w.c.exec(text, args...)
	w.ran++
	w.rows += int(n)
	if err != nil || n == 0 {
		return n, err
	}
	return n, w.redo.note(text, args)
}

// counts are additions to the table numbers, by key.
type counts [lastStatus + 1]int64

const addNumber = "INSERT INTO numbers(k, n) VALUES(?,?) ON CONFLICT DO UPDATE SET n=n+excluded.n"

// count makes the batch's additions those of the next fold.
func (w *writer) count() error {
	for k, n := range w.delta {
		if n == 0 {
			continue
		}
		w.fold.counts[k] += n
		if err := w.redo.note(addNumber, []driver.Value{int64(k), n}); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeCounts() error {
	for k, n := range w.fold.counts {
		if n == 0 {
			continue
		}
		if _, err := w.c.exec(addNumber, int64(k), n); err != nil {
			return err
		}
	}
	w.fold.counts = counts{}
	return nil
}

// keep makes the batch that was applied part of the redo log. When the room for its pages is
// short, it is committed in SQLite before, so that nothing is acknowledged that would not fit.
func (w *writer) keep(direct batchSum) error {
	if w.redo.empty() {
		return nil
	}
	w.fold.grown.pages += direct.pages()
	w.redo.seal()
	from, named := w.redo.next(), w.redo.known
	tight := w.foldBytes() > w.log.ahead()
	if tight {
		w.s.syncer.shows()
		if err := w.commitFold(w.redo.batch + 1); err != nil {
			return err
		}
	}
	if err := w.redo.write(); err != nil {
		if !tight {
			return redoFailed(w.redo.path, err)
		}
		w.redo.batch++ // SQLite has it, though its callers hear that it failed
		w.fold.stale = true
		w.s.syncer.count(w.delta)
		return errors.Join(redoOpen(w.redo.path, err), w.freshen())
	}
	if tight {
		return nil
	}
	if w.fold.owed == 0 {
		w.fold.from, w.fold.named = from, named
	}
	w.fold.owed++
	return nil
}

// batchSum adds up the writes of a batch that ran statements, and the bytes of their texts.
type batchSum struct{ writes, bytes int }

// usualRows are those that a write changes; one with more counts as several.
const usualRows = 4

func (b *batchSum) add(rows, bytes int) {
	b.writes, b.bytes = b.writes+max(1, rows/usualRows), b.bytes+bytes
}

// pages bounds the pages that they change: measured were 0.4 a write of jobs under way, and
// 1.3 a write with some for the indexes of scattered ones; a long text has pages of its own.
func (b batchSum) pages() int {
	if b.writes == 0 {
		return 0
	}
	return 4 + 3*b.writes/2 + b.bytes/pageSize
}

// commitFold commits the open transaction with the number of its newest batch.
func (w *writer) commitFold(newest uint64) error {
	killpoint.At("sqlite.before-fold")
	if err := w.writeAll(); err != nil {
		return err
	}
	if err := w.writeCounts(); err != nil {
		return err
	}
	if _, err := w.c.exec("INSERT INTO numbers(k, n) VALUES(?,?) ON CONFLICT DO UPDATE SET n=excluded.n", int64(foldedNumber), int64(newest)); err != nil {
		return err
	}
	if _, err := w.c.exec("COMMIT"); err != nil {
		return err
	}
	killpoint.At("sqlite.after-fold")
	w.fold = folding{stale: w.fold.stale}
	if w.log.file == nil {
		return nil
	}
	if err := w.log.count(); err != nil { // SQLite has the batches
		w.complain("measure the log", err)
	}
	return nil
}

// freshen begins the redo log anew after a batch that it lacks.
func (w *writer) freshen() error {
	if !w.fold.stale {
		return nil
	}
	if err := w.syncFolded(); err != nil {
		return &unavailable{fmt.Errorf("sync SQLite's log: %w; look at its disk", err)}
	}
	w.redo.anew()
	w.fold.stale = false
	return nil
}

// foldNow lets readers see all batches so far. On failure they stay owed.
func (w *writer) foldNow() error {
	if !w.fold.open && w.fold.owed == 0 {
		w.s.syncer.folded(nil)
		return nil
	}
	err := w.begin()
	if err == nil {
		err = w.commitFold(w.redo.batch)
	}
	if err != nil {
		err = w.explain(errors.Join(err, w.rollback()))
		w.complain("bring batches from the redo log into the store", err)
	}
	w.s.syncer.folded(err)
	return err
}

// redoIsLong says that the redo log should soon begin anew.
func (w *writer) redoIsLong() bool { return w.redo.at > w.s.opts.RedoBytes/8*7 }

// renew begins the redo log anew when it is long: everything in it goes into the file first.
func (w *writer) renew() {
	switch folded := !w.fold.open && w.fold.owed == 0; {
	case w.redo.at >= w.s.opts.RedoBytes:
		if err := w.foldNow(); err != nil {
			return // said there; the log grows meanwhile
		}
	case !folded || !w.redoIsLong():
		return
	}
	if err := w.syncFolded(); err != nil {
		w.complain("sync SQLite's log", err)
		return
	}
	w.redo.anew()
}

// syncFolded makes what was folded durable in SQLite's own files.
func (w *writer) syncFolded() error {
	if w.log.doubt {
		return w.bringAll()
	}
	f, err := os.OpenFile(w.s.path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is all in the file
	}
	if err != nil {
		return err
	}
	err = w.log.sync(f)
	w.log.doubt = err != nil
	return errors.Join(err, f.Close())
}

// recover runs again what the redo log has beyond the file, once, at the start.
func (w *writer) recover() error {
	folded, err := w.number(foldedNumber)
	if err != nil {
		return err
	}
	owner, err := w.identity()
	if err != nil {
		return err
	}
	w.redo = redo{path: w.s.path + "-redo", store: owner, batch: uint64(folded)}
	err = replay(w.redo.path, owner, func(batch uint64, all []statement) error {
		switch {
		case batch <= w.redo.batch:
			return nil
		case batch > w.redo.batch+1:
			return fmt.Errorf("the redo log %s begins with batch %d, the store ends with %d: the store is older than the log; put back the store that belongs to it, or move the log away and lose what came after", w.redo.path, batch, w.redo.batch)
		}
		if err := w.begin(); err != nil {
			return err
		}
		w.redo.batch = batch
		return w.rerun(all)
	})
	if err == nil && w.fold.open {
		err = w.commitFold(w.redo.batch)
	}
	if err != nil {
		return fmt.Errorf("bring the redo log into the store: %w", err)
	}
	if err := w.syncFolded(); err != nil {
		return err
	}
	if err := os.Remove(w.redo.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (w *writer) number(k int64) (int64, error) {
	r, ok, err := w.c.one("SELECT n FROM numbers WHERE k=?", k)
	if err != nil || !ok {
		return 0, err
	}
	return r.int(0), nil
}

// takeStock reads what the writer and the syncer know of the jobs from then on.
func (w *writer) takeStock() error {
	newest, ok, err := w.c.one("SELECT max(id) FROM jobs")
	if err != nil {
		return err
	}
	if ok {
		copy(w.known.floor[:], newest.blob(0))
	}
	w.known.newest = w.known.floor
	return w.c.each("SELECT k, n FROM numbers WHERE k BETWEEN 1 AND ?", func(r row) error {
		w.s.syncer.totals[r.int(0)] = r.int(1)
		return nil
	}, int64(lastStatus))
}

// identity gives the number that tells this store from others, made at its first start.
func (w *writer) identity() (uint64, error) {
	n, err := w.number(storeNumber)
	if err != nil || n != 0 {
		return uint64(n), err
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	n = int64(binary.LittleEndian.Uint64(b[:])>>1 | 1)
	_, err = w.c.exec("INSERT INTO numbers(k, n) VALUES(?,?)", int64(storeNumber), n)
	return uint64(n), err
}

// see waits until a read can see all that was acknowledged.
func (s *Store) see(ctx context.Context) error {
	wait := s.syncer.unseen()
	if wait == nil {
		return nil
	}
	select {
	case s.foldWanted <- struct{}{}:
	default: // somebody has asked already
	}
	select {
	case err := <-wait:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
	}
	select {
	case err := <-wait: // the last fold
		return err
	default:
		return nil // the writer has folded all and ended
	}
}

// peek is a read that goes through the writer's connection.
type peek struct {
	id   *[16]byte // the one job that it is about; nil: all
	fn   func(c *conn) error
	done chan error
}

// lookThrough reads what was acknowledged and is not folded from the writer's transaction,
// where only the writer sees it: while the disk is full or fails, and when it is about one
// job, for which a fold of all would cost too much.
func (s *Store) lookThrough(ctx context.Context, id *[16]byte, fn func(c *conn) error) error {
	l := peek{id, fn, make(chan error, 1)}
	select {
	case s.peeks <- l:
		return <-l.done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return store.ErrClosed
	}
}

func (w *writer) peek(p peek) error {
	err := w.begin()
	switch {
	case err != nil:
	case p.id == nil:
		err = w.writeAll()
	case w.fresh.jobs[*p.id] != nil:
		err = w.write(w.fresh.jobs[*p.id])
	}
	if err != nil {
		return w.explain(errors.Join(err, w.rollback()))
	}
	if err = p.fn(w.c); code(err) != 0 { // after some failures of the disk SQLite has ended the transaction by itself
		err = errors.Join(err, w.rollback())
	}
	return err
}

// begins gives a new store its number. A redo log that lies beside it is of a store that is
// not there any more; it is moved aside, for it may hold the last that is known of that one.
func (w *writer) begins() error {
	aside := w.s.path + "-redo-of-another"
	err := os.Rename(w.s.path+"-redo", aside)
	switch {
	case err == nil:
		w.s.opts.Log.Warn("the store is new, and a redo log of another lay beside it; it was moved aside", "store", w.s.path, "moved to", aside)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return w.recover()
}

// endRedo removes the redo log at the end, when SQLite's own files hold all of it.
func (w *writer) endRedo(folded error) error {
	if folded != nil {
		return nil // the next start brings it in
	}
	if err := w.syncFolded(); err != nil {
		return err
	}
	return w.redo.remove()
}
