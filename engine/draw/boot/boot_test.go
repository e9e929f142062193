//go:build unix

// This file starts processes with good and poisoned folders and sees which one they choose.

package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A process that has this in its environment prints what its init chose.
const report = "BOOT_TEST_REPORT"

func TestMain(m *testing.M) {
	if os.Getenv(report) != "" {
		was, _ := Original()
		problem := ""
		if Problem() != nil {
			problem = Problem().Error()
		}
		os.Stdout.WriteString(os.TempDir() + "\n" + was + "\n" + problem + "\n")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start runs this test as a fresh process; it gives the folder it chose, the one it was given, and its problem.
func start(t *testing.T, env ...string) (dir, was, problem string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{report + "=1"}, env...)
	out, err := cmd.CombinedOutput()
	lines := strings.Split(string(out), "\n")
	if err != nil || len(lines) != 4 {
		t.Fatalf("%v: %s", err, out)
	}
	return lines[0], lines[1], lines[2]
}

func mode(t *testing.T, dir string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(dir)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestChoosesThePrivateCache(t *testing.T) {
	cache, shared := t.TempDir(), t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	dir, was, problem := start(t, "XDG_CACHE_HOME="+cache, "HOME="+cache, "TMPDIR="+shared)
	if !strings.HasPrefix(dir, cache) || was != shared || problem != "" {
		t.Errorf("chose %q, was %q, problem %q", dir, was, problem)
	}
	if m := mode(t, dir); !m.IsDir() || m.Perm() != 0o700 {
		t.Errorf("mode %v", m)
	}
	again, _, _ := start(t, "XDG_CACHE_HOME="+cache, "HOME="+cache, "TMPDIR="+shared)
	if again != dir {
		t.Errorf("the second start chose %q, so nothing compiled is kept", again)
	}
}

func TestPrivateFolderIsLeft(t *testing.T) {
	own := t.TempDir()
	if err := os.Chmod(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if dir, _, _ := start(t, "HOME="+t.TempDir(), "TMPDIR="+own); dir != own {
		t.Errorf("chose %q instead of %q", dir, own)
	}
}

func TestPoisonedCacheIsNotUsed(t *testing.T) {
	for name, poison := range map[string]func(parent, dir string) error{
		"open to others": func(_, dir string) error { return os.Chmod(dir, 0o777) },
		"symbolic link": func(_, dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.Symlink(t.TempDir(), dir)
		},
		"parent open to others": func(parent, _ string) error { return os.Chmod(parent, 0o777) },
		"a file": func(_, dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
	} {
		cache, shared := t.TempDir(), t.TempDir()
		if err := os.Chmod(shared, 0o777); err != nil {
			t.Fatal(err)
		}
		env := []string{"XDG_CACHE_HOME=" + cache, "HOME=" + cache, "TMPDIR=" + shared}
		good, _, _ := start(t, env...)
		if err := poison(filepath.Dir(good), good); err != nil {
			t.Fatal(err)
		}
		dir, _, problem := start(t, env...)
		if dir == good || dir == shared || problem != "" {
			t.Errorf("%s: chose %q, problem %q", name, dir, problem)
		}
		if !strings.HasPrefix(dir, filepath.Join(shared, "orrery-")) || mode(t, dir).Perm() != 0o700 {
			t.Errorf("%s: %q is not a fresh private folder", name, dir)
		}
	}
}

func TestServiceWithoutHomeKeepsItsFolder(t *testing.T) {
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	first, _, problem := start(t, "TMPDIR="+shared)
	second, _, _ := start(t, "TMPDIR="+shared)
	if first != second || problem != "" || mode(t, first).Perm() != 0o700 || filepath.Dir(first) != shared {
		t.Errorf("chose %q, then %q, problem %q", first, second, problem)
	}
	if err := os.Chmod(first, 0o777); err != nil {
		t.Fatal(err)
	}
	if third, _, _ := start(t, "TMPDIR="+shared); third == first || mode(t, third).Perm() != 0o700 {
		t.Errorf("took %q, which is open to others", third)
	}
}

func TestNoFolderAtAll(t *testing.T) {
	dir, _, problem := start(t, "TMPDIR=/dev/null")
	if _, err := os.Stat(dir); err == nil || problem == "" {
		t.Errorf("chose %q, problem %q", dir, problem)
	}
}
