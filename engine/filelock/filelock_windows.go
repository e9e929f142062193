package filelock

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// This file opens files so that no other may write them meanwhile.

const sharingViolation = syscall.Errno(32)

// Open takes a file for reading and writing. Errors are *fs.PathError, of one that somebody has
// around ErrHeld.
func Open(path string) (*os.File, error) {
	p, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		err = ErrHeld
	}
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// Held looks by opening the file for writing, and writes nothing.
func Held(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.Close() // nothing was written
	}
	return errors.Is(err, sharingViolation)
}
