package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests what happens to tasks: results, retries, deadlines, losses.

func TestResultMovesTheJob(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	r.is(id, job.WaitingWorker, "start")
	task := r.take()
	if got := r.answer(task, success(`{"x": 1.0}`)); !got.Accepted {
		t.Fatalf("the result was refused: %+v", got)
	}
	r.is(id, job.Finished, "finished")
	if got := r.history(id, "x"); got != "1.0" {
		t.Errorf("x is %s", got)
	}
	row, err := r.Task(r.ctx, id, 1)
	if err != nil || row.State != job.TaskDone || row.ID != task.ID {
		t.Errorf("the task's row is %+v, %v", row, err)
	}
}

func TestResultWithAnotherStatus(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	r.answer(r.take(), Outcome{Status: "other"})
	r.is(id, job.WaitingWorker, "aside")
	r.answer(r.take(), Outcome{Status: "unheard"})
	j := r.is(id, job.Failed, "aside")
	if j.Error.Code != job.CodeUnhandledStatus || !strings.Contains(j.Error.Message, "success") {
		t.Errorf("the error is %v: it must name the known statuses", j.Error)
	}
}

func TestResultsThatDoNotCount(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	task := r.take()
	ghost := task
	ghost.JobID = job.NewID(noon, 1)
	if got := r.answer(ghost, success(`{}`)); got.Accepted || got.Reason != "job_not_found" {
		t.Errorf("a result for no job: %+v", got)
	}
	r.answer(task, Outcome{Status: "other"})
	if got := r.answer(task, success(`{}`)); got.Accepted || got.Reason != "stale_task" {
		t.Errorf("a second result of an earlier task: %+v", got)
	}
	r.answer(r.take(), success(`{}`))
	r.is(id, job.Finished, "finished")
	before := len(r.records(id))
	if got := r.answer(task, success(`{"late": 1}`)); got.Accepted || got.Reason != "job_already_terminated" {
		t.Errorf("a result for an ended job: %+v", got)
	}
	if len(r.records(id)) != before || r.history(id, "late") != "" {
		t.Error("a refused result left traces")
	}
}

func TestTransientFailureIsTriedAgain(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	for try, wait := range []float64{1, 2, 4} {
		r.answer(r.take(), failure(job.CodeTransient))
		j := r.is(id, job.AwaitingRetry, "start")
		if until := r.clock.Now().Add(seconds(wait)); !j.Wait.Until.Equal(until) {
			t.Errorf("after try %d the next is due at %s, want %s", try+1, j.Wait.Until, until)
		}
		r.pass(seconds(wait) - time.Millisecond)
		if queued, _ := r.line.size(); queued != 0 {
			t.Fatal("queued again before its date")
		}
		r.pass(time.Millisecond)
		r.is(id, job.WaitingWorker, "start")
	}
	r.answer(r.take(), failure("SOMETHING_NEW"))
	j := r.is(id, job.Quarantined, "start")
	if j.Error.Attempts != 4 || !strings.Contains(j.Error.Message, "4 attempts") {
		t.Errorf("the error is %+v", j.Error)
	}
}

func TestFailuresThatAreNotTriedAgain(t *testing.T) {
	for code, want := range map[string]job.Status{
		job.CodePermanent: job.Quarantined, job.CodeSecurity: job.Quarantined,
		job.CodeInvalidInput: job.Failed, job.CodeIntegrity: job.Failed,
	} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t)
			id := r.begin("work", `{}`)
			r.answer(r.take(), failure(code))
			r.is(id, want, "start")
			id = r.begin("work", `{"repair": true}`)
			r.answer(r.take(), failure(code))
			r.is(id, job.Finished, "finished")
			if got := r.history(id, "why"); got != `"`+code+`"` {
				t.Errorf("context.error.code was %s", got)
			}
		})
	}
}

