package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests what is shown of a job: view, why, history.

func TestViewAndWhyOfEachWait(t *testing.T) {
	r := newRig(t)
	retrying := r.begin("work", `{}`)
	r.answer(r.take(), failure(job.CodeTransient))
	held := r.begin("work", `{"timeout": 9}`)
	task := r.take()
	group := r.begin("group", `{"branches": 25}`)
	parent := r.begin("parent", `{"child": "ask"}`)
	nap := r.begin("nap", `{"seconds": 60}`)
	for _, c := range []struct {
		name, id string
		status   job.Status
		until    time.Time // zero: none
		reason   string    // of why
		do       string    // "" only cancel
	}{
		{"queued", r.begin("work", `{}`), job.WaitingWorker, time.Time{}, "queued for a worker", ""},
		{"queued to a date", r.begin("work", `{"dispatch": 7}`), job.WaitingWorker, noon.Add(seconds(7)), "queued for a worker", ""},
		{"at a worker", held, job.WaitingWorker, *task.Due, "at worker w1", ""},
		{"retry", retrying, job.AwaitingRetry, noon.Add(seconds(1)), "TRANSIENT_ERROR", ""},
		{"group", group, job.WaitingParallel, time.Time{}, "25 tasks run in parallel", ""},
		{"person", r.begin("ask", `{"seconds": 30}`), job.WaitingHuman, noon.Add(seconds(30)), "go on?", "approvals approve"},
		{"child", parent, job.WaitingSubJob, time.Time{}, "runs as job " + r.job(parent).Wait.Child, "jobs why " + r.job(parent).Wait.Child},
		{"timer", nap, job.WaitingTimer, noon.Add(seconds(60)), "60s", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := r.View(r.ctx, c.id)
			if err != nil {
				t.Fatal(err)
			}
			if v.Status != c.status || v.Waiting == nil || v.Waiting.For != c.status || v.Waiting.Detail == "" {
				t.Fatalf("the view has %s, %+v", v.Status, v.Waiting)
			}
			sameDate(t, v.Waiting.Until, c.until)
			w, err := r.Why(r.ctx, c.id)
			if err != nil {
				t.Fatal(err)
			}
			sameDate(t, w.Until, c.until)
			if !strings.Contains(w.Reason, c.reason) {
				t.Errorf("why says %q, want something with %q", w.Reason, c.reason)
			}
			do := strings.Join(w.Do, "\n")
			if !strings.Contains(do, c.do) || !strings.Contains(do, "jobs cancel "+c.id) {
				t.Errorf("what to do: %q, want %q and the cancel", do, c.do)
			}
			if time.Time(w.Since).IsZero() || w.State != "start" {
				t.Errorf("why is not dated, or nowhere: %+v", w)
			}
		})
	}
	w, err := r.Why(r.ctx, group)
	if err != nil || len(w.Details) < 21 || !strings.Contains(strings.Join(w.Details, "\n"), "5 more") {
		t.Errorf("a large group's details are %v (%v)", w.Details, err)
	}
	if !strings.Contains(w.Details[0], "no worker of type branch") {
		t.Errorf("the dispatcher's words are missing: %q", w.Details[0])
	}
	if v, err := r.View(r.ctx, held); err != nil || v.CurrentTaskID != task.ID {
		t.Errorf("current_task_id is %q, want %q (%v)", v.CurrentTaskID, task.ID, err)
	}
	if v, err := r.View(r.ctx, parent); err != nil || len(v.ChildJobIDs) != 1 {
		t.Errorf("children are %v (%v)", v.ChildJobIDs, err)
	}
	_, err = r.Why(r.ctx, job.NewID(noon, 1))
	refused(t, err, NotFound)
	_, err = r.View(r.ctx, job.NewID(noon, 1))
	refused(t, err, NotFound)
}

func sameDate(t *testing.T, got *Time, want time.Time) {
	t.Helper()
	if (got == nil) != want.IsZero() || got != nil && !time.Time(*got).Equal(want) {
		t.Errorf("until is %v, want %v", got, want)
	}
}

func TestWhyOfOtherJobs(t *testing.T) {
	r := newRig(t)
	r.alone("straight")
	due := r.submit("straight", `{}`)
	if w, err := r.Why(r.ctx, due); err != nil || !strings.Contains(w.Reason, "as soon as a runner is free") {
		t.Errorf("a pending job: %+v, %v", w, err)
	}
	broken := r.begin("broken", `{}`)
	if w, err := r.Why(r.ctx, broken); err != nil || !strings.Contains(strings.Join(w.Details, ""), "out of order") || !strings.Contains(strings.Join(w.Do, ""), "jobs retry") {
		t.Errorf("a quarantined job: %+v, %v", w, err)
	}
	asked := r.begin("work", `{}`)
	r.take()
	if err := r.Cancel(r.ctx, asked, "ann"); err != nil {
		t.Fatal(err)
	}
	if w, err := r.Why(r.ctx, asked); err != nil || !strings.Contains(strings.Join(w.Details, ""), "12:00:30.000Z") {
		t.Errorf("a job that is being cancelled: %+v, %v", w, err)
	}
	if v, err := r.View(r.ctx, asked); err != nil || v.CancelRequestedAt == nil {
		t.Errorf("cancel_requested_at is missing: %+v, %v", v, err)
	}
}

