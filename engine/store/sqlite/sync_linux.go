package sqlite

import (
	"os"
	"syscall"
)

// This file syncs on Linux: the log's bytes alone, for its length changes seldom (see
// checkpoint.go); fdatasync writes the length too when it did.

func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close() // nothing was written through it
	return d.Sync()
}
