// Package filelock lets one process at a time have a file. The kernel keeps the lock and drops it
// with its process, so a lock is never stale, whatever the file says. Others may read the file
// meanwhile.
package filelock

import "errors"

// This file says what all systems give alike: Open gives a file to one process, until it is
// closed, and makes it if it is not there; Held reports whether a process has a file so.

// ErrHeld says that a file is another's, be it one of the same process.
var ErrHeld = errors.New("another process has it open")
