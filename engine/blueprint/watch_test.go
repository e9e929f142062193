package blueprint

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// This file tests how changes of a directory are noticed: the ways in which editors, tools
// and Kubernetes write.

// signal is a log handler that tells when a message was logged.
type signal struct {
	slog.Handler
	messages chan string
}

func (s signal) Enabled(context.Context, slog.Level) bool { return true }
func (s signal) Handle(_ context.Context, r slog.Record) error {
	s.messages <- r.Message
	return nil
}

// watched is a directory under watch.
type watched struct {
	*Catalog
	t        *testing.T
	dir      string
	messages chan string
}

// watch loads a directory and watches it until the test ends.
func watch(t *testing.T, dir string) *watched {
	t.Helper()
	w := &watched{t: t, dir: dir, messages: make(chan string, 1000)}
	var err error
	if w.Catalog, err = LoadDir(context.Background(), dir, slog.New(signal{slog.DiscardHandler, w.messages})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.Watch(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// await waits for a message of the log.
func (w *watched) await(want string) {
	w.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case m := <-w.messages:
			if strings.Contains(m, want) {
				return
			}
		case <-late:
			w.t.Fatalf("%q was not logged; in force %q, %+v", want, names(w.Catalog), w.Status())
		}
	}
}

// takes waits until the blueprints with the given names are in force.
func (w *watched) takes(want string) {
	w.t.Helper()
	for names(w.Catalog) != want {
		w.await("changed blueprints are in force")
	}
	if !w.Status().OK {
		w.t.Errorf("%+v", w.Status())
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.star", source("a", "jobs/a"))
	w := watch(t, dir)
	write(t, dir, "new/b.star", source("b", "jobs/b"))
	w.takes("a b")
	write(t, dir, "new/b.star", "x = (")
	w.await("the old ones stay in force")
	if names(w.Catalog) != "a b" || w.Status().OK {
		t.Errorf("in force: %q, %+v", names(w.Catalog), w.Status())
	}

	// The folder goes away and comes again, as with a checkout of another branch.
	must(t, os.Rename(dir, dir+".away"))
	w.await("the blueprints stay as they are")
	if names(w.Catalog) != "a b" || w.Status().OK || len(w.Status().Errors()) != 1 {
		t.Errorf("in force: %q, %+v", names(w.Catalog), w.Status())
	}
	write(t, dir+".away", "new/b.star", source("b", "jobs/b"))
	must(t, os.Rename(dir+".away", dir))
	w.await("changed blueprints are in force")
	if !w.Status().OK {
		t.Errorf("after the return: %+v", w.Status())
	}
	write(t, dir, "c.star", source("c", "jobs/c"))
	w.takes("a b c")
}

// TestWatchEditors writes as editors do: to a file beside and renamed over it, with a backup
// first, and emptied and written in place.
func TestWatchEditors(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, dir, "a.star", source("a", "jobs/a"))
	w := watch(t, dir)

	write(t, dir, "4913", "")
	must(t, os.Remove(at("4913")), os.Rename(at("a.star"), at("a.star~")))
	write(t, dir, "a.star", source("vim", "jobs/a"))
	must(t, os.Remove(at("a.star~")))
	w.takes("vim")

	must(t, os.Symlink("ada@host.1234:1", at(".#a.star"))) // a lock that leads nowhere
	write(t, dir, "#a.star#", "half of")
	must(t, os.Rename(at("a.star"), at("a.star~")))
	write(t, dir, "a.star", source("emacs", "jobs/a"))
	must(t, os.Remove(at(".#a.star")), os.Remove(at("#a.star#")))
	w.takes("emacs")

	write(t, dir, "a.star___jb_tmp___", source("idea", "jobs/a"))
	must(t, os.Rename(at("a.star"), at("a.star___jb_old___")), os.Rename(at("a.star___jb_tmp___"), at("a.star")), os.Remove(at("a.star___jb_old___")))
	w.takes("idea")

	write(t, dir, "a.star", "") // and the text comes when the watch has looked already
	w.emptyIsSeen()
	write(t, dir, "a.star", source("slow", "jobs/a"))
	w.takes("slow")
	must(t, os.Rename(at("a.star"), at("renamed.star")))
	w.await("changed blueprints are in force")
	if b, ok := w.ByName("slow"); !ok || b.File != "renamed.star" {
		t.Errorf("after a rename: %+v", b)
	}
	must(t, os.Remove(at("renamed.star")))
	w.takes("")
}

// emptyIsSeen waits until the watch has met an empty file, and held it for half a write.
func (w *watched) emptyIsSeen() {
	w.t.Helper()
	late := time.After(20 * time.Second)
	for {
		w.loading.Lock()
		moving := w.moving
		w.loading.Unlock()
		if moving > 0 {
			if names(w.Catalog) == "" {
				w.t.Error("an emptied file took its blueprint away")
			}
			return
		}
		select {
		case <-late:
			w.t.Fatal("the watch did not see that the file was emptied")
		case <-time.After(time.Millisecond):
		}
	}
}

// TestWatchKubernetes swaps a mounted configuration as the kubelet does: the names are links
// through ..data, which is set to another folder in one act.
func TestWatchKubernetes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	mount := func(stamp string, files ...string) {
		for i := 0; i < len(files); i += 2 {
			write(t, dir, "..2026_"+stamp+"/"+files[i], files[i+1])
		}
		must(t, os.Symlink("..2026_"+stamp, at("..data_tmp")), os.Rename(at("..data_tmp"), at("..data")))
	}
	mount("1", "a.star", source("a", "jobs/a"), "sub/b.star", source("b", "jobs/b"))
	if err := os.Symlink("..data/a.star", at("a.star")); err != nil {
		t.Skip("this system makes no symbolic links: " + err.Error())
	}
	must(t, os.Symlink("..data/sub", at("sub"))) // an item with a path
	w := watch(t, dir)
	if names(w.Catalog) != "a b" {
		t.Fatalf("in force %q, %+v", names(w.Catalog), w.Status())
	}
	mount("2", "a.star", source("a2", "jobs/a"), "sub/b.star", source("b2", "jobs/b"))
	must(t, os.RemoveAll(at("..2026_1")))
	w.takes("a2 b2")
	mount("3", "a.star", "x = (", "sub/b.star", source("b3", "jobs/b"))
	w.await("the old ones stay in force")
	if names(w.Catalog) != "a2 b2" {
		t.Errorf("half of a bad mount is in force: %q", names(w.Catalog))
	}
	mount("4", "a.star", source("a4", "jobs/a"), "sub/b.star", source("b4", "jobs/b"))
	w.takes("a4 b4")
}

