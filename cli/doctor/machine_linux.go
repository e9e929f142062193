package doctor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// This file asks Linux.

// openFilesLimit gives how many files this process may have open.
func openFilesLimit() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return l.Cur, true
}

// timeError is what adjtimex(2) gives for a clock that nobody keeps.
const timeError = 5

func clockSynced() (yes, known bool) {
	var t syscall.Timex // all zero: only looks
	state, err := syscall.Adjtimex(&t)
	return state != timeError, err == nil
}

// memoryBytes gives the memory of the container, or of the machine; 0 when nobody says.
func memoryBytes() int64 {
	least := int64(0)
	take := func(n int64) {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
				take(number(strings.TrimSuffix(strings.TrimSpace(rest), " kB")) << 10)
			}
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(path); err == nil {
			take(number(strings.TrimSpace(string(text)))) // "max" is none
		}
	}
	return least
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
