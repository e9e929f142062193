package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"orrery/engine/blob"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file removes the files of jobs that ended long enough ago.

const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 1000 // folders or files that are asked for at once

	// sweepMissed ends a round: the files of so many jobs in a row could not be removed.
	sweepMissed = 32
)

// runSweep sweeps until ctx ends: at the start, and then every ten minutes.
func (e *Engine) runSweep(ctx context.Context) {
	for ctx.Err() == nil {
		if n, err := e.Sweep(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("files of ended jobs could not be removed; it is tried again", "error", err)
		} else if n > 0 {
			e.cfg.Log.Info("files of ended jobs were removed", "jobs", n)
		}
		e.nap(ctx, nil, sweepEvery)
	}
}

// Sweep removes the files of jobs that ended FilesKept ago or longer, and local copies of all
// that have ended, and gives the number of folders. Folders of jobs that are not known here
// stay: another server may use the same bucket.
func (e *Engine) Sweep(ctx context.Context) (jobs int, err error) {
	if e.cfg.Files == nil {
		return 0, nil
	}
	if e.cfg.FilesKept >= 0 && e.leads(WorkFiles) {
		jobs, err = e.sweepStore(ctx, e.cfg.Files, e.cfg.FilesKept)
	}
	if e.cfg.LocalFiles == nil {
		return jobs, err
	}
	copies, copiesErr := e.sweepStore(ctx, e.cfg.LocalFiles, 0)
	return jobs + copies, errors.Join(err, copiesErr)
}

// sweepStore passes over jobs that can not be read or whose files can not be removed, and gives
// the first such error: one of them must not keep the files of all that come after it.
func (e *Engine) sweepStore(ctx context.Context, files blob.Store, kept time.Duration) (swept int, failed error) {
	before := e.cfg.Clock.Now().Add(-kept)
	missed := 0 // in a row
	for after := ""; ; {
		ids, err := files.Jobs(ctx, after, sweepBatch)
		if err != nil || len(ids) == 0 {
			return swept, errors.Join(failed, err)
		}
		for _, id := range ids {
			if after = id; !validJob(id) {
				continue
			}
			due, err := e.sweepJob(ctx, files, id, before)
			if err != nil && failed == nil {
				failed = fmt.Errorf("files of job %s: %w", id, err)
			}
			switch {
			case err == nil && due:
				swept++
				missed = 0
			case due:
				missed++
			}
			if missed == sweepMissed || isAway(err) || ctx.Err() != nil {
				return swept, failed
			}
		}
	}
}

// sweepJob removes the files of a job that is due, as it ended before a date.
func (e *Engine) sweepJob(ctx context.Context, files blob.Store, id string, before time.Time) (due bool, err error) {
	j, err := e.store.Job(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !j.Status.Terminal() || j.EndedAt == nil || j.EndedAt.After(before):
		return false, nil
	}
	return true, removeAll(ctx, files, id)
}

func validJob(id string) bool {
	_, ok := job.ParseID(id)
	return ok
}

// removeAll removes all files of a job, however many there are.
func removeAll(ctx context.Context, files blob.Store, id string) error {
	infos, err := files.List(ctx, blob.Folder(id), 1<<30)
	for err == nil && len(infos) > 0 {
		n := min(len(infos), sweepBatch)
		keys := make([]string, n)
		for i := range keys {
			keys[i] = infos[i].Key
		}
		err, infos = files.Delete(ctx, keys...), infos[n:]
	}
	return err
}
