// Package blobtest holds the one suite that every driver of blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"orrery/engine/blob"
)

// This file is the suite.

// Run tests a driver; store is empty at the start.
func Run(t *testing.T, store blob.Store) {
	t.Helper()
	s := suite{store}
	t.Run("put and get", s.putGet)
	t.Run("absent", s.absent)
	t.Run("half a file leaves nothing", s.half)
	t.Run("list", s.list)
	t.Run("delete", s.remove)
	t.Run("jobs", s.jobs)
	t.Run("parts", s.parts)
}

type suite struct{ store blob.Store }

func (s suite) put(t *testing.T, key, text string) blob.Info {
	t.Helper()
	info, err := s.store.Put(t.Context(), key, strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return info
}

func (s suite) get(t *testing.T, key string) string {
	t.Helper()
	body, info, err := s.store.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil || int64(len(text)) != info.Size {
		t.Fatalf("get %s: %d bytes, its size is %d: %v", key, len(text), info.Size, err)
	}
	return string(text)
}

func (s suite) putGet(t *testing.T) {
	key := blob.Key("put", "a b/ñandú.json")
	put := s.put(t, key, "first")
	if put.Size != 5 || put.Key != key || put.ETag == "" {
		t.Errorf("put gives %+v", put)
	}
	if got := s.get(t, key); got != "first" {
		t.Errorf("got %q", got)
	}
	again, err := s.store.Put(t.Context(), key, strings.NewReader("the second"), -1)
	if err != nil || again.Size != 10 {
		t.Fatalf("a file of unknown length: %+v, %v", again, err)
	}
	stat, err := s.store.Stat(t.Context(), key)
	if err != nil || stat.Size != 10 || stat.ETag == put.ETag {
		t.Errorf("stat gives %+v after %+v, %v", stat, put, err)
	}
	if got := s.get(t, key); got != "the second" {
		t.Errorf("after the second put: %q", got)
	}
	if s.put(t, blob.Key("put", "empty"), "").Size != 0 || s.get(t, blob.Key("put", "empty")) != "" {
		t.Error("an empty file is not kept")
	}
}

func (s suite) absent(t *testing.T) {
	s.put(t, blob.Key("absent", "file"), "x")
	for _, name := range []string{"nothing", "file/below", "fil"} {
		if _, err := s.store.Stat(t.Context(), blob.Key("absent", name)); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("stat of %s: %v, want ErrNotFound", name, err)
		}
		if body, _, err := s.store.Get(t.Context(), blob.Key("absent", name)); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("get of %s: %v, %v, want ErrNotFound", name, body, err)
		}
	}
}

func (s suite) half(t *testing.T) {
	key := blob.Key("half", "file")
	broken := errors.New("the line broke")
	if _, err := s.store.Put(t.Context(), key, io.MultiReader(strings.NewReader("some"), failing{broken}), -1); !errors.Is(err, broken) {
		t.Errorf("a broken upload: %v, want the reader's error", err)
	}
	var size *blob.WrongSize
	if _, err := s.store.Put(t.Context(), key, strings.NewReader("some"), 9); !errors.As(err, &size) {
		t.Errorf("too few bytes: %v, want WrongSize", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.store.Put(ctx, key, strings.NewReader("some"), 4); err == nil {
		t.Error("an upload whose caller is gone was kept")
	}
	if _, err := s.store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after three uploads that failed there is a file: %v", err)
	}
	s.put(t, key, "whole")
	if _, err := s.store.Put(t.Context(), key, failing{broken}, -1); err == nil || s.get(t, key) != "whole" {
		t.Errorf("a broken upload took the old file away: %v", err)
	}
}

type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (s suite) list(t *testing.T) {
	for i := range 12 {
		s.put(t, blob.Key("list", fmt.Sprintf("d/%02d", i)), "x")
	}
	s.put(t, blob.Key("list", "dd"), "y")
	s.put(t, blob.Key("list2", "other"), "z")
	names := func(prefix string, most int) ([]string, error) {
		infos, err := s.store.List(t.Context(), prefix, most)
		var out []string
		for _, i := range infos {
			out = append(out, strings.TrimPrefix(i.Key, blob.Folder("list")))
		}
		return out, err
	}
	if got, err := names(blob.Folder("list"), 100); err != nil || len(got) != 13 || got[0] != "d/00" || got[12] != "dd" || !slices.IsSorted(got) {
		t.Errorf("the job's files: %v, %v", got, err)
	}
	if got, err := names(blob.Folder("list")+"d/", 12); err != nil || len(got) != 12 {
		t.Errorf("the folder's files: %v, %v", got, err)
	}
	if got, err := names(blob.Folder("nobody"), 1); err != nil || len(got) != 0 {
		t.Errorf("a job without files: %v, %v", got, err)
	}
	var many *blob.TooMany
	if _, err := names(blob.Folder("list"), 12); !errors.As(err, &many) {
		t.Errorf("13 files with a limit of 12: %v, want TooMany", err)
	}
}

func (s suite) remove(t *testing.T) {
	for _, name := range []string{"a", "d/b", "d/c"} {
		s.put(t, blob.Key("delete", name), "x")
	}
	if err := s.store.Delete(t.Context(), blob.Key("delete", "a"), blob.Key("delete", "d/b"), blob.Key("delete", "never/was")); err != nil {
		t.Fatal(err)
	}
	left, err := s.store.List(t.Context(), blob.Folder("delete"), 10)
	if err != nil || len(left) != 1 || left[0].Key != blob.Key("delete", "d/c") {
		t.Errorf("left are %v, %v", left, err)
	}
}

func (s suite) jobs(t *testing.T) {
	for _, id := range []string{"job-b", "job-a", "job-c"} {
		s.put(t, blob.Key(id, "deep/file"), "x")
	}
	got, err := s.store.Jobs(t.Context(), "job-", 2)
	if err != nil || !slices.Equal(got, []string{"job-a", "job-b"}) {
		t.Errorf("the first two: %v, %v", got, err)
	}
	if got, err = s.store.Jobs(t.Context(), "job-b", 2); err != nil || len(got) == 0 || got[0] != "job-c" {
		t.Errorf("after job-b: %v, %v", got, err)
	}
	if err := s.store.Delete(t.Context(), blob.Key("job-a", "deep/file")); err != nil {
		t.Fatal(err)
	}
	if got, err = s.store.Jobs(t.Context(), "job-", 1); err != nil || !slices.Equal(got, []string{"job-b"}) {
		t.Errorf("after its last file is gone job-a is still listed: %v, %v", got, err)
	}
}

// parts is about files larger than one part of an upload.
func (s suite) parts(t *testing.T) {
	const size = 20<<20 + 7
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	key := blob.Key("parts", "large")
	if info, err := s.store.Put(t.Context(), key, bytes.NewReader(want), -1); err != nil || info.Size != size {
		t.Fatalf("put gives %+v, %v", info, err)
	}
	if got := s.get(t, key); got != string(want) {
		t.Errorf("what was read differs from what was written (%d and %d bytes)", len(got), len(want))
	}
	broken := errors.New("the line broke")
	if _, err := s.store.Put(t.Context(), key, io.MultiReader(bytes.NewReader(want), failing{broken}), -1); !errors.Is(err, broken) {
		t.Errorf("a broken upload of several parts: %v", err)
	}
	if info, err := s.store.Stat(t.Context(), key); err != nil || info.Size != size {
		t.Errorf("after a broken upload the old file is %+v, %v", info, err)
	}
}
