package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/api/peers"
	"orrery/engine/job"
	"orrery/engine/node"
	"orrery/engine/store"
)

// This file tests that clients and workers may speak to any node, and that a node's end costs
// nothing.

func TestAPollAtAnyNodeGetsAnyJobsTask(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b, d := c.nodes["a"], c.nodes["b"], c.nodes["c"]
	d.register("w", "echo")
	// The poll is there before the job.
	for _, at := range []*server{a, b, d} {
		got := make(chan task, 1)
		go func() { one, _, _ := d.tryPoll(t.Context(), "w"); got <- one }()
		d.until("the poll is open", func() bool { return d.hub.Stats().Polling == 1 })
		id := at.create("flow/work")
		one := <-got
		if one.Job != id {
			t.Fatalf("the poll at c got %+v, want the task of job %s, which %s has accepted", one, id, at.id)
		}
		if o := c.owner(id); o != at {
			t.Fatalf("a job of %s is with %v", at.id, o)
		}
		b.accepted("w", one) // wherever it is sent to
		for _, s := range c.nodes {
			s.is(id, job.Finished)
		}
		d.accepted("w", one) // a repetition, at another node
	}
	// The jobs are there before the poll.
	ids := map[string]bool{}
	for range 4 {
		ids[a.create("flow/work")], ids[b.create("flow/work")] = true, true
	}
	for range 8 {
		one := d.take("w")
		if !ids[one.Job] {
			t.Fatalf("got %+v", one)
		}
		delete(ids, one.Job)
		d.accepted("w", one)
		d.is(one.Job, job.Finished)
	}
}

func TestWorkOfOtherNodesIsNotForgottenForItsOwn(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.nodes["a"], c.nodes["b"]
	b.register("w", "echo")
	first := a.create("flow/work")
	for range 20 {
		b.create("flow/work")
	}
	c.until("b has heard of a's task, and its worker takes it in time", func() bool {
		one := b.take("w")
		b.accepted("w", one)
		return one.Job == first
	})
	left := 0
	for _, s := range c.nodes {
		left += s.hub.Stats().Queued
	}
	if left == 0 {
		t.Error("a's task was the very last")
	}
}

func TestCancelReachesAWorkerAtAnotherNode(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b, d := c.nodes["a"], c.nodes["b"], c.nodes["c"]
	b.register("w", "echo")
	ws := d.socket("w") // its connection is at a third node
	id := a.create("flow/work")
	one := b.take("w")

	ws.send(map[string]any{"event_type": "progress", "worker_id": "w", "target_task_id": one.ID, "payload": map[string]any{"progress": 0.5, "message": "half"}})
	c.until("progress that was said to c is in a's job", func() bool {
		_, body := b.call("GET", "/api/v1/jobs/"+id, nil)
		return strings.Contains(string(body), "half")
	})
	if status, body := d.call("POST", "/_worker/events", map[string]any{"event_type": "progress", "worker_id": "w", "target_task_id": one.ID, "payload": map[string]any{"progress": 0.7, "message": "posted"}},
		"X-Worker-Token", workerToken, "X-Worker-ID", "w"); status != http.StatusOK {
		t.Fatalf("an event at c: %d %s", status, body)
	}
	c.until("an event that was posted to c is in a's job", func() bool {
		_, body := b.call("GET", "/api/v1/jobs/"+id, nil)
		return strings.Contains(string(body), "posted")
	})
	if said := d.asked(one.ID); said {
		t.Error("c says that the task is to be stopped")
	}

	if status, body := b.call("POST", "/api/v1/jobs/"+id+"/cancel", nil); status != http.StatusOK {
		t.Fatalf("cancel at b: %d %s", status, body)
	}
	if frame := ws.next(); !strings.Contains(frame, one.ID) {
		t.Fatalf("the connection at c got %s", frame)
	}
	if !d.asked(one.ID) {
		t.Error("c does not say that the task is to be stopped")
	}
	status, body := b.call("PATCH", "/_worker/workers/w", map[string]any{"worker_id": "w", "status": "busy", "current_tasks": []string{one.ID}},
		append([]string{"X-Worker-Token", workerToken, "X-Worker-ID", "w"}, ageC...)...)
	if status != http.StatusOK || !strings.Contains(string(body), one.ID) {
		t.Errorf("a heartbeat at b is answered %d %s, want the task of a's job cancelled", status, body)
	}
	if status, body := d.call("POST", "/_worker/tasks/result", map[string]any{"job_id": id, "task_id": one.ID, "worker_id": "w", "status": "cancelled"},
		"X-Worker-Token", workerToken, "X-Worker-ID", "w"); status != http.StatusOK {
		t.Fatalf("the worker's last word: %d %s", status, body)
	}
	b.is(id, job.Cancelled)
}

