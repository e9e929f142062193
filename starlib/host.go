package starlib

import (
	"context"
	"encoding/json"
	"time"
)

// This file holds what the engine lends to a run. Everything of the Host that takes time is
// reached by Call: see call.go.

// Host is the world outside of a run. Nil parts are not available, and a script that uses
// one gets an error that says so.
type Host struct {
	Stores    Stores
	Jobs      Jobs
	Files     Files
	Databases Databases
	Env       func(name string) (value string, ok bool) // only names that the operator allowed
	Sleep     func(ctx context.Context, d time.Duration) error
	Now       func() time.Time // read once a run
}

// Stores reads the data stores of the run's blueprint.
type Stores interface {
	// Get gives a key's value and version; an absent key is (nil, 0, nil).
	Get(ctx context.Context, store, key string) (json.RawMessage, int64, error)
	// Keys gives the kept keys in order.
	Keys(ctx context.Context, store string) ([]string, error)
	// Near reports that a read now would wait for nobody, so that it is no call of the outside.
	// It is asked before each read; last says that the handler has ended, and only the sums
	// of its incr calls are still to be made.
	Near(last bool) bool
}

// Jobs reads other jobs, and the run's own.
type Jobs interface {
	// JobState gives a job as the API shows it, or (nil, nil) when there is none.
	JobState(ctx context.Context, id string) (json.RawMessage, error)
}

// MaxWait is the longest transition_to(after_seconds=), in seconds: 366 days.
const MaxWait = 366 * 24 * 3600
