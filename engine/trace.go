package engine

import (
	"context"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/observe"
)

// This file says which work of a job is a span of its trace: every run of a handler, every
// task that is dispatched, every result that comes back. The client's request is one of the
// HTTP layer's. Headers of spans go with the job and its tasks, so a worker's own span stands
// below the dispatch, and the result below the worker's span when the worker says so.

// The attributes of spans. They name things and never hold data of jobs.
const (
	attrJob       = "orrery.job.id"
	attrBlueprint = "orrery.blueprint"
	attrState     = "orrery.state"
	attrStep      = "orrery.step"
	attrNext      = "orrery.next"
	attrTask      = "orrery.task.id"
	attrType      = "orrery.task.type"
	attrAttempt   = "orrery.task.attempt"
	attrStatus    = "orrery.task.status"
	attrWorker    = "orrery.worker.id"
	attrTasks     = "orrery.tasks"
)

// traceStep begins the span of a handler's run, and gives the job as the run sees it: with
// the span's headers, for what it calls itself.
func (e *Engine) traceStep(ctx context.Context, bp *blueprint.Blueprint, j *job.Job) (context.Context, *observe.Span, *job.Job) {
	if e.cfg.Tracer == nil {
		return ctx, nil, j
	}
	ctx, span := e.cfg.Tracer.Start(ctx, "state "+j.State, observe.Internal, j.Trace,
		observe.Text(attrJob, j.ID), observe.Text(attrBlueprint, bp.Name), observe.Text(attrState, j.State), observe.Number(attrStep, j.Step+1))
	own := *j
	own.Trace = span.Headers()
	return ctx, span, &own
}

// endStep ends it with what the handler decided.
func endStep(span *observe.Span, d *job.Decision) {
	if span == nil {
		return
	}
	if d.Failure != nil {
		span.End(d.Failure.Code)
		return
	}
	if d.Kind != job.NoAction {
		span.Set(observe.Text(attrNext, string(d.Kind)))
	}
	if d.Target != "" {
		span.Set(observe.Text(attrNext, d.Target))
	}
	span.End("")
}

// traceEach is how many tasks of one step have a dispatch span each; with more, one stands
// for all: a trace of thousands of spans is read by nobody.
const traceEach = 100

// traceTasks makes the spans of what a step dispatched and gives their headers to the tasks.
func (e *Engine) traceTasks(ev job.Event, c *job.Change) {
	d, ok := ev.(job.Decided)
	if e.cfg.Tracer == nil || !ok || len(c.Tasks) == 0 {
		return
	}
	if n := len(c.Tasks); n > traceEach {
		_, span := e.cfg.Tracer.Start(context.Background(), "dispatch many", observe.Producer, d.Trace,
			observe.Text(attrJob, c.Job.ID), observe.Number(attrTasks, int64(n)))
		headers := span.Headers()
		for i := range c.Tasks {
			c.Tasks[i].Trace = headers
		}
		span.End("")
		return
	}
	for i := range c.Tasks {
		t := &c.Tasks[i]
		_, span := e.cfg.Tracer.Start(context.Background(), "dispatch "+t.Type, observe.Producer, d.Trace,
			observe.Text(attrJob, t.JobID), observe.Text(attrType, t.Type))
		t.Trace = span.Headers()
		span.End("")
	}
}

// traceResult begins the span of a result that came back.
func (e *Engine) traceResult(ctx context.Context, t job.Task, o Outcome) (context.Context, *observe.Span) {
	if e.cfg.Tracer == nil {
		return ctx, nil
	}
	ctx, span := e.cfg.Tracer.Start(ctx, "result "+t.Type, observe.Consumer, t.Trace,
		observe.Text(attrJob, t.JobID), observe.Text(attrTask, t.ID), observe.Text(attrType, t.Type),
		observe.Text(attrWorker, o.Worker), observe.Number(attrAttempt, int64(t.Attempt)), observe.Text(attrStatus, statusOf(o)))
	return ctx, span
}

// statusOf gives a status that is known; a worker's own words could be anything.
func statusOf(o Outcome) string {
	switch o.Status {
	case "success", "failure", "cancelled":
		return o.Status
	}
	return "custom"
}

// codeOf gives the code of a worker's failure for a span: one that is known, for the same reason.
func codeOf(o Outcome) string {
	if o.Status != "failure" {
		return ""
	}
	if o.Error != nil && job.KnownCode(o.Error.Code) {
		return o.Error.Code
	}
	return job.CodeTransient
}