func TestAWorkerThatRegisteredAtOneNodeIsKnownToAll(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.nodes["a"], c.nodes["b"]
	a.register("w", "echo")
	beat := func(s *server) (int, []byte) {
		return s.call("PATCH", "/_worker/workers/w", map[string]any{"worker_id": "w", "status": "idle", "supported_skills": []string{"echo"}, "current_tasks": []string{}},
			append([]string{"X-Worker-Token", workerToken, "X-Worker-ID", "w"}, ageC...)...)
	}
	for _, s := range c.nodes {
		if status, body := beat(s); status != http.StatusOK {
			t.Fatalf("a heartbeat at %s: %d %s", s.id, status, body)
		}
	}
	d := c.start("d") // reads the registry
	if status, body := beat(d); status != http.StatusOK {
		t.Fatalf("a heartbeat at a node that joined: %d %s", status, body)
	}
	if status, _ := b.call("PATCH", "/_worker/workers/nobody", `{"status": "idle", "current_tasks": []}`, append([]string{"X-Worker-Token", workerToken}, ageC...)...); status != http.StatusNotFound {
		t.Errorf("a worker that nobody knows is answered %d", status)
	}
}

func TestPeopleAndStreamsAtAnyNode(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.nodes["a"], c.nodes["b"]
	id := a.create("flow/people")
	b.is(id, job.WaitingHuman)
	ended := make(chan string, 1)
	go func() {
		_, body, err := b.try(t.Context(), "GET", "/api/v1/jobs/"+id+"/events", nil)
		if err != nil {
			body = []byte(err.Error())
		}
		ended <- string(body)
	}()
	if status, body := b.call("POST", "/api/v1/jobs/"+id+"/approve", `{"decision": "yes"}`); status != http.StatusOK {
		t.Fatalf("a decision at b: %d %s", status, body)
	}
	a.is(id, job.Finished)
	if stream := <-ended; !strings.Contains(stream, "event: end") {
		t.Errorf("b's stream of a's job: %s", stream)
	}
	status, body := b.call("GET", "/api/v1/jobs/"+id+"/why", nil)
	if status != http.StatusOK {
		t.Errorf("why at b: %d %s", status, body)
	}
	id = a.create("flow/work")
	b.is(id, job.WaitingWorker)
	if status, body := b.call("POST", "/api/v1/jobs/"+id+"/migrate", `{}`); status >= 500 {
		t.Errorf("migrate at b: %d %s", status, body)
	}
	// Without a relay, as when all jobs of a blueprint are moved.
	if m, err := b.engine.Migrate(t.Context(), id, false, "somebody"); err != nil || m.JobID != id || m.Outcome == "" {
		t.Errorf("b's engine migrates a's job: %+v, %v", m, err)
	}
	if err := b.engine.Cancel(t.Context(), id, "somebody"); err != nil {
		t.Errorf("b's engine cancels a's job: %v", err)
	}
}

func TestANodeThatStopsHandsOverAtOnce(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b, d := c.nodes["a"], c.nodes["b"], c.nodes["c"]
	b.register("w", "echo")
	held := a.create("flow/work")
	one := b.take("w")
	waiting := a.create("flow/work")
	began := time.Now()
	a.stop()
	c.agree()
	if took := time.Since(began); took >= ttl {
		t.Errorf("it took %s until the shards were others', as long as a lease", took)
	}
	d.accepted("w", one) // a handed it out, and is gone
	d.is(held, job.Finished)
	next := d.take("w")
	if next.Job != waiting {
		t.Fatalf("got %+v, want the task of job %s", next, waiting)
	}
	b.accepted("w", next)
	b.is(waiting, job.Finished)
	if !b.node.Leads("schedules") && !d.node.Leads("schedules") {
		t.Error("nobody does the work of which there is one")
	}
}

