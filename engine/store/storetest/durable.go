package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests what only a durable driver can: everything is there after reopening.

// Durable tests a driver whose Features say Durable. open gives an empty store and the means
// to close it and open it again.
func Durable(t *testing.T, open func(t testing.TB) (s store.Store, reopen func() store.Store)) {
	for _, tt := range []struct {
		name string
		run  func(b *bed, reopen func() store.Store)
	}{
		{"everything is there again", reopenAll},
		{"work goes on where it stopped", reopenGoesOn},
		{"counters stand", reopenCount},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reopen func() store.Store
			b := newBed(t, func(t testing.TB) (s store.Store) {
				s, reopen = open(t)
				return s
			})
			if !b.Features().Durable {
				t.Fatalf("%s does not claim to be durable", b.Features().Name)
			}
			tt.run(b, reopen)
		})
	}
}

// snapshot reads everything that the public roles give.
func (b *bed) snapshot(ids []string) map[string]any {
	b.Helper()
	all := map[string]any{}
	put := func(name string, v any, err error) {
		b.Helper()
		b.must(err)
		all[name] = v
	}
	for _, id := range ids {
		j, d, err := b.Load(b.ctx, id)
		put("job "+id, j, err)
		all["data "+id] = []json.RawMessage{d.Initial, d.History}
		recs, err := b.Records(b.ctx, id, 0, 1000)
		put("records "+id, recs, err)
		results, _, err := b.Results(b.ctx, id, 1, "", 1000)
		put("results "+id, results, err)
		progress, err := b.Store.Progress(b.ctx, id)
		put("progress "+id, progress, err)
		tasks, _, err := b.OpenTasks(b.ctx, id, 0, 1000)
		put("tasks "+id, tasks, err)
		children, err := b.Children(b.ctx, id)
		put("children "+id, children, err)
	}
	counts, err := b.Counts(b.ctx)
	put("counts", counts, err)
	ready, err := b.Ready(b.ctx, "", 100)
	put("ready", ready, err)
	wakes, err := b.Due(b.ctx, at(1000), 100)
	put("due", wakes, err)
	messages, err := b.Messages(b.ctx, at(1000), 100)
	put("messages", messages, err)
	v, version, err := b.Value(b.ctx, "orders", "s", "k")
	put("value", []any{v, version}, err)
	revision, err := b.Revision(b.ctx, "abc")
	put("revision", revision, err)
	revisions, err := b.Revisions(b.ctx)
	put("revisions", revisions, err)
	files, err := b.SourceFiles(b.ctx)
	put("files", files, err)
	workers, err := b.AllWorkers(b.ctx)
	put("workers", workers, err)
	all["list"] = b.list(store.Query{})
	return all
}

func reopenAll(b *bed, reopen func() store.Store) {
	var ids []string
	for i := range 20 {
		j := b.create(message(fmt.Sprint("m", i), at(i)), due(ptr(at(i))), func(c *job.Change) {
			if len(ids) > 0 {
				c.Job.Parent = &job.Ref{JobID: ids[0], Step: 1}
			}
		})
		ids = append(ids, j.ID)
		t := next(j, dispatch, write("s", "k", fmt.Sprint(i)))
		b.must(b.Commit(b.ctx, t))
		b.HandOut(handedOut(t.Tasks[0], at(i)))
		b.AddProgress(j.ID, store.Progress{Progress: 0.5, TaskID: "t", Timestamp: job.Time{Time: at(i)}})
		if i%3 == 0 {
			b.step(t.Job, ended, func(c *job.Change) {
				c.CloseTasks = true
				c.Results = []job.Result{{Group: 1, TaskID: "t", Data: []byte(`{}`)}}
			})
		}
	}
	b.must(b.PutRevision(b.ctx, store.Revision{Hash: "abc", Main: "a.star", Files: map[string]string{"a.star": "x"}, Created: epoch}))
	b.must(b.PutFile(b.ctx, store.SourceFile{Name: "a.star", Revision: "abc", Uploaded: true, By: "ada", At: epoch}))
	b.must(b.PutWorker(b.ctx, "w1", json.RawMessage(`{"a":1}`), epoch))
	b.claim("k", "v", time.Minute, epoch)
	b.settle()
	before := b.snapshot(ids)
	b.Store = reopen()
	b.same("after reopening", b.snapshot(ids), before)
	if v, claimed := b.claim("k", "other", time.Minute, at(1)); claimed || v != "v" {
		b.Fatalf("the claim did not last: %q, %v", v, claimed)
	}
}

func reopenGoesOn(b *bed, reopen func() store.Store) {
	j := b.step(b.create(), dispatch, write("s", "k", "1"))
	_, version := b.value("s", "k")
	b.step(b.create(), write("s", "k", "")) // the newest value is gone, its version is not forgotten
	b.Store = reopen()
	b.want(b.Commit(b.ctx, next(job.Job{ID: j.ID, Version: 1, Records: 1})), store.ErrConflict)
	j = b.step(j, write("s", "k", "2"))
	if _, again := b.value("s", "k"); again <= version {
		b.Fatalf("a value written after reopening has version %d, not above %d", again, version)
	}
	b.step(j, ended)
	b.create()
	n, err := b.Counts(b.ctx)
	b.must(err)
	b.same("counts", n, map[job.Status]int64{job.Pending: 1, job.Running: 1, job.Finished: 1})
}
