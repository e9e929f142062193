package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"

	"orrery/engine/blob"
	"orrery/engine/blob/dir"
)

// This file keeps the files and databases of simulated jobs in a temporary folder.

// shownFile is the longest file that a report shows as text, in bytes.
const shownFile = 64 << 10

// folder is where they are.
type folder struct {
	path        string
	kept, local *lateStore
}

func newFolder() (*folder, error) {
	path, err := os.MkdirTemp("", "orrery-run-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the job's files: %w", err)
	}
	return &folder{path, &lateStore{path: filepath.Join(path, "files")}, &lateStore{path: filepath.Join(path, "local")}}, nil
}

// remove takes the folder away; what is left of it is in the system's temporary folder.
func (f *folder) remove() {
	f.kept.close()
	f.local.close()
	_ = os.RemoveAll(f.path)
}

// lateStore is a store of files that is made when it is needed first: most simulated jobs
// have no files, and a test has hundreds of jobs.
type lateStore struct {
	path   string
	mu     sync.Mutex
	opened *dir.Store
}

var _ blob.Store = (*lateStore)(nil)

// open gives the store, and makes it if need be.
func (s *lateStore) open() (*dir.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.opened == nil {
		s.opened, err = dir.Open(s.path)
	}
	return s.opened, err
}

// made gives the store, or nil as long as it holds nothing.
func (s *lateStore) made() *dir.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *lateStore) close() {
	if d := s.made(); d != nil {
		_ = d.Close()
	}
}

// Put writes a file.
func (s *lateStore) Put(ctx context.Context, key string, from io.Reader, size int64) (blob.Info, error) {
	d, err := s.open()
	if err != nil {
		return blob.Info{}, err
	}
	return d.Put(ctx, key, from, size)
}

// Get opens a file.
func (s *lateStore) Get(ctx context.Context, key string) (io.ReadCloser, blob.Info, error) {
	d, err := s.open()
	if err != nil {
		return nil, blob.Info{}, err
	}
	return d.Get(ctx, key)
}

// Stat looks at a file.
func (s *lateStore) Stat(ctx context.Context, key string) (blob.Info, error) {
	d, err := s.open()
	if err != nil {
		return blob.Info{}, err
	}
	return d.Stat(ctx, key)
}

// List gives files by the beginning of their key.
func (s *lateStore) List(ctx context.Context, prefix string, most int) ([]blob.Info, error) {
	if d := s.made(); d != nil {
		return d.List(ctx, prefix, most)
	}
	return nil, nil
}

// Delete removes files.
func (s *lateStore) Delete(ctx context.Context, keys ...string) error {
	if d := s.made(); d != nil {
		return d.Delete(ctx, keys...)
	}
	return nil
}

// Jobs gives the jobs that have files.
func (s *lateStore) Jobs(ctx context.Context, after string, limit int) ([]string, error) {
	if d := s.made(); d != nil {
		return d.Jobs(ctx, after, limit)
	}
	return nil, nil
}

// URI names a file; the name does not depend on the folder.
func (s *lateStore) URI(key string) string { return (*dir.Store)(nil).URI(key) }

// database gives the address of a database of the simulation: a file that lasts as long.
func (f *folder) database(name string) string {
	return "sqlite:" + filepath.Join(f.path, "sql", name+".db")
}

// putFiles puts the scenario's files into the job's folder, before the job begins.
func (s *sim) putFiles(ctx context.Context, id string) error {
	for name, text := range s.Scenario.Files {
		if _, err := s.files.kept.Put(ctx, blob.Key(id, name), strings.NewReader(text), int64(len(text))); err != nil {
			return fmt.Errorf("the scenario's file %q: %w", name, err)
		}
	}
	return nil
}

// texts gives the files of a job as they stand.
func (f *folder) texts(ctx context.Context, id string) (map[string]string, error) {
	infos, err := f.kept.List(ctx, blob.Folder(id), 10_000)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(infos))
	for _, info := range infos {
		text, err := f.text(ctx, info)
		if err != nil {
			return nil, err
		}
		out[strings.TrimPrefix(info.Key, blob.Folder(id))] = text
	}
	return out, nil
}

func (f *folder) text(ctx context.Context, info blob.Info) (text string, err error) {
	if info.Size > shownFile {
		return fmt.Sprintf("(%d bytes)", info.Size), nil
	}
	body, _, err := f.kept.Get(ctx, info.Key)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	data, err := io.ReadAll(body)
	if err == nil && !utf8.Valid(data) {
		return fmt.Sprintf("(%d bytes that are no text)", len(data)), nil
	}
	return string(data), err
}
