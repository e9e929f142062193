package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/sandbox"
	"orrery/engine/store"
)

// This file is the life of one job, in order: Submit, step (load, decide, next), Returned. Each
// ends in commit.go, which makes it durable and starts what follows.

const (
	idempotencyKept = 24 * time.Hour
	retryStore      = time.Second // until a write that the store refused is tried again
	conflictTries   = 10          // of an event or a step that meets another change
	stepsTogether   = 8           // steps that one commit carries at most
)

// Request asks for a job.
type Request struct {
	Blueprint       string
	InitialData     json.RawMessage // an object
	Client          job.Client
	DispatchTimeout float64 // seconds, 0 unset
	ResultTimeout   float64 // seconds, 0 unset
	WebhookURL      string
	Trace           map[string]string // W3C trace headers
	IdempotencyKey  string            // "" none; per client, kept 24 h
	BodyHash        string            // of the request, to tell a repetition from another one
	Attempts        *int64            // that the client may use up in a calendar month; nil: without a bound

	// Prepare, if set, is called with the job's id before the job exists: its error is Submit's.
	Prepare func(ctx context.Context, id string) error
}

// Submit accepts a job: it is durable when Submit returns. repeated says that the
// idempotency key was known and id is the job of the first time. Errors are Faults:
// unknown_blueprint, too_large, idempotency_mismatch, quota_exceeded, store_full; an error with
// Unavailable says that the store is away.
func (e *Engine) Submit(ctx context.Context, r Request) (id string, repeated bool, err error) {
	if err := e.acceptWebhook(r); err != nil {
		return "", false, err
	}
	bp, err := e.cfg.Blueprints.Pin(ctx, r.Blueprint)
	if err != nil {
		return "", false, faultFrom(err, "")
	}
	if err := e.acceptData(bp, r); err != nil {
		return "", false, err
	}
	id = job.NewID(e.cfg.Clock.Now(), e.shardFor(bp))
	if err := e.admit(id); err != nil {
		return "", false, err
	}
	if r.IdempotencyKey != "" {
		if id, repeated, err = e.claim(ctx, r, id); err != nil {
			return "", false, err
		}
		defer e.submits.of(id)() // a repetition at the same time waits, and finds the job
	}
	killpoint.At("engine.submit-claimed")
	if repeated { // the job is usually there; its first steps must not run again to find that out
		if _, err := e.store.Job(ctx, id); !errors.Is(err, store.ErrNotFound) {
			return id, true, faultFrom(err, id)
		}
	}
	err = e.createCounted(ctx, r, bp, job.Created{
		ID: id, Blueprint: bp.Name, Revision: bp.Revision, InitialData: r.InitialData, Client: r.Client,
		DispatchTimeout: r.DispatchTimeout, ResultTimeout: r.ResultTimeout, WebhookURL: r.WebhookURL, Trace: r.Trace,
	})
	if r.IdempotencyKey != "" && (errors.Is(err, store.ErrExists) || e.overtaken(ctx, id, err)) {
		err = nil // a request with the same key was quicker, be it the first or the second
	}
	killpoint.At("engine.submit-kept")
	return id, repeated, faultFrom(err, id)
}

func (e *Engine) create(ctx context.Context, bp *blueprint.Blueprint, c job.Created) error {
	if len(c.InitialData) == 0 {
		c.InitialData = json.RawMessage("{}")
	}
	s := e.enter(c.ID)
	defer s.leave()
	err := e.apply(ctx, job.Job{}, store.Data{Initial: c.InitialData}, bp, c, s)
	if errors.Is(err, store.ErrFenced) { // its shard has just become another node's, which takes it as it is
		err = e.apply(ctx, job.Job{}, store.Data{Initial: c.InitialData}, bp, c, stay{})
	}
	return err
}

// step runs the step that is due in a job, in a place for pure steps. One that calls the
// outside goes to the lane for those.
func (e *Engine) step(ctx context.Context, id string) error {
	aside, err := e.stepPure(ctx, id)
	if !aside || err != nil {
		e.suspect.ended(id)
		return err
	}
	e.aside.push(id)
	return nil
}

// keepStep commits what a step decided.
func (e *Engine) keepStep(ctx context.Context, bp *blueprint.Blueprint, j *job.Job, data store.Data, event job.Decided, t *turn, s stay) error {
	killpoint.At("engine.step-decided")
	err := e.applyIn(ctx, *j, data, bp, event, t, s)
	killpoint.At("engine.step-kept")
	return err
}

// errDeparted says that a pure run met a call of the outside.
var errDeparted = errors.New("the step calls the outside")

