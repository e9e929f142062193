package memory

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"orrery/engine/store"
)

// This file lets the shared form of the store go back to an earlier moment, as a store does whose
// replica takes over without the newest writes: for tests of what that means.

// Moment is all rows as they stood.
type Moment struct{ s *Store }

var _ store.Kept = Shared{}

// Keeper counts how often the store went back.
func (s Shared) Keeper(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "keeper " + strconv.Itoa(s.wentBack), nil
}

// Moment remembers the rows as they are now.
func (s Shared) Moment() Moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Moment{s.rows()}
}

// GoBack undoes whatever was written since a moment, acknowledged or not. Leases stay: that
// their fence numbers never go back is promised. A moment can be gone back to once.
func (s Shared) GoBack(to Moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := to.s
	s.jobs, s.ready, s.jobDue, s.taskDue, s.children, s.outbox = m.jobs, m.ready, m.jobDue, m.taskDue, m.children, m.outbox
	s.values, s.revisions, s.sources, s.workers, s.claims = m.values, m.revisions, m.sources, m.workers, m.claims
	s.wentBack++
}

// rows copies all rows; the caller holds the lock.
func (s *Store) rows() *Store {
	c := &Store{
		jobs: map[string]*row{}, ready: maps.Clone(s.ready), jobDue: maps.Clone(s.jobDue), taskDue: maps.Clone(s.taskDue),
		children: map[string][]string{}, outbox: map[string]*letter{}, values: maps.Clone(s.values), revisions: map[string]*revision{},
		sources: maps.Clone(s.sources), workers: maps.Clone(s.workers), claims: maps.Clone(s.claims),
	}
	for id, r := range s.jobs {
		own := *r
		own.records, own.progress = slices.Clone(r.records), slices.Clone(r.progress)
		own.tasks, own.bodies, own.handOuts = maps.Clone(r.tasks), maps.Clone(r.bodies), maps.Clone(r.handOuts)
		own.results = map[int64]map[string]string{}
		for group, of := range r.results {
			own.results[group] = maps.Clone(of)
		}
		c.jobs[id] = &own
	}
	for id, of := range s.children {
		c.children[id] = slices.Clone(of)
	}
	for id, l := range s.outbox {
		own := *l
		c.outbox[id] = &own
	}
	for hash, r := range s.revisions {
		own := *r
		c.revisions[hash] = &own
	}
	return c
}
