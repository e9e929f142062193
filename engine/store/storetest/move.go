package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/move"
)

// This file tests that a store's rows can be moved out and in.

// RunMove puts a driver's store.Movable through its tests. open gives an empty store each time.
func RunMove(t *testing.T, open func(t testing.TB) store.Store) {
	for _, tt := range []struct {
		name string
		run  func(b *bed, open func() store.Movable)
	}{
		{"everything arrives elsewhere", moveOut},
		{"everything arrives from elsewhere", moveIn},
		{"work goes on after a move", moveGoesOn},
		{"a used store is no target", moveUsed},
		{"a copy that broke off is known", moveBroken},
		{"many rows in many pieces", moveMany},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, open)
			tt.run(b, func() store.Movable {
				s := open(t)
				t.Cleanup(func() {
					if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
						t.Errorf("close: %v", err)
					}
				})
				return movable(t, s)
			})
		})
	}
}

func movable(t testing.TB, s store.Store) store.Movable {
	t.Helper()
	m, ok := s.(store.Movable)
	if !ok {
		t.Fatalf("%T is not store.Movable", s)
	}
	return m
}

// filled puts something of every kind into the bed's store and gives the ids of its jobs.
func (b *bed) filled() (ids []string) {
	b.Helper()
	for i := range 12 {
		j := b.create(due(ptr(at(i))), func(c *job.Change) {
			c.Job.Blueprint = []string{"orders", "parcels"}[i%2]
			c.Job.Client.ID = []string{"ada", ""}[i%2]
			c.Job.Trace = map[string]string{"z": "1", "a": "2"}
			if i > 0 {
				c.Job.Parent = &job.Ref{JobID: ids[0], Step: 1}
			}
			if i == 3 {
				c.InitialData = nil
			}
		}, func(c *job.Change) {
			message(c.Job.ID+"/1/1", at(4))(c)
			message(c.Job.ID+"/1/0", at(4))(c) // after it, though its id is before
		})
		ids = append(ids, j.ID)
		t := next(j, dispatch, write("s", "k", fmt.Sprint(i)), write("s", fmt.Sprint("ñ", i), `{"n":1.0,"t":"<&>"}`), func(c *job.Change) {
			c.StateHistory = json.RawMessage(`{"a":[1,2.0,"<&>"]}`)
			c.Records[0].Set = map[string]json.RawMessage{"a": []byte("1")}
		})
		b.must(b.Commit(b.ctx, t))
		b.HandOut(handedOut(t.Tasks[0], at(i)))
		for n := range 3 {
			b.AddProgress(j.ID, store.Progress{Progress: float64(3 - n), TaskID: fmt.Sprint("t", n%2), Message: "línea", Timestamp: job.Time{Time: at(i)}})
		}
		if i%3 == 0 {
			b.step(t.Job, ended, func(c *job.Change) {
				c.CloseTasks = true
				c.Results = []job.Result{{Group: 1, TaskID: "t1", Data: []byte(`{}`)}, {Group: 2, TaskID: "t0", Status: "success", Data: []byte(`{"x":[]}`)}}
			})
		}
	}
	b.park(ids[1]+"/1/1", true)
	b.park(ids[2]+"/1/0", false)
	b.must(b.PutRevision(b.ctx, store.Revision{Hash: "abc", Main: "a.star", Blueprints: []string{"orders"}, Files: map[string]string{"b.star": "y", "a.star": "x<&>"}, Created: epoch}))
	b.must(b.PutRevision(b.ctx, store.Revision{Hash: "abc", Created: at(77)})) // used again
	b.must(b.PutFile(b.ctx, store.SourceFile{Name: "a.star", Revision: "abc", Uploaded: true, By: "ada", At: epoch}))
	b.must(b.PutWorker(b.ctx, "w1", json.RawMessage(`{"a": 1}`), epoch))
	b.claim("secret/x", "\x00\xffv", 0, epoch)
	b.claim("ends", "v", 100*time.Hour, epoch)
	b.count("quota", 3, 9, at(7200), epoch, 3, true)
	b.settle()
	return ids
}

