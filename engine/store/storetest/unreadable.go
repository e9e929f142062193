package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests that one damaged row hides no other.

// Spoil damages the texts of rows in a store.
type Spoil struct {
	Job     func(s store.Store, id string)
	Task    func(s store.Store, jobID string, n int)
	Message func(s store.Store, jobID, id string)
}

// RunUnreadable damages rows of new stores.
func RunUnreadable(t *testing.T, open func(t testing.TB) store.Store, spoil Spoil) {
	t.Run("scans", func(t *testing.T) { unreadableInScans(newBed(t, open), spoil) })
	t.Run("lists", func(t *testing.T) { unreadableInLists(newBed(t, open), spoil) })
	t.Run("kept messages", func(t *testing.T) { unreadableMessages(newBed(t, open), spoil) })
}

func unreadableInScans(b *bed, spoil Spoil) {
	var jobs []job.Job
	for range 3 {
		jobs = append(jobs, b.create(func(c *job.Change) {
			c.Tasks = []job.Task{{JobID: c.Job.ID, N: 1, Type: "t", State: job.TaskQueued, Queued: c.Job.CreatedAt}}
			c.Outbox = []job.Message{{ID: c.Job.ID + "/1", JobID: c.Job.ID, Kind: job.MsgWebhook, Due: at(1)}}
		}))
	}
	bad := jobs[1].ID
	spoil.Task(b.Store, bad, 1)
	spoil.Message(b.Store, bad, bad+"/1")

	var found []string
	err := b.ScanTasks(b.ctx, job.TaskQueued, func(t job.Task) bool { found = append(found, t.JobID); return true })
	slices.Sort(found)
	var passed *store.Unreadable
	if !errors.As(err, &passed) || len(passed.Rows) != 1 || !errors.Is(err, store.ErrUnreadable) {
		b.Errorf("of the task that was passed over, the scan says %v", err)
	}
	b.same("tasks", found, []string{jobs[0].ID, jobs[2].ID})

	all, err := b.Messages(b.ctx, at(1), 10)
	found = nil
	for _, m := range all {
		found = append(found, m.JobID)
	}
	b.same("messages", found, []string{jobs[0].ID, jobs[2].ID})
	if !errors.As(err, &passed) || len(passed.Rows) != 1 || passed.Rows[0].Name != store.NameOfMessage(bad+"/1") {
		b.Errorf("of the message that was passed over, the outbox says %v", err)
	}
	if _, _, err := b.OpenTasks(b.ctx, bad, 0, 10); !errors.Is(err, store.ErrUnreadable) {
		b.Errorf("the job's own tasks are read with %v", err)
	}
}

// passed demands that an error names these rows and nothing else.
func (b *bed) passed(what string, err error, names ...string) {
	b.Helper()
	var u *store.Unreadable
	if err == nil && len(names) == 0 {
		return
	}
	if !errors.As(err, &u) {
		b.Fatalf("%s: of what was passed over it says %v, want %q", what, err, names)
	}
	found := []string{}
	for _, r := range u.Rows {
		found = append(found, r.Name)
		b.want(r.Err, store.ErrUnreadable)
	}
	b.same(what+": passed over", found, names)
}

// unreadableInLists asks for pages on which every place is taken by a row that can be read.
func unreadableInLists(b *bed, spoil Spoil) {
	var all []string
	for range 7 {
		all = append(all, b.create(func(c *job.Change) { c.Job.Client.ID = "ann" }).ID)
	}
	slices.Reverse(all) // newest first
	bad := []string{all[1], all[2], all[3], all[6]}
	for _, id := range bad {
		spoil.Job(b.Store, id)
	}
	for _, q := range []store.Query{{Limit: 2}, {Limit: 2, Client: "ann"}, {Limit: 2, Status: []job.Status{job.Pending, job.Running}}} {
		page, err := b.List(b.ctx, q)
		b.passed("first page", err, store.NameOfJob(bad[0]), store.NameOfJob(bad[1]), store.NameOfJob(bad[2]))
		b.same("first page", jobIDs(page), []string{all[0], all[4]})
		q.Cursor = page.Cursor
		page, err = b.List(b.ctx, q)
		b.passed("last page", err, store.NameOfJob(bad[3]))
		b.same("last page", jobIDs(page), []string{all[5]})
		b.same("last cursor", page.Cursor, "")
	}
	rows, err := b.Rows(b.ctx, append([]string{job.NewID(epoch, 3), "nonsense"}, all...))
	var of []string
	for i := range rows {
		of = append(of, rows[i].ID)
	}
	slices.Sort(of)
	b.same("rows", of, []string{all[5], all[4], all[0]})
	var u *store.Unreadable
	if !errors.As(err, &u) || len(u.Rows) != len(bad) {
		b.Errorf("of the rows that were passed over it says %v", err)
	}
	if _, err := b.Job(b.ctx, bad[0]); !errors.Is(err, store.ErrUnreadable) {
		b.Errorf("the damaged job itself is read with %v", err)
	}
}

func jobIDs(p store.Page) []string {
	ids := []string{}
	for i := range p.Jobs {
		ids = append(ids, p.Jobs[i].ID)
	}
	return ids
}

// unreadableMessages does the same with messages of a job, and with those given up.
func unreadableMessages(b *bed, spoil Spoil) {
	j := b.create(func(c *job.Change) {
		for n := range 6 {
			c.Outbox = append(c.Outbox, job.Message{ID: fmt.Sprintf("%s/1/%d", c.Job.ID, n), JobID: c.Job.ID, Kind: job.MsgWebhook, Due: at(1)})
		}
	})
	id := func(n int) string { return fmt.Sprintf("%s/1/%d", j.ID, n) }
	for n := range 6 {
		b.park(id(n), false)
	}
	for _, n := range []int{1, 2, 5} {
		spoil.Message(b.Store, j.ID, id(n))
	}
	ms, err := b.MessagesOf(b.ctx, j.ID)
	b.passed("of the job", err, store.NameOfMessage(id(1)), store.NameOfMessage(id(2)), store.NameOfMessage(id(5)))
	b.same("of the job", ids(ms), []string{id(0), id(3), id(4)})

	ms, err = b.GivenUp(b.ctx, "", 2)
	b.passed("given up", err, store.NameOfMessage(id(1)), store.NameOfMessage(id(2)))
	b.same("given up", ids(ms), []string{id(0), id(3)})
	ms, err = b.GivenUp(b.ctx, id(3), 2)
	b.passed("the rest", err, store.NameOfMessage(id(5)))
	b.same("the rest", ids(ms), []string{id(4)})
}
