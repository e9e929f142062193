package workers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers/protocol"
)

// This file holds the stand-ins of the tests: an engine, a registry, and a bench to use them.

var epoch = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)

const shared = "shared-secret"

// ages as they call.
var (
	callA  = Caller{Token: shared, Age: protocol.AgeA}
	callB4 = Caller{Token: shared, Age: protocol.AgeB46, Version: "1.0b2"}
	callB7 = Caller{Token: shared, Age: protocol.AgeB7, Version: "1.0b3"}
	callC  = Caller{Token: shared, Age: protocol.AgeC18, Version: "1.0b17"}
)

// desk is an engine that remembers what it was told. Its rows are the store.
type desk struct {
	mu         sync.Mutex
	hub        *Hub
	rows       map[taskKey]job.Task
	handed     []job.Task
	returned   []job.Task
	outcomes   []engine.Outcome
	lost       []string // "n confirmed why"
	lostTasks  []job.Task
	unsuitable []string
	progress   []store.Progress
	fails      int // this many writes fail with ErrFull
	refuse     string
	reads      int
	elsewhere  map[byte]bool  // shards of other nodes
	opening    bool           // shards are being taken up
	asked      func()         // runs after each question whether a shard is open
	during     func(job.Task) // runs, without the lock, while a result is being written
}

var _ engine.Desk = (*desk)(nil)

func (d *desk) HandedOut(t job.Task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handed = append(d.handed, t)
	d.rows[taskKey{t.JobID, t.N}] = t
}

func (d *desk) Mine(jobID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.elsewhere[job.ShardOf(jobID)]
}

func (d *desk) Open(jobID string) bool {
	is := d.Mine(jobID) && !d.opening
	if d.asked != nil {
		d.asked()
	}
	return is
}

func (d *desk) write() error {
	if d.fails > 0 {
		d.fails--
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return nil
}

func (d *desk) Returned(_ context.Context, t job.Task, o engine.Outcome) (engine.Taken, error) {
	if d.during != nil {
		d.during(t)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil {
		return engine.Taken{}, err
	}
	if d.opening {
		return engine.Taken{}, engine.ErrElsewhere
	}
	if d.refuse != "" {
		return engine.Taken{Reason: d.refuse, Message: "refused"}, nil
	}
	d.returned, d.outcomes = append(d.returned, t), append(d.outcomes, o)
	t.State = job.TaskDone
	d.rows[taskKey{t.JobID, t.N}] = t
	d.hub.Withdraw(t.JobID, 0) // as the engine does when a job moves on
	return engine.Taken{Accepted: true}, nil
}

func (d *desk) Lost(_ context.Context, t job.Task, confirmed bool, why string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil {
		return err
	}
	d.lost = append(d.lost, fmt.Sprintf("%d %v %s", t.N, confirmed, why))
	d.lostTasks = append(d.lostTasks, t)
	return nil
}

func (d *desk) Unsuitable(_ context.Context, t job.Task, why string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil {
		return err
	}
	d.unsuitable = append(d.unsuitable, why)
	return nil
}

func (d *desk) Progress(_ job.Task, p store.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.progress = append(d.progress, p)
}

func (d *desk) Task(_ context.Context, jobID string, n int) (*job.Task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	t, ok := d.rows[taskKey{jobID, n}]
	if !ok {
		return nil, store.ErrNotFound
	}
	return &t, nil
}

func (d *desk) AttemptSeconds(job.Task) float64 { return 300 }

// records is a registry in memory.
type records struct {
	mu   sync.Mutex
	rows map[string]json.RawMessage
	fail bool
}

func (r *records) PutWorker(_ context.Context, id string, body json.RawMessage, _ time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail {
		return store.ErrFull
	}
	r.rows[id] = body
	return nil
}

func (r *records) AllWorkers(context.Context) (map[string]json.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.rows), nil
}

func (r *records) DeleteWorker(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rows, id)
	return nil
}

// rig is a hub with its stand-ins.
type rig struct {
	*Hub
	t     testing.TB
	clock *clock.Fake
	desk  *desk
	rows  *records
	ctx   context.Context
}

func newRig(t testing.TB) *rig {
	return restart(t, clock.NewFake(epoch), &records{rows: map[string]json.RawMessage{}}, map[taskKey]job.Task{})
}

func restart(t testing.TB, c *clock.Fake, rows *records, tasks map[taskKey]job.Task) *rig {
	t.Helper()
	h, err := New(t.Context(), Config{Clock: c, Records: rows, SharedToken: shared, Tokens: map[string]Digest{"own": DigestOf("own-secret")}})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{hub: h, rows: tasks}
	h.Attach(d)
	return &rig{Hub: h, t: t, clock: c, desk: d, rows: rows, ctx: t.Context()}
}

