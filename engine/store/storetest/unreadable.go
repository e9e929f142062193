package storetest

import (
	"errors"
	"slices"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests that one damaged row hides no other.

// RunUnreadable damages rows of a new store by the two functions, which spoil the text of a task
// and of a message.
func RunUnreadable(t *testing.T, open func(t testing.TB) store.Store, task func(s store.Store, jobID string, n int), message func(s store.Store, jobID, id string)) {
	b := newBed(t, open)
	var jobs []job.Job
	for range 3 {
		jobs = append(jobs, b.create(func(c *job.Change) {
			c.Tasks = []job.Task{{JobID: c.Job.ID, N: 1, Type: "t", State: job.TaskQueued, Queued: c.Job.CreatedAt}}
			c.Outbox = []job.Message{{ID: c.Job.ID + "/1", JobID: c.Job.ID, Kind: job.MsgWebhook, Due: at(1)}}
		}))
	}
	bad := jobs[1].ID
	task(b.Store, bad, 1)
	message(b.Store, bad, bad+"/1")

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
	if _, err := b.OpenTasks(b.ctx, bad); !errors.Is(err, store.ErrUnreadable) {
		b.Errorf("the job's own tasks are read with %v", err)
	}
}
