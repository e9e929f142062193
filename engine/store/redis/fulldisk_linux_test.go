package redis

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file fills the disk that a server keeps its file on.

// smallDisk mounts a disk that is gone with the test, most of it in use by a file that may be
// removed.
func smallDisk(t *testing.T) (dir, filler string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("mounting a small disk is not allowed here (%v): run it as root", err)
		}
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	filler = filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 13<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, filler
}

func TestFullDisk(t *testing.T) {
	for _, fsync := range []string{"everysec", "always"} {
		t.Run(fsync, func(t *testing.T) {
			ctx := context.Background()
			dir, filler := smallDisk(t)
			server := redistest.Start(t, "--dir", dir, "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0")
			s := open(t, server.URL(fresh()))
			var kept []string
			for {
				c := newJob()
				c.InitialData = []byte(`{"text":"` + strings.Repeat("x", 100<<10) + `"}`)
				err := s.Commit(ctx, c)
				if err == nil {
					if kept = append(kept, c.Job.ID); len(kept) > 200 {
						t.Fatal("the disk does not fill")
					}
					continue
				}
				if !passing(err) {
					t.Fatalf("a full disk gives %v", err)
				}
				if full := errors.Is(err, store.ErrFull); full != (fsync == "everysec") {
					t.Errorf("a full disk gives %v", err)
				}
				break
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if fsync == "always" { // it ends rather than answer for what it can not keep
				server.Kill()
				server.Begin()
			}
			redistest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
			for _, id := range kept {
				if _, err := s.Job(ctx, id); err != nil {
					t.Errorf("acknowledged and lost: %v", err)
				}
			}
			if n, err := s.Counts(ctx); err != nil || n[job.Pending] < int64(len(kept)) {
				t.Errorf("%v jobs are counted, %d were acknowledged: %v", n, len(kept), err)
			}
		})
	}
}
