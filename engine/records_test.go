package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests that nobody who reads a long history has much of it in memory. What is read
// is counted in bytes: each step of the job makes a record of over a megabyte, in log lines
// because changes of a large state_history take the race detector minutes.

const (
	longSteps = 20
	longLog   = 1 << 20
	longState = 50 << 10
)

// weighing counts what is read of histories.
type weighing struct {
	store.Store
	page, all int // bytes of the largest page, of all pages
}

func (w *weighing) Records(ctx context.Context, id string, after int64, limit int) ([]job.Record, error) {
	page, err := w.Store.Records(ctx, id, after, limit)
	n := weightOf(page)
	w.page, w.all = max(w.page, n), w.all+n
	return page, err
}

func weightOf(records []job.Record) (n int) {
	for i := range records {
		n += recordBytes(&records[i])
	}
	return n
}

// longJob makes a job with longSteps of long records after a few of its start, and gives its
// row as it was before them and as it is.
func longJob(t *testing.T, mods ...func(*Config)) (r *rig, w *weighing, before, j *job.Job) {
	t.Helper()
	r = newRig(t, append(mods, func(c *Config) {
		w = &weighing{Store: c.Store}
		c.Store = w
	})...)
	id := r.submit("straight", `{}`)
	before = r.job(id)
	j = before
	for i := range longSteps {
		next := *j
		next.Version, next.Records, next.Step = j.Version+1, j.Records+1, j.Step+1
		state := fmt.Sprintf(`"%d %s"`, i, strings.Repeat("s", longState))
		rec := job.Record{N: next.Records, At: job.Time{Time: noon}, Kind: job.RecStep, Step: next.Step, State: "start", Next: "start", Status: job.Running, Handler: "start",
			Set: map[string]json.RawMessage{"x": json.RawMessage(state)}}
		for range 16 {
			rec.Log = append(rec.Log, job.LogLine{Level: "info", Message: strings.Repeat("l", longLog/16)})
		}
		c := &job.Change{Job: next, Base: j.Version, StateHistory: json.RawMessage(`{"x":` + state + `}`), Records: []job.Record{rec}}
		r.Engine.mark(c)
		if err := w.Commit(r.ctx, c); err != nil {
			t.Fatal(err)
		}
		j = &next
	}
	return r, w, before, j
}

// onePage is the most that a page may hold: a record that passes the bytes ends it.
const onePage = store.PageBytes + longLog + longState + 16<<10

func TestLongHistoryIsReadInPages(t *testing.T) {
	r, w, before, j := longJob(t)
	check := func(what string, held, mostHeld, mostRead int) {
		t.Helper()
		if w.page == 0 || w.page > onePage {
			t.Errorf("%s: a page has %d bytes, at most %d are meant", what, w.page, onePage)
		}
		if held > mostHeld || w.all > mostRead {
			t.Errorf("%s: holds %d bytes (at most %d are meant) and read %d (at most %d)", what, held, mostHeld, w.all, mostRead)
		}
		w.page, w.all = 0, 0
	}
	const all = longSteps*(longLog+longState+4<<10) + 64<<10

	seen, most := 0, 0
	err := r.History(r.ctx, j.ID, func(events []HistoryEvent) error {
		n := 0
		for _, e := range events {
			if n += len(e.Snapshot); e.Record != nil {
				seen, n = seen+1, n+recordBytes(e.Record)
			}
		}
		most = max(most, n)
		return nil
	})
	if err != nil || int64(seen) != j.Records {
		t.Errorf("the history has %d records, %v", seen, err)
	}
	check("history", most, 2<<20, all)

	ways, err := r.Ways(r.ctx, j.ID)
	if err != nil || int64(len(ways)) != j.Records || ways[before.Records+2].Next != "start" || ways[before.Records+2].Handler != "start" {
		t.Errorf("%d ways, %v", len(ways), err)
	}
	check("graph", weightOf(ways), (longSteps+10)*512, all)

	newest, err := r.Newest(r.ctx, j, 500)
	if err != nil || len(newest) != 8 || newest[7].N != j.Records || newest[0].N != j.Records-7 {
		t.Fatalf("%d of the newest, %v", len(newest), err)
	}
	if log := newest[7].Log; len(log) != 1 || !strings.HasPrefix(log[0].Message, "… 16 more lines of log are left out here") || newest[7].Set != nil {
		t.Errorf("a long record is shown with %d lines of log: %.80v", len(log), log[0].Message)
	}
	check("page", weightOf(newest), 8*(shortBytes+1<<10), newestBytes+2*onePage)

	if o, err := r.endOf(r.ctx, j.ID, 3); o != nil || err != nil {
		t.Errorf("a question that nobody asked ended %v, %v", o, err)
	}
	check("end of a question", 0, 0, newestBytes+2*onePage)

	result, err := r.resultAt(r.ctx, j, store.Data{}, before.Records+11)
	if err != nil || !strings.Contains(string(result), `"x":"10 s`) {
		t.Errorf("the result was %.40s, %v", result, err)
	}
	check("result", len(result), 1<<20, 11*(longLog+longState+4<<10)+onePage)
}

func TestNewestOfManyShortRecords(t *testing.T) {
	r := newRig(t)
	j := r.job(r.begin("straight", `{}`))
	whole := r.records(j.ID)
	for most := range len(whole) + 2 {
		got, err := r.Newest(r.ctx, j, most)
		if want := min(most, len(whole)); err != nil || len(got) != want || want > 0 && (got[0].N != j.Records-int64(want)+1 || got[want-1].N != j.Records) {
			t.Errorf("%d of %d: %v, %v", most, len(whole), got, err)
		}
	}
}

// sinkBySize notes how large the transactions of the copy were.
type sinkBySize struct{ events, most int }

func (s *sinkBySize) Last(context.Context, string) (int64, error) { return 0, nil }

func (s *sinkBySize) Keep(_ context.Context, events []HistoryEvent) error {
	n := 0
	for _, e := range events {
		if n += len(e.Snapshot); e.Record != nil {
			n += recordBytes(e.Record)
		}
	}
	s.events, s.most = s.events+len(events), max(s.most, n)
	return nil
}

func TestLongHistoryIsCopiedInParts(t *testing.T) {
	sink := &sinkBySize{}
	r, w, _, _ := longJob(t, func(c *Config) { c.History = sink })
	for {
		n, err := r.CopyHistory(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	if sink.events < longSteps || sink.most > bytesKept+2<<20 || w.page > onePage {
		t.Errorf("%d events, at most %d bytes at once, pages of %d", sink.events, sink.most, w.page)
	}
}
