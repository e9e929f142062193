package storetest

import (
	"errors"
	"strings"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the list of jobs and the counts.

var listTests = []test{
	{"newest first, filtered", listFiltered},
	{"pages stay put while jobs are added", listStable},
	{"limits and cursors", listLimits},
	{"a page of long rows ends by its bytes", listBytes},
	{"counts by status", counts},
}

// list gives the ids of all pages.
func (b *bed) list(q store.Query) []string {
	b.Helper()
	ids := []string{}
	for {
		p, err := b.List(b.ctx, q)
		b.must(err)
		for _, j := range p.Jobs {
			ids = append(ids, j.ID)
		}
		if q.Cursor = p.Cursor; q.Cursor == "" {
			return ids
		}
		if len(p.Jobs) == 0 {
			b.Fatal("an empty page with a cursor")
		}
	}
}

func listFiltered(b *bed) {
	var made []job.Job
	for i := range 60 {
		j := b.create(func(c *job.Change) {
			c.Job.Blueprint = []string{"orders", "parcels"}[i%2]
			c.Job.Client.ID = []string{"ada", "bob", ""}[i%3]
		})
		made = append(made, b.step(j, status(job.Statuses[i%len(job.Statuses)], false)))
	}
	for _, q := range []store.Query{
		{}, {Blueprint: "parcels"}, {Client: "bob"}, {Client: "bob", Blueprint: "orders"},
		{Status: []job.Status{job.Finished}}, {Status: []job.Status{job.WaitingHuman, job.Running}},
		{Status: []job.Status{job.Failed, job.Quarantined, job.Cancelled}}, {Status: []job.Status{job.Pending, job.Finished}},
		{Status: []job.Status{job.Failed, job.Pending}, Client: "ada"}, {Status: []job.Status{job.Finished}, Blueprint: "parcels"},
		{Blueprint: "nobody"},
	} {
		want := []string{}
		for i := len(made) - 1; i >= 0; i-- {
			if matches(made[i], q) {
				want = append(want, made[i].ID)
			}
		}
		for _, limit := range []int{0, 1, 7, 60} {
			q.Limit = limit
			b.same("list", b.list(q), want)
		}
	}
	p, err := b.List(b.ctx, store.Query{Limit: 1})
	b.must(err)
	b.same("row", p.Jobs, made[len(made)-1:])
}

func matches(j job.Job, q store.Query) bool {
	ok := len(q.Status) == 0
	for _, s := range q.Status {
		ok = ok || s == j.Status
	}
	return ok && (q.Blueprint == "" || j.Blueprint == q.Blueprint) && (q.Client == "" || j.Client.ID == q.Client)
}

func listStable(b *bed) {
	var want []string
	for range 10 {
		want = append([]string{b.create().ID}, want...)
	}
	q := store.Query{Limit: 3}
	var got []string
	for {
		p, err := b.List(b.ctx, q)
		b.must(err)
		for _, j := range p.Jobs {
			got = append(got, j.ID)
		}
		if p.Cursor == "" {
			break
		}
		q.Cursor = p.Cursor
		b.create()
	}
	b.same("pages", got, want)
}

// listBytes makes jobs whose rows are long, as those of workers that explain their errors.
func listBytes(b *bed) {
	const long, made = 300 << 10, 40
	var want []string
	for range made {
		j := b.create(func(c *job.Change) {
			c.Job.Client.ID = "ada"
			c.Job.Error = &job.Error{Code: "E", Message: "m", Details: strings.Repeat("d", long)}
		})
		want = append([]string{j.ID}, want...)
	}
	for _, q := range []store.Query{{Limit: 1000}, {Limit: 30, Client: "ada"}} {
		b.same("list", b.list(q), want)
		p, err := b.List(b.ctx, q)
		b.must(err)
		if most := store.PageBytes/long + 1; len(p.Jobs) > most || p.Cursor == "" {
			b.Errorf("a page has %d long rows and the cursor %q, at most %d are meant", len(p.Jobs), p.Cursor, most)
		}
	}
}

func listLimits(b *bed) {
	for range 3 {
		b.create()
	}
	p, err := b.List(b.ctx, store.Query{Limit: 3})
	b.must(err)
	if p.Cursor != "" || len(p.Jobs) != 3 {
		b.Fatalf("a full last page has %d jobs and the cursor %q", len(p.Jobs), p.Cursor)
	}
	if _, err := b.List(b.ctx, store.Query{Cursor: "no such cursor"}); !errors.Is(err, store.ErrCursor) {
		b.Fatal("a cursor that nobody gave is taken")
	}
	if p, err := b.List(b.ctx, store.Query{Limit: 5000}); err != nil || len(p.Jobs) != 3 {
		b.Fatalf("a limit above the highest gives %d jobs (%v)", len(p.Jobs), err)
	}
}

func counts(b *bed) {
	n, err := b.Counts(b.ctx)
	b.must(err)
	b.same("empty", n, map[job.Status]int64{})
	for i := range 7 {
		j := b.create()
		if i < 4 {
			j = b.step(j, status(job.WaitingWorker, false))
		}
		if i < 2 {
			b.step(j, status(job.Finished, false))
		}
	}
	j := b.create()
	j = b.step(j, status(job.Quarantined, false))
	b.want(b.Commit(b.ctx, next(job.Job{ID: j.ID, Version: 1, Records: 1}, status(job.Failed, false))), store.ErrConflict)
	b.step(j, status(job.Running, true)) // reopened
	n, err = b.Counts(b.ctx)
	b.must(err)
	b.same("counts", n, map[job.Status]int64{job.Pending: 3, job.WaitingWorker: 2, job.Finished: 2, job.Running: 1})
}