func TestViewShowsProgressAndResults(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{"branches": 2}`)
	one := r.take()
	r.Progress(one, store.Progress{Progress: 0.5, Message: "half", Timestamp: job.Time{Time: noon}, TaskID: one.ID})
	r.answer(one, success(`{"a": 1}`))
	v, err := r.View(r.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(v.AggregationResults); !strings.Contains(got, one.ID) || !strings.Contains(got, `"task_type":"branch"`) {
		t.Errorf("aggregation_results are %s", got)
	}
	if got := string(v.StateHistory); !strings.Contains(got, `"progress_updates":[{"progress":0.5,"message":"half"`) {
		t.Errorf("state_history is %s", got)
	}
}

func TestAListCarriesNoLongErrors(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	r.answer(r.take(), Outcome{Status: "failure", Error: &job.Error{Code: job.CodeInvalidInput, Message: "bad", Details: strings.Repeat("d", 60<<10)}})
	v, err := r.View(r.ctx, id)
	if err != nil || v.Error == nil || v.Error.Details == nil {
		t.Fatalf("the job itself is shown as %+v, %v", v, err)
	}
	page, _, err := r.List(r.ctx, store.Query{Limit: 1})
	if err != nil || len(page) != 1 || page[0].Error == nil || page[0].Error.Message != "bad" || page[0].Error.Details != nil {
		t.Errorf("in a list it is %+v, %v", page[0].Error, err)
	}
	if j := r.job(id); j.Error.Details == nil {
		t.Error("the row has lost its details")
	}
}

func TestList(t *testing.T) {
	r := newRig(t)
	first, second := r.begin("straight", `{}`), r.begin("ask", `{}`)
	page, next, err := r.List(r.ctx, store.Query{Limit: 1})
	if err != nil || len(page) != 1 || page[0].ID != second || next == "" {
		t.Fatalf("the first page is %v %q %v", page, next, err)
	}
	page, next, err = r.List(r.ctx, store.Query{Limit: 1, Cursor: next})
	if err != nil || len(page) != 1 || page[0].ID != first || next != "" || page[0].InitialData != nil {
		t.Fatalf("the second page is %v %q %v", page, next, err)
	}
}

// The history, folded, is the state: also over merges, removed keys, children and retries.
func TestHistoryFoldsToTheState(t *testing.T) {
	r := newRig(t)
	id := r.begin("mixed", `{}`)
	playMixed(t, r, id)
	r.is(id, job.Finished, "finished")
	checkInvariants(t, r, id)
	events, err := r.events(id)
	if err != nil {
		t.Fatal(err)
	}
	var path []string
	ids := map[string]bool{}
	for _, e := range events {
		if e.EventType == "state_finished" {
			path = append(path, e.State)
			if e.Duration == nil {
				t.Errorf("%s has no duration", e.State)
			}
		}
		if ids[e.EventID] {
			t.Errorf("the id %s stands twice", e.EventID)
		}
		ids[e.EventID] = true
	}
	if got := strings.Join(path, " "); got != "start fan join rest last finished" {
		t.Errorf("states passed: %s", got)
	}
	last := events[len(events)-1]
	var snapshot struct {
		Status  job.Status      `json:"status"`
		History json.RawMessage `json:"state_history"`
	}
	if err := json.Unmarshal(last.Snapshot, &snapshot); err != nil || snapshot.Status != job.Finished || !bytes.Contains(snapshot.History, []byte(`"joined":5`)) {
		t.Errorf("the last snapshot is %s (%v)", last.Snapshot, err)
	}
	again, err := r.events(id)
	if err != nil || len(again) != len(events) {
		t.Fatal(len(again), err)
	}
	for i := range again {
		if !bytes.Equal(again[i].Snapshot, events[i].Snapshot) {
			t.Errorf("event %d reads differently the second time:\n%s\n%s", i, events[i].Snapshot, again[i].Snapshot)
		}
	}
}

func TestHistoryReadsTheSameEveryTime(t *testing.T) {
	r := newRig(t)
	id := r.begin("work", `{}`)
	r.answer(r.take(), success(`{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}`))
	var first []byte
	for range 20 {
		events, err := r.events(id)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = text
		}
		if !bytes.Equal(text, first) {
			t.Fatalf("the history reads\n%s\nand then\n%s", first, text)
		}
	}
}
