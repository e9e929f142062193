package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file damages store files: at the start they are refused, with what is wrong and what
// to do; at run time a damaged page costs what is on it, and nothing else.

// filled makes a closed store with some jobs, and gives its file.
func filled(t *testing.T) (path string, file []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "o.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		c := newJob(i)
		for range 10 {
			if err := s.Commit(ctx, c); err != nil {
				t.Fatal(err)
			}
			c = grown(c.Job)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, file
}

func garbage(rnd *rand.Rand, to []byte) {
	for i := range to {
		to[i] = byte(rnd.Uint32())
	}
}

func TestRefusesADamagedFile(t *testing.T) {
	path, whole := filled(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	damaged := map[string][]byte{}
	spoil := func(name string, from, to int) {
		file := bytes.Clone(whole)
		garbage(rnd, file[from:to])
		damaged[name] = file
	}
	spoil("garbage in the header", 0, 100)
	spoil("garbage behind the header", 100, pageSize)
	every := pageSize
	if raceDetector {
		every *= 10
	}
	for at := pageSize; at < len(whole); at += every {
		spoil(fmt.Sprintf("garbage in page %d", at/pageSize+1), at, at+pageSize)
	}
	for _, n := range []int{1, 99, 100, 512, pageSize - 1, pageSize, 10*pageSize + 7, len(whole) / 2, len(whole) - pageSize, len(whole) - 1} {
		damaged[fmt.Sprintf("cut to %d of %d bytes", n, len(whole))] = whole[:n]
	}
	for name, file := range damaged {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err == nil {
			t.Errorf("%s: it is opened (%v)", name, s.Close())
			continue
		}
		for _, part := range []string{path, "damaged", "put a backup in its place", "STORE_URL"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is missing in: %v", name, part, err)
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, file) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil { // the backup
		t.Fatal(err)
	}
	if n, err := open(t, path, Options{}).Counts(ctx); err != nil || n[job.Running] != 20 {
		t.Errorf("the backup holds %v (%v), want 20 jobs", n, err)
	}
}

// The system may end while the very first pages are written. Nothing was promised then, so
// the file is made anew.
func TestCutShortInItsMaking(t *testing.T) {
	dir := t.TempDir()
	c, err := dial(filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	// With no room in memory the pages go to the disk before the commit.
	if err := c.script("PRAGMA cache_size=1; BEGIN IMMEDIATE;" + migrations[0]); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "b.db")
	for _, end := range []string{"", "-journal"} {
		text, err := os.ReadFile(filepath.Join(dir, "a.db"+end))
		if err != nil || len(text) == 0 {
			t.Fatalf("a.db%s has %d bytes (%v): the cut comes too early", end, len(text), err)
		}
		if err := os.WriteFile(path+end, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path, Options{}).Commit(ctx, newJob(0)); err != nil {
		t.Errorf("the file made anew: %v", err)
	}
}

// pageWith finds the page of the file that holds the text.
func pageWith(t *testing.T, path, text string) int64 {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(file, []byte(text))
	if at < 0 {
		t.Fatalf("%q is not in the file", text)
	}
	return int64(at / pageSize * pageSize)
}

func TestDamageAtRunTimeCostsOneJob(t *testing.T) {
	s, w := byHand(t, Options{})
	var all []*job.Change
	for i := range 200 { // a page holds a few of them
		c := newJob(i)
		c.Job.State = fmt.Sprintf("state-%03d-%s", i, strings.Repeat("s", 500))
		all = append(all, c)
	}
	if err := errors.Join(commit(t, w, all...)...); err != nil {
		t.Fatal(err)
	}
	w.rest() // all of it goes into the file
	if err := w.c.script("PRAGMA shrink_memory"); err != nil {
		t.Fatal(err)
	}
	hit, other := all[100], all[0]
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, pageSize)
	garbage(rand.New(rand.NewPCG(3, 4)), noise)
	_, err = f.WriteAt(noise, pageWith(t, s.path, "state-100-"))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}

	_, _, loaded := s.Load(ctx, hit.Job.ID)
	_, listed := s.Job(ctx, hit.Job.ID)
	errs := commit(t, w, step(hit.Job, job.Running), step(other.Job, job.Running))
	for what, err := range map[string]error{"loading": loaded, "reading": listed, "writing": errs[0]} {
		if err == nil || !strings.Contains(err.Error(), s.path+" is damaged") || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s a job on the damaged page gives %v", what, err)
		}
	}
	if j, err := s.Job(ctx, other.Job.ID); errs[1] != nil || err != nil || j.Version != 2 {
		t.Errorf("a job elsewhere, written in the same batch: %v, %+v (%v)", errs[1], j, err)
	}
	lost := 0
	for _, c := range all {
		if _, err := s.Job(ctx, c.Job.ID); err != nil {
			lost++
		}
	}
	if lost > 8 {
		t.Errorf("%d jobs can not be read; a page holds at most 8", lost)
	}
	if err := errors.Join(commit(t, w, newJob(1000))...); err != nil {
		t.Errorf("a new job: %v", err)
	}
	if n, err := s.Counts(ctx); err != nil || n[job.Pending]+n[job.Running] != 201 {
		t.Errorf("counts are %v (%v)", n, err)
	}
}

// A disk that fails says so in a way that callers can tell from their own mistakes.
func TestAFailingDiskIsNoFaultOfTheCaller(t *testing.T) {
	s, w := byHand(t, Options{})
	if err := w.c.script("PRAGMA query_only=1"); err != nil { // as a disk that was made read-only
		t.Fatal(err)
	}
	err := commit(t, w, newJob(0))[0]
	var wait interface{ Unavailable() bool }
	if !errors.As(err, &wait) || !wait.Unavailable() || errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), s.path) {
		t.Errorf("a write gives %v", err)
	}
	if _, err := s.Counts(ctx); err != nil {
		t.Errorf("reads: %v", err)
	}
	if err := w.c.script("PRAGMA query_only=0"); err != nil {
		t.Fatal(err)
	}
	if err := commit(t, w, newJob(0))[0]; err != nil {
		t.Errorf("with the disk back: %v", err)
	}
}
