package simulate

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A handler that sleeps moves the simulated clock; nobody else would while it does.
func TestSleepTakesNoRealTime(t *testing.T) {
	dir := t.TempDir()
	const text = `
bp = blueprint("sleepy", api_endpoint = "jobs/sleepy")

def start(context, actions):
    sleep(0.5)
    actions.transition_to("finished", after_seconds = 60)

bp.handler_for("start", is_start = True)(start)
`
	if err := os.WriteFile(filepath.Join(dir, "sleepy.star"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := LoadFiles(File{Root: dir, Name: "sleepy.star"})
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), Options{Catalog: files, Blueprint: "sleepy"})
	if err != nil {
		t.Fatal(err)
	}
	if run := report.Runs[0]; run.Status != "finished" || run.Took < 60*time.Second || run.Took > 61*time.Second {
		t.Errorf("ends %s after %s: %v", run.Status, run.Took, run.Error)
	}
}
