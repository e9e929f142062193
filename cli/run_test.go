package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"orrery/engine/simulate"
)

// This file tests what the archives can not: the terminal, real time and interruption.

func TestAskingGoesOnUntilTheAnswerIsADecision(t *testing.T) {
	q := simulate.Question{State: "ask", Integration: "telegram", Message: "Go on?", Decisions: []string{"no", "yes"}}
	var out bytes.Buffer
	got, ok := askDecision(&out, bufio.NewScanner(strings.NewReader("maybe\n yes \nno\n")), q)
	if got != "yes" || !ok || strings.Count(out.String(), "Decide (no, yes)") != 2 || !strings.Contains(out.String(), "Go on?") {
		t.Errorf("%q %v\n%s", got, ok, &out)
	}
	if _, ok := askDecision(&out, bufio.NewScanner(strings.NewReader("")), q); ok {
		t.Error("a decision from the end of input")
	}
}

func waitingFlow(t *testing.T, seconds string) (file string) {
	t.Helper()
	t.Chdir(t.TempDir())
	text := "bp = blueprint(name = \"patient\")\n\ndef start(actions):\n    actions.transition_to(\"finished\", after_seconds = " + seconds + ")\n\nbp.handler_for(\"start\", is_start = True)(start)\n"
	if err := os.WriteFile("flow.star", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return "flow.star"
}

func TestRealTimeWaits(t *testing.T) {
	file := waitingFlow(t, "0.05")
	began := time.Now()
	got := orrery(t, "run", file, "--real-time")
	if took := time.Since(began); got.code != 0 || took < 50*time.Millisecond {
		t.Errorf("after %v: %+v", took, got)
	}
}

func TestAnInterruptEndsARealWait(t *testing.T) {
	file := waitingFlow(t, "3600")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := orreryIn(ctx, strings.NewReader(""), "run", file, "--real-time")
	if got.code != 1 || !strings.HasPrefix(got.err, "orrery: ") {
		t.Errorf("%+v", got)
	}
}

// Every key that contract.md promises is there, also when it is empty.
func TestJSONHasEveryPromisedKey(t *testing.T) {
	got := orrery(t, "run", waitingFlow(t, "1"), "--format", "json")
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(got.out), &object); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"job_id", "blueprint", "status", "final_state", "path", "initial_data", "state_history", "error", "dispatched", "children", "stores", "files", "log"} {
		if _, ok := object[key]; !ok {
			t.Errorf("%s is missing in %s", key, got.out)
		}
		delete(object, key)
	}
	if len(object) > 0 {
		t.Errorf("more than was promised: %v", object)
	}
	if got.err != "" {
		t.Errorf("stderr %q", got.err)
	}
}

func TestAFailedJobWithoutDataIsShownTheExample(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "bp = blueprint(name = \"picky\", example = {\"n\": \"it's\"})\n\ndef start(actions, n):\n    actions.transition_to(\"finished\")\n\nbp.handler_for(\"start\", is_start = True)(start)\n"
	if err := os.WriteFile("flow.star", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	const hint = `--data '{"n":"it'\''s"}'`
	for _, format := range []string{"text", "json"} {
		if got := orrery(t, "run", "flow.star", "--format", format); got.code != 1 || !strings.HasPrefix(got.err, "SCRIPT_ERROR: ") || !strings.Contains(got.err, hint) {
			t.Errorf("%s: %+v", format, got)
		}
	}
	if got := orrery(t, "run", "flow.star", "--data", `{"m": 1}`); got.code != 1 || strings.Contains(got.err, "example") {
		t.Errorf("with data: %+v", got)
	}
}
