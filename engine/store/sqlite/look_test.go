package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"orrery/engine/store"
)

// This file tests what is seen of a store from outside.

// found gives the finding of a check.
func found(t *testing.T, all []store.Finding, check string) store.Finding {
	t.Helper()
	for _, f := range all {
		if f.Check == check {
			return f
		}
	}
	t.Fatalf("nothing was found about the %s: %+v", check, all)
	return store.Finding{}
}

func TestEveryMigrationHasItsText(t *testing.T) {
	if len(migrationTexts) != len(migrations) {
		t.Errorf("%d migrations, %d texts about them", len(migrations), len(migrationTexts))
	}
}

func TestInspectLeavesNoTrace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	path := filepath.Join(dir, "o.db")
	all := Inspect(context.Background(), path)
	if f := found(t, all, "store"); f.Verdict != store.FineVerdict || !strings.Contains(f.Saw, "not there yet") {
		t.Errorf("an absent store: %+v", f)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("looking made the folder")
	}
	s := open(t, path, Options{})
	if f := found(t, Inspect(context.Background(), path), "use of the store"); !strings.Contains(f.Saw, strconv.Itoa(os.Getpid())) {
		t.Errorf("an open store: %+v", f)
	}
	if err := s.PutWorker(context.Background(), "w", []byte(`{}`), store.Revision{}.Created); err != nil {
		t.Fatal(err)
	}
	for _, f := range Inspect(context.Background(), path) { // while it is written
		if f.Verdict == store.BadVerdict || f.Check == "journal mode" && f.Verdict != store.FineVerdict {
			t.Errorf("an open store: %+v", f)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all = Inspect(context.Background(), path)
	for _, f := range all {
		if f.Verdict == store.BadVerdict {
			t.Errorf("a sound store: %+v", f)
		}
	}
	if f := found(t, all, "content of the store"); f.Saw != "sound" {
		t.Errorf("a sound store: %+v", f)
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("looking changed the folder from %v to %v (%v)", before, after, err)
	}
}

func TestInspectFindsFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	if err := open(t, path, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if f := found(t, Inspect(context.Background(), path), "rights of the store"); f.Verdict != store.WarnVerdict || !strings.Contains(f.Remedy, "chmod 600") {
		t.Errorf("a store that all may read: %+v", f)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := pageSize; at < len(text); at++ { // all pages but the first
		text[at] = 0xa5
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := found(t, Inspect(context.Background(), path), "content of the store"); f.Verdict != store.BadVerdict || !strings.Contains(f.Remedy, "backup") {
		t.Errorf("a damaged store: %+v", f)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("no store ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := found(t, Inspect(context.Background(), path), "store"); f.Verdict != store.BadVerdict {
		t.Errorf("another file: %+v", f)
	}
}
