// Package memory is the store that forgets: for tests, `orrery run` and trying things out.
//
// Rows are kept as the same text that a durable driver would write, so that nothing the
// caller changes later shines through and a value that does not survive JSON is found here
// first. One mutex guards all; what is looked up by order is sorted when asked for, which
// suits some ten thousands of jobs, not millions.
package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds the store's shape and its writes.

// Store keeps everything in maps. Make it with New.
type Store struct {
	mu     sync.Mutex
	closed bool

	jobs      map[string]*row
	ready     map[string]struct{}  // jobs with a step due
	jobDue    map[string]time.Time // jobs that the timer must look at
	taskDue   map[taskKey]time.Time
	children  map[string][]string // parent -> ids
	outbox    map[string]*letter
	letters   int64 // messages ever kept, for the order among equal dates
	values    map[valueKey]value
	writes    int64 // newest version given by the store itself: never reused, also after a delete
	revisions map[string]*revision
	sources   map[string]store.SourceFile
	workers   map[string]string
	claims    map[string]claim
	leases    map[string]lease
	paces     map[string]int64 // key -> moment up to which its turns are given away, us
	pacesMost int              // with more of them those that have passed are forgotten
	clock     func() time.Time // of leases and paces
	wentBack  int              // how often it did: see GoBack
}

// row is a job with all its parts.
type row struct {
	version   int64
	status    job.Status
	blueprint string
	client    string
	body      string
	initial   json.RawMessage
	history   json.RawMessage
	records   []string
	tasks     map[int]job.TaskState
	bodies    map[int]string // of tasks
	handOuts  map[int]int
	results   map[int64]map[string]string // group -> task id
	progress  []store.Progress
}

type taskKey struct {
	job string
	n   int
}

type letter struct {
	id    string
	n     int64
	shard byte
	due   time.Time
	body  string

	parked, givenUp bool
}

type valueKey struct{ blueprint, store, key string }

type value struct {
	text    string
	version int64
}

// revision is kept as text; its date of use stands beside it, for it alone changes.
type revision struct {
	body string
	used time.Time
}

type claim struct {
	value []byte
	until time.Time // zero: for ever
}

var _ store.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	return &Store{
		jobs: map[string]*row{}, ready: map[string]struct{}{}, jobDue: map[string]time.Time{},
		taskDue: map[taskKey]time.Time{}, children: map[string][]string{}, outbox: map[string]*letter{},
		values: map[valueKey]value{}, revisions: map[string]*revision{}, sources: map[string]store.SourceFile{}, workers: map[string]string{},
		claims: map[string]claim{}, leases: map[string]lease{}, paces: map[string]int64{}, clock: time.Now,
	}
}

// Features says that nothing survives the process.
func (s *Store) Features() store.Features { return store.Features{Name: "memory"} }

// Close drops the rows; whatever comes later is refused with store.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.jobs, s.values, s.outbox = nil, nil, nil // the large ones; nothing reads them any more
	return nil
}

// begin takes the lock, or says why nothing can be done. The caller unlocks when err is nil.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	return nil
}

// Commit applies the change at once.
func (s *Store) Commit(ctx context.Context, c *job.Change) error {
	if err := store.Check(c); err != nil {
		return err
	}
	texts, err := encode(c)
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	r := s.jobs[c.Job.ID]
	if c.Base == 0 && r != nil {
		return fmt.Errorf("commit job %s: %w", c.Job.ID, store.ErrExists)
	}
	if err := s.fenced(c); err != nil {
		return err
	}
	if c.Base != 0 && (r == nil || r.version != c.Base) {
		return fmt.Errorf("commit job %s on version %d: %w", c.Job.ID, c.Base, store.ErrConflict)
	}
	for _, rd := range c.Reads {
		if v := s.values[valueKey{c.Job.Blueprint, rd.Store, rd.Key}]; v.version != rd.Version {
			return fmt.Errorf("commit job %s: store %s, key %q: %w", c.Job.ID, rd.Store, rd.Key, store.ErrConflict)
		}
	}
	s.apply(r, c, texts)
	return nil
}

// texts are the rows of a change as they are kept.
type texts struct {
	job     string
	records []string
	tasks   []string
	results []string
	outbox  []string
}

func encode(c *job.Change) (t texts, err error) {
	if t.job, err = store.Encode(&c.Job); err != nil {
		return t, err
	}
	t.records = make([]string, len(c.Records))
	for i := range c.Records {
		if t.records[i], err = store.Encode(&c.Records[i]); err != nil {
			return t, err
		}
	}
	t.tasks = make([]string, len(c.Tasks))
	for i := range c.Tasks {
		if t.tasks[i], err = store.Encode(&c.Tasks[i]); err != nil {
			return t, err
		}
	}
	t.results = make([]string, len(c.Results))
	for i := range c.Results {
		if t.results[i], err = store.Encode(&c.Results[i]); err != nil {
			return t, err
		}
	}
	t.outbox = make([]string, len(c.Outbox))
	for i := range c.Outbox {
		if t.outbox[i], err = store.Encode(&c.Outbox[i]); err != nil {
			return t, err
		}
	}
	return t, nil
}

