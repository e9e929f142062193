// Package dir keeps files in a local folder.
//
// Words: the root is the folder (TASK_FILES_DIR); a key is a path below it. Every access goes
// through os.Root, which does not leave the root even over a symbolic link that somebody put
// there. A file is written under a temporary name in .tmp and then renamed.
//
// Who is authoritative: the folder.
package dir

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"orrery/engine/blob"
)

// This file is the whole driver.

const tmp = ".tmp"

// Store is an open folder. Make it with Open.
type Store struct {
	root *os.Root
	path string
	sync func(*os.File) error // tests look at it
}

var _ blob.Store = (*Store)(nil)

// Open opens the folder and makes it, private to the user, when it is not there. What a
// crash left half written is removed.
func Open(folder string) (*Store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the jobs' files can not be made: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("the folder of the jobs' files can not be opened: %w", err)
	}
	if err := errors.Join(root.RemoveAll(tmp), root.MkdirAll(tmp, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("the folder of the jobs' files can not be written: %w", err), root.Close())
	}
	return &Store{root, folder, (*os.File).Sync}, nil
}

// Close gives the folder back.
func (s *Store) Close() error { return s.root.Close() }

// Put writes a file.
func (s *Store) Put(ctx context.Context, key string, from io.Reader, size int64) (info blob.Info, err error) {
	name := path.Join(tmp, random())
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			if gone := s.root.Remove(name); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	n, err := io.Copy(f, io.LimitReader(&watched{ctx, from}, blob.MaxBytes+1))
	switch {
	case err != nil:
		return info, err
	case size >= 0 && n != size:
		return info, &blob.WrongSize{Want: size, Got: n}
	case n > blob.MaxBytes:
		return info, fmt.Errorf("the file is larger than %d bytes, the most that a file may have", int64(blob.MaxBytes))
	}
	if err := s.sync(f); err != nil { // a file that was acknowledged survives a power cut
		return info, err
	}
	if err := s.root.MkdirAll(path.Dir(key), 0o700); err != nil {
		return info, err
	}
	if err := s.root.Rename(name, key); err != nil {
		return info, err
	}
	if err := s.syncNames(key); err != nil {
		return info, err
	}
	if err := f.Close(); err != nil {
		return info, err
	}
	return s.Stat(ctx, key)
}

// syncNames makes a file's name durable, and those of all folders above: another file that is
// on its way may have made them, and not be so far yet.
func (s *Store) syncNames(key string) error {
	if runtime.GOOS == "windows" { // names are durable with their files there
		return nil
	}
	for d := key; d != "."; {
		d = path.Dir(d)
		f, err := s.root.Open(d)
		if err != nil {
			return err
		}
		if err := errors.Join(s.sync(f), f.Close()); err != nil {
			return fmt.Errorf("make the name of %s durable: %w", key, err)
		}
	}
	return nil
}

func random() string {
	var b [12]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24 and later)
	return hex.EncodeToString(b[:])
}

// watched ends a copy when the context ends.
type watched struct {
	ctx  context.Context
	from io.Reader
}

// Read reads on while the context lasts.
func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.from.Read(p)
}

// Get opens a file.
func (s *Store) Get(_ context.Context, key string) (io.ReadCloser, blob.Info, error) {
	f, err := s.root.Open(key)
	if err != nil {
		return nil, blob.Info{}, missing(err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = blob.ErrNotFound
	}
	if err != nil {
		return nil, blob.Info{}, errors.Join(err, f.Close())
	}
	return f, info(key, st), nil
}

// Stat looks at a file.
func (s *Store) Stat(_ context.Context, key string) (blob.Info, error) {
	st, err := s.root.Lstat(key)
	if err != nil {
		return blob.Info{}, missing(err)
	}
	if !st.Mode().IsRegular() {
		return blob.Info{}, blob.ErrNotFound
	}
	return info(key, st), nil
}

// missing also takes a path through something that is no folder for an absent file.
func missing(err error) error {
	var at *fs.PathError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &at) && strings.Contains(at.Err.Error(), "not a directory") {
		return blob.ErrNotFound
	}
	return err
}

// info takes length and date for an ETag: a file is never changed in place.
func info(key string, st fs.FileInfo) blob.Info {
	return blob.Info{Key: key, Size: st.Size(), Modified: st.ModTime().UTC(), ETag: fmt.Sprintf("%x-%x", st.Size(), st.ModTime().UnixNano())}
}

// List walks the folder of the prefix.
func (s *Store) List(ctx context.Context, prefix string, most int) ([]blob.Info, error) {
	start := strings.TrimSuffix(prefix[:strings.LastIndexByte(prefix, '/')+1], "/")
	var out []blob.Info
	err := fs.WalkDir(s.root.FS(), cmp.Or(start, "."), func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed while it was walked, or never there
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && name == tmp:
			return fs.SkipDir
		case !d.Type().IsRegular() || !strings.HasPrefix(name, prefix):
			return nil
		case len(out) >= most:
			return &blob.TooMany{Prefix: prefix, Most: most}
		}
		st, err := d.Info()
		if err == nil {
			out = append(out, info(name, st))
		}
		return missing2nil(err)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b blob.Info) int { return cmp.Compare(a.Key, b.Key) })
	return out, nil
}

func missing2nil(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Delete removes files, and the folders that they leave empty.
func (s *Store) Delete(_ context.Context, keys ...string) error {
	for _, key := range keys {
		if err := s.root.Remove(key); err != nil && !errors.Is(missing(err), blob.ErrNotFound) {
			return err
		}
		// A folder that is not empty refuses, and that is where it ends.
		for d := path.Dir(key); d != "." && d != "jobs" && s.root.Remove(d) == nil; d = path.Dir(d) {
			continue
		}
	}
	return nil
}

// Jobs lists the folders of jobs.
func (s *Store) Jobs(_ context.Context, after string, limit int) ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), "jobs") // sorted
	if err != nil {
		return nil, missing2nil(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && e.Name() > after && len(out) < limit {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// URI names a file without saying where on this machine it is.
func (s *Store) URI(key string) string { return "file:" + key }
