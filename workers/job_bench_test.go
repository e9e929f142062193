//go:build linux

package workers

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// This file measures the whole life of a job without HTTP.

// BenchmarkJob is a job that is accepted, handed out, and ends with its result, on a store on
// disk: 32 clients submit, 16 workers work, at most 1,000 jobs wait. It gives the processor time of a job, which says
// more than its time on a machine where others run.
func BenchmarkJob(b *testing.B) {
	s := newSeam(b)
	for w := range 16 {
		s.worker(fmt.Sprint("w", w))
	}
	b.ReportAllocs()
	before := processorTime()
	b.ResetTimer()
	var all sync.WaitGroup
	var submitted, taken atomic.Int64
	room := make(chan struct{}, 1000)
	for range 32 {
		all.Go(func() {
			for submitted.Add(1) <= int64(b.N) {
				room <- struct{}{}
				s.start("one", `{}`)
			}
		})
	}
	for w := range 16 {
		name := fmt.Sprint("w", w)
		all.Go(func() {
			for taken.Add(1) <= int64(b.N) {
				s.answer(s.take(name), name, "success")
				<-room
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
