package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads the log's format and says what a store must hold after a power cut.

const logHeader = 32 // bytes; see "The Write-Ahead Log" in SQLite's description of its files

// sameLog tells whether two copies of the log have the same salt, that is, whether it was
// not begun anew between them.
func sameLog(a, b []byte) bool {
	return len(a) >= logHeader && len(b) >= logHeader && string(a[16:24]) == string(b[16:24])
}

// logEnd gives the length of the log up to its last commit: frames of this log's salt, of
// which the last one of a commit names the size of the file.
func logEnd(wal []byte) (end int) {
	if len(wal) < logHeader {
		return 0
	}
	end = logHeader
	for at := logHeader; at+pageBytes <= len(wal) && string(wal[at+8:at+16]) == string(wal[16:24]); at += pageBytes {
		if binary.BigEndian.Uint32(wal[at+4:]) > 0 {
			end = at + pageBytes
		}
	}
	return end
}

// grown takes a job a step on, with a row in every table; all of them follow from the job's
// version.
func grown(j job.Job) *job.Change {
	c := step(j, job.Running)
	v := c.Job.Version
	c.StateHistory = historyOf(v)
	c.Job.LastTask = int(v) - 1
	c.CloseTasks = true
	c.Tasks = []job.Task{{JobID: j.ID, N: c.Job.LastTask, State: job.TaskQueued, Type: "cut", Params: padding(v)}}
	c.Results = []job.Result{{Group: v, TaskID: fmt.Sprint(v), Type: "cut", Status: "success", Data: []byte(fmt.Sprint(v))}}
	c.Outbox = []job.Message{{ID: fmt.Sprintf("%s/%d", j.ID, v), JobID: j.ID, Kind: job.MsgWebhook, Due: start}}
	c.Writes = []job.StoreWrite{{Store: "s", Key: j.ID, Value: []byte(fmt.Sprint(v))}}
	return c
}

// historyOf is a text that stands in the job's row at some versions, and beside it at others.
func historyOf(v int64) []byte { return fmt.Appendf(nil, `{"version":%d,"and":%s}`, v, padding(v)) }

// padding is small, or longer than a page.
func padding(v int64) []byte {
	return []byte(`"` + strings.Repeat("x", int(v*1597%6000)) + `"`)
}

// settled holds a store to being as before a batch or as after it.
func settled(s *Store, before, after versions) error {
	var said []string
	err := s.read(ctx, func(c *conn) error {
		return c.each("PRAGMA integrity_check", func(r row) error { said = append(said, r.text(0)); return nil })
	})
	if err != nil || len(said) != 1 || said[0] != "ok" {
		return fmt.Errorf("integrity check: %v, %q", err, said)
	}
	page, err := s.List(ctx, store.Query{Limit: 1000})
	if err != nil || page.Cursor != "" {
		return fmt.Errorf("list: %v, cursor %q", err, page.Cursor)
	}
	is := versions{}
	for _, j := range page.Jobs {
		is[j.ID] = j.Version
	}
	if !maps.Equal(is, before) && !maps.Equal(is, after) {
		return fmt.Errorf("acknowledged were %v, under way %v; there are %v", before, after, is)
	}
	counts, err := s.Counts(ctx)
	if sum := counts[job.Pending] + counts[job.Running]; err != nil || sum != int64(len(is)) {
		return fmt.Errorf("%d jobs are counted, %d are there (%v)", sum, len(is), err)
	}
	messages, err := s.Messages(ctx, start, 10_000)
	if err != nil {
		return err
	}
	posted := versions{}
	for _, m := range messages {
		posted[m.JobID]++
	}
	for id, v := range is {
		if posted[id] != v-1 {
			return fmt.Errorf("job %s at version %d has %d messages", id, v, posted[id])
		}
		if err := wholeJob(s, id, v); err != nil {
			return fmt.Errorf("job %s at version %d: %w", id, v, err)
		}
	}
	return nil
}

// wholeJob demands every row that the job's version implies.
func wholeJob(s *Store, id string, v int64) error {
	j, d, err := s.Load(ctx, id)
	if err != nil {
		return err
	}
	history := "{}"
	if v > 1 {
		history = string(historyOf(v))
	}
	if j.Version != v || string(d.History) != history || !strings.HasPrefix(string(d.Initial), `{"n":`) {
		return fmt.Errorf("it loads as version %d with %s and %s", j.Version, d.Initial, d.History)
	}
	records, err := s.Records(ctx, id, 0, 1000)
	if err != nil || int64(len(records)) != v-1 {
		return fmt.Errorf("%d records (%v)", len(records), err)
	}
	for i, r := range records {
		if r.N != int64(i)+1 {
			return fmt.Errorf("record %d stands where %d belongs", r.N, i+1)
		}
	}
	for n := int64(1); n < v; n++ {
		t, err := s.Task(ctx, id, int(n))
		state := job.TaskClosed
		if n == v-1 {
			state = job.TaskQueued
		}
		if err != nil || t.State != state || string(t.Params) != string(padding(n+1)) {
			return fmt.Errorf("task %d is %+v (%v)", n, t, err)
		}
		results, _, err := s.Results(ctx, id, n+1, "", 1000)
		if err != nil || len(results) != 1 || string(results[0].Data) != fmt.Sprint(n+1) {
			return fmt.Errorf("results of step %d are %+v (%v)", n+1, results, err)
		}
	}
	if _, err := s.Task(ctx, id, int(v)); !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("a task of the next version: %v", err)
	}
	value, _, err := s.Value(ctx, "b", "s", id)
	want := ""
	if v > 1 {
		want = fmt.Sprint(v)
	}
	if err != nil || string(value) != want {
		return fmt.Errorf("its value is %q (%v)", value, err)
	}
	return nil
}
