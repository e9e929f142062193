package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"orrery/engine/store"
)

// This file holds the kept revisions of blueprint files, and which of them stands for a file.

// PutRevision keeps a revision once, and notes when that was asked for last.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) error {
	used := r.LastUse().UTC().Truncate(time.Millisecond)
	body, err := store.Encode(&r)
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	kept, ok := s.revisions[r.Hash]
	switch {
	case !ok:
		s.revisions[r.Hash] = &revision{body, used}
	case used.After(kept.used):
		kept.used = used
	}
	return nil
}

// Revision gives a revision.
func (s *Store) Revision(ctx context.Context, hash string) (*store.Revision, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	kept, ok := s.revisions[hash]
	if !ok {
		return nil, fmt.Errorf("revision %s: %w", hash, store.ErrNotFound)
	}
	return kept.read()
}

func (k *revision) read() (*store.Revision, error) {
	r := new(store.Revision)
	err := store.Decode(store.Format, k.body, r)
	r.Used = k.used
	return r, err
}

// Revisions gives all without their texts.
func (s *Store) Revisions(ctx context.Context) ([]store.Revision, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.Revision
	for _, hash := range slices.Sorted(maps.Keys(s.revisions)) {
		r, err := s.revisions[hash].read()
		if err != nil {
			return nil, err
		}
		r.Files = nil
		out = append(out, *r)
	}
	return out, nil
}

// DropRevision removes a revision that nobody has put since.
func (s *Store) DropRevision(ctx context.Context, hash string, unused time.Time) (bool, error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	kept, ok := s.revisions[hash]
	if !ok || !kept.used.Before(unused) {
		return false, nil
	}
	delete(s.revisions, hash)
	return true, nil
}

// PutFile says which revision stands for a file.
func (s *Store) PutFile(ctx context.Context, f store.SourceFile) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.sources[f.Name] = f
	return nil
}

// SourceFiles gives all in order of name.
func (s *Store) SourceFiles(ctx context.Context) ([]store.SourceFile, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.SourceFile
	for _, name := range slices.Sorted(maps.Keys(s.sources)) {
		out = append(out, s.sources[name])
	}
	return out, nil
}

// DropFile forgets a file.
func (s *Store) DropFile(ctx context.Context, name string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.sources, name)
	return nil
}