// whole is snapshot and what it leaves out.
func (b *bed) whole(ids []string) map[string]any {
	b.Helper()
	all := b.snapshot(ids)
	for _, id := range ids {
		two, _, err := b.Results(b.ctx, id, 2, "", 1000)
		b.must(err)
		ms, err := b.MessagesOf(b.ctx, id)
		b.must(err)
		all["more of "+id] = []any{two, ms}
		for n := 1; ; n++ {
			t, err := b.Task(b.ctx, id, n)
			if errors.Is(err, store.ErrNotFound) {
				break
			}
			b.must(err)
			all[fmt.Sprint("task ", n, " of ", id)] = t
		}
	}
	given, err := b.GivenUp(b.ctx, "", 10)
	b.must(err)
	stores, err := b.ValueStores(b.ctx)
	b.must(err)
	page, _, err := b.ValuePage(b.ctx, "parcels", "s", "", 100)
	b.must(err)
	all["beside"] = []any{given, stores, page}
	all["lists"] = [][]string{b.list(store.Query{Blueprint: "parcels"}), b.list(store.Query{Client: "ada"}), b.list(store.Query{Status: []job.Status{job.WaitingWorker}})}
	secret, _, err := b.Claimed(b.ctx, "secret/x", epoch)
	b.must(err)
	ends, there, err := b.Claimed(b.ctx, "ends", at(100*3600-1))
	b.must(err)
	_, after, err := b.Claimed(b.ctx, "ends", at(100*3600))
	b.must(err)
	stands, _, err := b.Count(b.ctx, "quota", 0, 0, at(9999), at(7199))
	b.must(err)
	revisions, err := b.Revisions(b.ctx)
	b.must(err)
	files, err := b.SourceFiles(b.ctx)
	b.must(err)
	all["blueprints"] = []any{revisions, files}
	all["claims"] = []any{fmt.Sprintf("%q", secret), string(ends), there, after, stands}
	return all
}

// moved copies and gives a bed on the target.
func (b *bed) moved(from, to store.Movable) *bed {
	b.Helper()
	if _, err := move.Copy(b.ctx, from, to, move.Options{Now: epoch, From: "test"}); err != nil {
		b.Fatalf("copy: %v", err)
	}
	return &bed{TB: b.TB, Store: to, ctx: b.ctx, now: b.now}
}

// ordered makes what has no order comparable: messages of equal date of several jobs.
func ordered(all map[string]any) map[string]any {
	ms, _ := all["messages"].([]job.Message)
	perJob := map[string][]string{}
	for _, m := range ms {
		perJob[m.JobID] = append(perJob[m.JobID], m.ID)
	}
	all["messages"] = perJob
	wakes, _ := all["due"].([]store.Wake)
	set := map[string]bool{}
	for _, w := range wakes {
		set[fmt.Sprint(w)] = true
	}
	all["due"] = set
	return all
}

func moveOut(b *bed, _ func() store.Movable) {
	ids := b.filled()
	there := b.moved(movable(b, b.Store), memory.New())
	b.same("elsewhere", ordered(there.whole(ids)), ordered(b.whole(ids)))
}

func moveIn(b *bed, _ func() store.Movable) {
	mem := &bed{TB: b.TB, Store: memory.New(), ctx: b.ctx, now: epoch}
	ids := mem.filled()
	here := b.moved(movable(b, mem.Store), movable(b, b.Store))
	b.same("here", ordered(here.whole(ids)), ordered(mem.whole(ids)))
}

