package sqlite

import (
	"context"
	"fmt"
	"time"

	"orrery/engine/store"
)

// This file holds the kept revisions of blueprint files, and which of them stands for a file.

// PutRevision keeps a revision once, and notes when that was asked for last.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) error {
	body, err := store.Encode(&r)
	if err != nil {
		return err
	}
	return s.write(ctx, len(body), func(w *writer) error {
		_, err := w.exec("INSERT INTO revisions(hash, f, body, used) VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET used=max(used, excluded.used)",
			r.Hash, int64(store.Format), body, r.LastUse().UnixMilli())
		return err
	})
}

// Revision gives a revision.
func (s *Store) Revision(ctx context.Context, hash string) (*store.Revision, error) {
	r := new(store.Revision)
	err := s.read(ctx, func(c *conn) error {
		found, ok, err := c.one("SELECT f, body, used FROM revisions WHERE hash=?", hash)
		if err != nil {
			return fmt.Errorf("read revision %s: %w", hash, err)
		}
		if !ok {
			return fmt.Errorf("revision %s: %w", hash, store.ErrNotFound)
		}
		return readRevision(found, r)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readRevision decodes a row of format, text and date of use.
func readRevision(found row, r *store.Revision) error {
	err := store.Decode(found.int(0), found.text(1), r)
	r.Used = time.UnixMilli(found.int(2)).UTC()
	return err
}

// Revisions gives all without their texts, which stay in the file.
func (s *Store) Revisions(ctx context.Context) (out []store.Revision, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.each("SELECT f, json_remove(body, '$.files'), used FROM revisions ORDER BY hash", func(found row) error {
			var r store.Revision
			if err := readRevision(found, &r); err != nil {
				return err
			}
			out = append(out, r)
			return nil
		})
	})
	return out, err
}

// DropRevision removes a revision that nobody has put since. The one writer makes it exact.
func (s *Store) DropRevision(ctx context.Context, hash string, unused time.Time) (dropped bool, err error) {
	err = s.write(ctx, 0, func(w *writer) error {
		n, err := w.exec("DELETE FROM revisions WHERE hash=? AND used<?", hash, unused.UnixMilli())
		dropped = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove revision %s: %w", hash, err)
	}
	return dropped, nil
}

// PutFile says which revision stands for a file.
func (s *Store) PutFile(ctx context.Context, f store.SourceFile) error {
	body, err := store.Encode(&f)
	if err != nil {
		return err
	}
	return s.write(ctx, len(body), func(w *writer) error {
		_, err := w.exec("INSERT INTO source_files(name, f, body) VALUES(?,?,?) ON CONFLICT DO UPDATE SET f=excluded.f, body=excluded.body",
			f.Name, int64(store.Format), body)
		return err
	})
}

// SourceFiles gives all in order of name.
func (s *Store) SourceFiles(ctx context.Context) (out []store.SourceFile, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.each("SELECT f, body FROM source_files ORDER BY name", decodeInto(&out))
	})
	return out, err
}

// DropFile forgets a file.
func (s *Store) DropFile(ctx context.Context, name string) error {
	return s.write(ctx, 0, func(w *writer) error {
		_, err := w.exec("DELETE FROM source_files WHERE name=?", name)
		return err
	})
}
