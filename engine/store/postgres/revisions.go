package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
)

// This file holds the kept revisions of blueprint files, and which of them stands for a file.

// PutRevision keeps a revision once, and notes when that was asked for last.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) error {
	body, err := store.Encode(&r)
	if err != nil {
		return err
	}
	bare := r
	bare.Files = nil
	head, err := store.Encode(&bare)
	if err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO revisions(hash, used, f, head, body) VALUES($1, $2, $3, $4, $5)
		ON CONFLICT (hash) DO UPDATE SET used=GREATEST(revisions.used, excluded.used)`,
		[]byte(r.Hash), r.LastUse().UnixMilli(), formatNow, []byte(head), []byte(body))
}

// Revision gives a revision.
func (s *Store) Revision(ctx context.Context, hash string) (*store.Revision, error) {
	var f int16
	var body []byte
	var used int64
	err := s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		err := p.QueryRow(ctx, "SELECT f, body, used FROM revisions WHERE hash=$1", []byte(hash)).Scan(&f, &body, &used)
		if errors.Is(err, pgx.ErrNoRows) {
			return &ours{fmt.Errorf("revision %s: %w", hash, store.ErrNotFound)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	r := new(store.Revision)
	err = store.Decode(int64(f), string(body), r)
	r.Used = fromMillis(used)
	return r, err
}

// Revisions gives all without their texts, which stay in the database.
func (s *Store) Revisions(ctx context.Context) (out []store.Revision, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		out = nil
		return all(ctx, p, "SELECT f, head, used FROM revisions ORDER BY hash", func(rows pgx.Rows) error {
			var f int16
			var head []byte
			var used int64
			if err := rows.Scan(&f, &head, &used); err != nil {
				return err
			}
			var r store.Revision
			err := decode(f, head, &r)
			r.Used = fromMillis(used)
			out = append(out, r)
			return err
		})
	})
	return out, err
}

// DropRevision removes a revision that nobody has put since: one statement, which looks again at
// a row that somebody puts at the same time.
func (s *Store) DropRevision(ctx context.Context, hash string, unused time.Time) (dropped bool, err error) {
	err = s.once(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		tag, err := p.Exec(ctx, "DELETE FROM revisions WHERE hash=$1 AND used<$2", []byte(hash), unused.UnixMilli())
		dropped = tag.RowsAffected() > 0
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
	return s.exec(ctx, "INSERT INTO source_files(name, f, body) VALUES($1, $2, $3) ON CONFLICT (name) DO UPDATE SET f=excluded.f, body=excluded.body",
		[]byte(f.Name), formatNow, []byte(body))
}

// SourceFiles gives all in order of name.
func (s *Store) SourceFiles(ctx context.Context) (out []store.SourceFile, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		out = nil
		return all(ctx, p, "SELECT f, body FROM source_files ORDER BY name", decodeInto(&out))
	})
	return out, err
}

// DropFile forgets a file.
func (s *Store) DropFile(ctx context.Context, name string) error {
	return s.exec(ctx, "DELETE FROM source_files WHERE name=$1", []byte(name))
}
