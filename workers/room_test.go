package workers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"orrery/engine/clock"
	"orrery/workers/protocol"
)

// This file tests that workers can not make the hub keep ever more.

func TestRoomForWorkers(t *testing.T) {
	fake, rows := clock.NewFake(epoch), &records{rows: map[string]json.RawMessage{}}
	h, err := New(t.Context(), Config{Clock: fake, Records: rows, SharedToken: shared})
	if err != nil {
		t.Fatal(err)
	}
	caller := Caller{Token: shared, Age: protocol.AgeA}
	register := func(id string, bytes int) error {
		body := fmt.Sprintf(`{"worker_id":%q,"supported_tasks":["t"],"capabilities":{"extra":{"x":"%s"}}}`, id, strings.Repeat("y", bytes))
		_, err := h.Register(t.Context(), caller, []byte(body))
		return err
	}
	if err := register("large", maxTold); err == nil || !strings.Contains(err.Error(), "at most 1048576 bytes") {
		t.Errorf("a registration of more than 1 MiB: %v", err)
	}
	fits := allTold / (900 << 10)
	for i := range fits {
		if err := register(fmt.Sprintf("w%d", i), 900<<10-1000); err != nil {
			t.Fatalf("worker %d: %v", i, err)
		}
	}
	for range 3 { // the same again takes the place of what it said before
		if err := register("w0", 900<<10-1000); err != nil {
			t.Fatal(err)
		}
	}
	full := &Error{Code: CodeUnavailable}
	if err := register("one-more", 900<<10); !errors.Is(err, full) {
		t.Errorf("one more than there is room for: %v", err)
	}
	beat := Caller{WorkerID: "w1", Token: shared, Age: protocol.AgeA}
	if _, err := h.Heartbeat(t.Context(), beat, []byte(`{"hot_cache":["`+strings.Repeat("x", 900<<10)+`"]}`)); !errors.Is(err, full) {
		t.Errorf("a heartbeat that there is no room for: %v", err)
	}
	if _, err := h.Heartbeat(t.Context(), beat, []byte(`{"status":"idle"}`)); err != nil {
		t.Errorf("a small heartbeat: %v", err)
	}

	fake.Advance(h.ttl) // the others fall silent, one does not
	if _, err := h.Heartbeat(t.Context(), beat, []byte(`{"status":"idle"}`)); err != nil {
		t.Fatal(err)
	}
	if err := register("one-more", 900<<10); err != nil {
		t.Errorf("when the others are silent: %v", err)
	}
	if h.workers["w1"] == nil || h.workers["one-more"] == nil || len(h.workers) >= fits+1 {
		t.Errorf("%d workers are known", len(h.workers))
	}
	h.Sweep(t.Context())
	kept, err := rows.AllWorkers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id := range kept {
		if h.workers[id] == nil && id != servedRecord {
			t.Errorf("the row of %s is still there", id)
		}
	}
	for _, w := range h.workers {
		h.forget(w)
	}
	if h.said != 0 {
		t.Errorf("%d bytes are counted of no workers", h.said)
	}
}

// A worker that was forgotten to make room and registers again before the sweep keeps its row.
func TestForgottenForRoomAndBack(t *testing.T) {
	fake, rows := clock.NewFake(epoch), &records{rows: map[string]json.RawMessage{}}
	h, err := New(t.Context(), Config{Clock: fake, Records: rows, SharedToken: shared})
	if err != nil {
		t.Fatal(err)
	}
	register := func(id string) {
		t.Helper()
		body := fmt.Sprintf(`{"worker_id":%q,"supported_tasks":["t"],"capabilities":{"extra":{"x":"%s"}}}`, id, strings.Repeat("y", 900<<10))
		if _, err := h.Register(t.Context(), Caller{Token: shared, Age: protocol.AgeA}, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range allTold / (901 << 10) {
		register(fmt.Sprintf("w%d", i))
		fake.Advance(time.Second)
	}
	fake.Advance(h.ttl) // all fall silent
	register("new")
	if h.workers["w0"] != nil {
		t.Fatal("the one that is silent for longest is still known")
	}
	register("w0")
	h.Sweep(t.Context())
	if kept, err := rows.AllWorkers(t.Context()); err != nil || kept["w0"] == nil || kept["w1"] != nil {
		t.Errorf("%v; after the sweep w0, which is back, has a row: %v; w1, which is not: %v", err, kept["w0"] != nil, kept["w1"] != nil)
	}
	unknown := Caller{WorkerID: "unknown", Token: shared, Age: protocol.AgeC}
	before := len(h.workers)
	if _, err := h.Heartbeat(t.Context(), unknown, []byte(`{"hot_cache":["`+strings.Repeat("x", 900<<10)+`"]}`)); !errors.Is(err, ErrUnknownWorker) {
		t.Errorf("a heartbeat of an unknown worker: %v", err)
	}
	if len(h.workers) != before {
		t.Errorf("%d workers were forgotten for a heartbeat that is not kept", before-len(h.workers))
	}
}
