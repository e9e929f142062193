package killtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/workers/client"
)

// This file is the people: they decide, cancel and run jobs again while the server is
// killed, and hold it to its word: what was answered with 200 has happened, exactly once.

// turn is what a person does to one kind of job.
type turn struct {
	endpoint string
	due      func(jobView) bool // the person may act
	action   string             // path below the job
	body     any
	status   job.Status // how the job ends then
	state    string
	mark     job.RecordKind // stands exactly once in the history; "" is not looked for
}

var turns = []turn{
	{
		endpoint: "jobs/kill_ask", due: func(v jobView) bool { return v.Status == job.WaitingHuman },
		action: "approve", body: map[string]any{"decision": "yes"},
		status: job.Finished, state: "finished", mark: job.RecApproval,
	},
	{
		endpoint: "jobs/kill_stop", due: func(v jobView) bool { return v.TaskID != "" },
		action: "cancel",
		status: job.Cancelled, state: "cancelled", // its record is the worker's answer, or the end of the grace
	},
	{
		endpoint: "jobs/kill_mend", due: func(v jobView) bool { return v.Status == job.Quarantined },
		action: "retry", body: map[string]any{"data": map[string]any{"mended": true}},
		status: job.Finished, state: "finished", mark: job.RecReopened,
	},
}

// taken is a turn that a person has had.
type taken struct {
	turn
	id string
	ok bool // answered with 200; else the answer was lost and a repetition refused
}

// handleTurns teaches a worker the tasks of turns.star.
func handleTurns(w *client.Worker) {
	w.Handle("kill_hold", func(ctx context.Context, _ *client.Task) (map[string]any, error) {
		<-ctx.Done() // told to stop
		return nil, ctx.Err()
	})
	var tried sync.Map // jobs whose task failed in passing
	w.Handle("kill_fail", func(_ context.Context, t *client.Task) (map[string]any, error) {
		if t.Params["mended"] == true {
			return nil, nil
		}
		if _, again := tried.LoadOrStore(t.JobID, true); !again {
			return nil, client.Transient(errors.New("in passing"))
		}
		return nil, client.Permanent(errors.New("for good"))
	})
}

// take submits a job, waits for the person's turn and acts until the server has answered.
func (s *server) take(ctx context.Context, u turn, key string) (taken, error) {
	id, err := s.submit(ctx, u.endpoint, u.endpoint+key, map[string]any{})
	if err != nil {
		return taken{}, err
	}
	acts := false
	for {
		var v jobView
		code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, "", nil, &v)
		if err == nil && code == http.StatusNotFound {
			return taken{}, fmt.Errorf("I2: accepted job %s is not there", id)
		}
		if err == nil && code == http.StatusOK && (acts || u.due(v)) {
			acts = true // the first answer may have been lost
			code, err := s.call(ctx, http.MethodPost, "/api/v1/jobs/"+id+"/"+u.action, "", u.body, nil)
			if err == nil && code < 500 {
				return taken{u, id, code == http.StatusOK}, nil
			}
		}
		select {
		case <-ctx.Done():
			return taken{}, fmt.Errorf("job %s of %s never came to its turn: %s in %q: %w", id, u.endpoint, v.Status, v.State, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// checkTurn holds that what was accepted has happened, once.
func checkTurn(ctx context.Context, t *testing.T, s *server, x taken) {
	t.Helper()
	v := s.drained(ctx, t, []string{x.id}, 60*time.Second)[x.id]
	if v.Status == job.Quarantined { // the retry that was accepted is gone
		t.Errorf("%s of job %s was accepted (%v), the job is %s", x.action, x.id, x.ok, v.Status)
		return
	}
	if v.Status != x.status || v.State != x.state {
		t.Errorf("job %s ended %s in %q after %s, want %s in %q", x.id, v.Status, v.State, x.action, x.status, x.state)
	}
	if x.mark == "" {
		return
	}
	records, err := s.records(ctx, x.id)
	if err != nil {
		t.Fatal(err)
	}
	marks := 0
	for _, r := range records {
		if r.Kind == x.mark {
			marks++
		}
	}
	if marks != 1 {
		t.Errorf("%s of job %s stands %d times in its history", x.action, x.id, marks)
	}
}

// people takes one turn of each kind in the background; wait gives them all.
func (s *server) people(ctx context.Context, t *testing.T, key string) (wait func() []taken) {
	var mu sync.Mutex
	var all []taken
	var group sync.WaitGroup
	for _, u := range turns {
		group.Go(func() {
			x, err := s.take(ctx, u, key)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			all = append(all, x)
		})
	}
	return func() []taken { group.Wait(); return all }
}
