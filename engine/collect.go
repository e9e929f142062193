package engine

import (
	"context"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file forgets revisions of blueprints that nobody needs any more.
//
// Who needs a revision: a job that has not ended; one that failed, or was quarantined, and
// was not closed, for a person may run it again; the file that it stands for. And whoever
// put it into the store lately: a revision is put before a job begins on it or moves to it,
// again at least every hour (see Catalog.Pin), and is dropped only when that was long ago,
// in one act. So a job that is created while this runs keeps its revision.

const (
	collectEvery = time.Hour
	// keptLeast is the shortest time for which an unused revision is kept: above the hour
	// for which a server relies on its last put, and what a request may take after it.
	keptLeast = 3 * time.Hour
	// DefaultRevisionsKept lets the picture of an ended job be drawn for a month.
	DefaultRevisionsKept = 30 * 24 * time.Hour
)

// WorkRevisions is the work of forgetting revisions, as Nodes.Leads knows it.
const WorkRevisions = "revisions"

// runCollect collects until ctx ends: at the start, and then every hour.
func (e *Engine) runCollect(ctx context.Context) {
	for ctx.Err() == nil {
		if !e.leads(WorkRevisions) {
			// another node does
		} else if n, err := e.CollectRevisions(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("old revisions of blueprints could not be removed; it is tried again", "error", err)
		} else if n > 0 {
			e.cfg.Log.Info("revisions of blueprints that no job needs were removed", "revisions", n)
		}
		e.nap(ctx, nil, collectEvery)
	}
}

// CollectRevisions removes the revisions that nobody needs and nobody has put for
// RevisionsKept, and gives their number.
func (e *Engine) CollectRevisions(ctx context.Context) (dropped int, err error) {
	if e.cfg.RevisionsKept < 0 {
		return 0, nil
	}
	unused := e.cfg.Clock.Now().Add(-max(e.cfg.RevisionsKept, keptLeast))
	old, err := e.oldRevisions(ctx, unused)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	needing := append(liveStatuses(), job.Failed, job.Quarantined)
	err = e.eachJob(ctx, store.Query{Status: needing}, func(j *job.Job) bool {
		if !j.Closed {
			delete(old, j.Revision)
		}
		return len(old) > 0
	})
	if err != nil { // a job that can not be read may need any of them
		return 0, fmt.Errorf("look for jobs that need a revision: %w", err)
	}
	for hash := range old {
		gone, err := e.store.DropRevision(ctx, hash, unused)
		if err != nil {
			return dropped, err
		}
		if gone {
			dropped++
		}
	}
	return dropped, nil
}

// oldRevisions gives those that were not put lately and stand for no file.
func (e *Engine) oldRevisions(ctx context.Context, unused time.Time) (map[string]bool, error) {
	all, err := e.store.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	old := map[string]bool{}
	for i := range all {
		if all[i].LastUse().Before(unused) {
			old[all[i].Hash] = true
		}
	}
	if len(old) == 0 {
		return nil, nil
	}
	files, err := e.store.SourceFiles(ctx)
	for _, f := range files {
		delete(old, f.Revision)
	}
	return old, err
}
