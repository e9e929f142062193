package move_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/move"
)

// This file shows that the proof of a move can fail: a target that lost, changed or
// reordered something is found.

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// faulty is a target whose rows pass through a fault on their way in.
type faulty struct {
	*memory.Store
	fault func(rows []store.Row) []store.Row
}

func (f faulty) Import(ctx context.Context, rows []store.Row) error {
	return f.Store.Import(ctx, f.fault(rows))
}

func source(t *testing.T) *memory.Store {
	t.Helper()
	s := memory.New()
	id := job.NewID(now, 7)
	c := &job.Change{
		Job:         job.Job{ID: id, Version: 1, Status: job.Pending, Records: 1, LastTask: 1, CreatedAt: now, UpdatedAt: now},
		InitialData: []byte(`{"a":1}`), Records: []job.Record{{N: 1, Kind: job.RecCreated}},
		Tasks:   []job.Task{{JobID: id, N: 1, State: job.TaskQueued, Type: "t", Queued: now}},
		Results: []job.Result{{Group: 1, TaskID: "x"}},
		Outbox:  []job.Message{{ID: id + "/1", JobID: id, Due: now}, {ID: id + "/2", JobID: id, Due: now}},
		Writes:  []job.StoreWrite{{Store: "s", Key: "k", Value: []byte("1")}},
	}
	ctx := context.Background()
	_, _, claimed := s.Claim(ctx, "k", []byte("v"), 0, now)
	if err := errors.Join(claimed, s.Commit(ctx, c), s.PutRevision(ctx, store.Revision{Hash: "h"}), s.PutWorker(ctx, "w", []byte("{}"), now),
		s.PutFile(ctx, store.SourceFile{Name: "a.star", Revision: "h", At: now})); err != nil {
		t.Fatal(err)
	}
	s.AddProgress(id, store.Progress{TaskID: "x", Progress: 1})
	s.AddProgress(id, store.Progress{TaskID: "x", Progress: 2})
	return s
}

func TestEveryLostRowIsFound(t *testing.T) {
	for _, lost := range store.RowKinds {
		if lost == store.KindJob { // its parts would not find it: the import fails
			continue
		}
		to := faulty{memory.New(), func(rows []store.Row) []store.Row {
			return slices.DeleteFunc(slices.Clone(rows), func(r store.Row) bool { return r.Kind() == lost })
		}}
		var differ *move.DifferError
		_, err := move.Copy(context.Background(), source(t), to, move.Options{Now: now})
		if !errors.As(err, &differ) || len(differ.Lines) != 1 || !strings.HasPrefix(differ.Lines[0], string(lost)+": ") {
			t.Errorf("without the %s: %v", lost, err)
		}
		if err := move.Finished(context.Background(), to, now); !errors.Is(err, move.ErrUnfinished) {
			t.Errorf("a target that differs counts as finished: %v", err)
		}
	}
}

func TestEveryChangeIsFound(t *testing.T) {
	for name, fault := range map[string]func(r store.Row) store.Row{
		"job": in(func(j *store.JobRow) { j.Job.State = "other" }), "data": in(func(j *store.JobRow) { j.Data.Initial = []byte(`{"a":2}`) }),
		"task": in(func(k *store.TaskRow) { k.Task.State = job.TaskDone }), "value": in(func(v *store.ValueRow) { v.Value.Version++ }),
		"claim": in(func(c *store.ClaimRow) { c.Value = []byte("w") }), "revision": in(func(r *store.RevisionRow) { r.Revision.Main = "m" }),
	} {
		to := faulty{memory.New(), func(rows []store.Row) []store.Row {
			out := slices.Clone(rows)
			for i, r := range out {
				out[i] = fault(r)
			}
			return out
		}}
		var differ *move.DifferError
		if _, err := move.Copy(context.Background(), source(t), to, move.Options{Now: now}); !errors.As(err, &differ) {
			t.Errorf("a changed %s: %v", name, err)
		}
	}
}

// in changes rows of one type and leaves the others.
func in[R store.Row](change func(r *R)) func(store.Row) store.Row {
	return func(r store.Row) store.Row {
		if one, ok := r.(R); ok {
			change(&one)
			return one
		}
		return r
	}
}

func TestOrderCounts(t *testing.T) {
	for _, kind := range []store.RowKind{store.KindMessage, store.KindProgress} {
		to := faulty{memory.New(), func(rows []store.Row) []store.Row {
			out := slices.Clone(rows)
			var at []int
			for i, r := range out {
				if r.Kind() == kind {
					at = append(at, i)
				}
			}
			out[at[0]], out[at[1]] = out[at[1]], out[at[0]]
			return out
		}}
		_, err := move.Copy(context.Background(), source(t), to, move.Options{Now: now})
		if err == nil || !strings.Contains(err.Error(), "order differs") {
			t.Errorf("two %s that changed places: %v", kind, err)
		}
	}
}

func TestWhatEndsSoonIsNotCompared(t *testing.T) {
	s := memory.New()
	if _, _, err := s.Claim(context.Background(), "soon", []byte("v"), time.Minute, now); err != nil {
		t.Fatal(err)
	}
	sums, err := move.SumsOf(context.Background(), s, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := sums.Differences(move.NewSums(now)); len(diff) != 0 {
		t.Errorf("a claim that ends in a minute is compared: %v", diff)
	}
}
