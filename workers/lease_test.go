package workers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers/protocol"
)

// This file tests results and leases: what counts, what is lost and when.

func TestResultsOfAllAges(t *testing.T) {
	for name, c := range map[string]struct {
		caller Caller
		body   string
		status string
		code   string
	}{
		"A nested":    {callA, `{"job_id":"J","task_id":"T","worker_id":"w","result":{"status":"success","data":{"n":2}}}`, "success", ""},
		"A no status": {callA, `{"job_id":"J","task_id":"T","worker_id":"w","result":{"data":{"n":2}}}`, "success", ""},
		"A oldest":    {callA, `{"job_id":"J","task_id":"T","worker_id":"w","result":{"status":"failure","error_type":"PERMANENT_ERROR","error":"no"}}`, "failure", "PERMANENT_ERROR"},
		"B":           {callB7, `{"job_id":"J","task_id":"T","worker_id":"w","status":"failure","data":{},"error":{"code":"X","message":"m","details":null}}`, "failure", "X"},
		"C":           {callC, `{"data":{"n":2},"job_id":"J","task_id":"T","worker_id":"w"}`, "success", ""},
		"C custom":    {callC, `{"job_id":"J","task_id":"T","worker_id":"w","status":"needs_review"}`, "needs_review", ""},
		"no worker":   {callC, `{"task_id":"T"}`, "success", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.register(c.caller, "w", "echo")
			r.offer(1, "echo")
			g := r.mustTake(c.caller, "w")
			body := strings.NewReplacer(`"J"`, `"`+g.JobID+`"`, `"T"`, `"`+g.TaskID+`"`).Replace(c.body)
			for range 2 { // the second time is a repetition, which is answered the same
				if status, reason := r.answer(c.caller, body); status != "accepted" {
					t.Fatalf("%s %s", status, reason)
				}
			}
			if len(r.desk.outcomes) != 1 {
				t.Fatalf("%d results reached the engine", len(r.desk.outcomes))
			}
			o := r.desk.outcomes[0]
			if o.Status != c.status || o.Worker != "w" || (o.Error != nil) != (c.code != "") || c.code != "" && o.Error.Code != c.code {
				t.Errorf("outcome %+v, error %+v", o, o.Error)
			}
			if s := r.Stats(); s.Leased != 0 || s.Queued != 0 {
				t.Errorf("left over: %+v", s)
			}
		})
	}
}

func TestResultsThatDoNotCount(t *testing.T) {
	r := newRig(t)
	r.register(callB7, "w", "echo")
	r.register(callB7, "thief", "echo")
	r.offer(1, "echo")
	g := r.mustTake(callB7, "w")
	for body, want := range map[string]string{
		success(g, "thief"): "worker_mismatch",
		success(got{JobID: "j", TaskID: "task-unknown"}, "w"):                                    "job_not_found",
		success(got{JobID: "j", TaskID: "0196a000-0000-7000-8000-00000000dead-1-aaaaaaaa"}, "w"): "job_not_found",
		success(got{JobID: g.JobID, TaskID: g.TaskID[:len(g.TaskID)-8] + "zzzzzzzz"}, "w"):       "stale_task",
	} {
		if status, reason := r.answer(callB7, body); status != "ignored" || reason != want {
			t.Errorf("%s is %s %s, wanted %s", body, status, reason, want)
		}
	}
	if _, err := r.Result(r.ctx, callB7, []byte(`{"task_id"`)); err == nil {
		t.Error("half a body was taken")
	}
	if _, err := r.Result(r.ctx, Caller{Token: "wrong"}, []byte(success(g, "w"))); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a wrong token gives %v", err)
	}
	r.desk.refuse = "job_already_terminated"
	if status, reason := r.answer(callB7, success(g, "w")); status != "ignored" || reason != "job_already_terminated" {
		t.Errorf("%s %s", status, reason)
	}
	if s := r.Stats(); s.Leased != 0 {
		t.Error("a refused result leaves its lease")
	}
}

func TestAcceptedBeforeARestart(t *testing.T) {
	r := newRig(t)
	r.register(callB7, "w", "echo")
	r.offer(1, "echo")
	g := r.mustTake(callB7, "w")
	r.answer(callB7, success(g, "w"))
	again := restart(t, r.clock, r.rows, r.desk.rows)
	if status, reason := again.answer(callB7, success(g, "w")); status != "accepted" {
		t.Errorf("the repetition is %s %s", status, reason)
	}
	if len(again.desk.outcomes) != 0 {
		t.Error("it was taken twice")
	}
}