// apply writes a change that holds; from here on nothing can fail.
func (s *Store) apply(r *row, c *job.Change, t texts) {
	id := c.Job.ID
	if r == nil {
		r = &row{
			blueprint: c.Job.Blueprint, initial: clone(store.Object(c.InitialData)), history: json.RawMessage("{}"),
			tasks: map[int]job.TaskState{}, bodies: map[int]string{}, handOuts: map[int]int{},
			results: map[int64]map[string]string{},
		}
		s.jobs[id] = r
		if p := c.Job.Parent; p != nil {
			s.children[p.JobID] = append(s.children[p.JobID], id)
		}
	}
	r.version, r.status, r.client, r.body = c.Job.Version, c.Job.Status, c.Job.Client.ID, t.job
	if c.StateHistory != nil {
		r.history = clone(c.StateHistory)
	}
	s.wake(&c.Job)
	r.records = append(r.records, t.records...)
	if c.CloseTasks {
		for n, state := range r.tasks {
			if state.Open() {
				r.tasks[n] = job.TaskClosed
				delete(s.taskDue, taskKey{id, n})
			}
		}
	}
	for i := range c.Tasks {
		s.putTask(r, &c.Tasks[i], t.tasks[i])
	}
	for i, res := range c.Results {
		if r.results[res.Group] == nil {
			r.results[res.Group] = map[string]string{}
		}
		r.results[res.Group][res.TaskID] = t.results[i]
	}
	for i := range c.Outbox {
		if m := &c.Outbox[i]; s.outbox[m.ID] == nil {
			s.letters++
			s.outbox[m.ID] = &letter{id: m.ID, n: s.letters, shard: job.ShardOf(id), due: m.Due, body: t.outbox[i]}
		}
	}
	for _, w := range c.Writes {
		k := valueKey{c.Job.Blueprint, w.Store, w.Key}
		if w.Value == nil {
			delete(s.values, k)
			continue
		}
		version := w.Version
		if version == 0 {
			s.writes++
			version = s.writes
		}
		s.values[k] = value{string(w.Value), version}
	}
}

// wake keeps the lists of jobs that something must happen to; ended jobs leave them.
func (s *Store) wake(j *job.Job) {
	delete(s.ready, j.ID)
	delete(s.jobDue, j.ID)
	if j.Status.Terminal() {
		return
	}
	if j.Ready {
		s.ready[j.ID] = struct{}{}
	}
	if j.Due != nil {
		s.jobDue[j.ID] = *j.Due
	}
}

func (s *Store) putTask(r *row, t *job.Task, body string) {
	k := taskKey{t.JobID, t.N}
	r.tasks[t.N], r.bodies[t.N], r.handOuts[t.N] = t.State, body, t.HandOut
	delete(s.taskDue, k)
	if t.State.Open() && t.Due != nil {
		s.taskDue[k] = *t.Due
	}
}

// HandOut writes the task as given, when it is still queued and this is its next hand-out.
func (s *Store) HandOut(t job.Task) {
	body, err := store.Encode(&t)
	if err != nil || s.begin(context.Background()) != nil {
		return // what cannot be written counts as not handed out
	}
	defer s.mu.Unlock()
	r := s.jobs[t.JobID]
	if r == nil || r.tasks[t.N] != job.TaskQueued || r.handOuts[t.N] != t.HandOut-1 || !s.stands(t.JobID, t.Fence) {
		return
	}
	s.putTask(r, &t, body)
}

// Sync has nothing to wait for.
func (s *Store) Sync(ctx context.Context) error { return ctx.Err() }

// AddProgress keeps the newest entries of a task, and of the job.
func (s *Store) AddProgress(jobID string, p store.Progress) {
	if s.begin(context.Background()) != nil {
		return
	}
	defer s.mu.Unlock()
	r := s.jobs[jobID]
	if r == nil {
		return
	}
	r.progress = append(r.progress, p)
	have, oldest := 0, -1
	for i := range r.progress {
		if r.progress[i].TaskID == p.TaskID {
			if have++; oldest < 0 {
				oldest = i
			}
		}
	}
	if have > store.ProgressKept {
		r.progress = append(r.progress[:oldest], r.progress[oldest+1:]...)
	}
	if n := len(r.progress); n > store.JobProgressKept {
		r.progress = slices.Clone(r.progress[n-store.ProgressLeft:])
	}
}

func clone(b json.RawMessage) json.RawMessage { return append(json.RawMessage(nil), b...) }
