package engine

import (
	"context"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests which revisions are forgotten.

func (r *changingRig) collect(want int) {
	r.t.Helper()
	n, err := r.CollectRevisions(r.ctx)
	if err != nil || n != want {
		r.t.Errorf("%d revisions were removed (%v), want %d", n, err, want)
	}
}

func (r *changingRig) hasRevision(hash string, want bool) {
	r.t.Helper()
	if _, err := r.rows.Revision(r.ctx, hash); (err == nil) != want {
		r.t.Errorf("revision %.8s: %v, want it there: %v", hash, err, want)
	}
}

func TestARevisionStaysWhileAJobNeedsIt(t *testing.T) {
	r := newChangingRig(t, memory.New())
	waiting := r.job(r.begin("changing", `{}`))
	r.swap(changing, "END", "say", "WORD", "2")
	failed := r.job(r.begin("changing", `{"mode": "fail"}`))
	r.is(failed.ID, job.Quarantined, "broken")
	r.swap(changing, "END", "say", "WORD", "3")
	done := r.job(r.begin("changing", `{"mode": "nap"}`))
	r.swap(changing, "END", "say", "WORD", "4")
	r.pass(DefaultRevisionsKept - time.Minute)
	r.is(done.ID, job.Finished, "finished")
	r.collect(0) // all were used within the time
	r.pass(2 * time.Minute)
	r.collect(1)
	r.hasRevision(waiting.Revision, true)
	r.hasRevision(failed.Revision, true) // it may be run again
	r.hasRevision(done.Revision, false)

	if err := r.Close(r.ctx, failed.ID, "op"); err != nil {
		t.Fatal(err)
	}
	r.collect(1)
	r.hasRevision(failed.Revision, false)
	r.restart() // and the waiting job goes on with what was kept
	r.answer(r.take(), success(`{}`))
	if r.said(waiting.ID) != `{"said":"old"}` {
		t.Errorf("the waiting job says %s", r.said(waiting.ID))
	}
	r.collect(1)
	r.hasRevision(waiting.Revision, false)
}

func TestARevisionStaysForItsFileOrForEver(t *testing.T) {
	r := newChangingRig(t, memory.New())
	j := r.job(r.begin("changing", `{"mode": "nap"}`))
	if err := r.rows.PutFile(r.ctx, store.SourceFile{Name: "changing.star", Revision: j.Revision, At: noon}); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * DefaultRevisionsKept)
	r.collect(0)
	if err := r.rows.DropFile(r.ctx, "changing.star"); err != nil {
		t.Fatal(err)
	}
	r.cfg.RevisionsKept = -1
	r.collect(0)
	r.cfg.RevisionsKept = time.Millisecond // is too short to be safe: three hours hold
	r.Engine.cfg.RevisionsKept = time.Millisecond
	r.collect(1)
}

// during is a store in which something happens while jobs are looked through.
type during struct {
	store.Store
	list func()
}

func (d *during) List(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := d.Store.List(ctx, q)
	if d.list != nil {
		d.list()
	}
	return page, err
}

// A job that is accepted after the jobs were looked through, and before the revision is
// dropped, keeps it.
func TestARevisionStaysForAJobCreatedMeanwhile(t *testing.T) {
	rows := &during{Store: memory.New()}
	r := newChangingRig(t, rows)
	first := r.job(r.begin("changing", `{"mode": "nap"}`))
	r.pass(2 * DefaultRevisionsKept)
	var id string
	rows.list = func() { rows.list = nil; id = r.submit("changing", `{}`) }
	r.collect(0)
	r.hasRevision(first.Revision, true)
	r.swap(changing, "END", "say", "WORD", "new")
	r.restart()
	r.settle()
	r.answer(r.take(), success(`{}`))
	r.is(id, job.Finished, "finished")
}
