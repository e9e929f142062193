package ledger

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// This file lets one process at a time have a ledger: no other may open it meanwhile.

const sharingViolation = syscall.Errno(32)

func lock(path string) (*os.File, error) {
	p, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger %s: %w", path, err)
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		err = ErrHeld
	}
	if err != nil {
		return nil, fmt.Errorf("lock the ledger %s: %w", path, err)
	}
	return os.NewFile(uintptr(h), path), nil
}
