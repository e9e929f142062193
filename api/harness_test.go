package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine"
	"orrery/engine/blob/dir"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/workers"
)

// This file is the bench the tests stand on: a server over a small engine that remembers
// what it was asked, and the real hub.

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fakeEngine keeps jobs as rows and changes them as far as the tests look.
type fakeEngine struct {
	mu       sync.Mutex
	jobs     map[string]*job.Job
	records  map[string][]job.Record
	watching map[string]chan struct{}
	asked    []engine.Request
	keys     map[string]string // idempotency key -> id
	hashes   map[string]string
	fail     error // what every call answers, when set
	retried  json.RawMessage
	latest   bool
	givenUp  []engine.Delivery
	results  int   // of branches, of every job
	events   int   // in every history; with more than one each has 100 KiB
	cut      error // where every history ends
	away     bool
	counted  atomic.Int64  // calls of Counts
	counting chan struct{} // holds them
}

var _ Engine = (*fakeEngine)(nil)

func newFakeEngine() *fakeEngine {
	return &fakeEngine{jobs: map[string]*job.Job{}, records: map[string][]job.Record{}, watching: map[string]chan struct{}{}, keys: map[string]string{}, hashes: map[string]string{}}
}

// add puts a job in place and gives its id.
func (f *fakeEngine) add(j job.Job) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if j.ID == "" {
		j.ID = job.NewID(epoch, 7)
	}
	if j.Blueprint == "" {
		j.Blueprint = "linear"
	}
	j.CreatedAt, j.UpdatedAt = epoch, epoch
	f.jobs[j.ID] = &j
	return j.ID
}

func (f *fakeEngine) Submit(_ context.Context, r engine.Request) (string, bool, error) {
	if f.fail != nil {
		return "", false, f.fail
	}
	f.mu.Lock()
	if id, ok := f.keys[r.Client.ID+"/"+r.IdempotencyKey]; ok && r.IdempotencyKey != "" {
		same := f.hashes[id] == r.BodyHash
		f.mu.Unlock()
		if !same {
			return "", false, &engine.Fault{Code: engine.IdempotencyMismatch, Message: "the key was used for another body"}
		}
		return id, true, nil
	}
	f.asked = append(f.asked, r)
	f.mu.Unlock()
	id := f.add(job.Job{Blueprint: r.Blueprint, Client: r.Client, State: "start", Status: job.Pending})
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.IdempotencyKey != "" {
		f.keys[r.Client.ID+"/"+r.IdempotencyKey], f.hashes[id] = id, r.BodyHash
	}
	return id, false, nil
}

func (f *fakeEngine) AttemptsUsed(context.Context, string) (int64, time.Time, error) {
	return int64(len(f.asked)), epoch.AddDate(0, 1, 0), f.fail
}

func (f *fakeEngine) last() engine.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[len(f.asked)-1]
}

func (f *fakeEngine) Job(_ context.Context, id string) (*job.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	j, ok := f.jobs[id]
	if !ok {
		return nil, &engine.Fault{Code: engine.NotFound, Message: "there is no job " + id}
	}
	row := *j
	return &row, nil
}

func (f *fakeEngine) set(id string, change func(*job.Job)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, ok := f.jobs[id]
	if !ok {
		return &engine.Fault{Code: engine.NotFound, Message: "there is no job " + id}
	}
	if j.Status.Terminal() && j.Status != job.Failed && j.Status != job.Quarantined {
		return &engine.Fault{Code: engine.Ended, Message: "the job has ended"}
	}
	change(j)
	return nil
}

func (f *fakeEngine) Cancel(_ context.Context, id, by string) error {
	return f.set(id, func(j *job.Job) { j.Status, j.Reason = job.Cancelled, "by "+by })
}

func (*fakeEngine) Unreadable() int { return 0 }

func (f *fakeEngine) GivenUp(_ context.Context, after string, limit int) (out []engine.Delivery, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.givenUp {
		if d.ID > after && len(out) < limit {
			out = append(out, d)
		}
	}
	return out, f.fail
}

func (f *fakeEngine) Redeliver(ctx context.Context, id, by string) (int, error) {
	if _, err := f.Job(ctx, id); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.givenUp)
	f.givenUp = slices.DeleteFunc(f.givenUp, func(d engine.Delivery) bool { return d.JobID == id })
	if len(f.givenUp) == before {
		return 0, &engine.Fault{Code: engine.NotWaiting, Message: "nothing of the job was given up"}
	}
	return before - len(f.givenUp), nil
}

