package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/starlib"
)

// This file tests that nobody who reads the results of branches has all of them in memory when
// they are large. What is read is counted in bytes.

const (
	longResults = 12
	longResult  = 1 << 20
)

// scales counts what is read of results.
type scales struct {
	store.Store
	page, all int // bytes of the largest page, of all pages
}

func (s *scales) Results(ctx context.Context, id string, group int64, after string, limit int) ([]job.Result, bool, error) {
	page, more, err := s.Store.Results(ctx, id, group, after, limit)
	n := 0
	for i := range page {
		n += len(page[i].Data)
	}
	s.page, s.all = max(s.page, n), s.all+n
	return page, more, err
}

// OpenTasks counts params.
func (s *scales) OpenTasks(ctx context.Context, id string, after, limit int) ([]job.Task, bool, error) {
	page, more, err := s.Store.OpenTasks(ctx, id, after, limit)
	n := 0
	for i := range page {
		n += len(page[i].Params)
	}
	s.page, s.all = max(s.page, n), s.all+n
	return page, more, err
}

// gather makes a job whose branches have all brought their long results but the last.
func gather(t *testing.T, data string) (r *rig, s *scales, id string, last job.Task) {
	t.Helper()
	r = newRig(t, func(c *Config) {
		s = &scales{Store: c.Store}
		c.Store, c.Limits = s, DefaultLimits()
		c.Limits.Step.MemoryBytes = 8 << 20
	})
	id = r.begin("group", data)
	long := success(`{"text": "` + strings.Repeat("x", longResult) + `"}`)
	for range longResults - 1 {
		r.answer(r.take(), long)
	}
	last = r.take()
	s.page, s.all = 0, 0
	return r, s, id, last
}

func TestLongResultsAreShownInPages(t *testing.T) {
	r, s, id, _ := gather(t, fmt.Sprintf(`{"branches": %d}`, longResults))
	v, err := r.View(r.ctx, id)
	if err != nil || v.ResultsNext == "" {
		t.Fatalf("a view of a job with many results says next %q, %v", v.ResultsNext, err)
	}
	const most = store.PageBytes + longResult + 64<<10
	if s.all > most || len(v.AggregationResults) > most {
		t.Errorf("a view reads %d bytes of results and holds %d, at most %d are meant", s.all, len(v.AggregationResults), most)
	}
	seen := map[string]json.RawMessage{}
	for page, next := v.AggregationResults, v.ResultsNext; ; {
		var some map[string]json.RawMessage
		if err := json.Unmarshal(page, &some); err != nil || len(some) == 0 {
			t.Fatalf("a page of results has %d, %v", len(some), err)
		}
		for id, one := range some {
			seen[id] = one
		}
		if next == "" {
			break
		}
		if page, next, err = r.Engine.Results(r.ctx, r.job(id), next, 100); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != longResults-1 || s.page > most {
		t.Errorf("%d results on all pages, want %d; the largest was of %d bytes", len(seen), longResults-1, s.page)
	}
	if _, _, err := r.Engine.Results(r.ctx, r.job(id), "", 100000); err != nil {
		t.Error(err)
	}
	if object, next, err := r.Engine.Results(r.ctx, r.job(r.begin("nap", `{"seconds": 1}`)), "", 10); object != nil || next != "" || err != nil {
		t.Errorf("a job without branches has the results %s, %q, %v", object, next, err)
	}
}

func TestAJoinOfTooLongResultsIsRefusedByName(t *testing.T) {
	r, s, id, last := gather(t, fmt.Sprintf(`{"branches": %d}`, longResults))
	r.answer(last, success(`{}`))
	j := r.is(id, job.Quarantined, "join")
	if j.Error == nil || j.Error.Code != starlib.CodeMemory || !strings.Contains(j.Error.Message, "the results of the branches have more than 8 MiB") {
		t.Errorf("the join ended with %+v", j.Error)
	}
	if most := 8<<20 + store.PageBytes + 2*longResult; s.all > most || s.page > store.PageBytes+longResult+64<<10 {
		t.Errorf("the join read %d bytes, at most %d are meant, and %d at once", s.all, most, s.page)
	}
	reader := r.begin("outside", `{"read": "`+id+`"}`) // it would be caught if it were the script's own error
	if j := r.is(reader, job.Quarantined, "start"); j.Error == nil || j.Error.Code != starlib.CodeMemory {
		t.Errorf("get_job_state of such a job ended with %+v", j.Error)
	}
}

func TestAJoinThatLooksAtNoResultsMayHaveMany(t *testing.T) {
	r, _, id, last := gather(t, fmt.Sprintf(`{"branches": %d, "blind": true}`, longResults))
	r.answer(last, success(`{}`))
	r.is(id, job.Finished, "finished")
}

func TestOpenTasksAreReadInPages(t *testing.T) {
	const branches, long = 40, 256 << 10
	var s *scales
	r := newRig(t, func(c *Config) {
		s = &scales{Store: c.Store}
		c.Store = s
	})
	id := r.begin("group", `{"branches": 1}`)
	j := r.job(id)
	next := *j
	next.Version, next.LastTask = j.Version+1, j.LastTask+branches
	wait := *j.Wait
	wait.Open += branches
	next.Wait = &wait
	c := &job.Change{Job: next, Base: j.Version}
	for n := range branches {
		c.Tasks = append(c.Tasks, job.Task{JobID: id, N: j.LastTask + n + 1, ID: fmt.Sprint("fence-", n), State: job.TaskLeased, Step: 1, JobState: "start", Type: "branch", Branch: true,
			Into: "join", Transitions: map[string]string{"success": "join"}, Params: json.RawMessage(`"` + strings.Repeat("p", long) + `"`), Queued: noon, LeasedAt: noon, Worker: "w"})
	}
	if err := s.Commit(r.ctx, c); err != nil {
		t.Fatal(err)
	}
	check := func(what string, all int) {
		t.Helper()
		if s.page == 0 || s.page > store.PageBytes+long+4<<10 || s.all > all {
			t.Errorf("%s read %d bytes of open tasks, %d at once", what, s.all, s.page)
		}
		s.page, s.all = 0, 0
	}
	s.page, s.all = 0, 0
	events, err := r.events(id)
	picked := 0
	for _, e := range events {
		if e.EventType == "task_picked_up" {
			picked++
		}
	}
	if err != nil || picked != branches {
		t.Errorf("the history has %d tasks at workers, want %d (%v)", picked, branches, err)
	}
	check("history", branches*(long+4<<10))
	w, err := r.Why(r.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(w.Details, "\n")
	shown := strings.Count(text, `"branch": `)
	if shown < store.PageBytes/long || shown > 20 || !strings.Contains(text, fmt.Sprintf("and %d more open tasks", branches+1-shown)) {
		t.Errorf("why says %+v, %v", w, err)
	}
	check("why", store.PageBytes+long+4<<10)
}
