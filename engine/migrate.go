package engine

import (
	"context"
	"errors"
	"fmt"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file moves waiting jobs to the newest revision of their blueprint, one by one: each
// is moved whole, by one commit, or stays as it is.

// How a job fares in a migration.
const (
	MoveDone     = "migrated"
	MoveWould    = "would_migrate" // a dry run found nothing against it
	MoveCurrent  = "current"       // it runs on the newest revision already
	MoveEnded    = "ended"         // it has ended, and keeps the revision that it ran on
	MoveBusy     = "busy"          // a step is due or runs; it can be moved when it waits again
	MoveMismatch = "mismatch"      // the newest revision lacks what it needs
)

// Move says what became of one job, or would become of it.
type Move struct {
	JobID   string     `json:"job_id"`
	State   string     `json:"state"`
	Status  job.Status `json:"status"`
	From    string     `json:"from"` // revisions
	To      string     `json:"to"`
	Outcome string     `json:"outcome"`
	Reason  string     `json:"reason,omitempty"` // why it stays
	Missing []job.Gap  `json:"missing,omitempty"`
}

// Stays reports whether somebody must look at the job before it can move.
func (m *Move) Stays() bool { return m.Outcome == MoveBusy || m.Outcome == MoveMismatch }

// errStays leaves a job as it is; the Move says why.
var errStays = errors.New("the job stays on its revision")

// Migrate moves a job that waits to the newest revision of its blueprint; with dry it only
// says what would happen. Faults: not_found, unknown_blueprint, elsewhere when its owner can not
// be reached.
func (e *Engine) Migrate(ctx context.Context, id string, dry bool, by string) (*Move, error) {
	if dry {
		j, err := e.store.Job(ctx, id)
		if err != nil {
			return nil, faultFrom(err, id)
		}
		m, _, err := e.moveOf(ctx, j, by)
		return m, faultFrom(err, id)
	}
	m, err := e.MigrateHere(ctx, id, by)
	if errors.Is(err, ErrElsewhere) && e.shards != nil {
		m, err = e.shards.nodes.Migrate(ctx, id, by)
		return m, faultFrom(err, id)
	}
	return m, err
}

// MigrateHere is Migrate for a job that this node owns; of another's it does nothing and gives
// the fault elsewhere.
func (e *Engine) MigrateHere(ctx context.Context, id, by string) (*Move, error) {
	var m *Move
	err := e.change(ctx, id, func(j *job.Job, _ store.Data) (job.Event, error) {
		var ev job.Event
		var err error
		if m, ev, err = e.moveOf(ctx, j, by); err != nil {
			return nil, err
		}
		if m.Outcome != MoveWould {
			return nil, errStays
		}
		return ev, nil
	})
	switch {
	case errors.Is(err, errStays):
		return m, nil
	case err != nil:
		return nil, faultFrom(err, id)
	}
	m.Outcome = MoveDone
	return m, nil
}

// moveOf says how a job would fare, and gives the event that moves it.
func (e *Engine) moveOf(ctx context.Context, j *job.Job, by string) (*Move, job.Event, error) {
	bp, err := e.cfg.Blueprints.Pin(ctx, j.Blueprint)
	if err != nil {
		return nil, nil, err
	}
	m := &Move{JobID: j.ID, State: j.State, Status: j.Status, From: j.Revision, To: bp.Revision}
	switch {
	case j.Status.Terminal():
		m.Outcome, m.Reason = MoveEnded, fmt.Sprintf("the job is %s", j.Status)
		if j.Status == job.Failed || j.Status == job.Quarantined {
			m.Reason += `; to run it again on the newest revision: orrery jobs retry --revision latest`
		}
		return m, nil, nil
	case j.Revision == bp.Revision:
		m.Outcome = MoveCurrent
		return m, nil, nil
	case j.Wait == nil:
		m.Outcome, m.Reason = MoveBusy, "a step of the job is due or runs: try again when it waits"
		return m, nil, nil
	}
	var open []job.Task
	err = e.eachOpen(ctx, j.ID, func(t *job.Task) error { // with what is asked of them, and no more
		open = append(open, job.Task{JobID: t.JobID, N: t.N, State: t.State, Type: t.Type, Branch: t.Branch, Into: t.Into, Transitions: t.Transitions})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	ev := job.Migrated{By: by, Revision: bp.Revision, Chart: bp, Tasks: open}
	m.Outcome = MoveWould
	if _, err := e.machine(nil).Next(*j, ev, e.cfg.Clock.Now()); err != nil {
		m.Outcome, m.Reason, m.Missing = MoveMismatch, err.Error(), job.Gaps(j, open, bp)
		if j.CancelAsked != nil {
			m.Outcome, m.Missing = MoveBusy, nil
		}
	} else if why := misplaced(bp, j.ID); why != "" {
		m.Outcome, m.Reason = MoveMismatch, why
	}
	return m, ev, nil
}

// misplaced says why a job can not run on a revision with data stores that it did not begin
// on: those live in one shard with all jobs that use them, and a job's shard is in its id.
func misplaced(bp *blueprint.Blueprint, id string) string {
	if len(bp.Stores) == 0 || job.ShardOf(id) == job.ShardByName(bp.Name) {
		return ""
	}
	return "the newest revision has data stores and the job's has none, so it does not live beside them; start a new job instead"
}

// liveStatuses are those of jobs that have not ended.
func liveStatuses() (live []job.Status) {
	for _, s := range job.Statuses {
		if !s.Terminal() {
			live = append(live, s)
		}
	}
	return live
}

// MigrateAll moves a blueprint's jobs that are not on its newest revision, newest first,
// looking at most at limit jobs (1 to 1000); next goes on after them, "" at the end. Each
// job fares for itself. Fault: unknown_blueprint.
func (e *Engine) MigrateAll(ctx context.Context, name string, dry bool, by, cursor string, limit int) (moves []Move, next string, err error) {
	bp, err := e.cfg.Blueprints.Pin(ctx, name)
	if err != nil {
		return nil, "", faultFrom(err, "")
	}
	page, err := e.list(ctx, store.Query{Blueprint: name, Status: liveStatuses(), Limit: limit, Cursor: cursor})
	if err != nil {
		return nil, "", faultFrom(err, "")
	}
	for i := range page.Jobs {
		if page.Jobs[i].Revision == bp.Revision {
			continue
		}
		m, err := e.Migrate(ctx, page.Jobs[i].ID, dry, by)
		if FaultCode(err) == NotFound { // removed meanwhile
			continue
		}
		if err != nil {
			return moves, "", err
		}
		moves = append(moves, *m)
	}
	return moves, page.Cursor, nil
}

// LiveRevisions counts the jobs of a blueprint that have not ended, by revision.
func (e *Engine) LiveRevisions(ctx context.Context, name string) (map[string]int, error) {
	jobs := map[string]int{}
	err := e.eachJob(ctx, store.Query{Blueprint: name, Status: liveStatuses()}, func(j *job.Job) bool {
		jobs[j.Revision]++
		return true
	})
	return jobs, e.pass(err)
}

// eachJob calls fn for every job of a list, until fn returns false. *store.Unreadable names those
// that can not be read, when fn was called for all others.
func (e *Engine) eachJob(ctx context.Context, q store.Query, fn func(*job.Job) bool) error {
	var passed store.Unreadable
	for q.Limit = 1000; ; {
		page, err := e.store.List(ctx, q)
		var rows *store.Unreadable
		if errors.As(err, &rows) {
			passed.Rows = append(passed.Rows, rows.Rows[:min(len(rows.Rows), max(unreadMost-len(passed.Rows), 0))]...)
		} else if err != nil {
			return err
		}
		for i := range page.Jobs {
			if !fn(&page.Jobs[i]) {
				return nil
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return passed.Any()
		}
	}
}
