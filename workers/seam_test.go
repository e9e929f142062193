package workers

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store/sqlite"
)

// This file tests the hub on the real engine and a store on disk, with the machine's clock.

const seamScript = `
one = blueprint(name = "one")
def one_start(context, actions):
    d = context.initial_data
    actions.dispatch_task(task_type = "echo", params = {}, timeout_seconds = d.get("timeout"), retry = 0,
        transitions = {"success": "finished", "cancelled": "stopped"})
one.handler_for("start", is_start = True)(one_start)
def stopped(context, actions):
    pass
one.handler_for("stopped", is_end = True, status = "cancelled")(stopped)

many = blueprint(name = "many")
def many_start(context, actions):
    actions.dispatch_parallel(tasks = [{"type": "echo", "params": {"i": i}, "transitions": {"success": "join"}}
        for i in range(context.initial_data["n"])], aggregate_into = "join")
many.handler_for("start", is_start = True)(many_start)
def many_join(context, actions):
    context.state_history["joined"] = len(context.aggregation_results)
    actions.transition_to("finished")
many.aggregator_for("join")(many_join)
`

// seam is a hub, an engine and a file.
type seam struct {
	*Hub
	engine *engine.Engine
	t      testing.TB
	ctx    context.Context
}

func newSeam(t testing.TB) *seam {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := sqlite.Open(filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	must(err)
	bps, err := blueprint.LoadFS(ctx, fstest.MapFS{"seam.star": {Data: []byte(seamScript)}}, nil)
	must(err)
	if bad := bps.Status().Errors(); len(bad) > 0 {
		t.Fatal(bad)
	}
	bps.UseStore(rows)
	h, err := New(ctx, Config{Clock: clock.Real{}, Records: rows, SharedToken: shared})
	must(err)
	e, err := engine.New(engine.Config{Store: rows, Blueprints: bps, Dispatcher: h})
	must(err)
	h.Attach(e)
	must(e.Start(ctx))
	t.Cleanup(func() {
		h.Close()
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	})
	return &seam{h, e, t, ctx}
}

func (s *seam) start(blueprint, data string) string {
	s.t.Helper()
	id, _, err := s.engine.Submit(s.ctx, engine.Request{Blueprint: blueprint, InitialData: json.RawMessage(data)})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *seam) worker(id string) {
	s.t.Helper()
	if _, err := s.Register(s.ctx, callB7, fmt.Appendf(nil, `{"worker_id":%q,"supported_skills":["echo"]}`, id)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *seam) take(id string) got {
	s.t.Helper()
	var g got
	body, err := s.Poll(s.ctx, as(callB7, id), nil, 20*time.Second, nil)
	if err != nil || json.Unmarshal(body, &g) != nil {
		s.t.Errorf("poll of %s: %q %v", id, body, err)
	}
	return g
}

// answer may be called from any goroutine.
func (s *seam) answer(g got, worker, status string) {
	s.t.Helper()
	reply, err := s.Result(s.ctx, callB7, fmt.Appendf(nil, `{"task_id":%q,"worker_id":%q,"status":%q,"data":{}}`, g.TaskID, worker, status))
	if err != nil {
		s.t.Errorf("%s %v", reply, err)
	}
}

// end waits until the job has ended.
func (s *seam) end(id string) *job.Job {
	s.t.Helper()
	changed, stop := s.engine.Watch(id)
	defer stop()
	for {
		j, err := s.engine.Job(s.ctx, id)
		if err != nil {
			s.t.Fatal(err)
		}
		if j.Status.Terminal() {
			return j
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			s.t.Fatalf("the job is still %s: %+v", j.Status, j.Wait)
		}
	}
}

// Two branches that answer a cancel in one moment settle it; neither waits for the other.
func TestCancelAnsweredByAllBranchesAtOnce(t *testing.T) {
	s := newSeam(t)
	for round := range 20 {
		id := s.start("many", `{"n":4}`)
		var took []got
		for w := range 4 {
			s.worker(fmt.Sprint("w", w))
			took = append(took, s.take(fmt.Sprint("w", w)))
		}
		if err := s.engine.Cancel(s.ctx, id, "me"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var all sync.WaitGroup
		for w, g := range took {
			all.Go(func() { s.answer(g, fmt.Sprint("w", w), "cancelled") })
		}
		all.Wait()
		if j := s.end(id); j.Status != job.Cancelled || time.Since(began) > 10*time.Second {
			t.Fatalf("round %d: %s after %s", round, j.Status, time.Since(began))
		}
	}
	if st := s.Stats(); st.Queued+st.Leased != 0 || len(s.byJob) != 0 {
		t.Errorf("left over: %+v", st)
	}
}

// A deadline is kept although the store writes hand-outs later.
func TestDeadlineOfAnAttempt(t *testing.T) {
	s := newSeam(t)
	s.worker("w")
	began := time.Now()
	id := s.start("one", `{"timeout":0.5}`)
	g := s.take("w")
	if j := s.end(id); j.Status != job.Quarantined || j.Error.Code != job.CodeResultTimeout || time.Since(began) > 5*time.Second {
		t.Errorf("%s %v after %s", j.Status, j.Error, time.Since(began))
	}
	if !s.Cancelled(g.TaskID) {
		t.Error("the worker is not told to stop")
	}
}

// A group costs the same for each branch; the largest allowed, 10,000, takes 8 s here.
func TestManyBranches(t *testing.T) {
	const branches = 1000
	s := newSeam(t)
	id := s.start("many", fmt.Sprintf(`{"n":%d}`, branches))
	var all sync.WaitGroup
	for w := range 50 {
		name := fmt.Sprint("w", w)
		s.worker(name)
		all.Go(func() {
			for range branches / 50 {
				s.answer(s.take(name), name, "success")
			}
		})
	}
	all.Wait()
	j := s.end(id)
	view, err := s.engine.View(s.ctx, id)
	if err != nil || j.Status != job.Finished || string(view.StateHistory) != fmt.Sprintf(`{"joined":%d}`, branches) {
		t.Errorf("%s %v %s %v", j.Status, j.Error, view.StateHistory, err)
	}
}
