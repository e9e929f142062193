package killtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file checks the invariants I1 to I8 on what the server tells after the last kill.

type jobView struct {
	ID           string          `json:"id"`
	Blueprint    string          `json:"blueprint_name"`
	State        string          `json:"current_state"`
	Status       job.Status      `json:"status"`
	StateHistory json.RawMessage `json:"state_history"`
	Children     []string        `json:"child_job_ids"`
	TaskID       string          `json:"current_task_id"`
	UpdatedAt    string          `json:"updated_at"`
	Error        *job.Error      `json:"error"`
	Waiting      *struct {
		Since  string `json:"since"`
		Detail string `json:"detail"`
	} `json:"waiting"`
}

// get reads a job; it is called only while the server runs.
func (s *server) get(ctx context.Context, id string) (jobView, error) {
	var v jobView
	code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, "", nil, &v)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("I2: accepted job %s: GET gives %d", id, code)
	}
	return v, err
}

// records reads the history records of a job that ended.
func (s *server) records(ctx context.Context, id string) ([]job.Record, error) {
	var events []struct {
		Record *job.Record `json:"record"`
	}
	code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs/"+id+"/history", "", nil, &events)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("history of %s: GET gives %d", id, code)
	}
	var out []job.Record
	for _, e := range events {
		if e.Record != nil {
			out = append(out, *e.Record)
		}
	}
	return out, err
}

// drained waits until all jobs have ended, or names one that has not.
func (s *server) drained(ctx context.Context, t *testing.T, ids []string, within time.Duration) map[string]jobView {
	t.Helper()
	ended := map[string]jobView{}
	deadline := time.Now().Add(within)
	for _, id := range ids {
		for {
			v, err := s.get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if v.Status.Terminal() {
				ended[id] = v
				break
			}
			if v.Waiting == nil && v.Status != job.Running && v.Status != job.Pending {
				t.Fatalf("I1: job %s is %s without a dated reason", id, v.Status)
			}
			if time.Now().After(deadline) {
				why := "a step is due"
				if v.Waiting != nil {
					why = v.Waiting.Detail + " since " + v.Waiting.Since
				}
				t.Fatalf("I1: job %s is still %s in state %s %s after the last kill: %s", id, v.Status, v.State, within, why)
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
	}
	return ended
}

// checkJob holds I3 to I6 and I8 for one ended job of kill_mixed.
func checkJob(t *testing.T, v jobView, records []job.Record) {
	t.Helper()
	if v.Status != job.Finished {
		t.Errorf("job %s ended %s: %v", v.ID, v.Status, v.Error)
		return
	}
	want := []string{"start", "fan", "join", "nap", "last", "finished"}
	var history struct {
		Visits []string `json:"visits"`
		Joined int      `json:"joined"`
	}
	if err := json.Unmarshal(v.StateHistory, &history); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(history.Visits) != fmt.Sprint(want) {
		t.Errorf("I3: job %s visited %v, want %v", v.ID, history.Visits, want)
	}
	if history.Joined != 5 || len(v.Children) != 1 {
		t.Errorf("I6: job %s joined %d branches and has %d children, want 5 and 1", v.ID, history.Joined, len(v.Children))
	}
	steps, children := int64(0), 0
	taken := map[string]bool{}
	var folded json.RawMessage
	for _, r := range records {
		switch r.Kind {
		case job.RecStep:
			if steps++; r.Step != steps {
				t.Errorf("I3: job %s has step %d where %d is due", v.ID, r.Step, steps)
			}
		case job.RecTaskEnd:
			if taken[r.Task.ID] {
				t.Errorf("I4: job %s took two results for hand-out %s", v.ID, r.Task.ID)
			}
			taken[r.Task.ID] = true
		case job.RecChild:
			children++
		}
		folded = fold(t, folded, r)
	}
	if steps != int64(len(want)) || len(taken) != 7 || children != 1 {
		t.Errorf("job %s: I3 %d steps (want %d), I4 %d results taken (want 7), I6 resumed %d times (want 1)", v.ID, steps, len(want), len(taken), children)
	}
	if !sameObject(t, folded, v.StateHistory) {
		t.Errorf("I8: the history of job %s folds to %s, its state_history is %s", v.ID, folded, v.StateHistory)
	}
}

func fold(t *testing.T, state json.RawMessage, r job.Record) json.RawMessage {
	t.Helper()
	for key, value := range r.Set {
		next, err := job.Merge(state, job.Object([]job.Field{{Key: key, Value: value}}))
		if err != nil {
			t.Fatal(err)
		}
		state = next
	}
	return state
}

// sameObject compares two objects without regard to the order of keys.
func sameObject(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	canonical := func(raw json.RawMessage) []byte {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		out, err := json.Marshal(v) // keys sorted
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return bytes.Equal(canonical(a), canonical(b))
}
