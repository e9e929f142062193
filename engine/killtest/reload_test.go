package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file changes blueprints under a server at work: a reload each second under load, and
// kills while jobs of several revisions wait.

// revisedScript writes down which revision began a job and which went on with it.
const revisedScript = `
REVISION = %d

bp = blueprint(name = "revised", api_version = "v1", api_endpoint = "jobs/revised")

def start(context, actions):
    context.state_history["began"] = REVISION
    if context.initial_data["ask"]:
        actions.await_human_approval(integration = "test", message = "go on?", transitions = {"yes": "second"})
    else:
        actions.dispatch_task(task_type = "kill_work", params = {}, transitions = {"success": "second", "failure": "failed"})

def second(context, actions):
    context.state_history["went_on"] = REVISION
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
bp.handler_for("second")(second)
`

// besideScript is one of the other files, which are read again with each reload.
const besideScript = `
bp = blueprint(name = "beside_%[1]d", api_version = "v1", api_endpoint = "jobs/beside_%[1]d")
bp.handler_for("start", is_start = True)(lambda actions: actions.transition_to("finished"))
`

// revised is a server over a folder of blueprints that the test changes.
type revised struct {
	*server
	present int // the revision that was written last
}

func newRevised(t *testing.T, beside int) *revised {
	t.Helper()
	r := &revised{server: newServer(t, program(t, ""))}
	r.blueprints = t.TempDir()
	for i := range beside {
		if err := os.WriteFile(filepath.Join(r.blueprints, fmt.Sprintf("beside_%d.star", i)), fmt.Appendf(nil, besideScript, i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t)
	r.start()
	return r
}

// write puts the next revision in the place of the present one, as an editor does.
func (r *revised) write(t *testing.T) {
	t.Helper()
	r.present++
	file := filepath.Join(r.blueprints, "revised.star")
	if err := os.WriteFile(file+"~", fmt.Appendf(nil, revisedScript, r.present), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

// inForce gives the hash of the revision in force.
func (r *revised) inForce(ctx context.Context, t *testing.T) string {
	t.Helper()
	var b struct{ Revision string }
	if code, err := r.call(ctx, http.MethodGet, "/api/v1/blueprints/revised", "", nil, &b); err != nil || code != http.StatusOK {
		t.Fatalf("the blueprint: %d, %v", code, err)
	}
	return b.Revision
}

// takes waits until another revision than that is in force, and says how long it took.
func (r *revised) takes(ctx context.Context, t *testing.T, than string) time.Duration {
	t.Helper()
	began := time.Now()
	for r.inForce(ctx, t) == than {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("revision %d is not in force after 20 s", r.present)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	return time.Since(began)
}

// sameRevision fails when an ended job was gone on with by another revision than began it; it gives that one.
func sameRevision(t *testing.T, v jobView) int {
	t.Helper()
	var at struct {
		Began  int `json:"began"`
		WentOn int `json:"went_on"`
	}
	if err := json.Unmarshal(v.StateHistory, &at); err != nil {
		t.Fatal(err)
	}
	if v.Status != job.Finished || at.Began == 0 || at.Began != at.WentOn {
		t.Errorf("I9: job %s is %s, began on revision %d and went on with %d (%v)", v.ID, v.Status, at.Began, at.WentOn, v.Error)
	}
	return at.Began
}

// loadOf sends jobs one after another from several clients until stop is closed, and tells
// what was accepted, how long each took, and what failed.
type loadOf struct {
	mu     sync.Mutex
	ids    []string
	took   []time.Duration
	failed []string
}

func (l *loadOf) run(ctx context.Context, r *revised, clients int, stop <-chan struct{}) *sync.WaitGroup {
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var answer struct {
					JobID string `json:"job_id"`
				}
				began := time.Now()
				code, err := r.call(ctx, http.MethodPost, "/api/v1/jobs/revised", "", map[string]any{"ask": false}, &answer)
				took := time.Since(began)
				l.mu.Lock()
				if err != nil || code != http.StatusAccepted {
					l.failed = append(l.failed, fmt.Sprintf("create: %d, %v", code, err))
				} else {
					l.ids, l.took = append(l.ids, answer.JobID), append(l.took, took)
				}
				l.mu.Unlock()
			}
		})
	}
	return &group
}

// reloads of the short form; ORRERY_RELOADS=60 is a minute.
const shortReloads = 6

// TestReloadEverySecondUnderLoad changes one of a hundred files each second while clients create
// jobs and workers take them: no request fails, and each job stays on the revision it began with.
func TestReloadEverySecondUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds; left out with -short")
	}
	reloads := shortReloads
	if text := os.Getenv("ORRERY_RELOADS"); text != "" {
		var err error
		if reloads, err = strconv.Atoi(text); err != nil || reloads < 1 {
			t.Fatalf("ORRERY_RELOADS=%q: give a number of reloads, for example ORRERY_RELOADS=60", text)
		}
	}
	ctx := t.Context()
	r := newRevised(t, 99)
	crowd(t, r.addr, 4)
	l, stop := &loadOf{}, make(chan struct{})
	began := time.Now()
	group := l.run(ctx, r, 4, stop)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var slowest time.Duration
	for range reloads {
		<-second.C
		before := r.inForce(ctx, t)
		r.write(t)
		slowest = max(slowest, r.takes(ctx, t, before))
	}
	<-second.C
	close(stop)
	group.Wait()
	lasted := time.Since(began)
	if len(l.failed) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(l.failed), l.failed[0])
	}
	by := map[int]int{}
	for _, v := range r.drained(ctx, t, l.ids, time.Minute) {
		by[sameRevision(t, v)]++
	}
	if len(by) != reloads+1 {
		t.Errorf("jobs ran on %d revisions, want %d: %v", len(by), reloads+1, by)
	}
	slices.Sort(l.took)
	t.Logf("%d reloads of 100 files in %.0f s, in force after %v at most; %d jobs created (%.0f/s), %d requests failed; a create took %v (p50), %v (p99), %v at most",
		reloads, lasted.Seconds(), slowest.Round(time.Millisecond), len(l.ids), float64(len(l.ids))/lasted.Seconds(), len(l.failed),
		l.took[len(l.took)/2].Round(100*time.Microsecond), l.took[len(l.took)*99/100].Round(100*time.Microsecond), l.took[len(l.took)-1].Round(100*time.Microsecond))
}

