package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file guards the process as a whole. Every run has its own limit of memory, but many
// large ones at once, or what no account foresees, may still be too much together.

const (
	watchdogPeriod = 50 * time.Millisecond
	watchdogLeast  = 1 << 20 // bytes; ending a run that made less would free nothing
	heapMetric     = "/memory/classes/heap/objects:bytes"
)

// inFlight is a run under way, as the watchdog sees it.
type inFlight interface {
	Used() int64 // bytes that it has created
	end(why error)
}

var _ inFlight = (*run)(nil)

// Used implements inFlight.
func (r *run) Used() int64 { return r.scope.Used() }

func (r *run) end(why error) { r.watch.end(why) }

// runs are those under way in this process.
type runs struct {
	mu  sync.Mutex
	now map[inFlight]struct{}
}

var running = &runs{now: map[inFlight]struct{}{}}

func (rs *runs) add(r inFlight) {
	rs.mu.Lock()
	rs.now[r] = struct{}{}
	rs.mu.Unlock()
}

func (rs *runs) remove(r inFlight) {
	rs.mu.Lock()
	delete(rs.now, r)
	rs.mu.Unlock()
}

// endLargest ends the run that has created most, and gives what it had created; 0 when no
// run is large.
func (rs *runs) endLargest(heap, limit uint64) int64 {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var worst inFlight
	most := int64(watchdogLeast)
	for r := range rs.now {
		if used := r.Used(); used >= most {
			worst, most = r, used
		}
	}
	if worst == nil {
		return 0
	}
	delete(rs.now, worst) // it ends soon; the next look is for another
	worst.end(&starlib.LimitError{Code: starlib.CodeWatchdog, Text: fmt.Sprintf(
		"the process holds %s of memory, its limit is %s, and this handler had created most of those running: %s", guard.Size(int(heap)), guard.Size(int(limit)), guard.Size(int(most)))})
	return most
}

// WatchMemory looks at the process's heap until ctx ends. While it is over limit (bytes), it
// ends running handlers, the largest first, with the code MEMORY_WATCHDOG. log may be nil.
func WatchMemory(ctx context.Context, limit uint64, log *slog.Logger) {
	tick := time.NewTicker(watchdogPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		heap, freed := running.look(limit, heapBytes, runtime.GC)
		if freed > 0 && log != nil {
			log.Warn("the memory watchdog ended the largest handler", "heap_bytes", heap, "limit_bytes", limit, "handler_bytes", freed)
		}
	}
}

// look measures, and ends a run only when collecting garbage did not help.
func (rs *runs) look(limit uint64, measure func() uint64, collect func()) (heap uint64, ended int64) {
	if heap = measure(); heap <= limit {
		return heap, 0
	}
	collect()
	if heap = measure(); heap <= limit {
		return heap, 0
	}
	return heap, rs.endLargest(heap, limit)
}

func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: heapMetric}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
