package workers

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/workers/protocol"
)

// This file tests that the operator's limits of what workers say hold, and are named.

func TestTheOperatorsLimitsHold(t *testing.T) {
	var said bytes.Buffer
	h, err := New(t.Context(), Config{
		Clock: clock.NewFake(epoch), Records: &records{rows: map[string]json.RawMessage{}}, SharedToken: shared,
		Log: slog.New(slog.NewTextHandler(&said, nil)), Limits: Limits{Data: 10, Details: 5, Progress: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o := h.outcomeOf(&protocol.Result{Status: "success", Data: json.RawMessage(`{"x":1234}`)}, "w"); o.Status != "success" {
		t.Errorf("ten bytes are %+v", o)
	}
	o := h.outcomeOf(&protocol.Result{Status: "success", Data: json.RawMessage(`{"x":12345}`)}, "w")
	if o.Status != "failure" || o.Error.Code != job.CodeContract || !strings.Contains(o.Error.Message, "has 11 bytes; the limit result_kib is 10 bytes") {
		t.Errorf("eleven bytes are %+v, %+v", o, o.Error)
	}
	o = h.outcomeOf(&protocol.Result{Status: "failure", Error: &protocol.TaskError{Code: "X", Details: json.RawMessage(`[1,2,3]`)}}, "w")
	if o.Error.Details != "left out: 7 bytes; the limit error_details_kib is 5 bytes" {
		t.Errorf("details %v", o.Error.Details)
	}
	long := strings.Repeat("x", 100_000) // which would stand in the job's row
	o = h.outcomeOf(&protocol.Result{Status: long, Error: &protocol.TaskError{Code: long, Message: long}}, "w")
	if len(o.Status) != longestWord || len(o.Error.Code) != longestWord || len(o.Error.Message) > job.MaxText+100 || !strings.HasSuffix(o.Error.Message, "(100000 bytes in all)") {
		t.Errorf("a status of %d bytes, a code of %d, a message of %d", len(o.Status), len(o.Error.Code), len(o.Error.Message))
	}

	e := &entry{lease: &lease{id: "fence", worker: &worker{id: "w"}}}
	for i, want := range []bool{true, true, false, false} {
		if h.mayReport(e, epoch) != want {
			t.Errorf("report %d of a second: taken %v, want %v", i+1, !want, want)
		}
	}
	if text := said.String(); strings.Count(text, "limit=progress_per_second value=2 asked=3") != 1 {
		t.Errorf("the log says\n%s", text)
	}
}
