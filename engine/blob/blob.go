// Package blob says what Orrery needs from a place for jobs' files, and which names files
// may have.
//
// Words: a key is jobs/{job id}/{name}; the name is what scripts and clients say, checked by
// CheckName alone. A folder is a prefix that ends in a slash; there are no empty folders. A
// driver (dir, s3) keeps whole files: a reader sees the old one or the new one, never half.
//
// Who is authoritative: the place itself; nothing about files is kept in the store of jobs.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// This file holds the interface that the drivers implement.

// ErrNotFound: there is no such file.
var ErrNotFound = errors.New("there is no such file")

// MaxBytes is the largest file: 5 GiB, what design/contract.md lets through.
const MaxBytes = 5 << 30

// Info is what is known of a file without reading it.
type Info struct {
	Key      string
	Size     int64 // bytes
	ETag     string
	Modified time.Time
}

// Store keeps files. Its methods may be called from any goroutine; all stream, so that the
// memory they need does not grow with the file.
type Store interface {
	// Put writes a whole file in place of what was there. size is in bytes, -1 when it is
	// not known; a reader that gives another number, or fails, leaves nothing behind.
	Put(ctx context.Context, key string, from io.Reader, size int64) (Info, error)
	// Get opens a file; the caller closes it.
	Get(ctx context.Context, key string) (io.ReadCloser, Info, error)
	// Stat looks at a file.
	Stat(ctx context.Context, key string) (Info, error)
	// List gives the files whose key begins with prefix, in order of key; with more than
	// most it fails with TooMany.
	List(ctx context.Context, prefix string, most int) ([]Info, error)
	// Delete removes files; those that are gone already do not matter.
	Delete(ctx context.Context, keys ...string) error
	// Jobs gives the ids of the jobs that have a folder, in order, after the given one.
	Jobs(ctx context.Context, after string, limit int) ([]string, error)
	// URI names a file for people and workers, such as s3://bucket/key.
	URI(key string) string
}

// Signer is a Store to which clients may go themselves.
type Signer interface {
	// Sign gives a URL with which one may PUT (or else GET) the file until it expires.
	Sign(ctx context.Context, key string, put bool, expires time.Duration) (url string, err error)
}

// TooMany says that a list was cut.
type TooMany struct {
	Prefix string
	Most   int
}

// Error names the limit and what to do.
func (e *TooMany) Error() string {
	return fmt.Sprintf("there are more than %d files under %q; ask for a folder below it", e.Most, e.Prefix)
}

// WrongSize says that a file did not have the length that was announced.
type WrongSize struct{ Want, Got int64 }

// Error names both lengths.
func (e *WrongSize) Error() string {
	return fmt.Sprintf("the file should have had %d bytes, and %d came; nothing was kept", e.Want, e.Got)
}
