//go:build unix

// This file is what the folder needs on Unix: its variable is TMPDIR and its owner is a number.

package boot

import (
	"fmt"
	"os"
	"syscall"
)

const variable = "TMPDIR"

func set(dir string) error { return os.Setenv(variable, dir) }

// owner tells whether a folder belongs to the user that this process acts as.
func owner(dir string, info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user", dir)
	}
	return nil
}