// TestJobsKeepTheirRevisionAcrossKills lets jobs of several revisions wait, kills the server
// between and while their files change, and at last takes the file away: each goes on where it began.
func TestJobsKeepTheirRevisionAcrossKills(t *testing.T) {
	const revisions, each = 5, 6
	n := seed(t)
	t.Logf("ORRERY_KILL_SEED=%d", n)
	random := rand.New(rand.NewPCG(n, 9))
	ctx := t.Context()
	r := newRevised(t, 3)
	want := map[string]int{} // by job: the revision in force when it was created
	for k := range revisions {
		for i := range each {
			id, err := r.submit(ctx, "jobs/revised", fmt.Sprintf("%d/%d", k, i), map[string]any{"ask": true})
			if err != nil {
				t.Fatal(err)
			}
			want[id] = r.present
		}
		before := r.inForce(ctx, t)
		if k%2 == 0 { // the kill comes somewhere in the reload
			r.write(t)
			select {
			case <-time.After(time.Duration(random.IntN(400)) * time.Millisecond):
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
			r.kill()
		} else { // the file changes while nobody runs
			r.kill()
			r.write(t)
		}
		r.start()
		r.takes(ctx, t, before)
	}
	r.kill()
	if err := os.Remove(filepath.Join(r.blueprints, "revised.star")); err != nil {
		t.Fatal(err)
	}
	r.start()
	for id := range want {
		r.decide(ctx, t, id)
	}
	ids := make([]string, 0, len(want))
	for id := range want {
		ids = append(ids, id)
	}
	for id, v := range r.drained(ctx, t, ids, 30*time.Second) {
		if got := sameRevision(t, v); got != want[id] {
			t.Errorf("I9: job %s was created under revision %d and ran on %d", id, want[id], got)
		}
	}
}

// decide answers a job's question once it asks.
func (r *revised) decide(ctx context.Context, t *testing.T, id string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		code, err := r.call(ctx, http.MethodPost, "/api/v1/jobs/"+id+"/approve", "", map[string]string{"decision": "yes"}, nil)
		if err == nil && code == http.StatusOK {
			return
		}
		if err != nil || code != http.StatusConflict || time.Now().After(deadline) {
			t.Fatalf("the decision on %s: %d, %v", id, code, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
}
