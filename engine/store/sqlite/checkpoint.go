package sqlite

import (
	"errors"
	"fmt"
	"os"

	sqlitedriver "modernc.org/sqlite"

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
	pages  int      // in the log since it was last brought into the file whole
	size   int64    // of the file, bytes
	failed error    // last failure, told once until something works again
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
	return l.file.Close()
}

// afterCommit counts what the batch wrote and brings the log into the file when it is long.
func (w *writer) afterCommit() {
	written, _, err := w.c.c.Status(sqlitedriver.DBStatusCacheWrite, true)
	if err != nil {
		w.complain("measure the log", err)
		return
	}
	w.log.pages += written
	if w.s.syncer.isBroken() {
		w.mend()
	}
	if int64(w.log.pages)*pageBytes >= w.s.opts.CheckpointBytes {
		w.bring("PASSIVE")
		killpoint.At("sqlite.after-checkpoint")
	}
	if err := w.log.lengthen(w.s.path + "-wal"); err != nil {
		w.complain("lengthen the log", err)
	}
}

// lengthen keeps the file at least half a step longer than what is in it.
func (l *walLog) lengthen(path string) (err error) {
	if int64(l.pages)*pageBytes+aheadStep/2 < l.size {
		return nil
	}
	if l.file == nil {
		if l.file, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
			return err
		}
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if l.size = info.Size(); int64(l.pages)*pageBytes+aheadStep/2 < l.size {
		return nil
	}
	n, err := l.file.WriteAt(zeros[:], l.size)
	l.size += int64(n)
	return err
}

// bring runs a checkpoint. When readers hold pages back, the rest is brought another time.
func (w *writer) bring(mode string) {
	r, ok, err := w.c.one("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		w.complain("checkpoint", err)
		return
	}
	w.log.failed = nil
	w.log.pages = 0
	if ok && r.int(1) > r.int(2) { // try again after half as much
		w.log.pages = int(w.s.opts.CheckpointBytes / pageBytes / 2)
	}
}

// mend follows a sync that failed: after that the system may hold pages of the log for
// written that are not, and later syncs say nothing about them. Read back they are whole, so
// all of the log is brought into the file, which is synced, and the log begins anew.
func (w *writer) mend() {
	r, _, err := w.c.one("PRAGMA wal_checkpoint(RESTART)")
	if err == nil && r.int(0) != 0 {
		err = errors.New("a long read holds pages back")
	}
	if err != nil {
		w.complain("bring the log into the file after a failed sync", err)
		return
	}
	w.log.failed, w.log.pages = nil, 0
	w.s.syncer.mended()
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
