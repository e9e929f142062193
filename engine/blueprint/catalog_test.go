package blueprint

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine/store"
)

// This file tests the Catalog: what is in force, what a bad file does, older revisions.

func source(name, endpoint string) string {
	return "bp = blueprint(name = \"" + name + "\", api_version = \"v1\", api_endpoint = \"" + endpoint + "\")\n" +
		"def go(actions): actions.transition_to(\"finished\")\nbp.handler_for(\"start\", is_start = True)(go)\n"
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *Catalog {
	t.Helper()
	c, err := LoadDir(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(c *Catalog) string {
	var out []string
	for _, b := range c.All() {
		out = append(out, b.Name)
	}
	return strings.Join(out, " ")
}

// keeper is the store's part; fail makes it fail once.
type keeper struct {
	revisions map[string]store.Revision
	puts      int
	fail      error
}

func (k *keeper) PutRevision(_ context.Context, r store.Revision) error {
	if err := k.fail; err != nil {
		k.fail = nil
		return err
	}
	k.puts++
	k.revisions[r.Hash] = r
	return nil
}

func (k *keeper) Revision(_ context.Context, hash string) (*store.Revision, error) {
	r, ok := k.revisions[hash]
	if !ok {
		return nil, store.ErrNotFound
	}
	return &r, nil
}

func (k *keeper) Revisions(context.Context) (out []store.Revision, err error) {
	for _, hash := range slices.Sorted(maps.Keys(k.revisions)) {
		out = append(out, k.revisions[hash])
	}
	return out, nil
}

func (k *keeper) DropRevision(context.Context, string, time.Time) (bool, error) { return false, nil }
func (k *keeper) PutFile(context.Context, store.SourceFile) error               { return nil }
func (k *keeper) SourceFiles(context.Context) ([]store.SourceFile, error)       { return nil, nil }
func (k *keeper) DropFile(context.Context, string) error                        { return nil }

var _ store.Blueprints = (*keeper)(nil)

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b.star", source("b", "/jobs/b/"))
	write(t, dir, "sub/a.star", source("a", "jobs/a"))
	write(t, dir, "lib/l.star", "x = 1\n")
	write(t, dir, "a_test.star", "this is no blueprint")
	write(t, dir, ".hidden/x.star", "nor this")
	write(t, dir, "note.txt", "nor this")
	c := open(t, dir)
	if !c.Status().OK || names(c) != "a b" || len(c.Current().Programs) != 3 {
		t.Fatalf("loaded %q, %+v", names(c), c.Status())
	}
	for _, path := range []string{"jobs/b", "/jobs/b", "jobs/b/"} {
		if b, ok := c.ByEndpoint("v1", path); !ok || b.Name != "b" {
			t.Errorf("no blueprint at %s", path)
		}
	}
	if _, ok := c.ByEndpoint("v2", "jobs/b"); ok {
		t.Error("another version was found")
	}
	if _, ok := c.ByEndpoint("", ""); ok {
		t.Error("no endpoint was found")
	}
}

func TestBadFileAtStartIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "good.star", source("good", "jobs/good"))
	write(t, dir, "bad.star", strings.Replace(source("bad", "jobs/bad"), "finished", "fnished", 1))
	write(t, dir, "lib.star", "x = \n")
	write(t, dir, "user.star", "load(\"//lib.star\", \"x\")\n"+source("user", "jobs/user"))
	write(t, dir, "same.star", source("good", "jobs/same"))
	var log strings.Builder
	c, err := LoadDir(context.Background(), dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	st := c.Status()
	if names(c) != "good" || st.OK || strings.Join(st.LeftOut, " ") != "bad.star lib.star same.star user.star" {
		t.Errorf("in force %q, left out %v", names(c), st.LeftOut)
	}
	for _, want := range []string{"fnished", "bad.star", "lib.star"} {
		if !strings.Contains(log.String(), want) || !strings.Contains(findingsText(st.Errors()), want) {
			t.Errorf("%s is not told:\n%s", want, findingsText(st.Errors()))
		}
	}
}

func TestReloadIsWholeOrNothing(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	write(t, dir, "a.star", source("a", "jobs/a"))
	c := open(t, dir)
	before := c.Current()
	write(t, dir, "b.star", source("b", "jobs/b"))
	write(t, dir, "a.star", "x = (")
	err := c.Reload(ctx)
	var load *LoadError
	if !errors.As(err, &load) || c.Current() != before || c.Status().OK {
		t.Fatalf("a directory with an error took force: %v", err)
	}
	write(t, dir, "a.star", source("a", "jobs/a"))
	if err := c.Reload(ctx); err != nil || names(c) != "a b" || !c.Status().OK {
		t.Fatalf("reload: %v, %q", err, names(c))
	}
	if c.Current().Programs["a.star"] != before.Programs["a.star"] {
		t.Error("a file that did not change was compiled again")
	}
	write(t, dir, "c.star", source("c", "jobs/a/"))
	if err := c.Reload(ctx); err == nil || !strings.Contains(err.Error(), "endpoint") {
		t.Errorf("one endpoint twice: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "c.star")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "b.star")); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(ctx); err != nil || names(c) != "a" {
		t.Errorf("after removing a file: %v, %q", err, names(c))
	}
}

func TestRevisions(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	write(t, dir, "a.star", source("a", "jobs/a"))
	c := open(t, dir)
	k := &keeper{revisions: map[string]store.Revision{}, fail: errors.New("the disk is full")}
	c.UseStore(k)
	if _, err := c.Pin(ctx, "a"); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("the store's error is lost: %v", err)
	}
	old, err := c.Pin(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pin(ctx, "a"); err != nil || k.puts != 1 {
		t.Errorf("the revision was put %d times: %v", k.puts, err)
	}
	if _, err := c.Pin(ctx, "aa"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown name: %v", err)
	}
	write(t, dir, "a.star", source("a", "jobs/new"))
	if err := c.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 { // from the store, then from memory
		b, err := c.AtRevision(ctx, old.Revision, "a")
		if err != nil || b.Endpoint != "jobs/a" {
			t.Fatalf("the old revision: %+v, %v", b, err)
		}
	}
	if b, err := c.AtRevision(ctx, c.All()[0].Revision, "a"); err != nil || b.Endpoint != "jobs/new" {
		t.Errorf("the revision in force: %+v, %v", b, err)
	}
	for _, err := range []error{
		func() error { _, err := c.AtRevision(ctx, old.Revision, "b"); return err }(),
		func() error { _, err := c.AtRevision(ctx, "feed", "a"); return err }(),
	} {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("what is not there: %v", err)
		}
	}
	damaged := k.revisions[old.Revision]
	damaged.Files = map[string]string{"a.star": source("a", "jobs/evil")}
	k.revisions["beef"] = damaged
	if _, err := c.AtRevision(ctx, "beef", "a"); err == nil || !strings.Contains(err.Error(), "the store is damaged") {
		t.Errorf("a damaged revision: %v", err)
	}
}

func TestLinksThatLeaveTheDirectoryAreRefused(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside, "x.star", source("x", "jobs/x"))
	write(t, dir, "a.star", source("a", "jobs/a"))
	if err := os.Symlink(filepath.Join(outside, "x.star"), filepath.Join(dir, "x.star")); err != nil {
		t.Skip("this system makes no symbolic links: " + err.Error())
	}
	c := open(t, dir)
	if names(c) != "a" || strings.Join(c.Status().LeftOut, " ") != "x.star" {
		t.Errorf("in force %q, %+v", names(c), c.Status())
	}
}

func TestLoadFS(t *testing.T) {
	c, err := LoadFS(context.Background(), fstest.MapFS{"d/a.star": {Data: []byte(source("a", "jobs/a"))}}, nil)
	if err != nil || names(c) != "a" {
		t.Fatalf("%q, %v", names(c), err)
	}
	c.Watch(context.Background()) // returns at once: there is nothing to watch
}

func TestMissingDirectory(t *testing.T) {
	if _, err := LoadDir(context.Background(), filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a missing directory was loaded")
	}
}

func TestCacheForgetsTheOldest(t *testing.T) {
	c := newProgramCache(2)
	for _, hash := range []string{"1", "2"} {
		c.put(hash, &Program{Revision: hash})
	}
	c.get("1")
	c.put("3", &Program{Revision: "3"})
	if c.get("2") != nil || c.get("1") == nil || c.get("3") == nil {
		t.Error("not the one used longest ago was forgotten")
	}
}
