package examples

// This file reads expectations and compares them with what a run left behind.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"orrery/engine/simulate"
)

// expectation is a NAME.expect.json. What it leaves out is not compared, except that File,
// Blueprint, Status, FinalState and Path are always there.
type expectation struct {
	File       string   `json:"file"` // in the folder of the scenario
	Blueprint  string   `json:"blueprint"`
	Status     string   `json:"status"`
	FinalState string   `json:"final_state"`
	Path       []string `json:"path"`

	StateHistory map[string]any    `json:"state_history"` // these keys with these values
	Absent       []string          `json:"absent"`        // keys that state_history must not have
	Error        json.RawMessage   `json:"error"`         // null, or some of its keys
	ErrorMessage *string           `json:"error_message"` // of transition_to(error_message=)
	Dispatched   *[]map[string]any `json:"dispatched"`    // every try in order, some keys each
	Children     []map[string]any  `json:"children"`      // every child in order, some keys each
	Served       []int             `json:"served"`        // numbers of the tasks in the order in which the worker got them
	TookSeconds  *float64          `json:"took_seconds"`  // simulated, to the second
	Files        map[string]string `json:"files"`         // all of the job's folder at the end
	Runs         int               `json:"runs"`          // jobs that ran; 0 counts as 1. All else is about the last one
	Stores       map[string]any    `json:"stores"`        // these keys with these values, after the last job
}

func readExpectation(t *testing.T, name string) expectation {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("a scenario without an expectation proves nothing: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var e expectation
	if err := dec.Decode(&e); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if e.File == "" || e.Blueprint == "" || e.Status == "" || e.FinalState == "" || len(e.Path) == 0 {
		t.Fatalf("%s: file, blueprint, status, final_state and path are needed", name)
	}
	return e
}

// compare reports everything that is not as expected.
func (e expectation) compare(t *testing.T, report *simulate.Report, timeline []simulate.Event) {
	t.Helper()
	if len(report.Runs) != max(e.Runs, 1) {
		t.Fatalf("%d jobs ran, want %d", len(report.Runs), max(e.Runs, 1))
	}
	run := report.Runs[len(report.Runs)-1]
	got := asJSON(t, run).(map[string]any)
	same := func(what string, got, want any) {
		t.Helper()
		if diff := differs(got, want); diff != "" {
			t.Errorf("%s%s", what, diff)
		}
	}
	same("status", got["status"], e.Status)
	same("final_state", got["final_state"], e.FinalState)
	same("path", got["path"], asJSON(t, e.Path))
	history := got["state_history"].(map[string]any)
	if e.StateHistory != nil {
		same("state_history", history, e.StateHistory)
	}
	if e.Stores != nil {
		same("stores", asJSON(t, report.Stores), e.Stores)
	}
	for _, key := range e.Absent {
		if value, there := history[key]; there {
			t.Errorf("state_history has %s = %v; it must not", key, value)
		}
	}
	if e.Error != nil {
		same("error", got["error"], asJSON(t, e.Error))
	}
	if e.ErrorMessage != nil && run.Reason != *e.ErrorMessage {
		t.Errorf("error_message is %q, want %q", run.Reason, *e.ErrorMessage)
	}
	if e.Dispatched != nil {
		same("dispatched", got["dispatched"], asJSON(t, *e.Dispatched))
	}
	if e.Children != nil {
		same("children", got["children"], asJSON(t, e.Children))
	}
	if e.Files != nil && !maps.Equal(run.Files, e.Files) {
		t.Errorf("the job's files are %q, want %q", run.Files, e.Files)
	}
	e.compareTimeline(t, timeline)
	if t.Failed() {
		t.Logf("the run: %s", mustIndent(run))
	}
}

func (e expectation) compareTimeline(t *testing.T, timeline []simulate.Event) {
	t.Helper()
	if e.Served != nil {
		var served []int
		for _, event := range timeline {
			if event.Kind == "task_taken" {
				var taskType string
				var number int
				if _, err := fmt.Sscanf(event.Text, "%s #%d", &taskType, &number); err != nil {
					t.Fatalf("no task number in %q: %v", event.Text, err)
				}
				served = append(served, number)
			}
		}
		if !reflect.DeepEqual(served, e.Served) {
			t.Errorf("the worker got the tasks %v, want %v", served, e.Served)
		}
	}
	if e.TookSeconds != nil {
		var took time.Duration
		for _, event := range timeline {
			took = max(took, event.Offset)
		}
		if took.Truncate(time.Second).Seconds() != *e.TookSeconds {
			t.Errorf("the job took %v, want %v s", took, *e.TookSeconds)
		}
	}
}

// differs compares JSON values. An object that is wanted may leave keys out; lists must have
// the wanted length and order.
func differs(got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf(" is %v, want an object", got)
		}
		for key, value := range want {
			if _, there := have[key]; !there {
				return fmt.Sprintf(".%s is missing, want %v", key, value)
			}
			if diff := differs(have[key], value); diff != "" {
				return "." + key + diff
			}
		}
		return ""
	case []any:
		have, ok := got.([]any)
		if !ok || len(have) != len(want) {
			return fmt.Sprintf(" is %v, want %v", got, want)
		}
		for i := range want {
			if diff := differs(have[i], want[i]); diff != "" {
				return fmt.Sprintf("[%d]%s", i, diff)
			}
		}
		return ""
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf(" is %v, want %v", got, want)
	}
	return ""
}

// asJSON turns a value into what reading its JSON gives, so that both sides compare alike.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func mustIndent(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// The comparison itself must be able to fail, or every scenario would pass.
func TestDiffersSeesDifferences(t *testing.T) {
	object := func(text string) any {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ got, want, diff string }{
		{`{"a": 1, "b": 2}`, `{"a": 1}`, ""},
		{`{"a": 1}`, `{"a": 2}`, ".a is 1, want 2"},
		{`{"b": 2}`, `{"a": null}`, ".a is missing"},
		{`[1, 2]`, `[1]`, " is [1 2], want [1]"},
		{`[{"x": [1]}]`, `[{"x": [3]}]`, "[0].x[0] is 1, want 3"},
		{`{"code": "A"}`, `null`, " is map[code:A], want <nil>"},
		{`null`, `{"code": "A"}`, " is <nil>, want an object"},
	} {
		if diff := differs(object(c.got), object(c.want)); diff != c.diff && (c.diff == "" || !strings.HasPrefix(diff, c.diff)) {
			t.Errorf("differs(%s, %s) = %q, want %q", c.got, c.want, diff, c.diff)
		}
	}
}
