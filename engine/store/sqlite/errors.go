package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	sqlitedriver "modernc.org/sqlite"

	"orrery/engine/store"
)

// This file maps SQLite's result codes to the store's errors.

// Result codes of SQLite (sqlite3.h) that matter here.
const (
	plainError = 1  // SQLITE_ERROR
	busy       = 5  // SQLITE_BUSY
	readOnly   = 8  // SQLITE_READONLY
	ioError    = 10 // SQLITE_IOERR
	corrupt    = 11 // SQLITE_CORRUPT
	full       = 13 // SQLITE_FULL
	cantOpen   = 14 // SQLITE_CANTOPEN
	notADB     = 26 // SQLITE_NOTADB
	shmSize    = ioError | 19<<8
)

// code gives the primary result code of an error, 0 for errors of others.
func code(err error) int {
	var e *sqlitedriver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// unavailable is a failure of the disk or of its rights: the same write may work later.
// Whether it was done is open.
type unavailable struct{ error }

func (u *unavailable) Unwrap() error { return u.error }

// Unavailable tells the HTTP side, which does not know this package, to ask for a repetition.
func (u *unavailable) Unavailable() bool { return true }

func isUnavailable(err error) bool {
	var u *unavailable
	return errors.As(err, &u)
}

// passing tells failures that may be gone at the next try.
func passing(err error) bool {
	return errors.Is(err, store.ErrFull) || isUnavailable(err)
}

// toldEvery keeps a failing disk from filling the log as well.
const toldEvery = 10 * time.Second

// explain says what a failed transaction means for the caller. What only the operator can
// mend goes into the log too.
func (w *writer) explain(err error) error {
	err = fmt.Errorf("write to %s: %w", w.s.path, w.classify(err))
	if now := time.Now(); passing(err) && now.Sub(w.told) > toldEvery {
		w.told = now
		w.s.opts.Log.Error("the store can not be written; writes are refused until it can", "store", w.s.path, "error", err)
	}
	return err
}

// redoFailed says what a failed write of the redo log means.
func redoFailed(path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w (write the redo log %s: %w); make room on its disk", store.ErrFull, path, err)
	}
	return &unavailable{fmt.Errorf("write the redo log %s: %w; look at its disk", path, err)}
}

// redoOpen is redoFailed for a batch that SQLite has: it must not be tried again.
func redoOpen(path string, err error) error {
	return &unavailable{fmt.Errorf("write the redo log %s: %v; whether the write stands is open, look at its disk", path, err)}
}

// classify tells a full disk, a failing one and a damaged file apart. A disk that is too
// full for the log's index is full as well.
func (w *writer) classify(err error) error {
	var e *sqlitedriver.Error
	if code(err) == full || errors.As(err, &e) && e.Code() == shmSize {
		return fmt.Errorf("%w (%w); make room on its disk", store.ErrFull, err)
	}
	switch code(err) {
	case busy, readOnly, ioError, cantOpen:
		return &unavailable{fmt.Errorf("%w; look at its disk, its rights and other programs that use it", err)}
	}
	return w.s.damage(err)
}

// damage adds what to do when an error says that the file is damaged; others stay as they are.
func (s *Store) damage(err error) error {
	if code(err) == corrupt {
		return s.damaged(err.Error())
	}
	return err
}

func (s *Store) damaged(why string) error {
	return fmt.Errorf("the file %s is damaged (%s): stop Orrery, move the file away together with its -wal and -redo files, and put a backup in its place, or give another path in STORE_URL", s.path, why)
}

// What openWriter finds in a file that is not ours, or no longer so.
var (
	errForeign = errors.New("the file is not an Orrery store; give another path in STORE_URL")
	errNoStore = errors.New("the file is not an Orrery store, or its beginning is damaged: give another path in STORE_URL; if it was the store, move it away together with its -wal and -redo files and put a backup in its place")
)

// barred says what to do when the system does not let the store's files be written.
func barred(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("open store %s: %w: the store can only be opened for writing; give the user of this process the right to write the file and its folder, or give another path in STORE_URL", path, err)
	}
	return fmt.Errorf("open store %s: %w", path, err)
}
