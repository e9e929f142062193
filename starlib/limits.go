package starlib

import (
	"time"

	"orrery/engine/job"
	"orrery/starlib/guard"
)

// This file holds the limits of one run, and the one table of them from which the keyword
// limits of blueprint(), the operator's settings and the tests are made.

// Limits bounds one run of a handler. The zero value is not usable: DefaultLimits.
type Limits struct {
	Steps        uint64        // Starlark's own count
	Time         time.Duration // of the handler's own work; waiting for the Host does not count
	Sleep        time.Duration // all sleep() calls of a run together
	Calls        int           // calls of the Host in one run: reads, acts and sleeps
	CallTime     time.Duration // one call that reads or acts
	FileTime     time.Duration // one call that reads or writes a file
	LogBytes     int           // text of all log lines
	Dispatches   int           // tasks of one step
	HistoryBytes int           // state_history as JSON
	InitialBytes int           // initial data of a job as JSON; looked at when it is accepted
	ParamsBytes  int           // params of one task as JSON
	DataBytes    int           // initial data of a child, one value of a store, as JSON
	Elements     int           // of one list, dict, set, tuple or range
	MemoryBytes  int           // all values that a run creates, as guard reckons them
	TextBytes    int           // one text
	IntegerBits  int           // one integer
	Depth        int           // lists, dicts and tuples in each other
}

// Guard gives the part that guard watches over.
func (l Limits) Guard() guard.Limits {
	return guard.Limits{
		Steps: l.Steps, MemoryBytes: l.MemoryBytes, TextBytes: l.TextBytes, Elements: l.Elements, IntegerBits: l.IntegerBits, Depth: l.Depth,
	}
}

// DefaultLimits are those of design/contract.md.
func DefaultLimits() Limits {
	g := guard.Defaults()
	return Limits{
		Steps: g.Steps, Time: time.Second, Sleep: time.Second, Calls: 1000, CallTime: 10 * time.Second, FileTime: 10 * time.Minute, LogBytes: 256 << 10, Dispatches: 10_000,
		HistoryBytes: 1 << 20, InitialBytes: 1 << 20, ParamsBytes: 256 << 10, DataBytes: 1 << 20, Elements: g.Elements,
		MemoryBytes: g.MemoryBytes, TextBytes: g.TextBytes, IntegerBits: g.IntegerBits, Depth: g.Depth,
	}
}

// Limit describes one limit: a blueprint lowers it by limits={Key: n}, the operator sets it
// by ORRERY_LIMIT_KEY or in the table [limits] of orrery.toml.
type Limit[T any] struct {
	Key  string // with the unit of its number in it
	Code string // of the error, as job.Error.Code
	Help string
	Get  func(*T) float64  // in the key's unit
	Set  func(*T, float64) // n is above 0; a fraction of a count is cut off
}

// CountLimit describes a limit that is a plain number.
func CountLimit[T any, N int | int64 | uint64](key, code, help string, at func(*T) *N) Limit[T] {
	return scaled(key, code, help, 1, at)
}

// KiBLimit describes a limit in bytes that people give in KiB.
func KiBLimit[T any](key, code, help string, at func(*T) *int) Limit[T] {
	return scaled(key, code, help, 1<<10, at)
}

// MiBLimit describes a limit in bytes that people give in MiB.
func MiBLimit[T any](key, code, help string, at func(*T) *int) Limit[T] {
	return scaled(key, code, help, 1<<20, at)
}

// SecondsLimit describes a limit of time.
func SecondsLimit[T any](key, code, help string, at func(*T) *time.Duration) Limit[T] {
	return scaled(key, code, help, float64(time.Second), at)
}

// mostLimit keeps a number times its unit from overflowing.
const mostLimit = 1e15

func scaled[T any, N ~int | ~int64 | ~uint64](key, code, help string, unit float64, at func(*T) *N) Limit[T] {
	return Limit[T]{
		Key: key, Code: code, Help: help,
		Get: func(l *T) float64 { return float64(*at(l)) / unit },
		Set: func(l *T, n float64) { *at(l) = N(max(min(n*unit, mostLimit), 1)) },
	}
}

// StepLimits lists every field of Limits.
var StepLimits = []Limit[Limits]{
	CountLimit("steps", CodeSteps, "Starlark steps of one run", func(l *Limits) *uint64 { return &l.Steps }),
	SecondsLimit("seconds", CodeTime, "own work of a handler", func(l *Limits) *time.Duration { return &l.Time }),
	SecondsLimit("sleep_seconds", CodeSleep, "all sleep() calls of a run", func(l *Limits) *time.Duration { return &l.Sleep }),
	CountLimit("calls", CodeCalls, "calls of one run that read or act", func(l *Limits) *int { return &l.Calls }),
	SecondsLimit("call_seconds", job.CodeTransient, "one such call; the step is tried again", func(l *Limits) *time.Duration { return &l.CallTime }),
	SecondsLimit("file_seconds", job.CodeTransient, "one call that reads or writes a file; the step is tried again", func(l *Limits) *time.Duration { return &l.FileTime }),
	MiBLimit("memory_mib", CodeMemory, "all values that a run creates", func(l *Limits) *int { return &l.MemoryBytes }),
	KiBLimit("text_kib", CodeText, "one text", func(l *Limits) *int { return &l.TextBytes }),
	CountLimit("elements", CodeElements, "elements of one list, dict, set, tuple or range", func(l *Limits) *int { return &l.Elements }),
	CountLimit("integer_bits", CodeInteger, "bits of one integer", func(l *Limits) *int { return &l.IntegerBits }),
	CountLimit("depth", CodeDepth, "lists, dicts and tuples in each other", func(l *Limits) *int { return &l.Depth }),
	KiBLimit("log_kib", CodeLog, "log lines of one run", func(l *Limits) *int { return &l.LogBytes }),
	CountLimit("dispatches", CodeDispatches, "tasks of one step", func(l *Limits) *int { return &l.Dispatches }),
	KiBLimit("state_history_kib", job.CodeSizeLimit, "state_history as JSON", func(l *Limits) *int { return &l.HistoryBytes }),
	KiBLimit("initial_data_kib", CodeInitial, "initial_data of a job as JSON", func(l *Limits) *int { return &l.InitialBytes }),
	KiBLimit("params_kib", CodeParams, "params of one task as JSON", func(l *Limits) *int { return &l.ParamsBytes }),
	KiBLimit("data_kib", CodeData, "initial data for a child, a value of a data store", func(l *Limits) *int { return &l.DataBytes }),
}

// Lowered gives the limits with every one of own that is set and lower.
func (l Limits) Lowered(own Limits) Limits {
	if own == (Limits{}) {
		return l
	}
	return l.lowered(own)
}

// lowered is apart because it moves both to the heap, and most blueprints have no limits of
// their own.
func (l Limits) lowered(own Limits) Limits {
	for _, f := range StepLimits {
		if n := f.Get(&own); n > 0 && (n < f.Get(&l) || f.Get(&l) == 0) {
			f.Set(&l, n)
		}
	}
	return l
}
