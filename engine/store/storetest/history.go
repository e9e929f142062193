package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests what a job gathers: records, results of branches, children.

var historyTests = []test{
	{"records keep their order, without gaps", recordsInOrder},
	{"a page of long records ends by its bytes", longRecords},
	{"a record reads back whole", recordWhole},
	{"results of a group", groupResults},
	{"a page of long results ends by its bytes", resultPages},
	{"open tasks in pages", openPages},
	{"children", children},
}

func recordsInOrder(b *bed) {
	j := b.create()
	other := b.create()
	for range 12 {
		j = b.step(j)
		other = b.step(other, func(c *job.Change) { // three at once
			for range 2 {
				c.Job.Records++
				c.Records = append(c.Records, job.Record{N: c.Job.Records, Kind: job.RecTimer, State: "s"})
			}
		})
	}
	for _, jj := range []job.Job{j, other} {
		var all []job.Record
		for {
			page, err := b.Records(b.ctx, jj.ID, int64(len(all)), 5)
			b.must(err)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
		}
		if int64(len(all)) != jj.Records {
			b.Fatalf("%d records, want %d", len(all), jj.Records)
		}
		for i, r := range all {
			if r.N != int64(i)+1 {
				b.Fatalf("record %d stands at place %d", r.N, i+1)
			}
		}
	}
	none, err := b.Records(b.ctx, j.ID, 1000, 5)
	b.must(err)
	if len(none) != 0 {
		b.Fatalf("records after the last one: %v", none)
	}
}

// longRecords: a page of them ends by its bytes, and the next goes on there.
func longRecords(b *bed) {
	j := b.create()
	for range 7 {
		j = b.step(j, func(c *job.Change) {
			c.Records[0].Log = []job.LogLine{{Level: "info", Message: strings.Repeat("x", 1<<20)}}
		})
	}
	var sizes []int
	var last int64
	for {
		page, err := b.Records(b.ctx, j.ID, last, 100)
		b.must(err)
		if len(page) == 0 {
			break
		}
		if page[0].N != last+1 {
			b.Fatalf("a page begins with record %d after %d", page[0].N, last)
		}
		last = page[len(page)-1].N
		sizes = append(sizes, len(page))
	}
	// the first record is short, and the one that passes the bytes is the last of its page
	if want := []int{1 + store.PageBytes>>20, 7 - store.PageBytes>>20}; last != j.Records || !slices.Equal(sizes, want) {
		b.Fatalf("%d records in pages of %d, want %d in pages of %d", last, sizes, j.Records, want)
	}
}

func recordWhole(b *bed) {
	want := job.Record{
		N: 2, At: job.Time{Time: at(1)}, Kind: job.RecStep, Step: 1, State: "start", Next: "später", Status: job.WaitingWorker, Duration: 1.25, Handler: "h",
		Set: map[string]json.RawMessage{"a": json.RawMessage(`2.0`)}, Unset: []string{"b"}, Task: &job.TaskNote{N: 1, Type: "pack"},
		Tasks: []job.TaskNote{{N: 2, Type: "x", Priority: 1.5}}, Error: &job.Error{Code: "E", Message: "m"}, By: "ada", Detail: "d",
		Log: []job.LogLine{{Level: "info", Message: "<b>"}}, Acts: []job.Act{{What: "http", Detail: "GET"}},
	}
	j := b.step(b.create(), func(c *job.Change) { c.Records[0] = want })
	got, err := b.Records(b.ctx, j.ID, 1, 5)
	b.must(err)
	b.same("record", got, []job.Record{want})
}

