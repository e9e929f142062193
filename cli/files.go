package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"orrery/cli/config"
	"orrery/engine/blob"
	"orrery/engine/blob/dir"
	"orrery/engine/blob/s3"
)

// This file opens the place of the jobs' files: a bucket, or a folder.

// files are the two places of a server. kept is nil when the operator turned files off.
type files struct {
	kept, local blob.Store
	open        []*dir.Store
}

// localCopies is the folder of local copies below TASK_FILES_DIR.
const localCopies = ".local"

// bucketPatience is how long the start waits for the S3 server.
const bucketPatience = 5 * time.Second

// openFiles opens them. A bucket that can not be reached is a warning and no failure: the
// server may start later, and jobs that use files say so until then.
func openFiles(ctx context.Context, cfg *config.Config, warn func(string, ...any)) (*files, error) {
	f := &files{}
	if cfg.TaskFilesDir != config.FilesOff {
		local, err := dir.Open(filepath.Join(cfg.TaskFilesDir, localCopies))
		if err != nil {
			return nil, fmt.Errorf("TASK_FILES_DIR: %w", err)
		}
		f.local, f.open = local, append(f.open, local)
	}
	switch {
	case cfg.S3.Endpoint != "":
		bucket, err := s3.New(s3.Options{Endpoint: cfg.S3.Endpoint, AccessKey: cfg.S3.AccessKey.Reveal(), SecretKey: cfg.S3.SecretKey.Reveal(),
			Bucket: cfg.S3.Bucket, Region: cfg.S3.Region, Concurrency: cfg.S3.Concurrency})
		if err != nil {
			f.close()
			return nil, fmt.Errorf("S3_ENDPOINT_URL: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, bucketPatience)
		defer cancel()
		if err := bucket.Check(ctx); err != nil {
			warn("the bucket of the jobs' files can not be used now; jobs that use files wait for it or fail", "error", err)
		}
		f.kept = bucket
	case cfg.TaskFilesDir != config.FilesOff:
		kept, err := dir.Open(cfg.TaskFilesDir)
		if err != nil {
			f.close()
			return nil, fmt.Errorf("TASK_FILES_DIR: %w", err)
		}
		f.kept, f.open = kept, append(f.open, kept)
	}
	return f, nil
}

// close gives the folders back. It may be called on nil.
func (f *files) close() {
	if f == nil {
		return
	}
	for _, d := range f.open {
		d.Close() // only a handle; nothing is buffered
	}
}