func TestAKilledNodeIsReplaced(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b, d := c.nodes["a"], c.nodes["b"], c.nodes["c"]
	d.register("w", "echo")
	held := a.create("flow/work")
	one := d.take("w")
	waiting := a.create("flow/work")
	a.is(waiting, job.WaitingWorker)
	c.until("the hand-out is in the store", func() bool { row, err := c.rows.Task(t.Context(), held, 1); return err == nil && row.ID == one.ID })
	a.kill()

	// The owner is dead, and nobody has replaced it yet: a result waits, and is not lost.
	said := make(chan string, 1)
	go func() { _, body, err := d.tryAnswer(t.Context(), "w", one); said <- body + text(err) }()
	if status, body := b.call("POST", "/api/v1/jobs/"+waiting+"/cancel", nil); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "elsewhere") {
		// It may have been replaced already, on a slow machine.
		if status != http.StatusOK {
			t.Errorf("a cancel that nobody could do: %d %s", status, body)
		}
		waiting = ""
	}
	if got := <-said; got != "accepted" {
		t.Fatalf("the result that waited: %s", got)
	}
	d.is(held, job.Finished)
	c.agree()
	if waiting != "" {
		next := b.take("w")
		if next.Job != waiting {
			t.Fatalf("got %+v, want the task of job %s", next, waiting)
		}
		d.accepted("w", next)
		b.is(waiting, job.Finished)
	}
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestAPausedNodesLateWritesAreRefused(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.nodes["a"], c.nodes["b"]
	b.register("w", "echo")
	taken, left := a.create("flow/work"), a.create("flow/work")
	tasks := map[string]task{}
	for range 2 {
		one := b.take("w")
		tasks[one.Job] = one
	}
	for id, one := range tasks {
		c.until("the hand-out is in the store", func() bool { row, err := c.rows.Task(t.Context(), id, 1); return err == nil && row.ID == one.ID })
	}

	a.rows.shut(false)
	delete(c.nodes, "a")
	late := map[string]chan string{}
	for id, one := range tasks {
		said := make(chan string, 1)
		late[id] = said
		go func() { _, body, err := a.tryAnswer(t.Context(), "w", one); said <- body + text(err) }()
	}
	c.until("both results are on their way into the store", func() bool { return a.rows.holds() == 2 })
	c.agree()
	b.accepted("w", tasks[taken])
	b.is(taken, job.Finished)
	records := len(b.history(taken))

	a.rows.open()
	// What nobody has touched meanwhile is refused by the fence alone; a hands the result on.
	if got := <-late[left]; got != "accepted" {
		t.Errorf("the result at the node that was paused: %s", got)
	}
	b.is(left, job.Finished)
	if got := <-late[taken]; !strings.HasPrefix(got, "accepted") && !strings.HasPrefix(got, "ignored") {
		t.Errorf("the result that b has taken already: %s", got)
	}
	if n := len(b.history(taken)); n != records {
		t.Errorf("%d records, %d before the paused node went on", n, records)
	}
	fenced := 0
	for _, err := range a.rows.late() {
		if err == nil {
			t.Error("a late commit was done")
		}
		if errors.Is(err, store.ErrFenced) {
			fenced++
		}
	}
	if fenced == 0 {
		t.Errorf("no late commit was refused by its fence: %v", a.rows.late())
	}
	c.nodes["a"] = a // it joins anew
	c.agree()
	again := a.create("flow/straight")
	b.is(again, job.Finished)
}

// history gives a job's records.
func (s *server) history(id string) (all []json.RawMessage) {
	s.t.Helper()
	if _, body := s.call("GET", "/api/v1/jobs/"+id+"/history", nil); json.Unmarshal(body, &all) != nil {
		s.t.Fatalf("the history of %s: %s", id, body)
	}
	return all
}

// asked asks a node whether a task is to be stopped.
func (s *server) asked(taskID string) bool {
	s.t.Helper()
	status, body := s.call("GET", "/_worker/tasks/"+taskID+"/cancelled", nil, "X-Worker-Token", workerToken, "X-Worker-ID", "w")
	if status != http.StatusOK {
		s.t.Fatalf("whether task %s is to be stopped: %d %s", taskID, status, body)
	}
	return strings.Contains(string(body), "true")
}

func TestManyJobsWhileNodesComeAndGo(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b, d := c.nodes["a"], c.nodes["b"], c.nodes["c"]
	const jobs = 300
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for _, w := range []string{"w1", "w2", "w3", "w4"} {
		b.register(w, "echo")
		working.Go(func() { b.work(ctx, w, d) })
	}
	var mu sync.Mutex
	var ids []string
	var clients sync.WaitGroup
	for _, at := range []*server{a, b, d} {
		clients.Go(func() {
			for range jobs / 3 {
				if id, ok := at.tryCreate(ctx); ok {
					mu.Lock()
					ids = append(ids, id)
					mu.Unlock()
				}
			}
		})
	}
	c.until("some jobs are there", func() bool { mu.Lock(); defer mu.Unlock(); return len(ids) > jobs/10 })
	a.kill()
	clients.Wait()
	c.agree()
	c.start("e")
	for _, id := range ids {
		b.is(id, job.Finished)
	}
	stop()
	working.Wait()
	t.Logf("%d jobs were accepted, all have ended", len(ids))
	if len(ids) < jobs*2/3 {
		t.Errorf("%d jobs were accepted, want those of the two nodes that stayed at least", len(ids))
	}
}

