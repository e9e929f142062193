package sqlite

import (
	"errors"
	"fmt"

	sqlitedriver "modernc.org/sqlite"

	"orrery/engine/store"
)

// This file maps SQLite's result codes to the store's errors.

// Result codes of SQLite (sqlite3.h) that matter here.
const (
	plainError = 1  // SQLITE_ERROR
	busy       = 5  // SQLITE_BUSY
	full       = 13 // SQLITE_FULL
	notADB     = 26 // SQLITE_NOTADB
	shmSize    = 10 | 19<<8
)

// code gives the primary result code of an error, 0 for errors of others.
func code(err error) int {
	var e *sqlitedriver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// explain says what a failed transaction means for the caller. A disk that is too full for
// the log's index is full as well.
func (w *writer) explain(err error) error {
	var e *sqlitedriver.Error
	if code(err) == full || errors.As(err, &e) && e.Code() == shmSize {
		return fmt.Errorf("write to %s: %w (%w); make room on its disk", w.s.path, store.ErrFull, err)
	}
	return fmt.Errorf("write to %s: %w", w.s.path, err)
}
