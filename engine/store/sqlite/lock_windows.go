package sqlite

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// This file keeps a second process away from a store: the side file is opened so that no
// other may write it. The system closes it with its process, so a lock is never stale.

const sharingViolation = syscall.Errno(32)

// lock holds path's side file; closing the file gives the lock back.
func lock(path string) (*os.File, error) {
	name := path + ".lock"
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, fmt.Errorf("open store %s: it is in use by process %s; stop that one first, or give this one another STORE_URL", path, holder(name))
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: lock %s: %w", path, name, err)
	}
	f := os.NewFile(uintptr(h), name)
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return f, nil
}

// heldBy gives the process that has the store open, "" when there is none: nobody else may
// write the side file then.
func heldBy(path string) string {
	f, err := os.OpenFile(path+".lock", os.O_RDWR, 0)
	if errors.Is(err, sharingViolation) {
		return holder(path + ".lock")
	}
	if err == nil {
		f.Close() // nothing was written
	}
	return ""
}
