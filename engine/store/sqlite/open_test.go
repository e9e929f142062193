package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests which files are taken, and which are refused with what words.

func TestRefusesWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("my notes\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.db")
	c, err := dial(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.script("CREATE TABLE mine(x); INSERT INTO mine VALUES(1)"); err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, other} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(path, Options{})
		if err == nil || !strings.Contains(err.Error(), "not an Orrery store") || !strings.Contains(err.Error(), path) {
			t.Errorf("opening %s gives %v", path, err)
		}
		after, err := os.ReadFile(path)
		if err != nil || string(after) != string(before) {
			t.Errorf("%s was changed (%v)", path, err)
		}
	}
}

func TestRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	s, w, err := ready(path, Options{}.withDefaults(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.c.script(fmt.Sprintf("PRAGMA user_version=%d", len(migrations)+3)); err != nil {
		t.Fatal(err)
	}
	go w.run()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	want := fmt.Sprintf("has schema %d, this Orrery knows schemas up to %d", len(migrations)+3, len(migrations))
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "newer Orrery") {
		t.Fatalf("a newer schema gives %v", err)
	}
}

func TestRefusesASecondOpener(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "o.db")
	s := open(t, path, Options{})
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := Open(name, Options{})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d;", os.Getpid())) {
			t.Errorf("a second opener of %s gets %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, Options{}) // free again
}

func TestFileIsMadePrivateAndMarked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "odd name #1?&%20.db")
	s, w, err := ready(path, Options{}.withDefaults(0))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"application_id": appID, "user_version": int64(len(migrations)), "auto_vacuum": 2, "synchronous": 1, "wal_autocheckpoint": 0} {
		if got, err := w.pragma(name); got != want || err != nil {
			t.Errorf("%s is %d (%v), want %d", name, got, err, want)
		}
	}
	go w.run()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, path + ".lock": 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log is still there after Close: %v", err)
	}
}
