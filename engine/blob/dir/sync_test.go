package dir

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// This file tests what is brought to the disk before a file is acknowledged.

func TestAFileIsThereAfterAPowerCut(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system makes names durable with their files")
	}
	folder := t.TempDir()
	s, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	var synced []string
	lost := errors.New("the disk lost it")
	fails := ""
	s.sync = func(f *os.File) error {
		name, err := filepath.Rel(folder, f.Name())
		if err != nil {
			return err
		}
		if synced = append(synced, name); name == fails {
			return lost
		}
		return f.Sync()
	}
	if _, err := s.Put(t.Context(), "jobs/j/d/name", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	want := []string{"jobs/j/d", "jobs/j", "jobs", "."}
	if len(synced) != 5 || !strings.HasPrefix(synced[0], tmp) || !slices.Equal(synced[1:], want) {
		t.Errorf("these were synced: %q, want the file and then %q", synced, want)
	}
	fails = "jobs"
	if _, err := s.Put(t.Context(), "jobs/j/other", strings.NewReader("x"), 1); !errors.Is(err, lost) {
		t.Errorf("a file whose name may be lost gives %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
