package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/job"
)

// This file tests queues and polls: who gets which task, and when.

func TestHandOut(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w1", "echo")
	task := r.offer(1, "echo", func(t *job.Task) { t.HandOut, t.Attempt, t.Priority = 2, 1, 3.5 })
	r.clock.Advance(time.Second)
	g := r.mustTake(callC, "w1")
	if !regexp.MustCompile(`^` + task.JobID + `-1-[a-z0-9]{8}$`).MatchString(g.TaskID) {
		t.Errorf("fence %q", g.TaskID)
	}
	if k, ok := parseFence(g.TaskID); !ok || k != (taskKey{task.JobID, 1}) {
		t.Errorf("parseFence gives %v %v", k, ok)
	}
	if g.Type != "echo" || string(g.Params) != `{"k":1}` || g.Priority == nil || *g.Priority != 3.5 {
		t.Errorf("wire form %+v", g)
	}
	h := r.desk.handed[0]
	if h.ID != g.TaskID || h.HandOut != 3 || h.Attempt != 2 || h.State != job.TaskLeased || h.Worker != "w1" ||
		!h.LeasedAt.Equal(r.clock.Now()) || !h.Due.Equal(r.clock.Now().Add(300*time.Second)) {
		t.Errorf("handed out %+v", h)
	}
	if n := r.AtWorkers(task.JobID); n != 1 {
		t.Errorf("AtWorkers is %d", n)
	}
	if _, ok := r.take(callC, "w1"); ok {
		t.Error("the task was handed out twice")
	}
}

func TestParseFenceRefuses(t *testing.T) {
	for _, id := range []string{"", "x", "job-1", "-1-abcdefgh", "job-0-abcdefgh", "job-x-abcdefgh", "job-1-abc"} {
		if k, ok := parseFence(id); ok {
			t.Errorf("%q was taken as %v", id, k)
		}
	}
}

func TestQueueOrder(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w", "echo,other")
	late := func(t *job.Task) { t.Queued = epoch.Add(time.Second) }
	r.offer(5, "echo", late)
	r.offer(4, "echo")
	r.offer(3, "other")
	r.offer(2, "echo", late, func(t *job.Task) { t.Priority = 10 })
	r.offer(1, "alien", func(t *job.Task) { t.Priority = 99 })
	r.offer(6, "echo", func(t *job.Task) { t.Priority = -1 })
	for i, want := range []int{2, 3, 4, 5, 6} {
		g := r.mustTake(callC, "w")
		if !strings.HasSuffix(g.JobID, fmt.Sprint(want)) {
			t.Errorf("place %d went to %s, wanted job %d", i, g.JobID, want)
		}
	}
	if _, ok := r.take(callC, "w"); ok {
		t.Error("a task of a type that the worker has not got was handed out")
	}
}

func TestOfferAgain(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w", "echo")
	task := r.offer(1, "echo")
	r.Offer(task)
	if s := r.Stats(); s.Queued != 1 {
		t.Errorf("an offer of the same task is queued %d times", s.Queued)
	}
	first := r.mustTake(callC, "w")
	r.Offer(task) // read from the store before the hand-out
	if s := r.Stats(); s.Queued != 0 || s.Leased != 1 {
		t.Errorf("an old offer ended a lease: %+v", s)
	}
	r.Offer(r.desk.handed[0]) // leased in the store: stays as it is
	if s := r.Stats(); s.Leased != 1 {
		t.Errorf("%+v", s)
	}
	task.HandOut = 1 // the engine took it back
	r.Offer(task)
	if second := r.mustTake(callC, "w"); second.TaskID == first.TaskID {
		t.Error("the fence did not change")
	}
}

func TestPollWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callC, "w", "echo")
		first := r.poll(r.ctx, callC, "w", nil)
		r.offer(1, "other")
		r.offer(2, "echo")
		if g, ok := r.read(<-first, nil); !ok || !strings.HasSuffix(g.JobID, "2") {
			t.Fatalf("the open poll got %+v", g)
		}
		second := r.poll(r.ctx, callC, "w", nil)
		r.clock.Advance(29 * time.Second)
		synctest.Wait()
		if len(second) != 0 {
			t.Fatal("the poll ended early")
		}
		r.clock.Advance(time.Second)
		if body := <-second; body != nil {
			t.Fatalf("an idle poll answers %s", body)
		}
		third := r.poll(r.ctx, callC, "w", url.Values{"timeout": {"2.5"}})
		r.clock.Advance(2500 * time.Millisecond)
		if body := <-third; body != nil {
			t.Fatalf("a short poll answers %s", body)
		}
		fourth := r.poll(r.ctx, callC, "w", nil)
		fifth := r.poll(r.ctx, callC, "w", nil)
		if body := <-fourth; body != nil {
			t.Fatalf("the replaced poll answers %s", body)
		}
		if s := r.Stats(); s.Polling != 1 {
			t.Errorf("%d polls are open", s.Polling)
		}
		r.Close()
		if body := <-fifth; body != nil {
			t.Fatalf("a released poll answers %s", body)
		}
		if _, ok := r.take(callC, "w"); ok {
			t.Error("a closed hub hands out tasks")
		}
	})
}

func TestPollGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callC, "w", "echo")
		ctx, cancel := context.WithCancel(r.ctx)
		gone := r.poll(ctx, callC, "w", nil)
		cancel()
		if body := <-gone; body != nil {
			t.Fatalf("got %s", body)
		}
		r.offer(1, "echo")
		if body, err := r.Poll(ctx, as(callC, "w"), nil, time.Second, nil); body != nil || err != nil {
			t.Fatalf("a caller who is gone got %s %v", body, err)
		}
		if s := r.Stats(); s.Queued != 1 || s.Leased != 0 || s.Polling != 0 {
			t.Errorf("the task is gone: %+v", s)
		}
	})
}

// TestGivenToNobody: the task was given in the moment its caller went away.
func TestGivenToNobody(t *testing.T) {
	r := newRig(t)
	w := r.seated(1, 0)
	got := w.poll.got
	task := r.offer(1, "echo")
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if r.wanted(ctx, <-got) {
		t.Fatal("it is wanted")
	}
	r.register(callC, "other", "echo")
	g := r.mustTake(callC, "other")
	if h := r.desk.handed; g.JobID != task.JobID || len(h) != 1 || h[0].HandOut != 1 || h[0].Attempt != 1 {
		t.Errorf("handed out %+v", h)
	}
}

func TestWithdraw(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w", "echo")
	for n := 1; n <= 3; n++ {
		r.offer(7, "echo", func(t *job.Task) { t.N = n })
	}
	id := r.offer(8, "echo").JobID
	g := r.mustTake(callC, "w")
	r.Withdraw(g.JobID, 2)
	if s := r.Stats(); s.Queued != 2 || s.Leased != 1 {
		t.Fatalf("after one: %+v", s)
	}
	r.Withdraw(g.JobID, 0)
	if s := r.Stats(); s.Queued != 1 || s.Leased != 0 {
		t.Fatalf("after all: %+v", s)
	}
	if stop := r.beat(callC, "w", g.TaskID); len(stop) != 1 || stop[0] != g.TaskID {
		t.Errorf("the worker is told to stop %v", stop)
	}
	if status, reason := r.answer(callC, success(g, "w")); status != "ignored" || reason != "stale_task" {
		t.Errorf("its result is %s %s", status, reason)
	}
	if g := r.mustTake(callC, "w"); g.JobID != id {
		t.Errorf("got %+v", g)
	}
}

func TestSkillsDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callC, "c", "echo,video")
		open := r.poll(r.ctx, callC, "c", url.Values{"available_skills": {"video,video"}, "hot_skills": {""}})
		r.offer(1, "echo")
		if len(open) != 0 {
			t.Fatal("a skill that the query leaves out was used")
		}
		// The next heartbeat makes it available again, and the open poll is served.
		r.beatBody(callC, "c", `{"status":"idle","current_tasks":[],"available_skills":["echo","video"]}`)
		if g, ok := r.read(<-open, nil); !ok || g.Type != "echo" {
			t.Fatalf("got %+v", g)
		}
		// A full heartbeat of C without available_skills means none.
		r.beatBody(callC, "c", `{"status":"full","current_tasks":[]}`)
		r.offer(2, "video")
		if _, ok := r.take(callC, "c"); ok {
			t.Error("a full worker got a task")
		}
		// B says none while it is busy; its poll says that it is not.
		r.register(callB7, "b", "video")
		r.beatBody(callB7, "b", `{"status":"busy","current_tasks":[],"supported_skills":[]}`)
		if g := r.mustTake(callB7, "b"); g.Type != "video" {
			t.Errorf("got %+v", g)
		}
	})
}

