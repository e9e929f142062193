package storetest

import (
	"encoding/json"
	"errors"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the one atomic write: versions, conflicts and all-or-nothing.

var commitTests = []test{
	{"a new job reads back whole", readsBack},
	{"the same id twice is ErrExists", existsTwice},
	{"a stale version writes nothing", staleWritesNothing},
	{"a step of a missing job is a conflict", stepOfMissing},
	{"state_history stays when it is nil", historyStays},
	{"broken changes are refused", brokenRefused},
	{"missing jobs are ErrNotFound", missingEverywhere},
	{"later edits by the caller do not show", noAliases},
}

func readsBack(b *bed) {
	c := b.fresh(func(c *job.Change) {
		c.Job.Parent = &job.Ref{JobID: job.NewID(epoch, 3), Step: 4}
		c.Job.Client = job.Client{ID: "zoë", Plan: "gold", Params: json.RawMessage(`{"n":2.0}`)}
		c.Job.Trace = map[string]string{"traceparent": "00-1-2-03"}
		c.Job.Wait = &job.Wait{For: job.WaitingTimer, Since: epoch, Until: ptr(at(9)), Detail: "waits <9 s> & more"}
		c.Job.Error = &job.Error{Code: job.CodeScript, Message: "línea\n\"2\"\u2028\x00", Details: map[string]any{"k": []any{1.5, nil}}}
		c.Job.Due, c.Job.CancelAsked, c.Job.EndedAt = ptr(at(9)), ptr(at(1)), ptr(at(2))
		c.Job.Recent = []string{"a", "b"}
		c.StateHistory = json.RawMessage(`{"x":{"y":[1,2.0,"<&>"]}}`)
	})
	b.must(b.Commit(b.ctx, c))
	j, d, err := b.Load(b.ctx, c.Job.ID)
	b.must(err)
	b.same("job", j, c.Job)
	if string(d.Initial) != `{"order":7}` || string(d.History) != `{"x":{"y":[1,2.0,"<&>"]}}` {
		b.Fatalf("data came back as %s and %s", d.Initial, d.History)
	}
	again, err := b.Job(b.ctx, c.Job.ID)
	b.must(err)
	b.same("job alone", again, c.Job)
}

func existsTwice(b *bed) {
	j := b.create()
	c := b.fresh(write("s", "k", "1"), message("m1", epoch))
	c.Job.ID = j.ID
	b.want(b.Commit(b.ctx, c), store.ErrExists)
	b.nothingOf(c)
}

func staleWritesNothing(b *bed) {
	j := b.create(tasks(1))
	j2 := b.step(j)
	for _, base := range []int64{j.Version, j2.Version + 1} {
		from := j2
		from.Version = base
		c := next(from, tasks(1), write("s", "k", "1"), message("m1", epoch), status(job.Failed, false), due(ptr(at(3))))
		c.CloseTasks = true
		c.StateHistory = json.RawMessage(`{"lost":true}`)
		c.Results = []job.Result{{Group: 1, TaskID: "t", Type: "pack", Status: "success", Data: []byte(`{}`)}}
		b.want(b.Commit(b.ctx, c), store.ErrConflict)
		b.nothingOf(c)
	}
	got, d, err := b.Load(b.ctx, j.ID)
	b.must(err)
	b.same("job", got, j2)
	b.same("state_history", d.History, json.RawMessage("{}"))
	recs, err := b.Records(b.ctx, j.ID, 0, 10)
	b.must(err)
	open, _, err := b.OpenTasks(b.ctx, j.ID, 0, 1000)
	b.must(err)
	if len(recs) != 2 || len(open) != 1 {
		b.Fatalf("after the conflicts: %d records and %d open tasks, want 2 and 1", len(recs), len(open))
	}
}

// nothingOf demands that the side effects of a refused change are absent.
func (b *bed) nothingOf(c *job.Change) {
	b.Helper()
	v, version, err := b.Value(b.ctx, c.Job.Blueprint, "s", "k")
	b.must(err)
	msgs, err := b.Messages(b.ctx, at(1000), 10)
	b.must(err)
	results, _, err := b.Results(b.ctx, c.Job.ID, 1, "", 1000)
	b.must(err)
	if v != nil || version != 0 || len(msgs) != 0 || len(results) != 0 {
		b.Fatalf("a refused change left value %s (version %d), %d messages, %d results", v, version, len(msgs), len(results))
	}
	wakes, err := b.Due(b.ctx, at(1000), 10)
	b.must(err)
	if len(wakes) != 0 {
		b.Fatalf("a refused change left due dates: %v", wakes)
	}
}

func stepOfMissing(b *bed) {
	c := next(b.fresh().Job)
	b.want(b.Commit(b.ctx, c), store.ErrConflict)
	_, err := b.Job(b.ctx, c.Job.ID)
	b.want(err, store.ErrNotFound)
}

func historyStays(b *bed) {
	j := b.create(func(c *job.Change) { c.StateHistory = json.RawMessage(`{"a":1}`) })
	j = b.step(j)
	_, d, err := b.Load(b.ctx, j.ID)
	b.must(err)
	b.same("unchanged", d.History, json.RawMessage(`{"a":1}`))
	j = b.step(j, func(c *job.Change) { c.StateHistory = json.RawMessage(`{"b":2}`) })
	_, d, err = b.Load(b.ctx, j.ID)
	b.must(err)
	b.same("replaced", d.History, json.RawMessage(`{"b":2}`))
	b.same("initial data", d.Initial, json.RawMessage(`{"order":7}`))
}

func brokenRefused(b *bed) {
	j := b.create()
	for name, c := range map[string]*job.Change{
		"id":      b.fresh(func(c *job.Change) { c.Job.ID = "job-1" }),
		"version": next(j, func(c *job.Change) { c.Job.Version++ }),
		"record":  next(j, func(c *job.Change) { c.Records[0].N++ }),
		"task":    next(j, tasks(1, func(t *job.Task) { t.JobID = job.NewID(epoch, 1) })),
	} {
		err := b.Commit(b.ctx, c)
		if err == nil || errors.Is(err, store.ErrConflict) {
			b.Errorf("a change with a broken %s gives %v, want a plain refusal", name, err)
		}
	}
	got, err := b.Job(b.ctx, j.ID)
	b.must(err)
	b.same("job", got, j)
}

func missingEverywhere(b *bed) {
	j := b.create()
	for _, id := range []string{job.NewID(epoch, 9), "", "nonsense"} {
		_, err := b.Job(b.ctx, id)
		b.want(err, store.ErrNotFound)
		_, _, err = b.Load(b.ctx, id)
		b.want(err, store.ErrNotFound)
		_, err = b.Records(b.ctx, id, 0, 10)
		b.want(err, store.ErrNotFound)
		_, _, err = b.Results(b.ctx, id, 1, "", 1000)
		b.want(err, store.ErrNotFound)
		_, err = b.Store.Progress(b.ctx, id)
		b.want(err, store.ErrNotFound)
		_, err = b.Children(b.ctx, id)
		b.want(err, store.ErrNotFound)
		_, err = b.Task(b.ctx, id, 1)
		b.want(err, store.ErrNotFound)
		_, _, err = b.OpenTasks(b.ctx, id, 0, 1000)
		b.want(err, store.ErrNotFound)
	}
	_, err := b.Task(b.ctx, j.ID, 1)
	b.want(err, store.ErrNotFound)
	_, err = b.Revision(b.ctx, "none")
	b.want(err, store.ErrNotFound)
}

func noAliases(b *bed) {
	history := json.RawMessage(`{"a":1}`)
	c := b.fresh(tasks(1), func(c *job.Change) { c.StateHistory = history })
	b.must(b.Commit(b.ctx, c))
	history[5] = '9'
	c.InitialData[9] = '9'
	c.Tasks[0].Params[7] = '9'
	c.Tasks[0].Transitions["success"] = "elsewhere"
	_, d, err := b.Load(b.ctx, c.Job.ID)
	b.must(err)
	task, err := b.Task(b.ctx, c.Job.ID, 1)
	b.must(err)
	if string(d.History) != `{"a":1}` || string(d.Initial) != `{"order":7}` || string(task.Params) != `{"box":1}` || task.Transitions["success"] != "end" {
		b.Fatalf("the store shares memory with its caller: %s %s %s %v", d.History, d.Initial, task.Params, task.Transitions)
	}
	d.History[5] = '8'
	_, again, err := b.Load(b.ctx, c.Job.ID)
	b.must(err)
	b.same("after editing what was read", again.History, json.RawMessage(`{"a":1}`))
}
