package starlib

import (
	"context"
	"encoding/json"
	"time"

	"orrery/starlib/guard"
)

// This file holds what the engine lends to a run, and the limits of one run. Everything of
// the Host that takes time is reached by Call: see call.go.

// Host is the world outside of a run. Nil parts are not available, and a script that uses
// one gets an error that says so.
type Host struct {
	Stores Stores
	Jobs   Jobs
	Env    func(name string) (value string, ok bool) // only names that the operator allowed
	Sleep  func(ctx context.Context, d time.Duration) error
	Now    func() time.Time // read once a run
}

// Stores reads the data stores of the run's blueprint.
type Stores interface {
	// Get gives a key's value and version; an absent key is (nil, 0, nil).
	Get(ctx context.Context, store, key string) (json.RawMessage, int64, error)
	// Keys gives the kept keys in order.
	Keys(ctx context.Context, store string) ([]string, error)
}

// Jobs reads other jobs, and the run's own.
type Jobs interface {
	// JobState gives a job as the API shows it, or (nil, nil) when there is none.
	JobState(ctx context.Context, id string) (json.RawMessage, error)
}

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
		HistoryBytes: 1 << 20, ParamsBytes: 256 << 10, DataBytes: 1 << 20, Elements: g.Elements,
		MemoryBytes: g.MemoryBytes, TextBytes: g.TextBytes, IntegerBits: g.IntegerBits, Depth: g.Depth,
	}
}

// MaxWait is the longest transition_to(after_seconds=), in seconds: 366 days.
const MaxWait = 366 * 24 * 3600