func (s *server) tryCreate(ctx context.Context) (id string, ok bool) {
	status, body, err := s.try(ctx, "POST", "/api/v1/flow/work", `{"n": 1}`)
	var made struct {
		ID string `json:"job_id"`
	}
	ok = err == nil && status == http.StatusAccepted && json.Unmarshal(body, &made) == nil
	return made.ID, ok
}

// work polls one node and sends results to another until ctx ends, again and again what was
// not taken. Heartbeats list its task: a node may die after it wrote that it handed out a task,
// and before anybody had it.
func (s *server) work(ctx context.Context, worker string, results *server) {
	var current atomic.Pointer[string]
	var beating sync.WaitGroup
	defer beating.Wait()
	beating.Go(func() {
		for ctx.Err() == nil {
			tasks := []string{}
			if id := current.Load(); id != nil {
				tasks = append(tasks, *id)
			}
			if _, _, err := s.try(ctx, "PATCH", "/_worker/workers/"+worker, map[string]any{"worker_id": worker, "status": "idle", "current_tasks": tasks, "available_skills": []string{"echo"}},
				append([]string{"X-Worker-Token", workerToken, "X-Worker-ID", worker}, ageC...)...); err != nil && ctx.Err() == nil {
				s.t.Errorf("a heartbeat of %s: %v", worker, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	for ctx.Err() == nil {
		current.Store(nil)
		one, ok, err := s.tryPoll(ctx, worker)
		if err != nil || !ok {
			continue
		}
		current.Store(&one.ID)
		for ctx.Err() == nil {
			if status, said, err := results.tryAnswer(ctx, worker, one); err == nil && status < 500 {
				if said != "accepted" {
					s.t.Logf("the result of %s is answered with %d %s", one.ID, status, said)
				}
				break
			}
		}
	}
}

func TestANodeThatHasAnothersAddressIsNotTakenForIt(t *testing.T) {
	c := newCluster(t, "a", "b")
	a, b := c.nodes["a"], c.nodes["b"]
	b.register("w", "echo")
	id := a.create("flow/work")
	one := b.take("w")
	c.until("the hand-out is in the store", func() bool { row, err := c.rows.Task(t.Context(), id, 1); return err == nil && row.ID == one.ID })
	at := a.wire.Addr().String()
	a.kill()
	again := c.startAt("a-again", at)
	b.accepted("w", one) // b takes the dead one for its owner still
	again.is(id, job.Finished)
}

func TestASealedRequestGoesNoFurther(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b, d := c.nodes["a"], c.nodes["b"], c.nodes["c"]
	b.register("w", "echo")
	id := a.create("flow/work")
	one := b.take("w")
	body, err := json.Marshal(map[string]any{"job_id": one.Job, "task_id": one.ID, "worker_id": "w", "status": "success"})
	if err != nil {
		t.Fatal(err)
	}
	asWorker := http.Header{"X-Worker-Token": {workerToken}, "X-Worker-Id": {"w"}, "Content-Type": {"application/json"}}
	var to node.Peer
	for _, p := range b.peers.Others() {
		if p.ID == "c" {
			to = p
		}
	}
	// c is not the owner, and may not send b's request on to a.
	got, err := b.peers.Relay(t.Context(), to, peers.Request{Method: "POST", Target: "/_worker/tasks/result", Header: asWorker, Body: body})
	if err != nil || got.Status != http.StatusServiceUnavailable || got.Header.Get("X-Orrery-Elsewhere") == "" {
		t.Fatalf("a relayed result at a node that is not the owner: %+v, %v", got, err)
	}
	// A request with a seal that does not fit is nobody's.
	for _, seal := range []string{"v1;b;c;0;;;00", "x"} {
		if status, said := d.call("GET", "/api/v1/jobs/"+id, nil, peers.Header, seal); status != http.StatusUnauthorized {
			t.Errorf("the seal %q: %d %s", seal, status, said)
		}
	}
	if status, said := d.call("POST", "/_node/cancel", map[string]any{"job": id, "by": "nobody"}); status != http.StatusUnauthorized {
		t.Errorf("a message without a seal: %d %s", status, said)
	}
	d.accepted("w", one)
	a.is(id, job.Finished)
}

func TestNodesAreShown(t *testing.T) {
	c := newCluster(t, "a", "b")
	for _, s := range c.nodes {
		c.until("both nodes are shown with their shards", func() bool {
			var all []node.Peer
			status, body := s.call("GET", "/api/v1/nodes", nil)
			if err := json.Unmarshal(body, &all); err != nil || status != http.StatusOK {
				t.Fatalf("the nodes at %s: %d %s %v", s.id, status, body, err)
			}
			sum, selves := 0, 0
			for _, p := range all {
				if sum += p.Shards; p.Self {
					selves++
				}
			}
			return len(all) == 2 && sum == job.Shards && selves == 1 && all[0].URL == c.nodes["a"].url
		})
	}
}
