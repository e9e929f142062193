// Every SDK against one server, all at once: what a user of the cookbook relies
// on, for every age.

package conformance

import (
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// TestPythonSDKs runs the unmodified Python SDKs of all ages at the same time
// against one server.
func TestPythonSDKs(t *testing.T) {
	venvs := needPython(t)
	runKinds(t, kinds, func(t *testing.T, s *server, k workerKind, marks string) {
		startPython(t, s, k, venvs, marks)
	})
}

// TestGoSDK holds our own SDK to the same behaviour.
func TestGoSDK(t *testing.T) {
	runKinds(t, goKinds, startGo)
}

func runKinds(t *testing.T, all []workerKind, start func(*testing.T, *server, workerKind, string)) {
	t.Helper()
	var suffixes []string
	tokens := map[string]string{}
	for _, k := range all {
		suffixes = append(suffixes, k.name)
		if k.individual {
			tokens[k.id()] = k.ownToken()
		}
	}
	s := startServer(t, suffixes, tokens)
	marks := t.TempDir()
	for _, k := range all {
		start(t, s, k, marks)
	}
	for _, k := range all {
		s.awaitWorker(t, k.id())
	}
	suites := make([]suite, len(all))
	for i, k := range all {
		suites[i] = newSuite(t, s, k, marks)
	}
	t.Run("all", func(t *testing.T) { // ends when its parallel parts have
		for _, u := range suites {
			t.Run(u.kind.name, func(t *testing.T) {
				t.Parallel()
				u.run(t)
			})
		}
	})
}

// suite is what every worker must be able to do.
type suite struct {
	s     *server
	kind  workerKind
	marks string
	// Jobs whose retries take seconds; begun first, so that all of them wait at
	// the same time.
	transientJob, exhaustedJob string
}

func newSuite(t *testing.T, s *server, k workerKind, marks string) suite {
	t.Helper()
	u := suite{s: s, kind: k, marks: marks}
	u.transientJob = u.start(t, "fail_transient", map[string]any{"failures": 2})
	u.exhaustedJob = u.start(t, "fail_transient", map[string]any{"failures": 99, "message": "still down"})
	return u
}

func (u suite) run(t *testing.T) {
	for name, part := range map[string]func(*testing.T){
		"echo": u.echo, "transient": u.transient, "exhausted": u.exhausted, "permanent": u.permanent,
		"invalid": u.invalid, "custom status": u.customStatus, "progress": u.progress, "cancel": u.cancel,
		"parallel branches": u.parallelBranches,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t)
		})
	}
}

// start begins a job that dispatches one task.
func (u suite) start(t *testing.T, task string, params map[string]any) string {
	t.Helper()
	return u.s.create(t, "jobs/tasks_"+u.kind.name, map[string]any{"task": task, "params": params})
}

func (u suite) echo(t *testing.T) {
	params := map[string]any{
		"text": "héllo <&> \u2028", "n": 2.0, "x": 0.5, "big": 9007199254740991.0,
		"list": []any{1.0, map[string]any{"deep": true}}, "empty": map[string]any{},
	}
	j := u.s.awaitEnd(t, u.start(t, "echo", params))
	if j.Status != "finished" || j.CurrentState != "finished" {
		t.Fatalf("ended as %s", j)
	}
	for name, want := range params {
		if got := j.History[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s came back as %#v, want %#v", name, got, want)
		}
	}
}

func (u suite) transient(t *testing.T) {
	j := u.s.awaitEnd(t, u.transientJob)
	if j.Status != "finished" || j.History["tries"] != 3.0 {
		t.Errorf("two failures, then success: %s", j)
	}
}

func (u suite) exhausted(t *testing.T) {
	j := u.s.awaitEnd(t, u.exhaustedJob)
	if j.Status != "quarantined" || j.Error == nil || j.Error.Code != "TRANSIENT_ERROR" || j.Error.Attempts != 4 {
		t.Errorf("four tries, then quarantine: %s", j)
	}
}

func (u suite) permanent(t *testing.T) {
	j := u.s.awaitEnd(t, u.start(t, "fail_permanent", map[string]any{}))
	if j.Status != "quarantined" || j.Error == nil || j.Error.Code != "PERMANENT_ERROR" || j.Error.Attempts != 1 {
		t.Errorf("one try, then quarantine: %s", j)
	}
}

func (u suite) invalid(t *testing.T) {
	j := u.s.awaitEnd(t, u.start(t, "fail_invalid", map[string]any{}))
	if j.Status != "failed" || j.Error == nil || j.Error.Code != "INVALID_INPUT_ERROR" || j.Error.Attempts != 1 {
		t.Errorf("one try, then failed: %s", j)
	}
}

func (u suite) customStatus(t *testing.T) {
	j := u.s.awaitEnd(t, u.start(t, "needs_review", map[string]any{}))
	if j.Status != "finished" || j.History["reviewed"] != true || j.History["score"] != 0.4 {
		t.Errorf("the transition of needs_review was not taken: %s", j)
	}
}

func (u suite) progress(t *testing.T) {
	j := u.s.awaitEnd(t, u.start(t, "slow_with_progress", map[string]any{"seconds": 1.2, "steps": 4}))
	if j.Status != "finished" || j.History["steps"] != 4.0 {
		t.Fatalf("ended as %s", j)
	}
	if !u.kind.progress {
		return
	}
	updates, _ := j.History["progress_updates"].([]any)
	if len(updates) != 4 {
		t.Fatalf("%d progress updates, want 4: %s", len(updates), j)
	}
	for i, entry := range updates {
		update, _ := entry.(map[string]any)
		fraction, _ := update["progress"].(float64)
		if math.Abs(fraction-float64(i+1)/4) > 1e-9 || update["message"] == "" || update["timestamp"] == nil || update["task_id"] == nil {
			t.Errorf("update %d is %v", i, update)
		}
	}
}

// cancel asks that the handler itself is stopped in time, not only that the job
// is called cancelled.
func (u suite) cancel(t *testing.T) {
	id := u.start(t, "slow_with_progress", map[string]any{"seconds": 120, "steps": 240})
	waitFor(t, patience, "the handler to start", u.marked(id, "started"))
	var reply struct{ Status string }
	if status := u.s.client(t, http.MethodPost, "/api/v1/jobs/"+id+"/cancel", nil, &reply); status != http.StatusOK || reply.Status != "cancellation_request_accepted" {
		t.Fatalf("cancel: HTTP %d %+v", status, reply)
	}
	took := waitFor(t, u.kind.cancelWithin, "the handler to be cancelled", u.marked(id, "cancelled"))
	j := u.s.await(t, id, "ended", 5*time.Second, job.ended)
	if j.Status != "cancelled" || j.CurrentState != "task_cancelled" {
		t.Errorf("ended as %s", j)
	}
	t.Logf("the handler heard of it after %s", took.Round(time.Millisecond))
}

func (u suite) marked(jobID, event string) func() (string, bool) {
	path := filepath.Join(u.marks, jobID+"."+event)
	return func() (string, bool) {
		_, err := os.Stat(path)
		return "no mark of it", err == nil
	}
}

func (u suite) parallelBranches(t *testing.T) {
	j := u.s.awaitEnd(t, u.s.create(t, "jobs/branches_"+u.kind.name, map[string]any{}))
	if j.Status != "finished" || j.History["total"] != 6.0 {
		t.Errorf("three branches of 1, 2 and 3: %s", j)
	}
}