func (f *fakeEngine) Decide(_ context.Context, id, decision, by string) error {
	j, err := f.Job(context.Background(), id)
	if err != nil {
		return err
	}
	if j.Status != job.WaitingHuman {
		return &engine.Fault{Code: engine.NotWaiting, Message: "the job asks nobody anything"}
	}
	if _, ok := j.Wait.Transitions[decision]; !ok {
		return &engine.Fault{Code: engine.BadDecision, Message: "there is no decision " + decision}
	}
	return f.set(id, func(j *job.Job) { j.Status, j.Reason, j.Wait = job.Running, decision+" by "+by, nil })
}

func (f *fakeEngine) ApprovalToken(id string, _ int64) string { return "token-of-" + id }

func (f *fakeEngine) CheckToken(_ context.Context, id, token string) error {
	if f.fail != nil {
		return f.fail
	}
	if token != "token-of-"+id {
		return &engine.Fault{Code: engine.BadToken, Message: "the token does not belong to the job"}
	}
	return nil
}

func (f *fakeEngine) DecideByToken(ctx context.Context, id, decision, token string) error {
	if _, err := f.Job(ctx, id); err != nil {
		return err
	}
	if err := f.CheckToken(ctx, id, token); err != nil {
		return err
	}
	return f.Decide(ctx, id, decision, "link")
}

func (f *fakeEngine) Retry(_ context.Context, id string, data json.RawMessage, latest bool, _ string) error {
	f.retried, f.latest = data, latest
	return f.set(id, func(j *job.Job) { j.Status = job.Running })
}

func (f *fakeEngine) Close(_ context.Context, id, by string) error {
	return f.set(id, func(j *job.Job) { j.Reason = "closed by " + by })
}

func (f *fakeEngine) Migrate(_ context.Context, id string, dry bool, by string) (*engine.Move, error) {
	return &engine.Move{JobID: id, Outcome: engine.MoveWould}, f.fail
}

func (f *fakeEngine) MigrateAll(context.Context, string, bool, string, string, int) ([]engine.Move, string, error) {
	return nil, "", f.fail
}

func (f *fakeEngine) LiveRevisions(context.Context, string) (map[string]int, error) {
	return map[string]int{}, f.fail
}

func (f *fakeEngine) View(ctx context.Context, id string) (*engine.View, error) {
	j, err := f.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	v := &engine.View{ID: id, JobID: id, Blueprint: j.Blueprint, State: j.State, Status: j.Status, Client: j.Client.ID, Error: j.Error,
		InitialData: json.RawMessage(`{"a":1}`), StateHistory: json.RawMessage(`{"note":"<script>alert(1)</script>"}`), ChildJobIDs: []string{},
		CreatedAt: engine.Time(j.CreatedAt), UpdatedAt: engine.Time(j.UpdatedAt)}
	if v.AggregationResults, v.ResultsNext, err = f.Results(ctx, j, "", 3); err != nil {
		return nil, err
	}
	if j.Reason != "" {
		v.ErrorMessage = &j.Reason
	}
	if j.Wait != nil {
		v.Waiting = &engine.Waiting{For: j.Wait.For, Since: engine.Time(j.Wait.Since), Detail: j.Wait.Detail}
	}
	return v, nil
}

func (f *fakeEngine) List(ctx context.Context, q store.Query) ([]*engine.View, string, error) {
	if f.fail != nil {
		return nil, "", f.fail
	}
	f.mu.Lock()
	var ids []string
	for id, j := range f.jobs {
		if (q.Client == "" || q.Client == j.Client.ID) && (q.Blueprint == "" || q.Blueprint == j.Blueprint) && (q.Status == nil || slices.Contains(q.Status, j.Status)) && id > q.Cursor {
			ids = append(ids, id)
		}
	}
	f.mu.Unlock()
	slices.Sort(ids)
	next := ""
	if len(ids) > q.Limit {
		ids = ids[:q.Limit]
		next = ids[len(ids)-1]
	}
	var out []*engine.View
	for _, id := range ids {
		v, err := f.View(ctx, id)
		if err != nil {
			return nil, "", err
		}
		v.InitialData, v.StateHistory = nil, nil
		out = append(out, v)
	}
	return out, next, nil
}

func (f *fakeEngine) History(_ context.Context, id string, take func([]engine.HistoryEvent) error) error {
	for i := range max(f.events, 1) {
		e := engine.HistoryEvent{EventID: fmt.Sprintf("e%d", i+1), JobID: id, State: "start", EventType: "state_started"}
		if f.events > 1 {
			e.Details = json.RawMessage(`"` + strings.Repeat("x", 100<<10) + `"`)
		}
		if err := take([]engine.HistoryEvent{e}); err != nil {
			return err
		}
	}
	return f.cut
}