func TestDispatchTimeout(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{"dispatch": 3}`)
	r.pass(seconds(2.999))
	r.is(id, job.WaitingWorker, "start")
	r.pass(time.Millisecond)
	j := r.is(id, job.Failed, "start")
	if j.Error.Code != job.CodeDispatchTimeout {
		t.Errorf("the error is %v", j.Error)
	}
	if queued, _ := r.line.size(); queued != 0 {
		t.Error("a worker could still get the task")
	}
}

func TestResultTimeout(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{"timeout": 5}`)
	r.pass(time.Hour) // in the queue: the attempt has not begun
	task := r.take()
	r.pass(seconds(4.999))
	r.is(id, job.WaitingWorker, "start")
	r.pass(time.Millisecond)
	r.is(id, job.AwaitingRetry, "start")
	if !r.line.wasTold(task) {
		t.Error("the worker was not told to stop")
	}
	if got := r.answer(task, success(`{}`)); got.Accepted {
		t.Error("a result after its deadline was taken")
	}
	r.pass(seconds(1))
	r.answer(r.take(), success(`{}`))
	r.is(id, job.Finished, "finished")
}

// The engine in the background must keep a deadline although the store writes hand-outs
// later, when the timers have looked already.
func TestResultTimeoutOfAHandOutThatIsWrittenLate(t *testing.T) {
	for _, lag := range []int{0, 8} { // half seconds until it is written: a busy store takes a while
		t.Run(fmt.Sprint(lag), func(t *testing.T) { writtenLate(t, lag) })
	}
}

func writtenLate(t *testing.T, lag int) {
	late := &lateHandOuts{Store: memory.New(), kept: make(chan job.Task, 1), looked: make(chan struct{}, 1000)}
	r := newRig(t, func(c *Config) { c.Store = late })
	id := r.begin("work", `{"timeout": 5}`)
	r.run()
	<-late.looked
	r.take()
	<-late.looked       // the date is not in the store yet
	for i := range 20 { // 10 s: the next look that the timers would take anyway is 30 s away
		if i == lag {
			late.Store.HandOut(<-late.kept)
		}
		r.clock.Advance(seconds(0.5))
		select {
		case <-late.looked:
		case <-time.After(50 * time.Millisecond): // nothing was due
		}
	}
	r.is(id, job.WaitingWorker, "start") // failed at 5 s, tried again at 6 s
	if got := r.kinds(id); !slices.Contains(got, job.RecTaskFail) {
		t.Errorf("10 s after the hand-out the deadline of 5 s has not been seen: %v", got)
	}
}

// lateHandOuts keeps hand-outs for the test and tells when the timers have looked.
type lateHandOuts struct {
	store.Store
	kept   chan job.Task
	looked chan struct{}
}

func (l *lateHandOuts) HandOut(t job.Task) { l.kept <- t }

func (l *lateHandOuts) NextDue(ctx context.Context) (time.Time, bool, error) {
	at, ok, err := l.Store.NextDue(ctx)
	l.looked <- struct{}{}
	return at, ok, err
}

func TestLost(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	for range 6 { // never confirmed: costs nothing, however often
		task := r.take()
		r.line.gone(task)
		if err := r.Lost(r.ctx, task, false, "vanished"); err != nil {
			t.Fatal(err)
		}
		r.is(id, job.WaitingWorker, "start")
	}
	task := r.take()
	if task.Attempt != 1 || task.HandOut != 7 {
		t.Errorf("attempt %d, hand-out %d; want 1 and 7", task.Attempt, task.HandOut)
	}
	r.line.gone(task)
	if err := r.Lost(r.ctx, task, true, "vanished"); err != nil {
		t.Fatal(err)
	}
	r.is(id, job.AwaitingRetry, "start")
	if err := r.Lost(r.ctx, task, true, "vanished"); err != nil {
		t.Errorf("a loss of a job that moved on is no error: %v", err)
	}
	r.pass(seconds(1))
	if task = r.take(); task.Attempt != 2 {
		t.Errorf("a confirmed loss is a try: attempt %d, want 2", task.Attempt)
	}
}

