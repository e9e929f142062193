package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests `orrery fmt` as a user calls it.

func TestFmt(t *testing.T) {
	const good, ugly = "x = f(1)\n", "x=f( 1 )\n"
	dir := starFolder(t, map[string]string{"good.star": good, "sub/ugly.star": ugly, "bad.star": "x = (\n", "note.txt": ugly})
	ugliest := filepath.Join(dir, "sub", "ugly.star")
	read := func() string {
		text, err := os.ReadFile(ugliest)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	got := orrery(t, "fmt", "--check", filepath.Join(dir, "sub"))
	if got.code != 1 || got.out != ugliest+"\n" || !strings.Contains(got.err, "1 file not formatted") || read() != ugly {
		t.Errorf("--check: %+v", got)
	}
	got = orrery(t, "fmt", dir)
	if got.code != 1 || got.out != ugliest+"\n" || !strings.Contains(got.err, "bad.star:2:1") || read() != good {
		t.Errorf("%+v, the file is now %q", got, read())
	}
	if got := orrery(t, "fmt", "--check", filepath.Join(dir, "sub"), filepath.Join(dir, "good.star")); got.code != 0 || got.out != "" {
		t.Errorf("--check afterwards: %+v", got)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*", ".orrery*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if got := orrery(t, "fmt", filepath.Join(dir, "nowhere")); got.code != 2 {
		t.Errorf("no such path: %+v", got)
	}
}

// A server's folder may be of links: the file behind one is changed, with its rights kept.
func TestFmtFollowsLinks(t *testing.T) {
	dir := starFolder(t, map[string]string{"real/a.star": "x=1\n"})
	real, link := filepath.Join(dir, "real", "a.star"), filepath.Join(dir, "link.star")
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skipf("this file system has no links: %v", err)
	}
	if got := orrery(t, "fmt", link); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(real)
	if info, _ := os.Stat(real); err != nil || string(text) != "x = 1\n" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, %v, %v", text, info.Mode(), err)
	}
}