// task makes a queued task that the store has; change may set more.
func (r *rig) task(n int, taskType string, change ...func(*job.Task)) job.Task {
	t := job.Task{JobID: fmt.Sprintf("0196a000-0000-7000-8000-%012d", n), N: 1, State: job.TaskQueued, Type: taskType,
		Params: json.RawMessage(`{"k":1}`), Queued: r.clock.Now()}
	for _, f := range change {
		f(&t)
	}
	r.desk.mu.Lock()
	r.desk.rows[taskKey{t.JobID, t.N}] = t
	r.desk.mu.Unlock()
	return t
}

func (r *rig) offer(n int, taskType string, change ...func(*job.Task)) job.Task {
	t := r.task(n, taskType, change...)
	r.Offer(t)
	return t
}

func as(c Caller, id string) Caller {
	c.WorkerID = id
	return c
}

// register takes a worker in; more are further fields of its registration.
func (r *rig) register(c Caller, id string, skills string, more ...string) {
	r.t.Helper()
	list := `["` + strings.ReplaceAll(skills, ",", `","`) + `"]`
	body := fmt.Sprintf(`{"worker_id":%q,"supported_skills":%s%s}`, id, list, strings.Join(append([]string{""}, more...), ","))
	if _, err := r.Register(r.ctx, c, []byte(body)); err != nil {
		r.t.Fatalf("register %s: %v", id, err)
	}
}

// got is a task as a worker reads it.
type got struct {
	JobID    string          `json:"job_id"`
	TaskID   string          `json:"task_id"`
	Type     string          `json:"type"`
	Params   json.RawMessage `json:"params"`
	Priority *float64        `json:"priority"`
}

// take polls without waiting; ok is false when there is nothing.
func (r *rig) take(c Caller, id string) (g got, ok bool) {
	r.t.Helper()
	return r.read(r.Poll(r.ctx, as(c, id), nil, 0, nil))
}

func (r *rig) read(body []byte, err error) (g got, ok bool) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("poll: %v", err)
	}
	if body == nil {
		return g, false
	}
	if err := json.Unmarshal(body, &g); err != nil {
		r.t.Fatal(err)
	}
	return g, true
}

func (r *rig) mustTake(c Caller, id string) got {
	r.t.Helper()
	g, ok := r.take(c, id)
	if !ok {
		r.t.Fatalf("worker %s got no task", id)
	}
	return g
}

// poll holds a poll in the background until it is open; its answer comes from the channel.
// Only inside synctest.
func (r *rig) poll(ctx context.Context, c Caller, id string, query url.Values) <-chan []byte {
	out := make(chan []byte, 1)
	go func() {
		body, err := r.Poll(ctx, as(c, id), query, 30*time.Second, nil)
		if err != nil {
			r.t.Errorf("poll of %s: %v", id, err)
		}
		out <- body
	}()
	synctest.Wait()
	return out
}

// answer sends a result and gives the reply's status and reason.
func (r *rig) answer(c Caller, body string) (status, reason string) {
	r.t.Helper()
	reply, err := r.Result(r.ctx, c, []byte(body))
	if err != nil {
		r.t.Fatalf("result: %v", err)
	}
	var out struct{ Status, Reason string }
	if err := json.Unmarshal(reply, &out); err != nil {
		r.t.Fatal(err)
	}
	return out.Status, out.Reason
}

func success(g got, worker string) string {
	return fmt.Sprintf(`{"job_id":%q,"task_id":%q,"worker_id":%q,"status":"success","data":{"n":2}}`, g.JobID, g.TaskID, worker)
}

// beat sends a heartbeat that lists the given tasks, and gives the ids to stop.
func (r *rig) beat(c Caller, id string, tasks ...string) []string {
	r.t.Helper()
	list, err := json.Marshal(append([]string{}, tasks...))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.beatBody(c, id, `{"status":"busy","available_skills":["echo"],"current_tasks":`+string(list)+`}`)
}

func (r *rig) beatBody(c Caller, id, body string) []string {
	r.t.Helper()
	reply, err := r.Heartbeat(r.ctx, as(c, id), []byte(body))
	if err != nil {
		r.t.Fatalf("heartbeat of %s: %v", id, err)
	}
	var out struct {
		Cancel []string `json:"cancel_task_ids"`
	}
	if err := json.Unmarshal(reply, &out); err != nil {
		r.t.Fatal(err)
	}
	return out.Cancel
}