func TestBigTasksAreReadAgain(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w", "echo")
	big := json.RawMessage(`{"text":"` + strings.Repeat("x", 64<<10) + `"}`)
	r.offer(1, "echo", func(t *job.Task) { t.Params = big })
	g := r.mustTake(callC, "w")
	if string(g.Params) != string(big) || r.desk.reads != 1 {
		t.Fatalf("params of %d bytes after %d reads", len(g.Params), r.desk.reads)
	}
	if status, _ := r.answer(callC, success(g, "w")); status != "accepted" {
		t.Fatal(status)
	}
	if back := r.desk.returned[0]; string(back.Params) != string(big) || back.ID != g.TaskID {
		t.Error("the engine got the task without its params or fence")
	}
	gone := r.offer(2, "echo", func(t *job.Task) { t.Params = big })
	delete(r.desk.rows, taskKey{gone.JobID, 1})
	next := r.offer(3, "echo")
	if g := r.mustTake(callC, "w"); g.JobID != next.JobID {
		t.Errorf("a task whose job was removed is in the way: %+v", g)
	}
}

func TestUnwritableTask(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w", "echo")
	r.offer(1, "echo", func(t *job.Task) { t.Params = json.RawMessage(`[1]`) })
	next := r.offer(2, "echo")
	if g := r.mustTake(callC, "w"); g.JobID != next.JobID {
		t.Errorf("got %+v", g)
	}
	if len(r.desk.outcomes) != 1 || r.desk.outcomes[0].Error.Code != job.CodeInvalidInput {
		t.Errorf("outcomes %+v", r.desk.outcomes)
	}
}

func TestUnknownWorkerPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.offer(1, "echo")
		open := r.poll(r.ctx, callB7, "stranger", nil)
		if len(r.Snapshot()) != 0 {
			t.Error("a stranger is shown as a worker")
		}
		r.beatBody(callB7, "stranger", `{"status":"idle","current_tasks":[],"supported_skills":["echo"]}`)
		if g, ok := r.read(<-open, nil); !ok || g.Type != "echo" {
			t.Errorf("got %+v", g)
		}
		if _, err := r.Poll(r.ctx, as(callC, "bad id"), nil, 0, nil); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("a bad id gives %v", err)
		}
		r.take(callC, "ghost")
		r.clock.Advance(DefaultTTL)
		r.Sweep(r.ctx)
		if r.workers["ghost"] != nil {
			t.Error("a stranger who fell silent is kept")
		}
	})
}

// TestQueueMemory holds the promise: 100,000 queued tasks in less than 100 MB.
func TestQueueMemory(t *testing.T) {
	r := newRig(t)
	heapNow := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heapNow()
	const n = 100_000
	for i := range n {
		r.Offer(job.Task{JobID: job.NewID(epoch, byte(i)), N: 1, State: job.TaskQueued, Type: "echo", Queued: epoch,
			Params:      json.RawMessage(`{"text":"` + strings.Repeat("x", 400) + `"}`),
			Transitions: map[string]string{"success": "done", "failure": "failed"}})
	}
	used := heapNow() - before
	t.Logf("%d queued tasks use %.1f MB", n, float64(used)/1e6)
	if used > 100e6 {
		t.Errorf("%d queued tasks use %d bytes", n, used)
	}
	runtime.KeepAlive(r)
}

// What an earlier worker said of a file goes along with the task that names it.
func TestFilesOfParamsGoAlong(t *testing.T) {
	h := &Hub{}
	raw, err := h.encode(&job.Task{JobID: "j", ID: "t", Type: "x", Params: json.RawMessage(`{"v":"s3://b/x"}`), Files: json.RawMessage(`{"v":{"uri":"s3://b/x","size":4,"etag":"e"}}`)})
	if err != nil || !strings.Contains(string(raw), `"params_metadata":{"v":{"uri":"s3://b/x","size":4,"etag":"e"}}`) {
		t.Errorf("the task is %s, %v", raw, err)
	}
}
