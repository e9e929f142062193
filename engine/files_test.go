package engine

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine/blob"
	"orrery/engine/blob/dir"
	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests task_files as scripts see it, and the sweep.

//go:embed testdata/files.star
var filesScript string

func newFolder(t *testing.T) *dir.Store {
	t.Helper()
	s, err := dir.Open(t.TempDir())
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

// newFilesRig is a rig over testdata/files.star with two folders.
func newFilesRig(t *testing.T, mods ...func(*Config)) *rig {
	t.Helper()
	mods = append([]func(*Config){func(c *Config) {
		bps, err := blueprint.LoadFS(t.Context(), fstest.MapFS{"files.star": {Data: []byte(filesScript)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		bps.UseStore(c.Store)
		c.Blueprints, c.Files, c.LocalFiles, c.FilesKept = bps, newFolder(t), newFolder(t), time.Hour
	}}, mods...)
	return newRig(t, mods...)
}

// calls runs a job that makes calls of task_files, and gives its state_history.
func (r *rig) calls(prepared map[string]string, calls ...[]any) (id string, history map[string]any) {
	r.t.Helper()
	data, err := json.Marshal(map[string]any{"calls": calls})
	if err != nil {
		r.t.Fatal(err)
	}
	id, _, err = r.Submit(r.ctx, Request{Blueprint: "files", InitialData: data, Prepare: func(ctx context.Context, id string) error {
		for name, text := range prepared {
			if _, err := r.cfg.Files.Put(ctx, blob.Key(id, name), strings.NewReader(text), int64(len(text))); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	v, err := r.View(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	if v.Status != job.Finished {
		r.t.Fatalf("the job is %s: %+v", v.Status, v.Error)
	}
	if err := json.Unmarshal(v.StateHistory, &history); err != nil {
		r.t.Fatal(err)
	}
	return id, history
}

func TestTaskFiles(t *testing.T) {
	r := newFilesRig(t)
	files := map[string]string{"config.json": `{"mode": "fast"}`, "d/a": "1", "d/e/b": "2", "broken": "{", "empty": "", "bytes": "\xff"}
	for _, c := range []struct {
		want  any // the value of the last call, or its error's kind and a part of its message
		calls [][]any
	}{
		{map[string]any{"mode": "fast"}, [][]any{{"read_json", "config.json"}}},
		{"1", [][]any{{"read_text", "d/a"}}},
		{"new", [][]any{{"write_text", "d/a", "new"}, {"read_text", "d/a"}}},
		{[]any{1.0, "x"}, [][]any{{"write_json", "out.json", []any{1, "x"}}, {"read_json", "out.json"}}},
		{[]any{"d/a", "d/e/b"}, [][]any{{"list", "d"}}},
		{[]any{"d/e/b"}, [][]any{{"list", "d/e/"}}},
		{[]any{}, [][]any{{"list", "nothing"}}},
		{true, [][]any{{"exists", "d/"}}},
		{true, [][]any{{"exists", "d/a"}}},
		{false, [][]any{{"exists", "d"}}},
		{false, [][]any{{"exists", "x/"}}},
		{"local:d/", [][]any{{"download", "d/"}}},
		{"2", [][]any{{"download", "d/"}, {"read_text", "local:d/e/b"}}},
		{[]any{"copy/a", "copy/e/b"}, [][]any{{"download", "d/"}, {"upload", "local:d/", "copy"}, {"list", "copy"}}},
		{"deep/x", [][]any{{"download", "d/a"}, {"upload", "local:d/a", "deep/x"}}},
		{"out/", [][]any{{"write_text", "local:out/x", "1"}, {"upload", "out"}}},
		{[]any{"broken", "bytes", "config.json", "empty"}, [][]any{{"delete", "d/"}, {"delete", "absent"}, {"list"}}},
		{false, [][]any{{"delete", "d/a"}, {"exists", "d/a"}}},

		{[]string{"not_found", `no file "absent" in this job's folder`}, [][]any{{"read_text", "absent"}}},
		{[]string{"not_found", `no local copy "local:absent"`}, [][]any{{"read_text", "local:absent"}}},
		{[]string{"not_found", `no local copy "local:absent"`}, [][]any{{"upload", "absent"}}},
		{[]string{"not_found", `no file "absent/"`}, [][]any{{"download", "absent/"}}},
		{[]string{"error", "names never leave the job's folder"}, [][]any{{"read_text", "../x"}}},
		{[]string{"error", "names never leave the job's folder"}, [][]any{{"write_text", "local:../../x", "evil"}}},
		{[]string{"error", "relative to the job's folder"}, [][]any{{"list", "/etc"}}},
		{[]string{"error", "names never leave the job's folder"}, [][]any{{"download", "d/"}, {"upload", "local:d/", "../evil"}}},
		{[]string{"error", "is a local copy already"}, [][]any{{"download", "local:d"}}},
		{[]string{"error", "local copies"}, [][]any{{"uri", "local:x"}}},
		{[]string{"ValueError", "JSON"}, [][]any{{"read_json", "broken"}}},
		{[]string{"error", "is empty, which is no JSON"}, [][]any{{"read_json", "empty"}}},
	} {
		_, got := r.calls(files, c.calls...)
		if want, failed := c.want.([]string); failed {
			if got["kind"] != want[0] || !strings.Contains(fmt.Sprint(got["message"]), want[1]) {
				t.Errorf("%v: %v, want %v", c.calls, got, want)
			}
		} else if !reflect.DeepEqual(got["value"], c.want) {
			t.Errorf("%v: %v, want %v", c.calls, got, c.want)
		}
	}
	if id, got := r.calls(nil, []any{"uri", "d/a"}); got["value"] != "file:jobs/"+id+"/d/a" {
		t.Errorf("the uri of a file is %v", got)
	}
}

// A file that is too large for a script is refused before it is read.
func TestTaskFilesLimits(t *testing.T) {
	r := newFilesRig(t, func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.Step.TextBytes = 1000
	})
	_, got := r.calls(map[string]string{"large": strings.Repeat("x", 1001)}, []any{"read_text", "large"})
	if got["kind"] != "too_large" || !strings.Contains(fmt.Sprint(got["message"]), "has 1001 bytes, and a script reads at most 1000") {
		t.Errorf("a file of 1001 bytes: %v", got)
	}
	if _, got = r.calls(map[string]string{"large": strings.Repeat("x", 1001)}, []any{"download", "large"}); got["value"] != "local:large" {
		t.Errorf("a download knows no such limit: %v", got)
	}
}

// A step that acted says so in the job's history, and an uncaught failure stops the job.
func TestTaskFilesInHistory(t *testing.T) {
	r := newFilesRig(t)
	id, _ := r.calls(nil, []any{"write_text", "a.txt", "hello"}, []any{"read_text", "a.txt"})
	records, err := r.Records(r.ctx, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	var acts []job.Act
	for _, rec := range records {
		acts = append(acts, rec.Acts...)
	}
	if want := []job.Act{{What: "task_files.write_text", Detail: "a.txt, 5 bytes"}}; !reflect.DeepEqual(acts, want) {
		t.Errorf("history has the acts %+v, want %+v", acts, want)
	}
	id, _, err = r.Submit(r.ctx, Request{Blueprint: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	v, err := r.View(r.ctx, id)
	if err != nil || v.Status != job.Quarantined || v.Error.Code != job.CodeScript || !strings.Contains(v.Error.Message, `there is no file "absent.txt"`) {
		t.Errorf("an absent file that nobody catches: %+v, %v", v, err)
	}
}

func TestTaskFilesTurnedOff(t *testing.T) {
	r := newFilesRig(t, func(c *Config) { c.Files, c.LocalFiles = nil, nil })
	id, _, err := r.Submit(r.ctx, Request{Blueprint: "files"})
	if err != nil {
		t.Fatal(err)
	}
	r.settle()
	v, err := r.View(r.ctx, id)
	if err != nil || !strings.Contains(string(v.StateHistory), `"off":true`) || !strings.Contains(string(v.StateHistory), "this server keeps no files") {
		t.Errorf("without a folder: %+v, %v", v, err)
	}
}

// stubborn are files of which some can not be removed.
type stubborn struct {
	blob.Store
	job string
}

func (s stubborn) Delete(ctx context.Context, keys ...string) error {
	if strings.HasPrefix(keys[0], blob.Folder(s.job)) {
		return errors.New("operation not permitted")
	}
	return s.Store.Delete(ctx, keys...)
}

// blind is a store that can not read one job.
type blind struct {
	store.Store
	job string
}

func (b blind) Job(ctx context.Context, id string) (*job.Job, error) {
	if id == b.job {
		return nil, errors.New("unexpected end of JSON input")
	}
	return b.Store.Job(ctx, id)
}

// One job whose row or files are damaged keeps nobody else's files.
func TestSweepPassesOverWhatFails(t *testing.T) {
	r := newFilesRig(t)
	var ids []string
	for range 3 {
		id, _ := r.calls(map[string]string{"a": "1"}, []any{"exists", "a"})
		ids = append(ids, id)
	}
	slices.Sort(ids) // the order of the sweep
	r.clock.Advance(time.Hour + time.Second)
	r.cfg.FilesKept = time.Hour
	files, rows := r.cfg.Files, r.store
	check := func(stays string) {
		t.Helper()
		n, err := r.Sweep(r.ctx)
		if err == nil || !strings.Contains(err.Error(), stays) {
			t.Errorf("swept %d folders, and says of job %s: %v", n, stays, err)
		}
	}
	r.cfg.Files = stubborn{files, ids[0]}
	check(ids[0])
	if infos, err := files.List(r.ctx, blob.Folder(ids[1]), 9); err != nil || len(infos) != 0 {
		t.Errorf("files of a job after one whose files can not be removed: %v (%v)", infos, err)
	}
	r.cfg.Files, r.Engine.store = files, blind{rows, ids[0]}
	if _, err := files.Put(r.ctx, blob.Key(ids[2], "late"), strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	check(ids[0])
	if infos, err := files.List(r.ctx, blob.Folder(ids[2]), 9); err != nil || len(infos) != 0 {
		t.Errorf("files of a job after one that can not be read: %v (%v)", infos, err)
	}
	r.Engine.store = rows
}

// Files go when their job has ended long enough ago; those of others stay.
func TestSweep(t *testing.T) {
	r := newFilesRig(t)
	files := func(s blob.Store, id string) int {
		t.Helper()
		infos, err := s.List(r.ctx, blob.Folder(id), 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(infos)
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := r.Sweep(r.ctx); err != nil || n != want {
			t.Errorf("swept %d folders (%v), want %d", n, err, want)
		}
	}
	ended, _ := r.calls(map[string]string{"a": "1", "d/b": "2"}, []any{"download", "a"})
	stranger := job.NewID(noon, 1)
	for _, key := range []string{blob.Key(stranger, "x"), "jobs/readme/x"} {
		if _, err := r.cfg.Files.Put(r.ctx, key, strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	if files(r.cfg.Files, ended) != 2 || files(r.cfg.LocalFiles, ended) != 1 {
		t.Fatal("the files are not there")
	}
	sweep(1) // the local copy goes at the end of the job
	if files(r.cfg.Files, ended) != 2 || files(r.cfg.LocalFiles, ended) != 0 {
		t.Errorf("after the end: %d files and %d copies, want 2 and 0", files(r.cfg.Files, ended), files(r.cfg.LocalFiles, ended))
	}
	r.clock.Advance(time.Hour + time.Second)
	r.cfg.FilesKept = -1
	sweep(0)
	r.cfg.FilesKept = time.Hour
	sweep(1)
	if files(r.cfg.Files, ended) != 0 || files(r.cfg.Files, stranger) != 1 || files(r.cfg.Files, "readme") != 1 {
		t.Error("the sweep took too little or too much")
	}
	sweep(0)
}
