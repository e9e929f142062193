package blob_test

import (
	"strings"
	"testing"

	"orrery/engine/blob"
)

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "config.json", "d/e/f.txt", "ñ ü.txt", ".hidden", "a..b", "2026-01-01T10:00.csv", strings.Repeat("x", 255)} {
		if err := blob.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
		if err := blob.CheckFolder(good + "/"); err != nil {
			t.Errorf("%q as a folder: %v", good, err)
		}
	}
	bad := []string{
		"", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "a/./b", ".", "a//b", "a/", `a\b`, `..\x`, "a\x00b", "a\nb", "a\u202eb",
		"\xff", "a\u2025/b", "local:x", strings.Repeat("x", 256), strings.Repeat("x/", 300) + "y", strings.Repeat("a/", 21) + "b", "a\u2028b",
	}
	for _, name := range bad {
		if blob.CheckName(name) == nil {
			t.Errorf("%q passes", name)
		}
	}
	for _, name := range []string{"/", "a", "../", "a//", "//"} {
		if blob.CheckFolder(name) == nil {
			t.Errorf("%q passes as a folder", name)
		}
	}
	if blob.CheckFolder("") != nil {
		t.Error("the job's own folder does not pass")
	}
}

// Whatever passes stays below the folder when it is joined to it.
func FuzzNameStaysBelow(f *testing.F) {
	for _, seed := range []string{"a", "../a", "a/../../b", "a//b", "\x00", "a\\..\\b", "local:a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if blob.CheckName(name) != nil {
			return
		}
		key := blob.Key("j", name)
		if !strings.HasPrefix(key, blob.Folder("j")) || strings.Contains("/"+key+"/", "/../") || strings.Contains(key, "//") || strings.HasSuffix(key, "/") {
			t.Errorf("%q gives the key %q", name, key)
		}
	})
}
