//go:build !linux

package sqlite

import (
	"os"
	"runtime"
)

// This file syncs on other systems.

func syncData(f *os.File) error { return f.Sync() }

// syncDir makes a file's name durable; Windows does that with the file.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close() // nothing was written through it
	return d.Sync()
}
