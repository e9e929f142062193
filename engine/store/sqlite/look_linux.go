package sqlite

import (
	"syscall"
)

// This file asks Linux about the disk of a store.

// freeBytes gives what an ordinary user may still write on the folder's disk.
func freeBytes(folder string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * st.Bsize, true
}

// diskBytes gives the size of the folder's disk; 0: it is not known.
func diskBytes(folder string) int64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return 0
	}
	return int64(st.Blocks) * st.Bsize
}

// Kinds of file systems (statfs(2)) on which a store is not safe.
const (
	tmpfs = 0x01021994
	nfs   = 0x6969
	smb   = 0x517b
	cifs  = 0xff534d42
	smb2  = 0xfe534d42
)

// volatileDisk names a file system that forgets or that does not lock as SQLite needs it; ""
// for all others.
func volatileDisk(folder string) (kind, remedy string) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return "", ""
	}
	switch uint32(st.Type) {
	case tmpfs:
		return "tmpfs, which is gone when the machine restarts", "put the store on a disk"
	case nfs, smb, cifs, smb2:
		return "a network file system, on which SQLite's log does not work safely", "put the store on a local disk, or use a database server for it"
	}
	return "", ""
}

// writable asks the kernel, which knows lists of rights and read-only disks too.
func writable(folder string) bool { return syscall.Access(folder, 2) == nil }
