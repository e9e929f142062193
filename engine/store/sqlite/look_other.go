//go:build !linux

package sqlite

import "os"

// This file says what can be said of the disk of a store on systems other than Linux.

// freeBytes does not know.
func freeBytes(string) (int64, bool) { return 0, false }

// diskBytes does not know.
func diskBytes(string) int64 { return 0 }

// volatileDisk does not know.
func volatileDisk(string) (kind, remedy string) { return "", "" }

// writable goes by the bits of the mode.
func writable(folder string) bool {
	info, err := os.Stat(folder)
	return err == nil && info.Mode().Perm()&0o222 != 0
}