func (f *fakeEngine) Results(_ context.Context, _ *job.Job, after string, limit int) (json.RawMessage, string, error) {
	from := 0
	if after != "" {
		if _, err := fmt.Sscanf(after, "t%d", &from); err != nil {
			return nil, "", err
		}
	}
	page := map[string]int{}
	for from++; from <= f.results && len(page) < limit; from++ {
		page[fmt.Sprintf("t%d", from)] = from
	}
	if len(page) == 0 {
		return nil, "", nil
	}
	text, err := json.Marshal(page)
	if from <= f.results {
		return text, fmt.Sprintf("t%d", from-1), err
	}
	return text, "", err
}

func (f *fakeEngine) Ways(ctx context.Context, id string) ([]job.Record, error) {
	return f.Records(ctx, id, 0)
}

func (f *fakeEngine) Newest(ctx context.Context, j *job.Job, most int) ([]job.Record, error) {
	all, err := f.Records(ctx, j.ID, 0)
	return all[max(0, len(all)-most):], err
}

func (f *fakeEngine) Records(_ context.Context, id string, after int64) ([]job.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []job.Record
	for _, r := range f.records[id] {
		if r.N > after {
			out = append(out, r)
		}
	}
	return out, nil
}

func (f *fakeEngine) Why(ctx context.Context, id string) (*engine.Why, error) {
	j, err := f.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	return &engine.Why{JobID: id, Status: j.Status, State: j.State, Reason: "nobody polls for it", Details: []string{}, Do: []string{}}, nil
}

func (f *fakeEngine) Watch(id string) (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watching[id] == nil {
		f.watching[id] = make(chan struct{}, 1)
	}
	return f.watching[id], func() {}
}

