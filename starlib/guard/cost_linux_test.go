package guard

import (
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.starlark.net/starlark"
)

// This file measures what the guards cost on a machine that does other things: plain and
// checked by turns, in the processor time of the thread, the best round of each.
//
//	go test ./starlib/guard -run '^$' -bench Cost

const costRounds = 60

// threadTime reads the clock of the thread's processor time (CLOCK_THREAD_CPUTIME_ID).
func threadTime(b *testing.B) time.Duration {
	b.Helper()
	const threadClock = 3
	var now syscall.Timespec
	if _, _, failed := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&now)), 0); failed != 0 {
		b.Fatal(failed)
	}
	return time.Duration(now.Nano())
}

func BenchmarkCost(b *testing.B) {
	for _, l := range loops {
		b.Run(l.name, func(b *testing.B) {
			runtime.LockOSThread() // whose time is looked at
			defer runtime.UnlockOSThread()
			n := 20_000
			if l.name == "handler" {
				n = 300
			}
			best := [2]float64{math.Inf(1), math.Inf(1)}
			for b.Loop() {
				for range costRounds {
					for i, rewrite := range []bool{false, true} {
						thread, run := loopOf(b, l.src, rewrite)
						began := threadTime(b)
						if _, err := starlark.Call(thread, run, starlark.Tuple{starlark.MakeInt(n)}, nil); err != nil {
							b.Fatal(err)
						}
						best[i] = min(best[i], float64(threadTime(b)-began)/float64(n))
					}
				}
			}
			b.ReportMetric(0, "ns/op") // of all rounds together, which nobody asked for
			b.ReportMetric(best[0], "plain-ns")
			b.ReportMetric(best[1], "checked-ns")
			b.ReportMetric(best[1]-best[0], "cost-ns")
			b.ReportMetric(best[1]/best[0], "ratio")
		})
	}
}