// TestWatchRelease sets the link that names the directory itself to another release; no
// folder that is watched changes by that.
func TestWatchRelease(t *testing.T) {
	top := t.TempDir()
	write(t, top, "one/a.star", source("a", "jobs/a"))
	write(t, top, "two/b.star", source("b", "jobs/b"))
	current := filepath.Join(top, "current")
	if err := os.Symlink("one", current); err != nil {
		t.Skip("this system makes no symbolic links: " + err.Error())
	}
	w := watch(t, current)
	write(t, top, "one/z.star", source("z", "jobs/z"))
	w.takes("a z") // the look at the beginning is over
	must(t, os.Symlink("two", current+".new"), os.Rename(current+".new", current))
	w.takes("b")
	write(t, top, "two/c.star", source("c", "jobs/c")) // and the new one is watched
	w.takes("b c")
}

// Links are followed within the directory, once; what is no file is not opened.
func TestReadLinksAndPipes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".real/a.star", source("a", "jobs/a"))
	if err := os.Symlink(".real", filepath.Join(dir, "seen")); err != nil {
		t.Skip("this system makes no symbolic links: " + err.Error())
	}
	must(t, os.Symlink("..", filepath.Join(dir, ".real", "loop")), os.Symlink("nowhere", filepath.Join(dir, "gone")))
	c := open(t, dir)
	if names(c) != "a" || !c.Status().OK {
		t.Errorf("in force %q: %+v", names(c), c.Status())
	}
	if err := makePipe(filepath.Join(dir, "pipe.star")); err != nil {
		t.Skip("this system makes no pipes: " + err.Error())
	}
	if err := c.Reload(context.Background()); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a pipe: %v", err)
	}
}

// TestWatchThousandFiles changes a thousand files at once: they take force together.
func TestWatchThousandFiles(t *testing.T) {
	dir := t.TempDir()
	many := func(word string) {
		for i := range 1000 {
			write(t, dir, fmt.Sprintf("f%03d.star", i), source(fmt.Sprintf("%s%03d", word, i), fmt.Sprintf("jobs/%d", i)))
		}
	}
	many("a")
	w := watch(t, dir)
	many("b")
	for !strings.HasPrefix(w.All()[0].Name, "b") {
		w.await("in force")
	}
	for _, b := range w.All() {
		if !strings.HasPrefix(b.Name, "b") || len(w.All()) != 1000 {
			t.Fatalf("%d blueprints are in force, one of them %q", len(w.All()), b.Name)
		}
	}
}

// TestWatchPassesOver: what is written beside blueprints, such as a store, is no change of them.
func TestWatchPassesOver(t *testing.T) {
	for _, c := range []struct {
		name string
		op   fsnotify.Op
		want bool
	}{
		{"flows/store/orrery.db-redo", fsnotify.Write, false},
		{"flows/server.log", fsnotify.Write | fsnotify.Chmod, false},
		{"flows/a_test.star", fsnotify.Write, false},
		{"flows/a.star", fsnotify.Write, true},
		{"flows/a.star", fsnotify.Chmod, true},
		{"flows/more", fsnotify.Create, true},
		{"flows/more", fsnotify.Remove, true},
		{"flows/..data", fsnotify.Rename, true},
		{"flows/store/orrery.db", fsnotify.Create | fsnotify.Write, true},
	} {
		if got := concerns(fsnotify.Event{Name: filepath.FromSlash(c.name), Op: c.op}); got != c.want {
			t.Errorf("%s of %s is a change of blueprints: %v, want %v", c.op, c.name, got, c.want)
		}
	}
}
