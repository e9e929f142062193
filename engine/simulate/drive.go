package simulate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"orrery/engine"
	"orrery/engine/job"
)

// This file drives one job: the outside acts whenever the engine has nothing left to do.

// unsuitableAfter is how long a task looks for a worker before it fails with
// NO_SUITABLE_WORKER (semantics part 3).
const unsuitableAfter = 5 * time.Second

// unfit is a queued task that the scenario's worker may not do.
type unfit struct {
	task job.Task
	why  string
	at   time.Time // when it fails
}

// workerID names the one worker of a simulation.
const workerID = "simulated-worker"

// drive runs until the job has ended; stuck says why it never will.
func (s *sim) drive(ctx context.Context, id string) (stuck string, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := s.engine.Settle(ctx); err != nil {
			return "", err
		}
		s.noteTries(ctx)
		if err := s.showNew(ctx, id); err != nil {
			return "", err
		}
		j, err := s.store.Job(ctx, id)
		if err != nil {
			return "", err
		}
		if j.Status.Terminal() {
			return "", s.drain(ctx)
		}
		moved, err := s.act(ctx, id)
		if err != nil {
			return "", err
		}
		if !moved {
			return whyStuck(j), nil
		}
	}
}

// act lets the outside do one thing: answer a task, decide, or let time pass.
func (s *sim) act(ctx context.Context, id string) (moved bool, err error) {
	if delivered, err := s.deliverDue(ctx); delivered || err != nil {
		s.stalls = 0
		return delivered, err
	}
	if t, ok := s.queue.best(s.fits); ok {
		s.stalls = 0
		return true, s.serve(ctx, id, t)
	}
	if decided, err := s.decide(ctx, id); decided || err != nil {
		s.stalls = 0
		return decided, err
	}
	return s.advance(ctx, id)
}

// fits reports whether the scenario's worker may do the task, and notes when it may not.
func (s *sim) fits(t job.Task) bool {
	if s.Script != nil && s.Script.Absent != nil && s.Script.Absent(t.Type) {
		return false
	}
	if s.Fits == nil || s.Scenario.Worker == nil {
		return true
	}
	why := s.Fits(s.Scenario.Worker, t)
	if why != "" {
		s.unfit[keyOf(t)] = unfit{task: t, why: why, at: t.Queued.Add(unsuitableAfter)}
	}
	return why == ""
}

// serve hands the task to the worker and returns its result, with the scenario's cancel
// between the two where it belongs there.
func (s *sim) serve(ctx context.Context, id string, t job.Task) error {
	s.served[t.JobID] = append(s.served[t.JobID], s.try(ctx, t))
	t.ID = job.NewID(s.clock.Now(), job.ShardOf(t.JobID))
	t.Worker, t.State = workerID, job.TaskLeased
	t.HandOut++
	t.Attempt++
	t.LeasedAt = s.clock.Now()
	due := t.LeasedAt.Add(time.Duration(s.engine.AttemptSeconds(t) * float64(time.Second)))
	t.Due = &due
	s.queue.lease(t)
	s.engine.HandedOut(t)
	s.say(t.JobID, "task_taken", fmt.Sprintf("%s try %d is at the worker", taskName(t.Type, t.N), t.Attempt))

	if c := s.Scenario.Cancel; c != nil && !s.cancelled && c.TaskType == t.Type {
		if err := s.cancel(ctx, id); err != nil {
			return err
		}
	}
	answer, err := s.reply(t)
	if err != nil {
		return err
	}
	return s.under(ctx, t, answer)
}

// cancel asks for the job's end as its client would.
func (s *sim) cancel(ctx context.Context, id string) error {
	s.cancelled = true
	s.say(id, "cancel", "the client asks to cancel the job")
	if err := s.engine.Cancel(ctx, id, "scenario"); err != nil {
		return fmt.Errorf("the scenario's cancel: %w", err)
	}
	return s.engine.Settle(ctx)
}

// answer is the scripted result, else the emulated one. An emulated worker obeys a cancel.
func (s *sim) answer(t job.Task) engine.Outcome {
	o, scripted := s.replies.next(t.Type)
	switch {
	case scripted:
	case s.queue.told(t):
		o = engine.Outcome{Status: "cancelled", Emulated: true}
	default:
		o = s.Emulate(t)
		o.Emulated = true
	}
	o.Worker = workerID
	return o
}

