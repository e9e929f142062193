package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/blob"
	"orrery/engine/blob/blobtest"
	"orrery/engine/blob/dir"
)

func open(t *testing.T, folder string) *dir.Store {
	t.Helper()
	s, err := dir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSuite(t *testing.T) { blobtest.Run(t, open(t, t.TempDir())) }

// A link that a worker or an operator put into the folder leads nobody out of it.
func TestLinksLeadNowhere(t *testing.T) {
	folder, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, folder)
	if err := os.MkdirAll(filepath.Join(folder, "jobs", "j"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(folder, "jobs", "j", "d")); err != nil {
		t.Skip("this system has no symbolic links:", err)
	}
	key := blob.Key("j", "d/secret")
	if body, _, err := s.Get(t.Context(), key); err == nil {
		body.Close()
		t.Error("a file outside was read")
	}
	if _, err := s.Put(t.Context(), key, strings.NewReader("x"), 1); err == nil {
		t.Error("a file outside was written")
	}
	if err := s.Delete(t.Context(), key); err == nil {
		if _, gone := os.Stat(filepath.Join(outside, "secret")); gone != nil {
			t.Error("a file outside was removed")
		}
	}
	if files, err := s.List(t.Context(), blob.Folder("j"), 10); err != nil || len(files) != 0 {
		t.Errorf("the list goes through the link: %v, %v", files, err)
	}
}

// What a crash left half written is gone after the next start.
func TestHalfFilesAreSwept(t *testing.T) {
	folder := t.TempDir()
	left := filepath.Join(folder, ".tmp", "abc")
	if err := errors.Join(os.MkdirAll(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	open(t, folder)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half file is still there: %v", err)
	}
}