func moveGoesOn(b *bed, open func() store.Movable) {
	ids := b.filled()
	_, version := b.value("s", "k")
	there := b.moved(movable(b, b.Store), open())
	j, err := there.Job(b.ctx, ids[1])
	b.must(err)
	there.want(there.Commit(b.ctx, next(job.Job{ID: ids[1], Version: j.Version - 1, Records: j.Records - 1})), store.ErrConflict)
	stepped := there.step(*j, write("s", "new", "1"), message(ids[1]+"/1/1", at(9))) // the message is there already
	if v, _, err := there.Value(b.ctx, j.Blueprint, "s", "new"); err != nil || string(v) != "1" {
		b.Fatalf("after a step: %s, %v", v, err)
	}
	_, given, err := there.Value(b.ctx, j.Blueprint, "s", "new")
	b.must(err)
	if given <= version {
		b.Fatalf("a value written after the move has version %d, not above %d", given, version)
	}
	there.want(there.Commit(b.ctx, there.fresh(func(c *job.Change) { c.Job.ID = ids[2] })), store.ErrExists)
	there.step(stepped, ended, func(c *job.Change) { c.CloseTasks = true })
	open2, _, err := there.OpenTasks(b.ctx, ids[1], 0, 1000)
	b.must(err)
	if len(open2) != 0 {
		b.Fatalf("after its end the job has %d open tasks", len(open2))
	}
	before, err := b.Counts(b.ctx)
	b.must(err)
	after, err := there.Counts(b.ctx)
	b.must(err)
	before[j.Status]--
	before[job.Finished]++
	b.same("counts", after, before)
	there.count("quota", 6, 9, at(7200), epoch, 9, true)
	there.count("quota", 1, 9, at(7200), epoch, 9, false)
}

func moveUsed(b *bed, open func() store.Movable) {
	from := memory.New()
	for name, use := range map[string]func(u *bed){
		"a job":      func(u *bed) { u.create() },
		"a revision": func(u *bed) { u.must(u.PutRevision(b.ctx, store.Revision{Hash: "h", Created: epoch})) },
		"a file":     func(u *bed) { u.must(u.PutFile(b.ctx, store.SourceFile{Name: "a", At: epoch})) },
		"a worker":   func(u *bed) { u.must(u.PutWorker(b.ctx, "w", json.RawMessage(`{}`), epoch)) },
		"a claim":    func(u *bed) { u.claim("k", "v", 0, epoch) },
	} {
		u := &bed{TB: b.TB, Store: open(), ctx: b.ctx, now: epoch}
		use(u)
		_, err := move.Copy(b.ctx, from, movable(b, u.Store), move.Options{Now: epoch})
		if !errors.Is(err, move.ErrNotEmpty) {
			b.Errorf("a copy into a store with %s gives %v", name, err)
		}
	}
}

// torn is a source that breaks off.
type torn struct {
	store.Movable
	after int
}

func (t torn) Export(ctx context.Context, fn func(store.Row) error) error {
	n := 0
	return t.Movable.Export(ctx, func(r store.Row) error {
		if n++; n > t.after {
			return errors.New("the source broke off")
		}
		return fn(r)
	})
}

func moveBroken(b *bed, open func() store.Movable) {
	b.filled()
	from, to := movable(b, b.Store), open()
	_, err := move.Copy(b.ctx, torn{from, 30}, to, move.Options{Now: epoch, From: "test"})
	if err == nil || !strings.Contains(err.Error(), "broke off") {
		b.Fatalf("the copy of a source that breaks off gives %v", err)
	}
	b.want(move.Finished(b.ctx, to, epoch), move.ErrUnfinished)
	_, err = move.Copy(b.ctx, from, to, move.Options{Now: epoch})
	b.want(err, move.ErrUnfinished)
	b.must(move.Finished(b.ctx, from, epoch))
}

// moveMany copies what fills several pieces, with large values and a job of many parts.
func moveMany(b *bed, open func() store.Movable) {
	large := `"` + strings.Repeat("x", 600<<10) + `"`
	j := b.create()
	for i := range 5 {
		j = b.step(j, write("s", fmt.Sprint(i), large), tasks(400))
	}
	for range 300 {
		b.create(tasks(1))
	}
	b.settle()
	to := open()
	r, err := move.Copy(b.ctx, movable(b, b.Store), to, move.Options{Now: epoch})
	b.must(err)
	rows := map[store.RowKind]int64{}
	for _, s := range r.Sums {
		rows[s.Kind] = s.Rows
	}
	if rows[store.KindJob] != 301 || rows[store.KindTask] != 2300 || rows[store.KindRecord] != 306 || rows[store.KindValue] != 5 {
		b.Fatalf("moved %v", rows)
	}
	b.must(move.Finished(b.ctx, to, epoch))
}