func groupResults(b *bed) {
	j := b.create(tasks(30))
	var want []job.Result
	for i := range 30 {
		res := job.Result{Group: int64(1 + i%2), TaskID: fmt.Sprintf("task-%02d", 29-i), Type: "pack", Status: "success", Data: json.RawMessage(fmt.Sprintf(`{"i":%d}`, i))}
		if res.Group == 1 {
			want = append([]job.Result{res}, want...)
		}
		j = b.step(j, func(c *job.Change) { c.Results = []job.Result{res} })
	}
	got, _, err := b.Results(b.ctx, j.ID, 1, "", 1000)
	b.must(err)
	b.same("results by task id", got, want)
	some, more, err := b.Results(b.ctx, j.ID, 1, want[3].TaskID, 5)
	b.must(err)
	if !more {
		b.Error("a page of some results says that no more follow")
	}
	b.same("a page of them", some, want[4:9])
	some, more, err = b.Results(b.ctx, j.ID, 1, want[9].TaskID, 5)
	b.must(err)
	if more {
		b.Error("the last page of results says that more follow")
	}
	b.same("the last page", some, want[10:])
	none, _, err := b.Results(b.ctx, j.ID, 77, "", 1000)
	b.must(err)
	if len(none) != 0 {
		b.Fatalf("results of a group that never was: %v", none)
	}
}

// resultPages holds that a page of results ends after PageBytes of text.
func resultPages(b *bed) {
	const long, all = 1 << 20, 6
	j := b.create(tasks(all))
	for i := range all {
		data := json.RawMessage(`"` + strings.Repeat("x", long) + `"`)
		j = b.step(j, func(c *job.Change) {
			c.Results = []job.Result{{Group: 1, TaskID: fmt.Sprintf("task-%d", i), Type: "pack", Status: "success", Data: data}}
		})
	}
	var sizes []int
	var seen []string
	for after, more := "", true; more; {
		var page []job.Result
		var err error
		page, more, err = b.Results(b.ctx, j.ID, 1, after, 100)
		b.must(err)
		if len(page) == 0 {
			b.Fatalf("an empty page after %v", seen)
		}
		for _, r := range page {
			seen, after = append(seen, r.TaskID), r.TaskID
		}
		sizes = append(sizes, len(page))
	}
	if want := store.PageBytes / long; len(seen) != all || sizes[0] != want {
		b.Errorf("%d results in pages of %v, want %d, the first of %d", len(seen), sizes, all, want)
	}
}

// openPages holds that open tasks come in pages of so many, or so many bytes.
func openPages(b *bed) {
	const long, all = 1 << 20, 7
	j := b.create(tasks(all, func(t *job.Task) { t.Params = json.RawMessage(`"` + strings.Repeat("x", long) + `"`) }))
	pages := func(limit int) (sizes []int) {
		seen := 0
		for more := true; more; {
			var page []job.Task
			var err error
			page, more, err = b.OpenTasks(b.ctx, j.ID, seen, limit)
			b.must(err)
			for _, t := range page {
				if seen++; t.N != seen || len(t.Params) != long+2 {
					b.Fatalf("task %d with %d bytes comes where %d is due", t.N, len(t.Params), seen)
				}
			}
			if sizes = append(sizes, len(page)); len(page) == 0 {
				b.Fatalf("an empty page after task %d", seen)
			}
		}
		if seen != all {
			b.Errorf("%d open tasks, want %d", seen, all)
		}
		return sizes
	}
	b.same("pages of three", pages(3), []int{3, 3, 1})
	b.same("pages by bytes", pages(1000), []int{store.PageBytes / long, all - store.PageBytes/long})
}

func children(b *bed) {
	mother := b.create()
	var want []string
	for i := range 5 {
		c := b.create(func(c *job.Change) { c.Job.Parent = &job.Ref{JobID: mother.ID, Step: int64(i)} })
		want = append(want, c.ID)
	}
	b.create()
	got, err := b.Children(b.ctx, mother.ID)
	b.must(err)
	b.same("children", got, want)
	none, err := b.Children(b.ctx, want[0])
	b.must(err)
	if len(none) != 0 {
		b.Fatalf("children of a child: %v", none)
	}
}
