package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/sandbox"
	"orrery/engine/store"
)

// This file is the life of one job, in order: Submit, step (load, decide, next, commit),
// hand-out, Returned, and what follows each commit.

const (
	idempotencyKept = 24 * time.Hour
	retryStore      = time.Second // until a write that the store refused is tried again
	stepsInARow     = 20          // steps of one job before others get the runner
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
}

// Submit accepts a job: it is durable when Submit returns. repeated says that the
// idempotency key was known and id is the job of the first time. Errors are Faults:
// unknown_blueprint, too_large, idempotency_mismatch, store_full.
func (e *Engine) Submit(ctx context.Context, r Request) (id string, repeated bool, err error) {
	if n := len(r.InitialData); n > e.cfg.Limits.InitialBytes {
		return "", false, faultf(TooLarge, "initial_data has %d bytes; the limit is %d: put large data into a file and pass its name", n, e.cfg.Limits.InitialBytes)
	}
	if r.WebhookURL != "" {
		return "", false, faultf(BadRequest, "webhook_url: this version delivers no webhooks yet, and would not accept a job whose client waits for one; leave it out and follow GET /api/v1/jobs/{id}/events")
	}
	bp, err := e.cfg.Blueprints.Pin(ctx, r.Blueprint)
	if err != nil {
		return "", false, faultFrom(err, "")
	}
	id = job.NewID(e.cfg.Clock.Now(), shardFor(bp))
	if r.IdempotencyKey != "" {
		if id, repeated, err = e.claim(ctx, r, id); err != nil {
			return "", false, err
		}
	}
	err = e.create(ctx, bp, job.Created{
		ID: id, Blueprint: bp.Name, Revision: bp.Revision, InitialData: r.InitialData, Client: r.Client,
		DispatchTimeout: r.DispatchTimeout, ResultTimeout: r.ResultTimeout, WebhookURL: r.WebhookURL, Trace: r.Trace,
	})
	if repeated && errors.Is(err, store.ErrExists) {
		err = nil // the usual repetition; without the job, the first try died before its commit
	}
	return id, repeated, faultFrom(err, id)
}

// claim binds an idempotency key to a job id before the job is created, so that a crash in
// between leads the repetition to the same id.
func (e *Engine) claim(ctx context.Context, r Request, fresh string) (id string, repeated bool, err error) {
	value := []byte(fresh + " " + r.BodyHash)
	stands, claimed, err := e.store.Claim(ctx, "idempotency/"+r.Client.ID+"/"+r.IdempotencyKey, value, idempotencyKept, e.cfg.Clock.Now())
	if err != nil {
		return "", false, faultFrom(err, fresh)
	}
	id, hash, _ := strings.Cut(string(stands), " ")
	if !claimed && hash != r.BodyHash {
		return "", false, faultf(IdempotencyMismatch, "the Idempotency-Key %q was used for another request (job %s): use a new key, or send the same body", r.IdempotencyKey, id)
	}
	return id, !claimed, nil
}

func shardFor(bp *blueprint.Blueprint) byte {
	if len(bp.Stores) > 0 {
		return job.ShardByName(bp.Name)
	}
	return job.NewShard()
}

