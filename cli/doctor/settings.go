package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"

	"orrery/cli/config"
	"orrery/engine/store"
)

// This file looks at the configuration.

func configuration(_ context.Context, s *Subject) []store.Finding {
	var out []store.Finding
	var faults config.Faults
	switch {
	case errors.As(s.Fault, &faults):
		for _, f := range faults {
			remedy := "correct it"
			if f.Example != "" {
				remedy = "for example " + f.Example
			}
			out = append(out, store.Bad(f.Name, f.Problem, remedy))
		}
	case s.Fault != nil:
		out = append(out, store.Bad("configuration", s.Fault.Error(), "correct it"))
	}
	for _, d := range config.Mistyped(s.Environ) {
		out = append(out, store.Warn(d.Name, d.Problem, d.Remedy))
	}
	if s.Config == nil {
		return out
	}
	for _, w := range s.Config.Warnings {
		out = append(out, store.Warn("settings", w, "unset what has no effect, or set what it says"))
	}
	for _, d := range s.Config.Doubts() {
		out = append(out, store.Warn(d.Name, d.Problem, d.Remedy))
	}
	if f, ok := heapFinding(int64(s.Config.Limits.HeapBytes), memoryBytes()); ok {
		out = append(out, f)
	}
	if len(out) == 0 {
		out = append(out, store.Fine("settings", fmt.Sprintf("without faults; %d clients, %d workers with tokens of their own", len(s.Config.Clients), len(s.Config.Workers))))
	}
	return out
}

// heapFinding compares the limit at which running handlers are ended with the memory there is.
func heapFinding(limit, memory int64) (store.Finding, bool) {
	if soft := debug.SetMemoryLimit(-1); soft != math.MaxInt64 && soft < limit {
		return store.Warn("ORRERY_LIMIT_HEAP_MIB", fmt.Sprintf("the watchdog acts at %d MiB, and GOMEMLIMIT holds the heap at %d MiB", limit>>20, soft>>20),
			"set ORRERY_LIMIT_HEAP_MIB below GOMEMLIMIT"), true
	}
	if memory == 0 || limit <= memory/4*3 {
		return store.Finding{}, false
	}
	return store.Warn("ORRERY_LIMIT_HEAP_MIB", fmt.Sprintf("the watchdog acts at %d MiB, and this machine or container has %d MiB: it would be ended before", limit>>20, memory>>20),
		fmt.Sprintf("set ORRERY_LIMIT_HEAP_MIB=%d", memory>>21)), true
}
