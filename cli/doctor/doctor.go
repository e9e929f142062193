// Package doctor looks at everything that a server needs, before it starts or while it runs,
// and says what it saw, what that means, and what to do.
//
// Words: a check looks at one thing and gives findings; an area is what findings are listed
// under. Checks change nothing: no table and no folder is made, and a file that is written to
// see whether that can be done is removed at once.
//
// A new check is a function in the table Checks. What a store looks like is known to its
// driver (store.Finding).
package doctor

import (
	"context"
	"time"

	"orrery/cli/config"
	"orrery/engine/store"
)

// This file holds the table of checks and runs them.

// Subject is what is looked at.
type Subject struct {
	Config  *config.Config // nil when Fault says why there is none
	Fault   error          // of config.Load
	Environ []string       // NAME=value
	Now     time.Time

	Store func(ctx context.Context) []store.Finding        // looks at the store behind the configuration
	Nodes func(ctx context.Context) ([]store.Lease, error) // leases of running nodes; nil: the store is of one process
}

// Finding is one of a check.
type Finding struct {
	Area string `json:"area"`
	store.Finding
}

// Check looks at one area.
type Check struct {
	Area     string
	Anyway   bool // it needs no configuration
	LookAt   func(ctx context.Context, s *Subject) []store.Finding
	Patience time.Duration // 0: patience
}

// patience bounds a check.
const patience = 10 * time.Second

// Checks is the table, in the order of the report.
var Checks = []Check{
	{Area: "configuration", Anyway: true, LookAt: configuration},
	{Area: "machine", Anyway: true, LookAt: machine},
	{Area: "blueprints", LookAt: blueprints, Patience: time.Minute},
	{Area: "store", LookAt: func(ctx context.Context, s *Subject) []store.Finding { return s.Store(ctx) }, Patience: 30 * time.Second},
	{Area: "nodes", LookAt: nodes},
	{Area: "files", LookAt: files},
	{Area: "databases", LookAt: databases, Patience: 30 * time.Second},
	{Area: "network", LookAt: network},
}

// Examine runs all checks that can be run.
func Examine(ctx context.Context, s *Subject) []Finding {
	var out []Finding
	for _, c := range Checks {
		if s.Config == nil && !c.Anyway {
			out = append(out, Finding{c.Area, store.Warn("this area", "not looked at", "mend the configuration first")})
			continue
		}
		within := c.Patience
		if within == 0 {
			within = patience
		}
		ctx, cancel := context.WithTimeout(ctx, within)
		for _, f := range c.LookAt(ctx, s) {
			out = append(out, Finding{c.Area, f})
		}
		cancel()
	}
	return out
}

// Worst gives the gravest verdict of all.
func Worst(all []Finding) store.Verdict {
	worst := store.FineVerdict
	for _, f := range all {
		switch {
		case f.Verdict == store.BadVerdict:
			return store.BadVerdict
		case f.Verdict == store.WarnVerdict:
			worst = store.WarnVerdict
		}
	}
	return worst
}
