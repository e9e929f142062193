// Package faultstore lets a store go wrong on purpose, for tests.
//
// It passes every call on to the store below. A plan says what happens to the n-th call of
// a method from now on: it fails before anything was done, it is done and reported as
// failed (as when a network or a process ends between the commit and the answer), or it is
// held back until the test lets it go. A fault happens once; everything else is untouched,
// so that what breaks afterwards is the caller's doing. All calls may be slow as well.
package faultstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// ErrInjected is what a planned failure returns (wrapped with the method and its number).
// It is none of the store's own errors: the caller can not know what was done.
var ErrInjected = errors.New("fault injected")

// Method names a method of store.Store that can be planned for.
type Method string

// The methods that can go wrong.
const (
	Commit    Method = "Commit"
	HandOut   Method = "HandOut" // cannot report: Before loses it, After does nothing
	Load      Method = "Load"
	Job       Method = "Job"
	Rows      Method = "Rows"
	Task      Method = "Task"
	OpenTasks Method = "OpenTasks"
	ScanTasks Method = "ScanTasks"
	Records   Method = "Records"
	Results   Method = "Results"
	Ready     Method = "Ready"
	Due       Method = "Due"
	NextDue   Method = "NextDue"
	Messages  Method = "Messages"
	Delivered Method = "Delivered"
	Postpone  Method = "Postpone"
	Claim     Method = "Claim"
	Count     Method = "Count"
)

// Kind says how a call goes wrong.
type Kind string

// Before: nothing is done and the call fails. After: it is done and reported as failed.
const (
	Before Kind = "before"
	After  Kind = "after"
)

// Store is a store with plans. Make it with New.
type Store struct {
	store.Store

	mu     sync.Mutex
	calls  map[Method]int
	faults map[call]Kind
	gates  map[call]*gate
	met    int
	slow   func() time.Duration
}

type call struct {
	method Method
	n      int
}

// gate holds a call back.
type gate struct{ reached, open chan struct{} }

var _ store.Store = (*Store)(nil)

// New wraps a store.
func New(below store.Store) *Store {
	return &Store{Store: below, calls: map[Method]int{}, faults: map[call]Kind{}, gates: map[call]*gate{}}
}

// Fail plans that the n-th call of the method from now on (1: the next) goes wrong.
func (s *Store) Fail(m Method, n int, k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[call{m, s.calls[m] + n}] = k
}

// Hold plans that the n-th call of the method from now on waits, before anything is done,
// until release is called. reached is closed when the call has come.
func (s *Store) Hold(m Method, n int) (reached <-chan struct{}, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &gate{make(chan struct{}), make(chan struct{})}
	s.gates[call{m, s.calls[m] + n}] = g
	return g.reached, sync.OnceFunc(func() { close(g.open) })
}

// Slow lets every call of a method that can go wrong take so much longer, before anything is
// done; nil ends it.
func (s *Store) Slow(by func() time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = by
}

// Met tells how many planned failures have happened.
func (s *Store) Met() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met
}

// enter counts a call, waits where a test holds it, and gives its fault.
func (s *Store) enter(m Method) (k Kind, err error) {
	s.mu.Lock()
	s.calls[m]++
	c := call{m, s.calls[m]}
	k, g := s.faults[c], s.gates[c]
	var late <-chan time.Time
	if s.slow != nil {
		late = time.After(s.slow())
	}
	if k != "" {
		s.met++
		err = fmt.Errorf("%s %s, call %d: %w", k, m, c.n, ErrInjected)
	}
	s.mu.Unlock()
	if g != nil {
		close(g.reached)
		<-g.open
	}
	if late != nil {
		<-late
	}
	return k, err
}

// through does a call with what is planned for it.
func (s *Store) through(m Method, do func() error) error {
	k, fault := s.enter(m)
	if k == Before {
		return fault
	}
	return errors.Join(do(), fault)
}

// Commit passes on store.Committer's method.
func (s *Store) Commit(ctx context.Context, c *job.Change) error {
	return s.through(Commit, func() error { return s.Store.Commit(ctx, c) })
}

// HandOut passes on store.Committer's method.
func (s *Store) HandOut(t job.Task) {
	if k, _ := s.enter(HandOut); k != Before { // nobody could be told of the fault
		s.Store.HandOut(t)
	}
}

