//go:build unix

package blueprint

import "syscall"

// This file makes a named pipe.

func makePipe(name string) error { return syscall.Mkfifo(name, 0o600) }
