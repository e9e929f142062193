package killtest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// This file starts the server on stores that it must refuse, and damages one under it.

// refusedStart runs a server that must end by itself, and gives what it said.
func refusedStart(t *testing.T, s *server) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "refused.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	again := *s
	again.log = out
	if err := again.launch(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-again.died:
		if err == nil {
			t.Error("the server ended as if all were well")
		}
	case <-time.After(20 * time.Second):
		again.kill()
		t.Error("the server runs on a store that it should have refused")
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// used gives a server that has done a job and was stopped, with the job's id.
func used(t *testing.T, s *server) (id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s.start()
	id, err := s.submit(ctx, "jobs/kill_count", "used", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	s.drained(ctx, t, []string{id}, 10*time.Second)
	s.stop(t)
	return id
}

// stop ends the server in order, so that all is in the store's one file.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-s.died; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.cmd = nil
}

func says(t *testing.T, what, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("%s: %q is missing in what it said: %s", what, part, said)
		}
	}
}

func TestReadOnlyStoreIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("whole servers on disks of their own are left out by -short")
	}
	dir := smallDisk(t)
	s := newServer(t, program(t, ""))
	s.dir = dir
	used(t, s)
	readOnly(t, dir)
	says(t, "a read-only disk", refusedStart(t, s), filepath.Join(dir, "kill.db"), "read-only file system", "STORE_URL", "right to write")
}

func TestDamagedStoreIsRefused(t *testing.T) {
	s := newServer(t, program(t, ""))
	id := used(t, s)
	path := filepath.Join(s.dir, "kill.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(at, n int) []byte {
		file := bytes.Clone(whole)
		copy(file[at:], bytes.Repeat([]byte{0xA5, 0x5A}, n/2))
		return file
	}
	for what, file := range map[string][]byte{
		"garbage in the header":      spoilt(0, 100),
		"garbage in a page":          spoilt(len(whole)/8192*4096, 4096),
		"a file cut in the middle":   whole[:len(whole)/2],
		"a file that lacks its tail": whole[:len(whole)-10],
	} {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, what, refusedStart(t, s), path, "damaged", "put a backup in its place", "STORE_URL")
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, file) {
			t.Errorf("%s: the file was changed (%v)", what, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil { // the remedy
		t.Fatal(err)
	}
	s.start()
	if v, err := s.get(t.Context(), id); err != nil || v.ID != id {
		t.Errorf("from the backup comes %+v (%v)", v, err)
	}
}

// leafWith finds the page with rows that has the text; inner pages may keep a copy of what
// they once held.
func leafWith(t *testing.T, file []byte, text string) (at int64) {
	t.Helper()
	const leaf = 13 // first byte of such a page, see "Database File Format" of SQLite
	for page := 0; page < len(file); page += 4096 {
		if file[page] == leaf && bytes.Contains(file[page:page+4096], []byte(text)) {
			return int64(page)
		}
	}
	t.Fatalf("%q is not in the file", text)
	return 0
}

// A page that goes bad under a running server costs the jobs on it, and nothing else.
func TestDamageUnderARunningServer(t *testing.T) {
	s := newServer(t, program(t, ""))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const mark = "this-page-goes-bad"
	s.start()
	var ids []string
	for _, text := range []string{strings.Repeat(mark, 100), "small"} {
		id, err := s.submit(ctx, "jobs/kill_count", text[:5], map[string]any{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		s.drained(ctx, t, []string{id}, 10*time.Second)
		ids = append(ids, id)
		for n := range 20 { // others between the two, so that they are on pages of their own
			if _, err := s.submit(ctx, "jobs/kill_count", text[:5]+string(rune('a'+n)), map[string]any{"text": strings.Repeat("-", 2000)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.stop(t) // all of it goes into the file
	s.start()
	path := filepath.Join(s.dir, "kill.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := leafWith(t, file, mark)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xA5, 0x5A}, 2048), at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs/"+ids[0], "", nil, nil)
	if err != nil || code != http.StatusInternalServerError {
		t.Errorf("the job on the bad page: GET gives %d (%v), want 500", code, err)
	}
	said, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	says(t, "the log", string(said), path+" is damaged", "put a backup in its place")
	if _, err := s.get(ctx, ids[1]); err != nil {
		t.Errorf("a job elsewhere: %v", err)
	}
	id, err := s.submit(ctx, "jobs/kill_count", "after", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	s.drained(ctx, t, []string{id}, 10*time.Second)
}