// A node that takes a shard up has its jobs before its hub has their leases.
func TestHandOutOfAShardThatIsBeingTakenUp(t *testing.T) {
	for _, c := range []Caller{callB7, callC} {
		r := newRig(t)
		r.register(c, "w", "echo")
		r.offer(1, "echo")
		g := r.mustTake(c, "w")
		next := restart(t, r.clock, r.rows, r.desk.rows) // it was told of no lease so far
		next.desk.opening = true
		next.register(c, "w", "echo")
		if stop := next.beat(c, "w", g.TaskID); len(stop) > 0 {
			t.Errorf("the worker is to stop %v, which stands", stop)
		}
		if next.Cancelled(g.TaskID) {
			t.Error("the task counts as cancelled")
		}
		if out, err := next.Result(next.ctx, c, []byte(success(g, "w"))); !errors.Is(err, engine.ErrElsewhere) || !errors.Is(err, ErrStoreFull) {
			t.Errorf("the result is answered with %s %v, want to hear that it is to be sent again", out, err)
		}
		next.Recover([]job.Task{r.desk.handed[0]})
		next.desk.opening = false
		for range 2 {
			if status, reason := next.answer(c, success(g, "w")); status != "accepted" {
				t.Errorf("the result is %s %s", status, reason)
			}
		}
		if n := len(next.desk.outcomes); n != 1 {
			t.Errorf("it was taken %d times", n)
		}
		if !next.Cancelled(g.TaskID) {
			t.Error("a task that has ended is not to be stopped")
		}
	}
}

// A shard may go to another node right after it was found open.
func TestHandOutOfAShardThatGoesMeanwhile(t *testing.T) {
	for name, say := range map[string]func(r *rig, g got){
		"result": func(r *rig, g got) {
			if out, err := r.Result(r.ctx, callC, []byte(success(g, "w"))); !errors.Is(err, engine.ErrElsewhere) {
				t.Errorf("the result is answered with %s %v, want to hear that it is to be sent again", out, err)
			}
		},
		"question": func(r *rig, g got) {
			if r.Cancelled(g.TaskID) {
				t.Error("the task counts as cancelled")
			}
		},
		"event": func(r *rig, g got) {
			r.Drop(shardOf(g.JobID)) // nothing is leased here when it comes
			if r.hearEvent(r.ctx, "w", &protocol.Event{TaskID: g.TaskID}) {
				t.Error("the worker is to stop a task that another node knows")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.register(callC, "w", "echo")
			r.offer(1, "echo")
			g := r.mustTake(callC, "w")
			r.desk.asked = func() {
				r.desk.asked = nil
				r.desk.mu.Lock()
				r.desk.elsewhere = map[byte]bool{job.ShardOf(g.JobID): true}
				r.desk.mu.Unlock()
				r.Drop(shardOf(g.JobID))
			}
			say(r, g)
		})
	}
}

func shardOf(jobID string) (set store.ShardSet) {
	set.Add(job.ShardOf(jobID))
	return set
}

func TestAReportOnAnothersTaskStopsWhoSendsIt(t *testing.T) {
	r := newRig(t)
	r.register(callB7, "w", "echo")
	r.register(callB7, "thief", "echo")
	r.offer(1, "echo")
	g := r.mustTake(callB7, "w")
	if !r.hearEvent(r.ctx, "thief", &protocol.Event{TaskID: g.TaskID}) {
		t.Error("a worker that speaks of another's task is not told to stop")
	}
	if r.hearEvent(r.ctx, "w", &protocol.Event{TaskID: g.TaskID}) {
		t.Error("the worker that has the task is told to stop")
	}
}

func TestFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register(callB7, "w", "echo")
		r.offer(1, "echo")
		g := r.mustTake(callB7, "w")
		send := func() <-chan error {
			out := make(chan error, 1)
			go func() {
				_, err := r.Result(r.ctx, callB7, []byte(success(g, "w")))
				out <- err
			}()
			synctest.Wait()
			return out
		}
		r.desk.fails = 1000
		first, twin := send(), send()
		for range 12 {
			r.clock.Advance(2 * time.Second)
			synctest.Wait()
		}
		if err := <-first; !errors.Is(err, ErrStoreFull) {
			t.Fatalf("a full store gives %v", err)
		}
		r.desk.mu.Lock()
		r.desk.fails = 3
		r.desk.mu.Unlock()
		for range 12 {
			r.clock.Advance(2 * time.Second)
			synctest.Wait()
		}
		if err := <-twin; err != nil {
			t.Fatalf("the result that was sent again gives %v", err)
		}
		if len(r.desk.outcomes) != 1 {
			t.Errorf("%d results were written", len(r.desk.outcomes))
		}
	})
}

