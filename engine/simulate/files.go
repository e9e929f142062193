package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
	kept, local *dir.Store
}

func newFolder() (*folder, error) {
	path, err := os.MkdirTemp("", "orrery-run-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the job's files: %w", err)
	}
	f := &folder{path: path}
	if f.kept, err = dir.Open(filepath.Join(path, "files")); err == nil {
		f.local, err = dir.Open(filepath.Join(path, "local"))
	}
	if err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

// remove takes the folder away; what is left of it is in the system's temporary folder.
func (f *folder) remove() {
	for _, s := range []*dir.Store{f.kept, f.local} {
		if s != nil {
			_ = s.Close()
		}
	}
	_ = os.RemoveAll(f.path)
}

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