// Load passes on store.Jobs' method.
func (s *Store) Load(ctx context.Context, id string) (j *job.Job, d store.Data, err error) {
	err = s.through(Load, func() (err error) { j, d, err = s.Store.Load(ctx, id); return err })
	return j, d, err
}

// Job passes on store.Jobs' method.
func (s *Store) Job(ctx context.Context, id string) (j *job.Job, err error) {
	err = s.through(Job, func() (err error) { j, err = s.Store.Job(ctx, id); return err })
	return j, err
}

// Rows passes on store.Jobs' method.
func (s *Store) Rows(ctx context.Context, ids []string) (js []job.Job, err error) {
	err = s.through(Rows, func() (err error) { js, err = s.Store.Rows(ctx, ids); return err })
	return js, err
}

// Task passes on store.Tasks' method.
func (s *Store) Task(ctx context.Context, jobID string, n int) (t *job.Task, err error) {
	err = s.through(Task, func() (err error) { t, err = s.Store.Task(ctx, jobID, n); return err })
	return t, err
}

// OpenTasks passes on store.Tasks' method.
func (s *Store) OpenTasks(ctx context.Context, jobID string, after, limit int) (open []job.Task, more bool, err error) {
	err = s.through(OpenTasks, func() (err error) { open, more, err = s.Store.OpenTasks(ctx, jobID, after, limit); return err })
	return open, more, err
}

// Records passes on store.Jobs' method.
func (s *Store) Records(ctx context.Context, id string, after int64, limit int) (r []job.Record, err error) {
	err = s.through(Records, func() (err error) { r, err = s.Store.Records(ctx, id, after, limit); return err })
	return r, err
}

// Results passes on store.Jobs' method.
func (s *Store) Results(ctx context.Context, id string, group int64, after string, limit int) (r []job.Result, more bool, err error) {
	err = s.through(Results, func() (err error) { r, more, err = s.Store.Results(ctx, id, group, after, limit); return err })
	return r, more, err
}

// ScanTasks passes on store.Tasks' method.
func (s *Store) ScanTasks(ctx context.Context, state job.TaskState, fn func(job.Task) bool) error {
	return s.through(ScanTasks, func() error { return s.Store.ScanTasks(ctx, state, fn) })
}

// Ready passes on store.Wakes' method.
func (s *Store) Ready(ctx context.Context, after string, limit int) (ids []string, err error) {
	err = s.through(Ready, func() (err error) { ids, err = s.Store.Ready(ctx, after, limit); return err })
	return ids, err
}

// Due passes on store.Wakes' method.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (w []store.Wake, err error) {
	err = s.through(Due, func() (err error) { w, err = s.Store.Due(ctx, now, limit); return err })
	return w, err
}

// NextDue passes on store.Wakes' method.
func (s *Store) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	err = s.through(NextDue, func() (err error) { at, ok, err = s.Store.NextDue(ctx); return err })
	return at, ok, err
}

// Messages passes on store.Outbox' method.
func (s *Store) Messages(ctx context.Context, now time.Time, limit int) (m []job.Message, err error) {
	err = s.through(Messages, func() (err error) { m, err = s.Store.Messages(ctx, now, limit); return err })
	return m, err
}

// Delivered passes on store.Outbox' method.
func (s *Store) Delivered(ctx context.Context, ids ...string) error {
	return s.through(Delivered, func() error { return s.Store.Delivered(ctx, ids...) })
}

// Postpone passes on store.Outbox' method.
func (s *Store) Postpone(ctx context.Context, m job.Message) error {
	return s.through(Postpone, func() error { return s.Store.Postpone(ctx, m) })
}

// Claim passes on store.Keys' method.
func (s *Store) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error) {
	err = s.through(Claim, func() (err error) { stands, claimed, err = s.Store.Claim(ctx, key, value, ttl, now); return err })
	return stands, claimed, err
}

// Calls gives the number of calls of each method so far.
func (s *Store) Calls() map[Method]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Count passes on store.Counters' method.
func (s *Store) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error) {
	err = s.through(Count, func() (err error) { stands, taken, err = s.Store.Count(ctx, key, by, most, until, now); return err })
	return stands, taken, err
}
