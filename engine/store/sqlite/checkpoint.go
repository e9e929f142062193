package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"orrery/engine/killpoint"
)

// This file looks after the log (WAL) between batches: its way into the file, and its size.
//
// A sync that must also record a longer file costs two to three times one that writes over
// what is there. So the log's file is lengthened ahead of SQLite, a piece at a time, and
// keeps its length when it is emptied. What lies behind the last frame means nothing to
// SQLite: after a crash, frames count as far as their checksums hold.

// zeros are what the log is lengthened with.
var zeros [aheadStep]byte

// walLog is what the writer knows of the log.
type walLog struct {
	file   *os.File // the log, for lengthening; opened with the first commit
	index  *os.File // its index (SHM); kept open, for closing it would end SQLite's locks on it
	pages  int      // in the log since it was last brought into the file whole
	size   int64    // of the file, bytes
	newest int      // page when that was looked at last
	later  int64    // bytes by which the next checkpoint is put off, for readers keep the log from beginning anew
	failed error    // last failure, told once until something works again
	doubt  bool     // a sync of it failed: later ones say nothing of what the system held back then

	sync func(*os.File) error // tests let it fail
}

const (
	pageSize  = 4096
	pageBytes = pageSize + 24 // a page with its header in the log
	aheadStep = 1 << 20       // bytes added to the log's file at once
	keptPages = 1024          // free pages that stay in the store's file for the next writes: 4 MiB
)

func (l *walLog) close() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.file.Close(), l.index.Close())
}

// afterBatch folds when somebody waits for it or little room is left, and looks after the logs.
func (w *writer) afterBatch() {
	select {
	case <-w.s.foldWanted:
		w.lookFolded()
	default:
	}
	if w.s.syncer.isBroken() {
		w.mend()
	}
	if w.wrote { // else room on the disk is wanted for the redo log first
		w.lengthen()
	}
	if w.fold.lost { // once folded, the next batch that fails does not take it along
		w.lookFolded()
	}
	w.settleFresh()
	if w.fold.open && w.foldIsNear() && len(w.fresh.jobs) <= freshFew {
		w.lookFolded() // before it must be
	}
	w.renew()
	if !w.fold.open {
		w.afterFold()
	}
}

// lookFolded folds, and looks after SQLite's log when that was possible.
func (w *writer) lookFolded() {
	if w.foldNow() == nil {
		w.afterFold()
	}
}

// patience is the quiet time after which something is done.
func (w *writer) patience() time.Duration {
	if w.fold.open || w.fold.lost {
		return min(foldAfter, w.s.opts.Idle)
	}
	return w.s.opts.Idle
}

// afterFold brings the log into the file when it is long, and keeps room in it.
func (w *writer) afterFold() {
	if err := w.log.open(w.s.path); err != nil {
		w.complain("open the log", err)
		return
	}
	if err := w.log.count(); err != nil {
		w.complain("measure the log", err)
		return
	}
	if int64(w.log.pages)*pageBytes >= w.s.opts.CheckpointBytes+w.log.later {
		w.bring("PASSIVE")
		killpoint.At("sqlite.after-checkpoint")
	}
	w.lengthen()
}

// lengthen keeps room in the log for what is to be folded.
func (w *writer) lengthen() {
	if w.log.file == nil {
		return
	}
	if err := w.log.lengthen(2*w.foldBytes(), w.s.opts.CheckpointBytes/4*3); err != nil {
		w.complain("lengthen the log", err)
	}
}

func (l *walLog) open(path string) (err error) {
	if l.file != nil {
		return nil
	}
	index, err := os.OpenFile(path+"-shm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if l.file, err = os.OpenFile(path+"-wal", os.O_WRONLY, 0); err != nil {
		return errors.Join(err, index.Close())
	}
	l.index = index
	return nil
}

// The index begins with a header (see "WAL-Index Format" in SQLite's description of its
// files), in which the number of the newest page of the log stands in the machine's order.
const (
	indexNewest = 16
	indexBlock  = 32 << 10 // the index grows by these
	indexFirst  = 4062     // pages that the first block has room for
	indexMore   = 4096     // and each further one
)

