package killtest

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// This file gives tests a disk of their own, and takes space from a running process.

const smallDiskSize = "64m"

// smallDisk mounts a disk that is gone with the test.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+smallDiskSize); err != nil {
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
	return dir
}

// readOnly lets nothing on a mounted disk be written any more. No file on it may be open.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size="+smallDiskSize); err != nil {
		t.Fatalf("remount %s: %v", dir, err)
	}
}

// limitRoom lets no file of the server grow past a page, as if the disk were full.
func limitRoom(t *testing.T) room {
	t.Helper()
	tool, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skipf("the tool prlimit (util-linux) is missing: %v", err)
	}
	limit := func(t *testing.T, s *server, size string) {
		out, err := exec.Command(tool, "--pid", strconv.Itoa(s.cmd.Process.Pid), "--fsize="+size+":").CombinedOutput()
		if err != nil {
			t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	return room{
		fill: func(t *testing.T, s *server) { limit(t, s, strconv.Itoa(os.Getpagesize())) },
		free: func(t *testing.T, s *server) { limit(t, s, "unlimited") },
	}
}
