package filelock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// This file takes files twice.

func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if Held(path) {
		t.Error("a file that is not there is held")
	}
	first, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.WriteString("mine"); err != nil {
		t.Fatal(err)
	}
	var at *fs.PathError
	if _, err := Open(path); !errors.Is(err, ErrHeld) || !errors.As(err, &at) || at.Path != path || !Held(path) {
		t.Errorf("the second is given %v, and held is %v", err, Held(path))
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("others read %q, %v", text, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if Held(path) {
		t.Error("it is held when it was given back")
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatCanNotBeOpened(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "folder")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
