package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is the outside as a Script plays it: workers that take their time, die, or say
// the same twice.

// Script plays the outside from Go. What is nil or zero does not happen.
type Script struct {
	// Answer tells what the worker does with a task; nil: the scenario's replies.
	Answer func(t job.Task) (Answer, error)
	// Absent says that no worker serves a type: its tasks stay in the queue.
	Absent func(taskType string) bool
	// Decide takes the place of people; "" leaves the approval to its deadline.
	Decide func(q Question) (decision string, err error)
	// CancelAfter is when the client asks to cancel, since the job's creation.
	CancelAfter time.Duration

	DispatchTimeout, ResultTimeout float64 // seconds, of the create body; 0 none
	WebhookURL                     string  // of the create body; what would be posted there is in JobReport.Webhooks
}

// Answer is what a worker does with a task.
type Answer struct {
	Outcome  engine.Outcome
	After    time.Duration // from hand-out to result
	Twice    bool          // the result is sent a second time
	Dies     bool          // the worker vanishes instead, noticed after After
	Deaf     bool          // a cancel does not stop it
	Progress []store.Progress
}

// Ignored is a result that did not count.
type Ignored struct {
	TaskType, Status, Reason string
	Attempt                  int
}

// pending is an answer under way.
type pending struct {
	at     time.Time
	task   job.Task
	answer Answer
}

// mailbox is the client's side of webhooks: it takes every message and keeps it.
type mailbox sim

var _ engine.Webhooks = (*mailbox)(nil)

// Accept takes any address: nothing is called.
func (*mailbox) Accept(string, string) error { return nil }

// Post keeps a message. Settle calls it in its own goroutine, one after the other.
func (m *mailbox) Post(_ context.Context, _, _, _ string, _ time.Time, body []byte) error {
	m.hooks = append(m.hooks, slices.Clone(body))
	return nil
}

// reply finds the answer to a task.
func (s *sim) reply(t job.Task) (Answer, error) {
	if s.Script == nil || s.Script.Answer == nil {
		return Answer{Outcome: s.answer(t)}, nil
	}
	a, err := s.Script.Answer(t)
	a.Outcome.Worker = workerID
	return a, err
}

// under starts an answer on its way: it arrives now, or when its time has come.
func (s *sim) under(ctx context.Context, t job.Task, a Answer) error {
	for _, p := range a.Progress {
		p.TaskID, p.Timestamp = t.ID, job.Time{Time: s.clock.Now()}
		s.engine.Progress(t, p)
	}
	p := pending{s.clock.Now().Add(a.After), t, a}
	if a.After <= 0 {
		return s.arrive(ctx, p)
	}
	at, _ := slices.BinarySearchFunc(s.pending, p.at, func(p pending, at time.Time) int {
		if p.at.After(at) {
			return 1
		}
		return -1 // behind those of the same date
	})
	s.pending = slices.Insert(s.pending, at, p)
	return nil
}

// deliverDue lets one answer arrive whose time has come, or whose worker was told to stop.
func (s *sim) deliverDue(ctx context.Context) (delivered bool, err error) {
	for i, p := range s.pending {
		stops := !p.answer.Deaf && !p.answer.Dies && s.queue.told(p.task)
		if !stops && p.at.After(s.clock.Now()) {
			continue
		}
		s.pending = slices.Delete(s.pending, i, i+1)
		if stops && p.at.After(s.clock.Now()) {
			p.answer.Outcome = engine.Outcome{Status: "cancelled", Worker: workerID}
		}
		return true, s.arrive(ctx, p)
	}
	return false, nil
}

// drain lets what is still under way arrive after the job's end: it must not count.
func (s *sim) drain(ctx context.Context) error {
	for len(s.pending) > 0 {
		if at := s.pending[0].at; at.After(s.clock.Now()) {
			if err := s.waitUntil(ctx, at); err != nil {
				return err
			}
		}
		if _, err := s.deliverDue(ctx); err != nil {
			return err
		}
	}
	return nil
}

// arrive hands an answer to the engine.
func (s *sim) arrive(ctx context.Context, p pending) error {
	t := p.task
	if p.answer.Dies {
		s.queue.finish(t)
		s.say(t.JobID, "worker_lost", fmt.Sprintf("the worker that had %s is gone", taskName(t.Type, t.N)))
		return s.engine.Lost(ctx, t, true, "the worker was not heard of any more")
	}
	times := 1
	if p.answer.Twice {
		times = 2
	}
	for range times {
		taken, err := s.engine.Returned(ctx, t, p.answer.Outcome)
		if err != nil {
			return fmt.Errorf("the result of %s could not be written: %w", taskName(t.Type, t.N), err)
		}
		s.queue.finish(t)
		if !taken.Accepted {
			s.ignored[t.JobID] = append(s.ignored[t.JobID], Ignored{t.Type, p.answer.Outcome.Status, taken.Reason, t.Attempt})
			s.say(t.JobID, "result_ignored", fmt.Sprintf("the result of %s is ignored: %s %s", taskName(t.Type, t.N), taken.Reason, taken.Message))
		}
	}
	return nil
}