// change appends a record and wakes whoever watches.
func (f *fakeEngine) change(id string, status job.Status, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[id]
	j.Status, j.State = status, state
	j.Records++
	f.records[id] = append(f.records[id], job.Record{N: j.Records, At: job.Time{Time: epoch}, Kind: job.RecStep, State: state, Status: status})
	if c := f.watching[id]; c != nil {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (f *fakeEngine) Away() bool { return f.away }

func (f *fakeEngine) Counts(context.Context) (map[job.Status]int64, error) {
	f.counted.Add(1)
	if f.counting != nil {
		f.counting <- struct{}{} // the test sees that it has come
		<-f.counting             // and lets it go on
	}
	if f.fail != nil {
		return nil, f.fail
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[job.Status]int64{}
	for _, j := range f.jobs {
		out[j.Status]++
	}
	return out, nil
}

func (f *fakeEngine) Stores(context.Context, engine.Initial) ([]engine.StoreInfo, error) {
	return []engine.StoreInfo{{Blueprint: "linear", Store: "seen", Keys: 1, Declared: true}}, f.fail
}

func (f *fakeEngine) StoreValue(_ context.Context, _, _ string, _ map[string]json.RawMessage, key string) (engine.StoreEntry, bool, error) {
	return engine.StoreEntry{Key: key, Value: json.RawMessage("1")}, key == "n", f.fail
}

func (f *fakeEngine) StoreEntries(context.Context, string, string, map[string]json.RawMessage, string, int) ([]engine.StoreEntry, string, error) {
	return []engine.StoreEntry{{Key: "<script>", Value: json.RawMessage(`"<script>"`)}, {Key: "n", Value: json.RawMessage("1")}}, "", f.fail
}

// fakePrints is a directory with two blueprints.
type fakePrints struct{ faults []blueprint.Finding }

func (p *fakePrints) List() []Blueprint {
	return []Blueprint{
		{Name: "child", Revision: "r", File: "child.star", Start: "start", States: []string{"start"}},
		{Name: "linear", Endpoint: "jobs/simple_linear", Version: "v1", Revision: "r", File: "linear.star", Start: "start", States: []string{"start", "finished"},
			Description: "Recipe 1 & more", Example: json.RawMessage(`{"who": "it's me"}`),
			Stores: map[string]map[string]json.RawMessage{"seen": {"n": json.RawMessage("0"), "<script>": json.RawMessage(`"<script>"`)}}},
	}
}

func (p *fakePrints) ByEndpoint(version, endpoint string) (string, bool) {
	for _, b := range p.List() {
		if b.Endpoint != "" && b.Version == version && b.Endpoint == endpoint {
			return b.Name, true
		}
	}
	return "", false
}

func (p *fakePrints) Faults() []blueprint.Finding { return p.faults }

func (p *fakePrints) Graph(_ context.Context, bp *blueprint.Blueprint, look GraphLook) ([]byte, error) {
	return fmt.Appendf(nil, "%s of %s, dark %v, legend %v", look.Format, bp.Name, look.Dark, look.Legend), nil
}

func (p *fakePrints) JobGraph(_ context.Context, j *job.Job, records []job.Record, look GraphLook) ([]byte, error) {
	return fmt.Appendf(nil, "%s of %s, %d records, dark %v", look.Format, j.Blueprint, len(records), look.Dark), nil
}

// fakeDesk is what the hub needs to hand out tasks.
type fakeDesk struct {
	mu       sync.Mutex
	returned []engine.Outcome
	progress chan store.Progress
	fail     error
}

func (d *fakeDesk) HandedOut(job.Task) {}
func (d *fakeDesk) Mine(string) bool   { return true }
func (d *fakeDesk) Open(string) bool   { return true }
func (d *fakeDesk) Returned(_ context.Context, _ job.Task, o engine.Outcome) (engine.Taken, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return engine.Taken{}, d.fail
	}
	d.returned = append(d.returned, o)
	return engine.Taken{Accepted: true}, nil
}
func (d *fakeDesk) Lost(context.Context, job.Task, bool, string) error { return nil }
func (d *fakeDesk) Unsuitable(context.Context, job.Task, string) error { return nil }
func (d *fakeDesk) Progress(_ job.Task, p store.Progress)              { d.progress <- p }
func (d *fakeDesk) AttemptSeconds(job.Task) float64                    { return 300 }
func (d *fakeDesk) Task(context.Context, string, int) (*job.Task, error) {
	return nil, store.ErrNotFound
}

// bench is a server with everything a test may look at.
type bench struct {
	t      *testing.T
	s      *Server
	engine *fakeEngine
	prints *fakePrints
	desk   *fakeDesk
	hub    *workers.Hub
	clock  *clock.Fake
	files  *dir.Store
	log    *strings.Builder
	base   string // of the real listener, once started
}

// tokens by role; the client "other" has the role client too.
var testClients = []Client{
	{Name: "ann", Token: "t-client", Role: "client", Plan: "premium", Params: json.RawMessage(`{"plan":"premium"}`)},
	{Name: "other", Token: "t-other", Role: "client"},
	{Name: "vic", Token: "t-viewer", Role: "viewer"},
	{Name: "apo", Token: "t-approver", Role: "approver"},
	{Name: "opal", Token: "t-operator", Role: "operator"},
	{Name: "admin", Token: "t-admin", Role: "admin"},
}

func newBench(t *testing.T, adjust ...func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, engine: newFakeEngine(), prints: &fakePrints{}, desk: &fakeDesk{progress: make(chan store.Progress, 10)}, clock: clock.NewFake(epoch), log: &strings.Builder{}}
	var err error
	b.hub, err = workers.New(context.Background(), workers.Config{Clock: b.clock, Records: memory.New(), SharedToken: "w-shared", Tokens: map[string]workers.Digest{"own": workers.DigestOf("w-own")}})
	if err != nil {
		t.Fatal(err)
	}
	b.hub.Attach(b.desk)
	cfg := Config{Clients: testClients, ClientAPI: true, Version: "test"}
	for _, f := range adjust {
		f(&cfg)
	}
	log := slog.New(slog.NewTextHandler(&locked{w: b.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.files = newFolder(t)
	editions, err := blueprint.LoadFS(t.Context(), fstest.MapFS{"linear.star": {Data: []byte(rightsScript)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.s, err = New(Deps{Jobs: b.engine, Blueprints: b.prints, Editions: editions, Hub: b.hub, Clock: b.clock, Log: log, Files: Files{b.files, []byte("key")}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newFolder is a place for files that ends with the test.
func newFolder(t *testing.T) *dir.Store {
	t.Helper()
	s, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// listen serves on a real socket until the test ends.
func (b *bench) listen() {
	b.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.s.Serve(ln) }()
	b.base = "http://" + ln.Addr().String()
	b.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.s.Shutdown(ctx); err != nil {
			b.t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			b.t.Errorf("serve: %v", err)
		}
	})
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request without a socket. headers are pairs.
func (b *bench) do(method, path, body string, headers ...string) answer {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.s.app.Test(r, -1)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return read(b.t, resp)
}

// as sends a request with a client's token.
func (b *bench) as(role, method, path, body string, headers ...string) answer {
	b.t.Helper()
	return b.do(method, path, body, append(headers, "X-Client-Token", "t-"+role)...)
}

func read(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// problem reads the code of a problem and checks its form.
func (a answer) problem(t *testing.T) string {
	t.Helper()
	var p struct {
		Status    int
		Code      string
		Detail    string
		Error     string
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("no problem JSON: %s", a)
	}
	if p.Status != a.status || p.Detail == "" || p.Error != p.Detail || p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("problem is not whole: %s", a)
	}
	return p.Code
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// want checks status and code of a problem.
func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || a.problem(t) != code {
		t.Errorf("got %s; want %d %s", a, status, code)
	}
}

// ok checks the status and reads the body into v, when v is given.
func (a answer) ok(t *testing.T, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %s; want %d", a, status)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(a.body), v); err != nil {
			t.Fatalf("%v in %s", err, a)
		}
	}
}

var errBroken = errors.New("disk /secret/path is broken")
