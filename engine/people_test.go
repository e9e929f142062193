package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests what people do to a job: decide, cancel, retry, close.

func TestTokenCountsOnce(t *testing.T) {
	r := newRig(t)
	id, other := r.begin("ask", `{}`), r.begin("ask", `{}`)
	token := r.ApprovalToken(id, r.job(id).Wait.Step)
	refused(t, r.CheckToken(r.ctx, other, token), BadToken)
	refused(t, r.DecideByToken(r.ctx, other, "yes", token), BadToken)
	refused(t, r.DecideByToken(r.ctx, id, "perhaps", token), BadDecision)
	if err := r.CheckToken(r.ctx, id, token); err != nil {
		t.Fatal(err)
	}
	if err := r.DecideByToken(r.ctx, id, "no", token); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(id, job.WaitingHuman, "again") // a new question in the same job
	refused(t, r.DecideByToken(r.ctx, id, "yes", token), BadToken)
	if err := r.DecideByToken(r.ctx, id, "yes", r.ApprovalToken(id, r.job(id).Wait.Step)); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(id, job.Finished, "finished")
	refused(t, r.DecideByToken(r.ctx, id, "yes", token), BadToken)
	refused(t, r.CheckToken(r.ctx, job.NewID(noon, 1), token), BadToken)
	r.is(other, job.WaitingHuman, "start")
	r.reboot()
	if err := r.CheckToken(r.ctx, other, r.ApprovalToken(other, 1)); err != nil {
		t.Errorf("a link does not outlive a restart: %v", err)
	}
}