func TestBranchIsLostOnce(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{"branches": 2}`)
	task := r.take()
	r.line.gone(task)
	for range 2 { // the second is told from what the first has changed
		if err := r.Lost(r.ctx, task, true, "vanished"); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.kinds(id); !slices.Equal(got, []job.RecordKind{job.RecCreated, job.RecStep, job.RecTaskFail}) {
		t.Errorf("history has %v", got)
	}
}

func TestNeverTwice(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{"retry": 0}`)
	task := r.take()
	r.line.gone(task)
	if err := r.Lost(r.ctx, task, false, "vanished"); err != nil {
		t.Fatal(err)
	}
	r.is(id, job.Quarantined, "start")
}

func TestUnsuitable(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	task := r.line.queued[0]
	if err := r.Unsuitable(r.ctx, task, "w1 has no gpu"); err != nil {
		t.Fatal(err)
	}
	if j := r.is(id, job.Failed, "start"); j.Error.Code != job.CodeNoSuitableWorker {
		t.Errorf("the error is %v", j.Error)
	}
}

func TestGroup(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{}`)
	for i := range 5 {
		if j := r.is(id, job.WaitingParallel, "start"); j.Wait.Open != 5-i {
			t.Errorf("%d branches open, want %d", j.Wait.Open, 5-i)
		}
		r.answer(r.take(), success(`{"i": 1}`))
	}
	r.is(id, job.Finished, "finished")
	if got := r.history(id, "joined"); got != "5" {
		t.Errorf("joined %s branches", got)
	}
	if r.history(id, "i") != "" {
		t.Error("a branch's data went into state_history")
	}
}

func TestGroupWithAFailedBranch(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{}`)
	first, second := r.take(), r.take()
	r.answer(first, success(`{}`))
	third := r.take()
	r.answer(second, failure(job.CodePermanent))
	r.is(id, job.Quarantined, "start")
	if !r.line.wasTold(third) {
		t.Error("the other branch was not told to stop")
	}
	if queued, held := r.line.size(); queued+held != 0 {
		t.Errorf("%d queued and %d at workers after the end", queued, held)
	}
	if results, _, err := r.rows.Results(r.ctx, id, 1, "", 10); err != nil || len(results) != 1 {
		t.Errorf("results %v, %v: what succeeded stays", results, err)
	}
}

func TestEmptyGroup(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{"branches": 1}`)
	r.answer(r.take(), success(`{}`))
	r.is(id, job.Finished, "finished")
	id = r.begin("group", `{"branches": 0}`) // no dispatch_task at all
	if j := r.job(id); j.Status != job.Quarantined || j.Error.Code != job.CodeScript {
		t.Errorf("the job is %s with %v", j.Status, j.Error)
	}
}

// A branch whose result is taken in the moment in which its deadline is looked at must be
// counted once.
func TestBranchReturnsAtItsDeadline(t *testing.T) {
	rows := &slowTasks{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = rows })
	id := r.begin("group", `{"branches": 2}`)
	task := r.take()
	r.clock.Set(*task.Due)
	returned := make(chan error, 1)
	rows.read = func() { // the timer has read the task and found it late
		go func() {
			_, err := r.Returned(r.ctx, task, success(`{}`))
			returned <- err
		}()
		select {
		case err := <-returned:
			returned <- err
		case <-time.After(100 * time.Millisecond): // it waits for the job, as it should
		}
	}
	if _, err := r.fireDue(r.ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-returned; err != nil {
		t.Fatal(err)
	}
	r.pass(seconds(2)) // a retry would be due
	j := r.is(id, job.WaitingParallel, "start")
	open, _, err := r.rows.OpenTasks(r.ctx, id, 0, 1000)
	if err != nil || len(open) != j.Wait.Open || j.Wait.Open != 1 {
		t.Errorf("%d tasks are open, the job counts %d, want 1 (%v)", len(open), j.Wait.Open, err)
	}
}

// slowTasks runs read once, after a task was read.
type slowTasks struct {
	store.Store
	read func()
}

func (s *slowTasks) Task(ctx context.Context, id string, n int) (*job.Task, error) {
	t, err := s.Store.Task(ctx, id, n)
	if read := s.read; read != nil {
		s.read = nil
		read()
	}
	return t, err
}