// count reads how many pages the log holds.
func (l *walLog) count() error {
	var newest [4]byte
	if _, err := l.index.ReadAt(newest[:], indexNewest); err != nil {
		return fmt.Errorf("read the log's index: %w", err)
	}
	pages := int(binary.NativeEndian.Uint32(newest[:]))
	if pages < l.newest { // it began anew
		l.later = 0
	}
	l.pages, l.newest = pages, pages
	return nil
}

// ahead gives the bytes of the file behind what is in it.
func (l *walLog) ahead() int64 { return max(0, l.size-int64(l.pages)*pageBytes) }

// lengthen keeps the file longer than what is in it: at least half a step, and up to reserve
// so much as is wanted, or four times what is in it. Of that room there must be enough for all
// batches since the last fold. The index is lengthened with it.
func (l *walLog) lengthen(want, reserve int64) error {
	need := max(aheadStep/2, min(max(want, 4*int64(l.pages)*pageBytes), reserve))
	if l.ahead() > need {
		return nil
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	for l.size = info.Size(); l.ahead() <= need; {
		n, err := l.file.WriteAt(zeros[:], l.size)
		if l.size += int64(n); err != nil {
			return err
		}
	}
	if info, err = l.index.Stat(); err != nil {
		return err
	}
	blocks := 1 + (max(0, l.size/pageBytes-indexFirst)+indexMore-1)/indexMore
	for slots := info.Size(); slots < blocks*indexBlock; {
		n, err := l.index.WriteAt(zeros[:min(blocks*indexBlock-slots, aheadStep)], slots)
		if slots += int64(n); err != nil {
			return err
		}
	}
	return nil
}

// bring runs a checkpoint. When readers hold pages back, the rest is brought another time.
func (w *writer) bring(mode string) {
	r, ok, err := w.c.one("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		w.log.doubt = w.log.doubt || code(err) == ioError // it may have been the sync
		w.complain("checkpoint", err)
		return
	}
	w.log.failed = nil
	if !ok {
		return
	}
	w.log.later = max(0, r.int(1)*pageBytes-w.s.opts.CheckpointBytes/2) // unless it begins anew, again after half as much
	if r.int(1) <= r.int(2) {
		w.log.pages = 0
	}
}

// mend follows a sync that failed: after that the system may hold pages of the redo log for
// written that are not, and later syncs say nothing about them. So all of it is folded and
// brought into the file, which is synced, and both logs begin anew.
func (w *writer) mend() {
	if w.foldNow() != nil {
		return
	}
	if err := w.bringAll(); err != nil {
		w.complain("bring the log into the file after a failed sync", err)
		return
	}
	w.redo.anew()
	w.s.syncer.mended()
}

// bringAll brings all of SQLite's log into the file, which is synced after that: what a failed
// sync of the log left open is of no matter any more.
func (w *writer) bringAll() error {
	r, _, err := w.c.one("PRAGMA wal_checkpoint(RESTART)")
	if err == nil && r.int(0) != 0 {
		err = errors.New("a long read holds pages back")
	}
	if err != nil {
		return err
	}
	w.log.failed, w.log.pages, w.log.doubt = nil, 0, false
	return nil
}

// rest uses a quiet moment: it brings the log into the file, gives free pages back, and
// cuts a log that slow readers made long. It waits for nobody, for a write may come.
func (w *writer) rest() {
	if err := w.c.script("PRAGMA busy_timeout=0"); err != nil {
		w.complain("prepare for a quiet moment", err)
		return
	}
	free, err := w.pragma("freelist_count")
	if err == nil && free > keptPages {
		err = w.c.script(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", free-keptPages))
	}
	if err != nil && code(err) != busy {
		w.complain("give free pages back", err)
	}
	if w.log.size > 2*w.s.opts.CheckpointBytes {
		w.log.size = 0 // look again
		w.bring("TRUNCATE")
	} else {
		w.bring("PASSIVE")
	}
	if err := w.c.script("PRAGMA busy_timeout=5000"); err != nil {
		w.complain("end a quiet moment", err)
	}
}

// complain logs a failure of what nobody waits for, once until it works again.
func (w *writer) complain(what string, err error) {
	if w.log.failed == nil {
		w.s.opts.Log.Warn("store: could not "+what+"; it is tried again", "store", w.s.path, "error", err)
	}
	w.log.failed = err
}
