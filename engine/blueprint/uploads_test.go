package blueprint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/faultstore"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests blueprints that come by the API, and what the store gives back at a start.

// openOn loads a directory as a server does at its start.
func openOn(t testing.TB, dir string, s store.Store) *Catalog {
	t.Helper()
	c := open(t, dir)
	c.UseStore(s)
	if err := c.Restore(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

func upload(t testing.TB, c *Catalog, files ...string) []Changed {
	t.Helper()
	all := map[string]string{}
	for i := 0; i < len(files); i += 2 {
		all[files[i]] = files[i+1]
	}
	changes, _, err := c.Upload(context.Background(), all, "ada", false)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func TestUploadLastsOverARestart(t *testing.T) {
	ctx, dir, rows := context.Background(), t.TempDir(), memory.New()
	write(t, dir, "a.star", source("a", "jobs/a"))
	write(t, dir, "lib/names.star", "NAME = \"up\"\n")
	c := openOn(t, dir, rows)
	text := "load(\"//lib/names.star\", \"NAME\")\n" + strings.Replace(source("up", "jobs/up"), `"up"`, "NAME", 1)
	changes, _, err := c.Upload(ctx, map[string]string{"team/up.star": text}, "ada", true)
	if err != nil || len(changes) != 1 || changes[0].Change != "added" || names(c) != "a" || len(c.Uploads()) != 0 {
		t.Fatalf("a dry run: %+v, %v, in force %q", changes, err, names(c))
	}
	upload(t, c, "team/up.star", text)
	c = openOn(t, dir, rows)
	if names(c) != "a up" || !c.Status().OK {
		t.Fatalf("after the restart: %q, %+v", names(c), c.Status())
	}
	ups := c.Uploads()
	if len(ups) != 1 || ups[0].By != "ada" || ups[0].File != "team/up.star" {
		t.Errorf("uploads: %+v", ups)
	}
	write(t, dir, "lib/names.star", "NAME = \"up2\"\n") // an upload follows what it loads
	if err := c.Reload(ctx); err != nil || names(c) != "a up2" {
		t.Errorf("after a change of the library: %v, %q", err, names(c))
	}
	if err := c.recordNow(ctx); err != nil {
		t.Fatal(err)
	}
	up2, _ := c.ByName("up2")
	if ups := c.Uploads(); ups[0].Revision != up2.Revision {
		t.Errorf("the upload is kept as %.8s, in force is %.8s", ups[0].Revision, up2.Revision)
	}
	changes, err = c.RemoveUpload(ctx, "team/up.star", "ada", false)
	if err != nil || len(changes) != 1 || changes[0].Change != "removed" || names(c) != "a" {
		t.Errorf("removed: %+v, %v, %q", changes, err, names(c))
	}
	if c = openOn(t, dir, rows); names(c) != "a" {
		t.Errorf("after another restart: %q", names(c))
	}
}

func TestUploadIsWholeOrNothing(t *testing.T) {
	ctx, dir, rows := context.Background(), t.TempDir(), memory.New()
	write(t, dir, "a.star", source("a", "jobs/a"))
	c := openOn(t, dir, rows)
	upload(t, c, "lib/x.star", "X = 1\n", "up.star", "load(\"//lib/x.star\", \"X\")\n"+source("up", "jobs/up"))
	before := c.Current()
	for name, c2 := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one good, one bad":           {map[string]string{"good.star": source("good", "jobs/good"), "bad.star": "x = ("}, "bad.star:1"},
		"a name of the directory":     {map[string]string{"b.star": source("a", "jobs/b")}, `"a"`},
		"an endpoint of another":      {map[string]string{"b.star": source("b", "jobs/a")}, "endpoint"},
		"a library that others need":  {map[string]string{"lib/x.star": "Y = 1\n"}, "up.star"},
		"a state that is not there":   {map[string]string{"b.star": strings.Replace(source("b", "jobs/b"), "finished", "finishd", 1)}, "finishd"},
		"a switched-off error counts": {map[string]string{"b.star": strings.Replace(source("b", "jobs/b"), `("finished")`, `("fnished") # orrery: ignore[unknown-target]`, 1)}, "fnished"},
	} {
		for _, dry := range []bool{true, false} {
			_, _, err := c.Upload(ctx, c2.files, "ada", dry)
			var load *LoadError
			if !errors.As(err, &load) || !strings.Contains(err.Error(), c2.want) {
				t.Errorf("%s, dry %v: %v, want %q", name, dry, err, c2.want)
			}
		}
	}
	if c.Current() != before || len(c.Uploads()) != 2 {
		t.Errorf("a refused upload changed what is in force: %q, %+v", names(c), c.Uploads())
	}
	if _, err := c.RemoveUpload(ctx, "lib/x.star", "ada", false); err == nil || !strings.Contains(err.Error(), "up.star") {
		t.Errorf("a library that is needed was removed: %v", err)
	}
	if _, err := c.RemoveUpload(ctx, "a.star", "ada", false); !errors.Is(err, ErrUnknown) {
		t.Errorf("a file of the directory was removed: %v", err)
	}
	if again := openOn(t, dir, rows); names(again) != "a up" {
		t.Errorf("after a restart: %q", names(again))
	}
}

func TestUploadNames(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.star", source("a", "jobs/a"))
	c := openOn(t, dir, memory.New())
	for name, conflict := range map[string]bool{
		"a.star": true, "": false, "/x.star": false, "../x.star": false, "x": false, ".x.star": false, "d/.git/x.star": false, "x_test.star": false,
		"d//x.star": false, "c:x.star": false, "a\\b.star": false, "a\nb.star": false, strings.Repeat("x", 300) + ".star": false, "d/../x.star": false,
	} {
		_, _, err := c.Upload(context.Background(), map[string]string{name: source("x", "jobs/x")}, "ada", false)
		var refused *UploadError
		if !errors.As(err, &refused) || refused.Conflict != conflict {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, _, err := c.Upload(context.Background(), nil, "ada", false); err == nil {
		t.Error("an upload of nothing was taken")
	}
}

// A file of the directory counts before an upload of its name, and that is told.
func TestTheDirectoryHidesAnUpload(t *testing.T) {
	ctx, dir, rows := context.Background(), t.TempDir(), memory.New()
	write(t, dir, "a.star", source("a", "jobs/a"))
	c := openOn(t, dir, rows)
	upload(t, c, "b.star", source("uploaded", "jobs/b"))
	write(t, dir, "b.star", source("ours", "jobs/b"))
	if err := c.Reload(ctx); err != nil || names(c) != "a ours" {
		t.Fatalf("%v, %q", err, names(c))
	}
	if !strings.Contains(findingsText(c.Findings()), "upload-hidden") {
		t.Errorf("not told: %s", findingsText(c.Findings()))
	}
	if changes, err := c.RemoveUpload(ctx, "b.star", "ada", false); err != nil || len(changes) != 0 || names(c) != "a ours" {
		t.Errorf("removing the hidden one: %+v, %v, %q", changes, err, names(c))
	}
}

// The store fails between two files of an upload: nothing of it stays, now or after a start.
func TestUploadThatCanNotBeKept(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	write(t, dir, "a.star", source("a", "jobs/a"))
	rows := &failingFiles{Store: memory.New(), failAt: 2}
	c := openOn(t, dir, rows)
	_, _, err := c.Upload(ctx, map[string]string{"b.star": source("b", "jobs/b"), "c.star": source("c", "jobs/c")}, "ada", false)
	if !errors.Is(err, faultstore.ErrInjected) || names(c) != "a" {
		t.Fatalf("%v, %q", err, names(c))
	}
	if again := openOn(t, dir, rows); names(again) != "a" {
		t.Errorf("after a restart: %q", names(again))
	}
}

// failingFiles fails the n-th PutFile.
type failingFiles struct {
	store.Store
	puts, failAt int
}

func (f *failingFiles) PutFile(ctx context.Context, file store.SourceFile) error {
	if f.puts++; f.puts == f.failAt {
		return faultstore.ErrInjected
	}
	return f.Store.PutFile(ctx, file)
}

func TestLastGoodRevisionStandsInAtAStart(t *testing.T) {
	ctx, dir, rows := context.Background(), t.TempDir(), memory.New()
	write(t, dir, "a.star", source("a", "jobs/a"))
	write(t, dir, "lib/x.star", "X = 1\n")
	write(t, dir, "b.star", "load(\"//lib/x.star\", \"X\")\n"+source("b", "jobs/b"))
	c := openOn(t, dir, rows)
	if err := c.recordNow(ctx); err != nil {
		t.Fatal(err)
	}
	good, _ := c.ByName("b")
	write(t, dir, "lib/x.star", "x = (")
	write(t, dir, "new.star", "x = (")
	c = openOn(t, dir, rows)
	st := c.Status()
	b, ok := c.ByName("b")
	if !ok || b.Revision != good.Revision || names(c) != "a b" || st.OK || strings.Join(st.Stale, " ") != "b.star" {
		t.Fatalf("in force %q, stale %v, left out %v", names(c), st.Stale, st.LeftOut)
	}
	if _, err := c.Pin(ctx, "b"); err != nil {
		t.Errorf("a job on it: %v", err)
	}
	upload(t, c, "up.star", source("up", "jobs/up")) // meanwhile the rest goes on
	if names(c) != "a b up" {
		t.Errorf("after an upload: %q", names(c))
	}
	if err := c.Reload(ctx); err == nil || names(c) != "a b up" {
		t.Errorf("a reload with the errors still there: %v, %q", err, names(c))
	}
	if err := c.recordNow(ctx); err != nil { // does not forget the file that is bad
		t.Fatal(err)
	}
	if c = openOn(t, dir, rows); names(c) != "a b up" {
		t.Errorf("after another start: %q", names(c))
	}
	write(t, dir, "lib/x.star", "X = 2\n")
	if err := os.Remove(filepath.Join(dir, "new.star")); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(ctx); err != nil || names(c) != "a b up" {
		t.Errorf("after mending: %v, %q", err, names(c))
	}
	if b, _ := c.ByName("b"); b.Revision == good.Revision {
		t.Error("the mended text is not in force")
	}
	if err := os.Remove(filepath.Join(dir, "b.star")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Reload(ctx), c.recordNow(ctx)); err != nil {
		t.Fatal(err)
	}
	files, err := rows.SourceFiles(ctx)
	if err != nil || len(files) != 2 {
		t.Errorf("a file that is gone is still known: %+v, %v", files, err)
	}
}
