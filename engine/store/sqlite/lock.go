package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"orrery/engine/filelock"
)

// This file keeps a second process away from a store, by a file beside it that is locked and
// says whose it is.

// lock takes path's side file; closing the file gives the lock back.
func lock(path string) (*os.File, error) {
	f, err := filelock.Open(path + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("open store %s: it is in use by process %s; stop that one first, or give this one another STORE_URL", path, holder(path))
	}
	if err != nil {
		return nil, barred(path, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return f, nil
}

// heldBy gives the process that has the store open, "" when there is none.
func heldBy(path string) string {
	if !filelock.Held(path + ".lock") {
		return ""
	}
	return holder(path)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads who wrote the side file.
func holder(path string) string {
	pid, err := os.ReadFile(path + ".lock")
	if err != nil || len(pid) == 0 {
		return "unknown"
	}
	return strings.TrimSpace(string(pid))
}
