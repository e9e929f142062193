package starlib

import (
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file holds the limits that a blueprint sets for itself, always below the operator's:
//
//	blueprint(name = "x", limits = {"steps": 100000, "seconds": 0.2, "memory_mib": 8})

// Lowered gives the limits with every one of own that is set and lower.
func (l Limits) Lowered(own Limits) Limits {
	if own == (Limits{}) {
		return l
	}
	if own.Steps > 0 && own.Steps < l.Steps {
		l.Steps = own.Steps
	}
	for _, x := range []struct {
		at  *time.Duration
		own time.Duration
	}{{&l.Time, own.Time}, {&l.Sleep, own.Sleep}, {&l.CallTime, own.CallTime}, {&l.FileTime, own.FileTime}} {
		if x.own > 0 && x.own < *x.at {
			*x.at = x.own
		}
	}
	for _, x := range []struct {
		at  *int
		own int
	}{
		{&l.LogBytes, own.LogBytes}, {&l.Dispatches, own.Dispatches}, {&l.HistoryBytes, own.HistoryBytes}, {&l.ParamsBytes, own.ParamsBytes},
		{&l.DataBytes, own.DataBytes}, {&l.Elements, own.Elements}, {&l.MemoryBytes, own.MemoryBytes}, {&l.TextBytes, own.TextBytes},
		{&l.IntegerBits, own.IntegerBits}, {&l.Depth, own.Depth}, {&l.Calls, own.Calls},
	} {
		if x.own > 0 && (x.own < *x.at || *x.at == 0) {
			*x.at = x.own
		}
	}
	return l
}

// readLimits reads the keyword limits of blueprint().
func readLimits(call string, v starlark.Value) (l Limits, err error) {
	if v == starlark.None {
		return l, nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return l, fmt.Errorf("%s: limits is %s; it must be a dict", call, v.Type())
	}
	for k, x := range d.Entries() {
		name, _ := starlark.AsString(k)
		f, err := number(call, "limits["+guard.Show(k, 40)+"]", x)
		if err != nil {
			return l, err
		}
		if f <= 0 {
			return l, fmt.Errorf("%s: limits[%q] is %s; it must be more than 0", call, name, guard.Show(x, 40))
		}
		f = min(f, 1e12) // a limit can only lower the operator's, so this is none
		whole := max(int(f), 1)
		switch name {
		case "steps":
			l.Steps = uint64(whole)
		case "seconds":
			l.Time = max(time.Duration(min(f, 1e6)*float64(time.Second)), 1)
		case "calls":
			l.Calls = whole
		case "call_seconds":
			l.CallTime = max(time.Duration(min(f, 1e6)*float64(time.Second)), 1)
		case "file_seconds":
			l.FileTime = max(time.Duration(min(f, 1e6)*float64(time.Second)), 1)
		case "memory_mib":
			l.MemoryBytes = max(int(f*(1<<20)), 1)
		case "text_kib":
			l.TextBytes = max(int(f*(1<<10)), 1)
		case "elements":
			l.Elements = whole
		case "integer_bits":
			l.IntegerBits = whole
		case "depth":
			l.Depth = whole
		case "log_kib":
			l.LogBytes = max(int(f*(1<<10)), 1)
		case "dispatches":
			l.Dispatches = whole
		case "state_history_kib":
			l.HistoryBytes = max(int(f*(1<<10)), 1)
		case "params_kib":
			l.ParamsBytes = max(int(f*(1<<10)), 1)
		default:
			return l, fmt.Errorf("%s: limits has no %s; it has steps, seconds, calls, call_seconds, file_seconds, memory_mib, text_kib, elements, integer_bits, depth, log_kib, dispatches, state_history_kib and params_kib", call, guard.Show(k, 40))
		}
	}
	return l, nil
}
