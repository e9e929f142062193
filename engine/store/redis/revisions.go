package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
)

// This file holds the kept revisions of blueprint files, and which of them stands for a file.
// A revision is kept twice: whole, and without its texts beside the others, so that a list of
// all reads no texts.

// PutRevision keeps a revision once, and notes when that was asked for last.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) error {
	text, short, err := revisionTexts(&r)
	if err != nil {
		return err
	}
	used := r.LastUse()
	_, err = s.call(ctx, revisionScript, s.keys.revisions(), "put", r.Hash, strconv.FormatInt(used.UnixMilli(), 10), short, text)
	if err != nil {
		return fmt.Errorf("keep revision %s: %w", r.Hash, err)
	}
	return nil
}

// revisionTexts gives a revision whole and without the texts of its files.
func revisionTexts(r *store.Revision) (text, short string, err error) {
	if text, err = row(r); err != nil {
		return "", "", err
	}
	without := *r
	without.Files = nil
	short, err = row(&without)
	return text, short, err
}

// parseRevision reads the date of use, which stands before the row without texts.
func parseRevision(kept string, r *store.Revision, body string) error {
	head, short, _ := strings.Cut(kept, " ")
	ms, err := strconv.ParseInt(head, 10, 64)
	if err != nil {
		return fmt.Errorf("a revision begins with %.20q, where its date belongs", kept)
	}
	if body == "" {
		body = short
	}
	if err := decode(body, r); err != nil {
		return err
	}
	r.Used = fromMillis(ms)
	return nil
}

// Revision gives a revision.
func (s *Store) Revision(ctx context.Context, hash string) (*store.Revision, error) {
	var short, text *goredis.StringCmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		short = p.HGet(ctx, s.keys.revisions(), hash)
		text = p.Get(ctx, s.keys.revisions()+":"+hash)
	})
	if err != nil {
		return nil, fmt.Errorf("read revision %s: %w", hash, err)
	}
	if short.Err() == goredis.Nil || text.Err() == goredis.Nil {
		return nil, fmt.Errorf("revision %s: %w", hash, store.ErrNotFound)
	}
	r := new(store.Revision)
	if err := parseRevision(short.Val(), r, text.Val()); err != nil {
		return nil, fmt.Errorf("read revision %s: %w", hash, err)
	}
	return r, nil
}

// Revisions gives all without their texts.
func (s *Store) Revisions(ctx context.Context) ([]store.Revision, error) {
	var cmd *goredis.StringSliceCmd
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.HVals(ctx, s.keys.revisions()) }); err != nil {
		return nil, fmt.Errorf("list revisions: %w", err)
	}
	var out []store.Revision
	for _, kept := range cmd.Val() {
		var r store.Revision
		if err := parseRevision(kept, &r, ""); err != nil {
			return nil, fmt.Errorf("list revisions: %w", err)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b store.Revision) int { return strings.Compare(a.Hash, b.Hash) })
	return out, nil
}

// DropRevision removes a revision that nobody has put since.
func (s *Store) DropRevision(ctx context.Context, hash string, unused time.Time) (bool, error) {
	reply, err := s.call(ctx, revisionScript, s.keys.revisions(), "drop", hash, strconv.FormatInt(unused.UnixMilli(), 10))
	if err != nil {
		return false, fmt.Errorf("remove revision %s: %w", hash, err)
	}
	n, _ := reply.(int64)
	return n == 1, nil
}

// PutFile says which revision stands for a file.
func (s *Store) PutFile(ctx context.Context, f store.SourceFile) error {
	text, err := row(&f)
	if err != nil {
		return err
	}
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { p.HSet(ctx, s.keys.files(), f.Name, text) }); err != nil {
		return fmt.Errorf("keep file %s: %w", f.Name, err)
	}
	return nil
}

// SourceFiles gives all in order of name.
func (s *Store) SourceFiles(ctx context.Context) ([]store.SourceFile, error) {
	var cmd *goredis.StringSliceCmd
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { cmd = p.HVals(ctx, s.keys.files()) }); err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	out, err := decodeAll[store.SourceFile](cmd.Val())
	slices.SortFunc(out, func(a, b store.SourceFile) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// DropFile forgets a file.
func (s *Store) DropFile(ctx context.Context, name string) error {
	if err := s.pipe(ctx, func(p goredis.Pipeliner) { p.HDel(ctx, s.keys.files(), name) }); err != nil {
		return fmt.Errorf("forget file %s: %w", name, err)
	}
	return nil
}
