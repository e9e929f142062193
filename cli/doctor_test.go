package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// This file tests `orrery doctor` as people meet it; the checks have tests of their own.

func TestDoctor(t *testing.T) {
	inFolder(t)
	args := []string{"doctor", "--blueprints-dir", "flows", "--listen", "127.0.0.1:0", "--store-url", "sqlite:o.db"}
	got := orrery(t, args...)
	if got.code != 0 || !strings.Contains(got.out, "o.db is not there yet") || !strings.Contains(got.out, " 0 bad\n") {
		t.Errorf("a sound folder: %+v", got)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("looking left files: %v (%v)", files, err)
	}
	if err := os.WriteFile("o.db", []byte(strings.Repeat("no store ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if quiet := orrery(t, append(args, "--quiet")...); quiet.code != 1 || strings.Contains(quiet.out, "  ok  ") || !strings.Contains(quiet.out, "not an Orrery store") {
		t.Errorf("another file as a store: %+v", quiet)
	}
	var said struct {
		Verdict  string `json:"verdict"`
		Findings []struct{ Area, Check, Saw, Verdict, Remedy string }
	}
	got = orrery(t, append(args, "--format", "json")...)
	if err := json.Unmarshal([]byte(got.out), &said); err != nil || got.code != 1 || said.Verdict != "bad" || len(said.Findings) < 10 {
		t.Errorf("%v: %+v", err, got)
	}
	t.Setenv("API_PROT", "8081")
	if got := orrery(t, args...); !strings.Contains(got.out, "did you mean API_PORT?") {
		t.Errorf("a mistyped variable: %+v", got)
	}
}

func TestDoctorBesideARunningServer(t *testing.T) {
	inFolder(t)
	t.Setenv("STORE_URL", "sqlite:o.db")
	r := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0", "--no-emulation")
	url := r.find(t, r.out, shownURL)
	got := orrery(t, "doctor", "--blueprints-dir", "flows", "--listen", strings.TrimPrefix(url, "http://"))
	if got.code != 0 || !strings.Contains(got.out, "an Orrery server answers") || !strings.Contains(got.out, "has it open") {
		t.Errorf("%+v", got)
	}
	r.end(t)
}