func TestSilentWorkerLosesItsTasks(t *testing.T) {
	r := newRig(t)
	r.register(callA, "w", "echo")
	r.offer(1, "echo")
	r.mustTake(callA, "w")
	tick := func(d time.Duration) {
		r.clock.Advance(d)
		r.Sweep(r.ctx)
	}
	tick(40 * time.Second)
	r.beatBody(callA, "w", `{"load":1}`) // any request renews
	tick(44 * time.Second)
	if len(r.desk.lost) != 0 {
		t.Fatalf("lost too early: %v", r.desk.lost)
	}
	r.desk.fails = 1
	tick(time.Second)
	if s := r.Stats(); s.Leased != 1 || len(r.desk.lost) != 0 {
		t.Fatalf("a loss that could not be written is forgotten: %+v", s)
	}
	tick(time.Second)
	if len(r.desk.lost) != 1 || !strings.HasPrefix(r.desk.lost[0], "1 false ") {
		t.Fatalf("lost %v", r.desk.lost)
	}
	if back := r.desk.lostTasks[0]; back.HandOut != 1 || back.Attempt != 1 || back.State != job.TaskLeased || string(back.Params) == "" {
		t.Errorf("given back as %+v", back)
	}
}

func TestRecoveredLeases(t *testing.T) {
	r := newRig(t)
	r.register(callA, "w", "echo")
	r.offer(1, "echo")
	r.offer(2, "echo")
	kept, lost := r.mustTake(callA, "w"), r.mustTake(callA, "w")
	r.clock.Advance(time.Hour)
	again := restart(t, r.clock, r.rows, r.desk.rows)
	again.Recover(r.desk.handed)
	again.clock.Advance(44 * time.Second)
	again.Sweep(again.ctx)
	if len(again.desk.lost) != 0 {
		t.Fatalf("lost before one TTL after the start: %v", again.desk.lost)
	}
	if status, _ := again.answer(callA, success(kept, "w")); status != "accepted" {
		t.Errorf("the result of a recovered lease is %s", status)
	}
	again.clock.Advance(45 * time.Second)
	again.Sweep(again.ctx)
	if len(again.desk.lost) != 1 || again.desk.lostTasks[0].ID != lost.TaskID {
		t.Errorf("lost %v", again.desk.lost)
	}
}

func TestHeartbeatsTellLosses(t *testing.T) {
	r := newRig(t)
	r.register(callB4, "w", "echo")
	for n := 1; n <= 2; n++ {
		r.offer(n, "echo")
	}
	shown, never := r.mustTake(callB4, "w"), r.mustTake(callB4, "w")
	r.beat(callB4, "w") // began in the very millisecond of the hand-out: says nothing
	r.clock.Advance(time.Second)
	r.beat(callB4, "w", shown.TaskID)
	if len(r.desk.lost) != 0 {
		t.Fatalf("lost after one: %v", r.desk.lost)
	}
	r.beat(callB4, "w", shown.TaskID)
	if len(r.desk.lost) != 1 || !strings.Contains(r.desk.lost[0], "false") || r.desk.lostTasks[0].ID != never.TaskID {
		t.Fatalf("lost %v", r.desk.lost)
	}
	r.beat(callB4, "w")
	r.beat(callB4, "w", shown.TaskID) // it shows it again: counting begins anew
	r.beat(callB4, "w")
	if len(r.desk.lost) != 1 {
		t.Fatalf("lost %v", r.desk.lost)
	}
	// It had the task: its result may wait at the worker behind those for a server that is down.
	r.beat(callB4, "w")
	r.clock.Advance(89 * time.Second)
	r.beat(callB4, "w")
	if len(r.desk.lost) != 1 {
		t.Fatalf("lost while the result may be on its way: %v", r.desk.lost)
	}
	r.clock.Advance(time.Second)
	r.beat(callB4, "w")
	if len(r.desk.lost) != 2 || !strings.Contains(r.desk.lost[1], "true") {
		t.Errorf("lost %v", r.desk.lost)
	}
}

