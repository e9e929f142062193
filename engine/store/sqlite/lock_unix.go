//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// This file keeps a second process away from a store. The kernel drops the lock with its
// process, so a lock is never stale, whatever the file says.

// lock holds path's side file; closing the file gives the lock back.
func lock(path string) (*os.File, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, barred(path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("open store %s: lock %s: %w", path, name, err)
		}
		return nil, fmt.Errorf("open store %s: it is in use by process %s; stop that one first, or give this one another STORE_URL", path, holder(name))
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return f, nil
}

// heldBy gives the process that has the store open, "" when there is none. It looks with a
// shared lock, which it gives back at once.
func heldBy(path string) string {
	f, err := os.Open(path + ".lock")
	if err != nil {
		return ""
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		return ""
	}
	return holder(f.Name())
}