func (e *Engine) create(ctx context.Context, bp *blueprint.Blueprint, c job.Created) error {
	if len(c.InitialData) == 0 {
		c.InitialData = json.RawMessage("{}")
	}
	change, err := e.machine(bp).Next(job.Job{}, c, e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	return e.commitAndGo(ctx, change)
}

// step runs what is due in a job, and goes on while the job goes on by itself.
func (e *Engine) step(ctx context.Context, id string) error {
	defer e.locks.of(id)()
	j, data, err := e.store.Load(ctx, id)
	for range stepsInARow {
		if err != nil || !j.Ready {
			return err
		}
		bp, err := e.cfg.Blueprints.AtRevision(ctx, j.Revision, j.Blueprint)
		if !final(err) {
			return err
		}
		if err != nil {
			return e.apply(ctx, j, nil, job.Broken{Err: job.Error{Code: job.CodeUnknownBlueprint,
				Message: fmt.Sprintf("revision %s of blueprint %q can not be loaded: %v", j.Revision, j.Blueprint, err)}})
		}
		change, err := e.stepOnce(ctx, bp, j, data)
		if errors.Is(err, store.ErrConflict) { // another node changed the job or a value that was read
			if j, data, err = e.store.Load(ctx, id); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		j = &change.Job
		if change.StateHistory != nil {
			data.History = change.StateHistory
		}
	}
	e.ready.push(id)
	return nil
}

// final tells a revision that is gone or can not be compiled from a store that could not
// be read just now.
func final(err error) bool {
	var bad *blueprint.LoadError
	return err == nil || errors.Is(err, blueprint.ErrUnknown) || errors.As(err, &bad)
}

// stepOnce runs one handler and commits what it decided. Steps of a blueprint with data
// stores go one after another: what one has written the next one reads.
func (e *Engine) stepOnce(ctx context.Context, bp *blueprint.Blueprint, j *job.Job, data store.Data) (*job.Change, error) {
	if len(bp.Stores) > 0 {
		defer e.values.of(bp.Name)()
	}
	event, err := e.decide(ctx, bp, j, data)
	if err != nil {
		return nil, err
	}
	change, err := e.machine(bp).Next(*j, event, e.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	return change, e.commit(ctx, change)
}

// decide runs the handler on what the job is now.
func (e *Engine) decide(ctx context.Context, bp *blueprint.Blueprint, j *job.Job, data store.Data) (job.Decided, error) {
	var results []job.Result
	if p, ok := bp.Place(j.State); ok && p.Aggregator {
		var err error
		if results, err = e.store.Results(ctx, j.ID, j.Group); err != nil {
			return job.Decided{}, err
		}
	}
	d := sandbox.Run(ctx, sandbox.Step{
		Blueprint: bp, Job: j, Initial: data.Initial, History: data.History, Results: results,
		Host: e.hostFor(j), Limits: e.cfg.Limits.Step, Logger: e.cfg.Log, Retries: e.cfg.MaxRetries,
	})
	if d.Failure != nil && d.Failure.Code == job.CodeTransient { // a read failed in passing: nothing is decided
		return job.Decided{}, errors.Join(ctx.Err(), d.Failure)
	}
	event := job.Decided{Decision: d, Before: data.History, ChildShard: job.NewShard()}
	if d.Kind == job.RunChild {
		if child, err := e.childBlueprint(ctx, d.Child.Blueprint, j.Revision); err == nil {
			event.ChildShard = shardFor(child) // an unknown one fails when it is started, and says so
		}
	}
	return event, nil
}

// commit makes a change durable and starts what follows from it.
func (e *Engine) commit(ctx context.Context, c *job.Change) error {
	if err := e.store.Commit(ctx, c); err != nil {
		return err
	}
	if c.CloseTasks {
		e.cfg.Dispatcher.Withdraw(c.Job.ID, 0)
	}
	due := c.Job.Due != nil
	for _, t := range c.Tasks {
		if t.State == job.TaskQueued {
			e.cfg.Dispatcher.Offer(t)
		}
		due = due || t.Due != nil
	}
	if due {
		nudge(e.timers)
	}
	if len(c.Outbox) > 0 {
		nudge(e.outbox)
	}
	e.watch.changed(c.Job.ID)
	return nil
}

// commitAndGo commits a change and lets a runner do the step that it made due.
func (e *Engine) commitAndGo(ctx context.Context, c *job.Change) error {
	err := e.commit(ctx, c)
	if err == nil && c.Job.Ready {
		e.ready.push(c.Job.ID)
	}
	return err
}

// apply commits one event for a job that was just read under its lock.
func (e *Engine) apply(ctx context.Context, j *job.Job, bp *blueprint.Blueprint, ev job.Event) error {
	c, err := e.machine(bp).Next(*j, ev, e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	return e.commitAndGo(ctx, c)
}

// change loads a job under its lock and applies the event that make builds from it, again
// when somebody else changed the job meanwhile. make may refuse with an error.
func (e *Engine) change(ctx context.Context, id string, make func(*job.Job, store.Data) (job.Event, error)) error {
	defer e.locks.of(id)()
	for try := 0; ; try++ {
		j, data, err := e.store.Load(ctx, id)
		if err != nil {
			return err
		}
		ev, err := make(j, data)
		if err != nil {
			return err
		}
		err = e.apply(ctx, j, e.chartOf(ctx, j), ev)
		if !errors.Is(err, store.ErrConflict) || try == 10 {
			return err
		}
	}
}

// HandedOut notes that a task went to a worker: written with the next batch.
func (e *Engine) HandedOut(t job.Task) {
	e.store.HandOut(t)
	if t.Due != nil {
		nudge(e.timers)
	}
}

// AttemptSeconds is how long an attempt of the task may take.
func (e *Engine) AttemptSeconds(t job.Task) float64 {
	if t.Timeout > 0 {
		return t.Timeout
	}
	return e.cfg.WorkerTimeout
}

// Task reads a task's row.
func (e *Engine) Task(ctx context.Context, jobID string, n int) (*job.Task, error) {
	return e.store.Task(ctx, jobID, n)
}

// Progress keeps a worker's report.
func (e *Engine) Progress(t job.Task, p store.Progress) {
	e.store.AddProgress(t.JobID, p)
	e.watch.changed(t.JobID)
}

// Returned takes the result of a leased task; it is durable when it returns.
func (e *Engine) Returned(ctx context.Context, t job.Task, o Outcome) (Taken, error) {
	err := e.change(ctx, t.JobID, func(j *job.Job, data store.Data) (job.Event, error) {
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
		return job.Returned{Task: t, Status: o.Status, Data: o.Data, Before: data.History, Others: others, Emulated: o.Emulated}, nil
	})
	return taken(t, err)
}

// taken tells a refusal, which the worker must not repeat, from a write that failed.
func taken(t job.Task, err error) (Taken, error) {
	var illegal *job.Illegal
	switch {
	case err == nil:
		return Taken{Accepted: true}, nil
	case errors.Is(err, store.ErrNotFound):
		return Taken{Reason: "job_not_found", Message: "there is no job " + t.JobID}, nil
	case errors.As(err, &illegal) && illegal.Status.Terminal():
		return Taken{Reason: "job_already_terminated", Message: illegal.Error()}, nil
	case errors.As(err, &illegal):
		return Taken{Reason: "stale_task", Message: illegal.Error()}, nil
	}
	return Taken{}, err
}

// Lost takes a task back from a worker that vanished.
func (e *Engine) Lost(ctx context.Context, t job.Task, confirmed bool, why string) error {
	return e.taskFails(ctx, t, job.Error{Code: job.CodeWorkerLost, Message: why}, !confirmed)
}

// Unsuitable fails a queued task that no live worker of its type may do.
func (e *Engine) Unsuitable(ctx context.Context, t job.Task, why string) error {
	return e.taskFails(ctx, t, job.Error{Code: job.CodeNoSuitableWorker, Message: why}, false)
}

// taskFails ends a try from our side. A job that has moved on meanwhile is no error.
func (e *Engine) taskFails(ctx context.Context, t job.Task, reason job.Error, free bool) error {
	err := e.change(ctx, t.JobID, func(j *job.Job, _ store.Data) (job.Event, error) {
		return job.TaskFailed{Task: t, Err: reason, Free: free, Jitter: e.cfg.Jitter(), Others: e.cfg.Dispatcher.AtWorkers(t.JobID)}, nil
	})
	if result, err := taken(t, err); err != nil || !result.Accepted {
		return err
	}
	return nil
}