// decide takes a decision for the first job of the tree that waits for a person.
func (s *sim) decide(ctx context.Context, id string) (decided bool, err error) {
	var waiting []*job.Job
	err = s.walk(ctx, id, func(j *job.Job) error {
		if j.Status == job.WaitingHuman && j.Wait != nil && !s.left[waitKey(j)] {
			waiting = append(waiting, j)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, j := range waiting {
		decision, by, err := s.choose(j)
		if err != nil {
			return false, err
		}
		if decision == "" {
			s.left[waitKey(j)] = true
			continue
		}
		if err := s.engine.Decide(ctx, j.ID, decision, by); err != nil {
			return false, fmt.Errorf("the decision %q in state %q: %w", decision, j.State, err)
		}
		return true, nil
	}
	return false, nil
}

// choose finds who decides: the scenario, the terminal, or nobody (the first key). The
// scripted decision "timeout" lets the deadline decide; then the answer is "".
func (s *sim) choose(j *job.Job) (decision, by string, err error) {
	q := Question{JobID: j.ID, State: j.State, Integration: j.Wait.Integration, Message: j.Wait.Message}
	for _, key := range slices.Sorted(maps.Keys(j.Wait.Transitions)) {
		if key != "timeout" && key != "cancelled" {
			q.Decisions = append(q.Decisions, key)
		}
	}
	if s.Script != nil && s.Script.Decide != nil {
		decision, err := s.Script.Decide(q)
		if err == nil && decision != "" {
			s.say(j.ID, "approval", fmt.Sprintf("%q is asked; the test decides %s", q.Message, decision))
		}
		return decision, "test", err
	}
	if decision, ok := take(&s.people, j.State); ok {
		if decision == "timeout" {
			s.say(j.ID, "approval", "nobody decides, as the scenario says")
			return "", "", nil
		}
		s.say(j.ID, "approval", fmt.Sprintf("%q is asked; the scenario decides %s", q.Message, decision))
		return decision, "scenario", nil
	}
	if s.Ask != nil {
		if decision, ok := s.Ask(q); ok {
			return decision, "terminal", nil
		}
	}
	if len(q.Decisions) == 0 {
		return "", "", nil
	}
	s.say(j.ID, "approval", fmt.Sprintf("%q is asked; nobody is there, so the first key is taken: %s (of %v)", q.Message, q.Decisions[0], q.Decisions))
	return q.Decisions[0], "run", nil
}

// coming is something that happens by itself at a date; do nil: the engine does it.
type coming struct {
	at time.Time
	do func(context.Context) error
}

// advance lets time pass to the next date at which something is due.
func (s *sim) advance(ctx context.Context, id string) (moved bool, err error) {
	next, err := s.next(ctx, id)
	if next == nil || err != nil {
		return false, err
	}
	at, now := next.at, s.clock.Now()
	if !at.After(now) && next.do == nil {
		if s.stalls++; s.stalls > stallLimit {
			return false, nil
		}
		at = now.Add(time.Millisecond)
	}
	if err := s.waitUntil(ctx, at); err != nil {
		return false, err
	}
	if next.do != nil {
		return true, next.do(ctx)
	}
	return true, nil
}

// next finds what comes first; among things of one date the engine's own.
func (s *sim) next(ctx context.Context, id string) (*coming, error) {
	var first *coming
	offer := func(at time.Time, do func(context.Context) error) {
		if first == nil || at.Before(first.at) {
			first = &coming{at, do}
		}
	}
	at, ok, err := s.store.NextDue(ctx)
	if err != nil {
		return nil, err
	}
	if ok {
		offer(at, nil)
	}
	for _, k := range s.stillQueued() {
		if u, bad := s.unfit[k]; bad {
			offer(u.at, func(ctx context.Context) error {
				delete(s.unfit, keyOf(u.task))
				s.queue.Withdraw(u.task.JobID, u.task.N)
				return s.engine.Unsuitable(ctx, u.task, fmt.Sprintf("%s: %s", workerID, u.why))
			})
		}
	}
	if len(s.pending) > 0 {
		offer(s.pending[0].at, func(ctx context.Context) error {
			_, err := s.deliverDue(ctx)
			return err
		})
	}
	if s.Script != nil && s.Script.CancelAfter > 0 && !s.cancelled {
		offer(s.began.Add(s.Script.CancelAfter), func(ctx context.Context) error { return s.cancel(ctx, id) })
	}
	return first, nil
}

// stillQueued gives the keys of queued tasks in order of arrival.
func (s *sim) stillQueued() []taskKey {
	var keys []taskKey
	for _, t := range s.queue.queued() {
		keys = append(keys, keyOf(t))
	}
	return keys
}

// waitUntil moves the fake clock, or waits on the real one.
func (s *sim) waitUntil(ctx context.Context, at time.Time) error {
	if s.fake != nil {
		s.fake.Set(at)
		return nil
	}
	timer := s.clock.NewTimer(at.Sub(s.clock.Now()))
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// walk visits the job and its descendants, parents first.
func (s *sim) walk(ctx context.Context, id string, visit func(*job.Job) error) error {
	j, err := s.store.Job(ctx, id)
	if err != nil {
		return err
	}
	if err := visit(j); err != nil {
		return err
	}
	children, err := s.store.Children(ctx, id)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := s.walk(ctx, child, visit); err != nil {
			return err
		}
	}
	return nil
}

// waitKey names one approval: a job may ask again in a later step.
func waitKey(j *job.Job) string { return fmt.Sprintf("%s/%d", j.ID, j.Wait.Step) }

func whyStuck(j *job.Job) string {
	if j.Wait == nil {
		return fmt.Sprintf("the job stands in state %q with status %s and nothing is left that could move it", j.State, j.Status)
	}
	return fmt.Sprintf("the job stands in state %q (%s: %s) and nothing is due that would end the wait", j.State, j.Wait.For, j.Wait.Detail)
}

func taskName(taskType string, n int) string { return fmt.Sprintf("%s #%d", taskType, n) }
