package workers

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests what happens at the edges between hub, engine and other servers.

// Of two results that are being written at once, neither may count the other's worker as one
// that is still to answer: a cancel would wait for nobody until its grace ends.
func TestResultsThatComeAtOnceDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var took []got
		for n := 1; n <= 3; n++ {
			id := fmt.Sprint("w", n)
			r.register(callB7, id, "echo")
			r.offer(1, "echo", func(t *job.Task) { t.N = n })
			took = append(took, r.mustTake(callB7, id))
		}
		if n := r.AtWorkers(took[0].JobID); n != 3 {
			t.Fatalf("%d at workers", n)
		}
		var both, counted sync.WaitGroup
		both.Add(2)
		counted.Add(2)
		seen := make(chan int, 2)
		r.desk.during = func(task job.Task) {
			both.Done()
			both.Wait()
			seen <- r.AtWorkers(task.JobID) - 1 // as the engine reckons the others
			counted.Done()
			counted.Wait()
		}
		for n := 1; n <= 2; n++ {
			go func() {
				if _, err := r.Result(r.ctx, callB7, []byte(success(took[n-1], fmt.Sprint("w", n)))); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		for range 2 {
			if n := <-seen; n != 1 {
				t.Errorf("a result takes %d others to be at workers, want the one that has not answered", n)
			}
		}
		if n := r.AtWorkers(took[0].JobID); n != 0 || len(r.byJob) != 0 {
			t.Errorf("%d at workers after the job has moved on, %d jobs known", n, len(r.byJob))
		}
	})
}

// A worker of several servers shows each of them the tasks of all.
func TestTasksOfOtherServersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callC, "c", "echo")
		r.offer(1, "echo")
		g := r.mustTake(callC, "c")
		r.Withdraw(g.JobID, 1)
		var c conn
		link := r.Connect(&c, Identity{WorkerID: "c"})
		c.sent()
		foreign := "0196a000-0000-7000-8000-00000000dead-1-aaaaaaaa"
		for id, told := range map[string]int{foreign: 0, "task-1234": 0, g.TaskID: 1} {
			link.Frame(r.ctx, fmt.Appendf(nil, `{"event_type":"progress","worker_id":"c","target_task_id":%q,"payload":{"progress":0.5}}`, id))
			if got := c.sent(); len(got) != told {
				t.Errorf("a report on %s is answered by %q", id, got)
			}
		}
		if got := r.beat(callC, "c", foreign, g.TaskID); len(got) != 1 || got[0] != g.TaskID {
			t.Errorf("told to stop %v, want the withdrawn one only", got)
		}
		r.Close()
	})
}

func TestResultsThatAreTooLarge(t *testing.T) {
	r := newRig(t)
	r.register(callB7, "w", "echo")
	for n, c := range []struct{ data, status, code string }{
		{`{"x":"` + strings.Repeat("x", DefaultLimits().Data-8) + `"}`, "success", ""},
		{`{"x":"` + strings.Repeat("x", DefaultLimits().Data-7) + `"}`, "failure", job.CodeContract},
	} {
		r.offer(n, "echo")
		g := r.mustTake(callB7, "w")
		body := fmt.Sprintf(`{"task_id":%q,"worker_id":"w","status":"success","data":%s}`, g.TaskID, c.data)
		if status, _ := r.answer(callB7, body); status != "accepted" {
			t.Errorf("%d bytes are %s; a worker would send them again or lose them", len(c.data), status)
		}
		o := r.desk.outcomes[n]
		if o.Status != c.status || c.code != "" && (o.Error == nil || o.Error.Code != c.code || o.Data != nil || !strings.Contains(o.Error.Message, "1048577 bytes; the limit result_kib is 1048576 bytes")) {
			t.Errorf("%d bytes: %s %+v", len(c.data), o.Status, o.Error)
		}
	}
	r.offer(7, "echo")
	g := r.mustTake(callB7, "w")
	r.answer(callB7, fmt.Sprintf(`{"task_id":%q,"worker_id":"w","status":"failure","error":{"code":"X","message":"m","details":[%s1]}}`, g.TaskID, strings.Repeat("1,", DefaultLimits().Details)))
	if details, ok := r.desk.outcomes[2].Error.Details.(string); !ok || !strings.Contains(details, "the limit error_details_kib is 65536 bytes") {
		t.Errorf("details %.80v", r.desk.outcomes[2].Error.Details)
	}
}

func TestLossThatCanNotBeWrittenKeepsTheCancel(t *testing.T) {
	r := newRig(t)
	r.register(callA, "w", "echo")
	r.offer(1, "echo")
	g := r.mustTake(callA, "w")
	r.AskCancel(g.JobID)
	r.desk.fails = 1
	r.clock.Advance(time.Minute)
	r.Sweep(r.ctx)
	if e := r.find(g.TaskID); e == nil || !e.lease.cancel {
		t.Error("the worker is not told any more when it comes back")
	}
}

func TestWorkersAreShownWithOneFormOfDates(t *testing.T) {
	r := newRig(t)
	r.clock.Advance(500 * time.Millisecond)
	r.register(callA, "w", "echo")
	text, err := json.Marshal(r.Snapshot()[0])
	if err != nil || !strings.Contains(string(text), `"last_seen":"2031-05-06T07:08:09.500Z"`) {
		t.Errorf("%s %v", text, err)
	}
}

// A node whose leases could not be renewed in time may have its shards all the same when it hears
// of the store again: nobody would bring back what it had thrown away meanwhile.
func TestTasksStayWhileLeasesAreInDoubt(t *testing.T) {
	r := newRig(t)
	r.register(callC, "c", "echo")
	task := r.offer(1, "echo")
	set := func(elsewhere bool) {
		r.desk.mu.Lock()
		defer r.desk.mu.Unlock()
		r.desk.elsewhere = map[byte]bool{job.ShardOf(task.JobID): elsewhere}
	}
	set(true)
	if g, ok := r.take(callC, "c"); ok {
		t.Fatalf("handed out without a lease: %+v", g)
	}
	if s := r.Stats(); s.Queued != 1 || s.Leased != 0 {
		t.Fatalf("%d tasks are queued and %d at workers, want the one queued", s.Queued, s.Leased)
	}
	set(false)
	g := r.mustTake(callC, "c")
	if row := r.desk.rows[taskKey{task.JobID, task.N}]; row.ID != g.TaskID || row.HandOut != 1 || row.Attempt != 1 {
		t.Errorf("the first hand-out is noted as %+v", row)
	}
	set(true)
	var lost store.ShardSet
	lost.Add(job.ShardOf(task.JobID))
	r.Drop(lost)
	if s := r.Stats(); s.Queued != 0 || s.Leased != 0 {
		t.Errorf("%d tasks are queued and %d at workers of a shard that is another's", s.Queued, s.Leased)
	}
}