func TestDecide(t *testing.T) {
	r := newRig(t)
	id := r.begin("ask", `{}`)
	err := r.Decide(r.ctx, id, "perhaps", "ann")
	refused(t, err, BadDecision)
	if !strings.Contains(err.Error(), "no, yes") {
		t.Errorf("%q does not name the choices", err)
	}
	if err := r.Decide(r.ctx, id, "yes", "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	refused(t, r.Decide(r.ctx, id, "no", "bob"), Ended)
	refused(t, r.Decide(r.ctx, job.NewID(noon, 1), "yes", "bob"), NotFound)
	refused(t, r.Decide(r.ctx, r.begin("work", `{}`), "yes", "bob"), NotWaiting)
	all := r.records(id)
	if i := slices.IndexFunc(all, func(rec job.Record) bool { return rec.Kind == job.RecApproval }); i < 0 || all[i].By != "ann" || all[i].Detail != "yes" {
		t.Errorf("history does not tell who decided what: %+v", all)
	}
}

func TestApprovalExpires(t *testing.T) {
	r := newRig(t)
	plain, caught := r.begin("ask", `{"seconds": 10}`), r.begin("ask", `{"seconds": 10, "late": true}`)
	token := r.ApprovalToken(plain, 1)
	r.clock.Advance(seconds(10)) // nobody has looked at the date yet
	if err := r.Decide(r.ctx, plain, "yes", "ann"); FaultCode(err) != NotWaiting {
		t.Errorf("a decision after the deadline: %v", err)
	}
	refused(t, r.DecideByToken(r.ctx, plain, "yes", token), BadToken)
	refused(t, r.CheckToken(r.ctx, plain, token), BadToken)
	r.settle()
	if j := r.is(plain, job.Failed, "start"); j.Error.Code != job.CodeApprovalTimeout {
		t.Errorf("the error is %v", j.Error)
	}
	r.is(caught, job.Finished, "finished")
	if got := r.history(caught, "late"); got != `"APPROVAL_TIMEOUT"` {
		t.Errorf("context.error.code was %s", got)
	}
	refused(t, r.DecideByToken(r.ctx, plain, "yes", token), BadToken)
}

func TestCancelInEachStatus(t *testing.T) {
	r := newRig(t)
	retrying := r.begin("work", `{}`)
	r.answer(r.take(), failure(job.CodeTransient))
	group := r.begin("group", `{}`)
	parent := r.begin("parent", `{"child": "nap"}`)
	child := r.job(parent).Wait.Child
	for id, want := range map[string]struct {
		was   job.Status
		state string
	}{
		r.begin("work", `{}`): {job.WaitingWorker, "cancelled"},
		group:                 {job.WaitingParallel, "start"},
		r.begin("ask", `{}`):  {job.WaitingHuman, "start"},
		r.begin("nap", `{}`):  {job.WaitingTimer, "start"},
		parent:                {job.WaitingSubJob, "start"},
		retrying:              {job.AwaitingRetry, "cancelled"},
	} {
		t.Run(string(want.was), func(t *testing.T) {
			if got := r.job(id).Status; got != want.was {
				t.Fatalf("the job is %s", got)
			}
			if err := r.Cancel(r.ctx, id, "ann"); err != nil {
				t.Fatal(err)
			}
			r.settle()
			r.is(id, job.Cancelled, want.state)
			refused(t, r.Cancel(r.ctx, id, "ann"), Ended)
		})
	}
	r.is(child, job.Cancelled, "start")
	if queued, held := r.line.size(); queued+held != 0 {
		t.Errorf("%d tasks queued and %d at workers after all is cancelled", queued, held)
	}
	refused(t, r.Cancel(r.ctx, job.NewID(noon, 1), "ann"), NotFound)
}

func TestCancelWhileAStepIsDue(t *testing.T) {
	r := newRig(t)
	r.alone("straight")
	fresh := r.submit("straight", `{}`)
	r.is(fresh, job.Pending, "start")
	if err := r.Cancel(r.ctx, fresh, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(fresh, job.Cancelled, "start")
	id := r.submit("circle", `{}`) // running, and for ever
	r.is(id, job.Running, "start")
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(id, job.Cancelled, "start")
}

func TestCancelAtAWorker(t *testing.T) {
	r := newRig(t)
	for _, answer := range []Outcome{{Status: "cancelled"}, success(`{"x": 1}`), failure(job.CodePermanent)} {
		id := r.begin("work", `{}`)
		task := r.take()
		if err := r.Cancel(r.ctx, id, "ann"); err != nil {
			t.Fatal(err)
		}
		j := r.is(id, job.WaitingWorker, "start")
		if j.CancelAsked == nil || !r.line.wasTold(task) {
			t.Errorf("asked %v, told %v", j.CancelAsked, r.line.wasTold(task))
		}
		if err := r.Cancel(r.ctx, id, "bob"); err != nil {
			t.Errorf("asking again changes nothing: %v", err)
		}
		if got := r.answer(task, answer); !got.Accepted {
			t.Errorf("%s: the answer was refused: %+v", answer.Status, got)
		}
		r.is(id, job.Cancelled, "cancelled")
		if r.history(id, "undone") != "true" || r.history(id, "x") != "" {
			t.Errorf("%s: transitions[\"cancelled\"] did not run alone", answer.Status)
		}
	}
}

func TestCancelGrace(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{}`)
	task := r.take()
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	if queued, _ := r.line.size(); queued != 0 {
		t.Error("a job that is being cancelled still hands out tasks")
	}
	r.pass(r.cfg.CancelGrace - time.Millisecond)
	r.is(id, job.WaitingParallel, "start")
	r.pass(time.Millisecond)
	r.is(id, job.Cancelled, "start")
	if got := r.answer(task, success(`{}`)); got.Accepted {
		t.Error("a result after the grace was taken")
	}
}

func TestCancelCompensates(t *testing.T) {
	r := newRig(t)
	first, second := r.begin("work", `{"undo_works": true}`), r.begin("work", `{"undo_works": true}`)
	for _, id := range []string{first, second} {
		if err := r.Cancel(r.ctx, id, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	r.settle()
	r.is(first, job.WaitingWorker, "undo")
	if err := r.Cancel(r.ctx, second, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(second, job.Cancelled, "undo")
	r.answer(r.take(), success(`{}`))
	r.is(first, job.Finished, "finished")
}

// A task that a worker takes in the moment of the cancel is either asked to stop, or its
// result does not count; the job ends in either case.
func TestCancelMeetsAHandOut(t *testing.T) {
	for _, early := range []bool{true, false} {
		r := newRig(t)
		id := r.begin("work", `{}`)
		var task job.Task
		hand := func() { task = r.take() }
		if early { // before the engine counts the tasks at workers
			r.line.beforeCount = func() { r.line.beforeCount = nil; hand() }
		}
		err := r.change(r.ctx, id, func(*job.Job, store.Data) (job.Event, error) {
			told := r.line.AtWorkers(id)
			if !early {
				hand()
			}
			return job.CancelAsked{By: "ann", AtWorkers: told}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.settle()
		if got := r.answer(task, success(`{}`)); got.Accepted != early {
			t.Errorf("early %v: the result was taken: %v", early, got.Accepted)
		}
		r.is(id, job.Cancelled, "cancelled")
	}
}

func TestRetryRunsTheStateAgain(t *testing.T) {
	r := newRig(t)
	id := r.begin("broken", `{}`)
	j := r.is(id, job.Quarantined, "start")
	if j.Error.Code != job.CodeScript || j.Error.Line == 0 || r.history(id, "lost") != "" {
		t.Errorf("error %+v, lost %q: a step that fails changes nothing", j.Error, r.history(id, "lost"))
	}
	refused(t, r.Retry(r.ctx, id, json.RawMessage(`[1]`), false, "ann"), Ended)
	if err := r.Retry(r.ctx, id, json.RawMessage(`{"mended": true}`), true, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(id, job.Finished, "finished")
	if want := []job.RecordKind{job.RecCreated, job.RecStep, job.RecReopened, job.RecStep, job.RecStep}; !slices.Equal(r.kinds(id), want) {
		t.Errorf("history has %v, want %v", r.kinds(id), want)
	}
	refused(t, r.Retry(r.ctx, id, nil, false, "ann"), NotWaiting)
	refused(t, r.Retry(r.ctx, r.begin("ask", `{}`), nil, false, "ann"), NotWaiting)
	refused(t, r.Retry(r.ctx, job.NewID(noon, 1), nil, false, "ann"), NotFound)
}

func TestRetryOfAFailedTask(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	r.answer(r.take(), failure(job.CodePermanent))
	if err := r.Retry(r.ctx, id, nil, false, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	task := r.take()
	if task.N != 2 || task.Attempt != 1 {
		t.Errorf("task %d, attempt %d: a retry dispatches a new task", task.N, task.Attempt)
	}
	r.answer(task, success(`{}`))
	if j := r.is(id, job.Finished, "finished"); j.Error != nil {
		t.Errorf("a job that was mended still shows %v", j.Error)
	}
}

func TestClose(t *testing.T) {
	r := newRig(t)
	id := r.begin("broken", `{}`)
	if err := r.Close(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	if j := r.is(id, job.Failed, "start"); !j.Closed {
		t.Error("the job is not closed")
	}
	refused(t, r.Retry(r.ctx, id, nil, false, "ann"), Ended)
	refused(t, r.Close(r.ctx, r.begin("straight", `{}`), "ann"), NotWaiting)
	refused(t, r.Close(r.ctx, job.NewID(noon, 1), "ann"), NotFound)
}

func TestRetryOfAChildWhoseParentHasGoneOn(t *testing.T) {
	r := newRig(t)
	id := r.begin("parent", `{"child": "broken", "repair": true}`)
	r.is(id, job.Finished, "finished")
	kids, err := r.rows.Children(context.Background(), id)
	if err != nil || len(kids) != 1 {
		t.Fatal(kids, err)
	}
	err = r.Retry(r.ctx, kids[0], nil, false, "ann")
	refused(t, err, NotWaiting)
	if !strings.Contains(err.Error(), id) {
		t.Errorf("%q does not name the parent", err)
	}
}