// decide runs the handler on what the job is now, as one of those at work. Under its job's lock
// the run is pure while there is a lane for others: it ends with errDeparted at the first call of
// the outside, and the handler's state is remembered.
func (e *Engine) decide(ctx context.Context, bp *blueprint.Blueprint, j *job.Job, data store.Data, t *turn, at *atWork) (job.Decided, error) {
	pure := at == &e.atWork && e.aside.isOpen.Load()
	if alone := e.suspect.isTried(j.ID); alone || e.careful.Load() {
		at.step(bp, j, alone)
	}
	results, tooMany, err := e.joined(ctx, bp, j)
	if err != nil {
		return job.Decided{}, err
	}
	ctx, span, own := e.traceStep(ctx, bp, j)
	d := sandbox.Run(ctx, sandbox.Step{
		Blueprint: bp, Job: own, Initial: data.Initial, History: data.History, Results: results, TooMany: tooMany, Watcher: at,
		Host: e.hostFor(j, data, t), Limits: e.cfg.Limits.Step, Logger: e.cfg.Log, Retries: e.cfg.MaxRetries, Pure: pure,
	})
	if sandbox.Departed(d.Failure) {
		e.callers.add(bp, j.State)
		return job.Decided{}, errDeparted
	}
	e.slow.saw(bp, j.State, d.Duration)
	if d.Failure != nil && d.Failure.Code == job.CodeTransient { // a read failed in passing: nothing is decided
		return job.Decided{}, errors.Join(ctx.Err(), d.Failure)
	}
	endStep(span, &d)
	event := job.Decided{Decision: d, Before: data.History, ChildShard: e.newShard(), Trace: span.Headers()}
	if d.Kind == job.RunChild {
		child, err := e.childBlueprint(ctx, d.Child.Blueprint, j.Revision)
		if !final(err) {
			return job.Decided{}, err
		}
		if err == nil {
			event.ChildShard = e.shardFor(child) // an unknown one fails when it is started, and says so
		}
	}
	return event, nil
}

// apply commits one event of a job that was read under its lock: next, what becomes due at
// once by it, commit.
func (e *Engine) apply(ctx context.Context, j job.Job, data store.Data, bp *blueprint.Blueprint, ev job.Event, s stay) error {
	t := e.turnOf(bp)
	defer t.end()
	return e.applyIn(ctx, j, data, bp, ev, t, s)
}

// applyIn is apply with what the event's own step has of the data stores.
func (e *Engine) applyIn(ctx context.Context, j job.Job, data store.Data, bp *blueprint.Blueprint, ev job.Event, t *turn, s stay) error {
	c, err := e.machine(bp).Next(j, ev, e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	e.traceTasks(ev, c)
	all := c
	defer e.atWork.ended(c.Job.ID)
	if c.Fence = s.fence; s.owned {
		all = e.together(ctx, bp, c, data, t)
	}
	err = e.commit(ctx, all, data, t)
	if len(all.Reads)+len(all.Writes) > 0 && len(c.Reads)+len(c.Writes) == 0 && errors.Is(err, store.ErrConflict) {
		return e.commit(ctx, c, data, nil) // what only the steps read that c does not hold may be to blame
	}
	return err
}

// together runs the steps that a change makes due before it is committed, so that one
// commit carries them all: an ordinary job takes half the commits that way. Steps that are
// slow or suspected, would have to wait for data stores or join branches run by themselves.
func (e *Engine) together(ctx context.Context, bp *blueprint.Blueprint, c *job.Change, data store.Data, t *turn) *job.Change {
	if bp == nil || bp.Revision != c.Job.Revision { // the change itself moved the job to another
		return c
	}
	for range stepsTogether {
		p, _ := bp.Place(c.Job.State)
		if !c.Job.Ready || c.Job.Ends != nil || e.suspect.isBlamed(c.Job.ID) || p.Aggregator || e.slow.has(bp, c.Job.State) || e.callers.has(bp, c.Job.State) || !t.takeSoon(ctx) {
			return c
		}
		data = after(data, c)
		t.noted(c.Writes)
		event, err := e.decide(ctx, bp, &c.Job, data, t, &e.atWork)
		if err != nil {
			return c // the step runs again by itself: apart when it calls the outside, and shows its error then
		}
		next, err := e.machine(bp).Next(c.Job, event, e.cfg.Clock.Now())
		if err != nil {
			return c
		}
		e.traceTasks(event, next)
		if len(next.Reads)+len(next.Writes) > 0 { // see applyIn
			c = c.Then(next)
		} else {
			c.Take(next)
		}
	}
	return c
}

// after gives a job's data as a change leaves them.
func after(d store.Data, c *job.Change) store.Data {
	if c.StateHistory != nil {
		d.History = c.StateHistory
	}
	return d
}

// Returned takes the result of a leased task; it is durable when it returns.
func (e *Engine) Returned(ctx context.Context, t job.Task, o Outcome) (Taken, error) {
	killpoint.At("engine.result-came")
	ctx, span := e.traceResult(ctx, t, o)
	err := e.change(ctx, t.JobID, func(j *job.Job, data store.Data) (job.Event, error) {
		if err := e.isTaken(ctx, j, t, o); err != nil {
			return nil, err
		}
		if t.Branch { // others are told apart by what the job waits for
			if err := e.isCurrent(ctx, j, t, true); err != nil {
				return nil, err
			}
		}
		others := e.cfg.Dispatcher.AtWorkers(t.JobID)
		if t.State == job.TaskLeased && others > 0 {
			others-- // the one that returns is still counted
		}
		if o.Status == "failure" {
			failed := job.Error{Code: job.CodeTransient, Message: "the worker gave no reason"}
			if o.Error != nil {
				failed = *o.Error
			}
			return job.TaskFailed{Task: t, Err: failed, Jitter: e.cfg.Jitter(), Others: others, Emulated: o.Emulated}, nil
		}
		return job.Returned{Task: t, Status: o.Status, Data: o.Data, Before: data.History, Metadata: o.Metadata, Others: others, Emulated: o.Emulated}, nil
	})
	killpoint.At("engine.result-kept")
	span.End(codeOf(o))
	return taken(t, err)
}
