//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// This file lets one process at a time have a ledger. The kernel drops the lock with its process.

func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, errors.Join(fmt.Errorf("lock the ledger %s: %w", path, err), f.Close())
	}
	return f, nil
}
