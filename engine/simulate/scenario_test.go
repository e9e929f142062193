package simulate

import (
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file tests what a scenario may say, and the order of the simulated queue.

func TestScenarioErrorsNameTheKey(t *testing.T) {
	for text, want := range map[string]string{
		`{"repli": []}`:                   `unknown field "repli"`,
		`{"runs": "x"}`:                   "`runs`",
		`{"runs": -1}`:                    "`runs` is -1",
		`{"initial_data": []}`:            "`initial_data` must be an object",
		`{"worker": 1}`:                   "`worker` must be an object",
		`{"client": {"params": 1}}`:       "`client.params` must be an object",
		`{"replies": [{"reply": {}}]}`:    "`replies` entry 1: no `task_type`",
		`{"approvals": [{"state": "s"}]}`: "entry 1 has no `decision`",
		`{"cancel": {}}`:                  "`cancel` has no `task_type`",
		`{"files": {"../a.txt": "x"}}`:    "names never leave the job's folder",
		`{} {}`:                           "after the object's end",
		`{`:                               "not a scenario",
		`{"replies": [{"task_type": "t", "reply": {"error": 5}}]}`: "`error` must be",
	} {
		_, err := ParseScenario([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestRepliesAreDealtInOrderAndTheLastStays(t *testing.T) {
	s, err := ParseScenario([]byte(`{"replies": [
		{"task_type": "a", "reply": {"status": "failure", "error": {"code": "PERMANENT_ERROR", "message": "m"}}, "times": 2},
		{"task_type": "b", "reply": {}},
		{"task_type": "a", "reply": {"status": "failure", "error_type": "INVALID_INPUT_ERROR", "error": "old words"}},
		{"task_type": "a", "reply": {"status": "failure"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r := newReplies(s.Replies)
	var codes []string
	for range 5 {
		o, ok := r.next("a")
		if !ok {
			t.Fatal("no reply")
		}
		codes = append(codes, o.Error.Code)
	}
	want := "PERMANENT_ERROR PERMANENT_ERROR INVALID_INPUT_ERROR TRANSIENT_ERROR TRANSIENT_ERROR"
	if got := strings.Join(codes, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if o, ok := r.next("b"); !ok || o.Status != "success" {
		t.Errorf("%+v", o)
	}
	if _, ok := r.next("c"); ok {
		t.Error("a reply for a type that was never scripted")
	}
}

func TestDecisionsAreTakenByState(t *testing.T) {
	list := []Approval{{"second", "no"}, {"", "any"}, {"first", "yes"}}
	var got []string
	for _, state := range []string{"first", "first", "second", "third"} {
		d, ok := take(&list, state)
		got = append(got, d)
		if !ok && d != "" {
			t.Error("a decision that was not there")
		}
	}
	if strings.Join(got, ",") != "any,yes,no," {
		t.Errorf("%v", got)
	}
}

func TestQueueOrder(t *testing.T) {
	q := newQueue()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q.Offer(job.Task{JobID: "j", N: 1, Queued: at})
	q.Offer(job.Task{JobID: "j", N: 2, Queued: at})
	q.Offer(job.Task{JobID: "j", N: 3, Queued: at.Add(time.Second), Priority: 5})
	q.Offer(job.Task{JobID: "j", N: 4, Queued: at.Add(-time.Second)}) // dispatched first, tried again now
	q.Offer(job.Task{JobID: "j", N: 2, Queued: at, Attempt: 1})       // replaces, keeps its place
	var order []int
	for range 4 {
		task, ok := q.best(func(job.Task) bool { return true })
		if !ok {
			t.Fatal("the queue is empty too early")
		}
		q.lease(task)
		order = append(order, task.N)
	}
	if got := [4]int(order); got != [4]int{3, 4, 1, 2} {
		t.Errorf("order %v", got)
	}
	if n := q.AtWorkers("j"); n != 4 {
		t.Errorf("%d at the worker", n)
	}
	if n := q.AskCancel("j"); n != 4 || !q.told(job.Task{JobID: "j", N: 1}) {
		t.Errorf("%d were told", n)
	}
	q.Withdraw("j", 0)
	if n := q.AtWorkers("j"); n != 0 {
		t.Errorf("%d at the worker after all were withdrawn", n)
	}
}
