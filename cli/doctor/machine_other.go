//go:build !linux

package doctor

// This file says what is not known of systems other than Linux.

func openFilesLimit() (uint64, bool) { return 0, false }
func clockSynced() (yes, known bool) { return false, false }
func memoryBytes() int64             { return 0 }
