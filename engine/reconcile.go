package engine

import (
	"context"
	"errors"
	"maps"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file compares what an engine has in memory with a store that others share, for such a
// store can go back: when a copy of it takes over that had not received everything, writes that
// were acknowledged are undone. Memory is then ahead of the rows, and nobody reads a queued task
// a second time: its job would stand still for ever.
//
// Words: a look reads the open tasks of some shards and puts them beside what the dispatcher has
// of these. What differs is a suspect, for most differences are only changes on their way: it is
// looked at again some seconds later under the job's lock, and mended if it still differs in the
// very same way. A round is all shards once. Rows that are ready or due, and messages, need none
// of this: they are read from the store every few seconds (see lookAgain).

const (
	roundTime = time.Minute
	// roundRows is how many rows a second are read at most, on average: with more than 30,000
	// open tasks a round takes longer.
	roundRows = 500
)

// Held is what a dispatcher has of one task.
type Held struct {
	JobID   string
	N       int
	HandOut int
	Attempt int

	// Of a task at a worker; ID is "" while it is queued. Due is nil until the hand-out is noted.
	ID, Worker string
	LeasedAt   time.Time
	Due        *time.Time
}

// taskRef names a task for good.
type taskRef struct {
	job string
	n   int
}

// sight is a task as the store and the dispatcher have it: enough to tell whether anything
// happened to it between two looks. No state is no open row, and out of the queue and the leases.
type sight struct {
	state   job.TaskState
	id      string // of the newest hand-out by the row
	handOut int

	held    bool
	heldID  string
	heldOut int
}

// agrees reports whether row and memory say the same.
func (s sight) agrees() bool {
	switch s.state {
	case job.TaskQueued:
		return s.held && s.heldID == "" && s.heldOut == s.handOut
	case job.TaskLeased:
		return s.held && s.heldID == s.id
	}
	return !s.held
}

func (s *sight) row(t *job.Task) {
	if t.State == job.TaskQueued || t.State == job.TaskLeased {
		s.state, s.id, s.handOut = t.State, t.ID, t.HandOut
	}
}

func (s *sight) memory(h Held) { s.held, s.heldID, s.heldOut = true, h.ID, h.HandOut }

// fullLooks are when, after a change of keeper, everything is looked at once more: what was on
// its way arrives for a while, and is judged by what memory knew.
const fullLooks = 4 // looks later

// reconciler is where the rounds of an engine stand. It belongs to one goroutine.
type reconciler struct {
	keeper   string // who kept the store at the last look; "": not known yet
	next     int    // shard
	debt     int    // rows read beyond what was due
	full     int    // looks until everything is looked at; 0: it is not planned
	suspects map[taskRef]sight
	parents  parentLooks
	mended   map[string]mending // since the last word about it, by what was wrong
}

// mending sums up what was mended for one reason.
type mending struct {
	tasks   int
	example taskRef
}

// runReconcile looks until ctx ends.
func (e *Engine) runReconcile(ctx context.Context) {
	var r reconciler
	for e.nap(ctx, nil, lookAgain) {
		if err := e.reconcile(ctx, &r); err != nil && ctx.Err() == nil {
			e.cfg.Log.Warn("memory could not be compared with the store; it is tried again", "error", err)
		}
	}
}

// reconcile mends what the last look found, and looks at the next shards; at all of them when
// another server keeps the store by now.
func (e *Engine) reconcile(ctx context.Context, r *reconciler) error {
	again, err := e.mendAll(ctx, r)
	failed := err
	if isAway(err) {
		return err // the next round finds again what was not mended
	}
	in := e.nextLook(r)
	changed, err := e.hasNewKeeper(ctx, r)
	if err != nil {
		return errors.Join(failed, err)
	}
	failed = errors.Join(failed, e.lookAtParents(ctx, &r.parents))
	if r.full--; changed || r.full == 0 {
		in, r.next, r.debt = *e.shards.open.Load(), 0, 0
	}
	if changed {
		r.full = fullLooks
	}
	r.full = max(r.full, 0)
	r.suspects = again
	if in.Len() == 0 {
		return failed
	}
	// What moved last is read again when it moves next: a version that was undone may be given
	// to another change, and then the commit's check would not find that memory is wrong.
	e.hot.drop(in)
	found, rows, err := e.compare(ctx, in)
	r.debt = min(r.debt+rows, roundRows*int(roundTime/time.Second)) // so a look at all is one round
	maps.Copy(r.suspects, found)
	return errors.Join(failed, err)
}

// mendAll mends what still differs as it did at the last look. again are tasks that have moved,
// and differ still.
func (e *Engine) mendAll(ctx context.Context, r *reconciler) (again map[taskRef]sight, failed error) {
	again = map[taskRef]sight{}
	for ref, seen := range r.suspects {
		now, err := e.mendTask(ctx, r, ref, seen)
		if isAway(err) || ctx.Err() != nil {
			failed = err
			break
		}
		if failed = errors.Join(failed, err); err == nil && now != seen && !now.agrees() {
			again[ref] = now
		}
	}
	for what, m := range r.mended {
		e.cfg.Log.Warn("memory did not agree with the store about tasks, and follows it now: has the store gone back?", "tasks", m.tasks, "why", what, "job", m.example.job, "task", m.example.n)
	}
	r.suspects, r.mended = nil, nil
	return again, failed
}

func (r *reconciler) note(ref taskRef, what string) {
	if r.mended == nil {
		r.mended = map[string]mending{}
	}
	r.mended[what] = mending{r.mended[what].tasks + 1, ref}
}

// isAway tells that the whole store can not be used just now.
func isAway(err error) bool {
	var out interface{ Unavailable() bool }
	return errors.As(err, &out)
}

// nextLook gives the shards whose turn it is: as many as make a round of all in roundTime, and
// none while more rows were read than the time allows.
func (e *Engine) nextLook(r *reconciler) (in store.ShardSet) {
	r.debt = max(0, r.debt-roundRows*int(lookAgain/time.Second))
	if r.debt > 0 {
		return in
	}
	owned := *e.shards.open.Load()
	looks := int(roundTime / lookAgain)
	for want := (owned.Len() + looks - 1) / looks; want > 0; r.next = (r.next + 1) % job.Shards {
		if shard := byte(r.next); owned.Has(shard) {
			in.Add(shard)
			want--
		}
	}
	return in
}

// hasNewKeeper reports whether the store has come to another server since the last look, or its
// server was started anew.
func (e *Engine) hasNewKeeper(ctx context.Context, r *reconciler) (bool, error) {
	k, ok := e.store.(store.Kept)
	if !ok {
		return false, nil
	}
	keeper, err := k.Keeper(ctx)
	if err != nil {
		return false, err
	}
	switch r.keeper {
	case keeper:
		return false, nil
	case "":
		r.keeper = keeper
		r.parents.plan() // it may have gone back before this engine came
		return false, nil
	}
	if c, ok := e.cfg.Blueprints.(revisionKeeper); ok {
		if err := c.KeepAgain(ctx); err != nil {
			return false, err
		}
	}
	e.cfg.Log.Warn("another server keeps the store now, or it was started anew: what is in memory is compared with it at once", "before", r.keeper, "now", keeper)
	r.keeper = keeper
	r.parents.plan()
	return true, nil
}

// revisionKeeper is a Catalog that can put into the store again what it has put there before.
type revisionKeeper interface {
	KeepAgain(ctx context.Context) error
}

// compare gives the tasks of some shards that store and dispatcher do not agree about, and how
// many rows were read.
func (e *Engine) compare(ctx context.Context, in store.ShardSet) (differ map[taskRef]sight, rows int, err error) {
	all := map[taskRef]sight{}
	for _, state := range []job.TaskState{job.TaskQueued, job.TaskLeased} {
		err := e.shards.reads.ScanTasksIn(ctx, in, state, func(t job.Task) bool {
			s := all[taskRef{t.JobID, t.N}]
			s.row(&t)
			all[taskRef{t.JobID, t.N}] = s
			rows++
			return true
		})
		if err := e.pass(err); err != nil {
			return nil, rows, err
		}
	}
	for _, h := range e.cfg.Dispatcher.Held(in) {
		s := all[taskRef{h.JobID, h.N}]
		s.memory(h)
		all[taskRef{h.JobID, h.N}] = s
	}
	for ref, s := range all {
		if s.agrees() {
			delete(all, ref)
		}
	}
	return all, rows, nil
}

// mendTask brings memory back to what the store says of a task, if both are still as they were
// seen, and gives how they are now. What it did to both counts as nothing seen.
func (e *Engine) mendTask(ctx context.Context, r *reconciler, ref taskRef, seen sight) (now sight, err error) {
	now, back, err := e.mendHere(ctx, r, ref, seen)
	if err == nil && back != nil {
		r.note(ref, "the store names a hand-out that has ended")
		err = e.Lost(ctx, *back, false, "the store went back to before the end of this hand-out")
	}
	if errors.Is(err, ErrElsewhere) {
		return seen, nil
	}
	return now, err
}

// mendHere does what needs no commit. back is a task that must be given back: its row names a
// hand-out that has ended here.
func (e *Engine) mendHere(ctx context.Context, r *reconciler, ref taskRef, seen sight) (now sight, back *job.Task, err error) {
	s := e.enter(ref.job)
	defer s.leave()
	if !s.owned {
		return seen, nil, nil
	}
	defer e.locks.of(ref.job)()
	if err := e.clear(ctx, ref.job); err != nil {
		return seen, nil, err
	}
	j, err := e.store.Job(ctx, ref.job)
	if errors.Is(err, store.ErrNotFound) {
		e.hot.forget(ref.job)
		r.note(ref, "its job is not there any more")
		e.cfg.Dispatcher.Withdraw(ref.job, 0)
		return seen, nil, nil
	}
	if err != nil {
		return seen, nil, err
	}
	t, err := e.store.Task(ctx, ref.job, ref.n)
	if errors.Is(err, store.ErrNotFound) {
		t, err = &job.Task{}, nil
	}
	if err != nil {
		return seen, nil, err
	}
	h, held := e.cfg.Dispatcher.Has(ref.job, ref.n)
	if now.row(t); held {
		now.memory(h)
	}
	if now != seen || t.Due != nil && !t.Due.After(e.cfg.Clock.Now()) { // it moves, or the timers see to it
		return now, nil, nil
	}
	e.hot.forget(ref.job)
	return now, e.follows(r, j, t, h, held), nil
}

// follows makes the dispatcher follow the row of a task. The caller holds the job's lock.
func (e *Engine) follows(r *reconciler, j *job.Job, t *job.Task, h Held, held bool) (back *job.Task) {
	switch {
	case j.Status.Terminal(), t.State != job.TaskQueued && t.State != job.TaskLeased:
		if held {
			r.note(taskRef{h.JobID, h.N}, "the store has it neither queued nor at a worker")
			e.cfg.Dispatcher.Withdraw(h.JobID, h.N)
		}
	case t.State == job.TaskLeased:
		return t
	case !held && j.CancelAsked != nil: // it is kept back until its job ends
	case held && h.ID != "" && h.HandOut == t.HandOut+1: // only the note of its hand-out is lost
		if h.Due == nil { // it is being handed out
			return nil
		}
		r.note(taskRef{h.JobID, h.N}, "the note of its hand-out was lost")
		noted := *t
		noted.ID, noted.Worker, noted.LeasedAt, noted.Due = h.ID, h.Worker, h.LeasedAt, h.Due
		noted.State, noted.HandOut, noted.Attempt = job.TaskLeased, h.HandOut, h.Attempt
		e.HandedOut(noted)
	default:
		r.note(taskRef{t.JobID, t.N}, "the store has it queued, and the queue had it not so")
		if held {
			e.cfg.Dispatcher.Withdraw(h.JobID, h.N)
		}
		e.cfg.Dispatcher.Offer(*t)
	}
	return nil
}
