//go:build killpoints

package clock

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// This file is the form of the test build, whose clock a test sets: the file that the variable
// ORRERY_TEST_CLOCK names says by how much Real is off ("-2m"). Timers count time as it passes,
// as those of a machine do whose clock somebody sets.

const setEvery = 20 * time.Millisecond

var off atomic.Int64

func set() time.Duration { return time.Duration(off.Load()) }

func init() {
	path := os.Getenv("ORRERY_TEST_CLOCK")
	if path == "" {
		return
	}
	read := func() {
		text, err := os.ReadFile(path)
		if err != nil {
			return // nobody has set it yet
		}
		if d, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil { // else it is being written
			off.Store(int64(d))
		}
	}
	read()
	go func() {
		for range time.Tick(setEvery) {
			read()
		}
	}()
}