// A worker that registers again after a hand-out has begun anew: what it does not list then is
// lost, also what it had listed before.
func TestAWorkerThatBeganAnewHasLostItsTasks(t *testing.T) {
	r := newRig(t)
	r.register(callC, "w", "echo")
	r.offer(1, "echo")
	task := r.mustTake(callC, "w")
	r.clock.Advance(time.Second)
	r.beat(callC, "w", task.TaskID)
	r.register(callC, "w", "echo")
	r.beat(callC, "w")
	r.beat(callC, "w")
	if len(r.desk.lost) != 1 || !strings.Contains(r.desk.lost[0], "true") {
		t.Errorf("lost %v", r.desk.lost)
	}
}

func TestHeartbeatsOfOldestAgeListNothing(t *testing.T) {
	r := newRig(t)
	r.register(callA, "w", "echo")
	r.offer(1, "echo")
	r.mustTake(callA, "w")
	r.clock.Advance(time.Second)
	for range 3 {
		r.beatBody(callA, "w", `{"status":"busy","load":1,"supported_tasks":[],"hot_cache":[]}`)
	}
	if len(r.desk.lost) != 0 {
		t.Errorf("lost %v", r.desk.lost)
	}
}

func TestRegisteringAnew(t *testing.T) {
	r := newRig(t)
	for _, c := range []Caller{callA, callB7, callC} {
		id := fmt.Sprint("w", int(c.Age))
		r.register(c, id, "echo")
		r.offer(int(c.Age)+1, "echo")
		r.mustTake(c, id)
		r.clock.Advance(time.Second)
		r.register(c, id, "echo")
	}
	if len(r.desk.lost) != 1 || r.desk.lostTasks[0].Worker != "w0" {
		t.Errorf("only A's new start loses its tasks, but lost are %v", r.desk.lost)
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t)
	var took []got
	for i, c := range []Caller{callB4, callB7, callC} {
		id := fmt.Sprint("w", i)
		r.register(c, id, "echo")
		r.offer(1, "echo", func(t *job.Task) { t.N = i + 1 })
		took = append(took, r.mustTake(c, id))
	}
	r.offer(1, "echo", func(t *job.Task) { t.N = 9 })
	if n := r.AskCancel(took[0].JobID); n != 3 {
		t.Fatalf("%d workers were asked", n)
	}
	if s := r.Stats(); s.Queued != 0 || s.Leased != 3 {
		t.Errorf("a queued task of a cancelled job stays: %+v", s)
	}
	for i, c := range []Caller{callB4, callB7, callC} {
		id := fmt.Sprint("w", i)
		stale, foreign := took[0].JobID+"-9-aaaaaaaa", "0196a000-0000-7000-8000-00000000dead-1-aaaaaaaa"
		stops := r.beat(c, id, took[i].TaskID, stale, foreign, "task-of-another-server")
		want := []string{took[i].TaskID, stale}
		slices.Sort(want)
		if c.Age.HeartbeatCancels() != slices.Equal(stops, want) {
			t.Errorf("age %v is told to stop %v", c.Age, stops)
		}
		if !r.Cancelled(took[i].TaskID) {
			t.Error("a worker that asks is not told")
		}
	}
	body := fmt.Sprintf(`{"task_id":%q,"worker_id":"w1","status":"cancelled","data":null}`, took[1].TaskID)
	if status, reason := r.answer(callB7, body); status != "accepted" || r.desk.outcomes[0].Status != "cancelled" {
		t.Errorf("%s %s %+v", status, reason, r.desk.outcomes)
	}
}

func TestReputation(t *testing.T) {
	var t5 tally
	for i := range 4 {
		t5.add(i == 0)
	}
	if t5.share() != 1 {
		t.Errorf("with four results it is %g", t5.share())
	}
	t5.add(false)
	if t5.share() != 0.2 {
		t.Errorf("with five it is %g", t5.share())
	}
	for range 99 {
		t5.add(true)
	}
	if t5.share() != 0.99 || t5.Count != 100 {
		t.Errorf("after a failure and 99 successes it is %g of %d", t5.share(), t5.Count)
	}
	t5.add(true)
	if t5.share() != 1 {
		t.Errorf("the oldest still counts: %g", t5.share())
	}
}

func TestForgottenFences(t *testing.T) {
	var f fences
	for i := range acceptedKept + 2 {
		f.add(fmt.Sprint(i))
	}
	if f.has("0") || f.has("1") || !f.has("2") || !f.has(fmt.Sprint(acceptedKept+1)) || len(f.ids) != acceptedKept {
		t.Error("the newest are not the ones that are kept")
	}
}
