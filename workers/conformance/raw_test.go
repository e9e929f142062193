// Workers written by hand: tokens, partial updates, and the details of replies
// that some age's SDK depends on.

package conformance

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// rawWorker speaks the wire protocol request by request.
type rawWorker struct {
	s       *server
	id      string
	headers map[string]string
}

func (s *server) worker(id, token, version string) rawWorker {
	headers := map[string]string{"X-Worker-Token": token}
	if version != "" {
		headers["X-RXON-Version"] = version
		headers["X-Worker-ID"] = id
	}
	return rawWorker{s: s, id: id, headers: headers}
}

func (w rawWorker) do(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	status, text, headers := call(t, method, w.s.base+"/_worker"+path, w.headers, body)
	if status == http.StatusNoContent {
		return status, nil
	}
	if kind := headers.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") && !strings.HasPrefix(kind, "application/problem+json") {
		t.Errorf("%s %s: content type %q, SDKs from 1.0b4 on read JSON only", method, path, kind)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s %s: HTTP %d: %v in %q", method, path, status, err, text)
	}
	return status, out
}

func (w rawWorker) register(t *testing.T, skills ...string) int {
	t.Helper()
	status, _ := w.do(t, http.MethodPost, "/workers/register", map[string]any{"worker_id": w.id, "worker_type": "raw", "supported_tasks": skills})
	return status
}

// take polls for a task that is known to be there.
func (w rawWorker) take(t *testing.T) map[string]any {
	t.Helper()
	status, task := w.do(t, http.MethodGet, "/workers/"+w.id+"/tasks/next", nil)
	if status != http.StatusOK {
		t.Fatalf("poll: HTTP %d", status)
	}
	return task
}

func TestTokens(t *testing.T) {
	s := startServer(t, []string{"raw"}, map[string]string{"w-own": "own-token"})
	for _, tc := range []struct {
		name, id, token string
		want            int
	}{
		{"shared", "w-shared", sharedToken, http.StatusOK},
		{"individual", "w-own", "own-token", http.StatusOK},
		{"wrong", "w-shared", "wrong", http.StatusUnauthorized},
		{"none", "w-shared", "", http.StatusUnauthorized},
		{"shared for a worker with its own", "w-own", sharedToken, http.StatusUnauthorized},
		{"individual of another", "w-shared", "own-token", http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := s.worker(tc.id, tc.token, "1.0b17")
			if got := w.register(t, "echo_raw"); got != tc.want {
				t.Errorf("register: HTTP %d, want %d", got, tc.want)
			}
			if tc.want == http.StatusOK {
				return
			}
			if got, body := w.do(t, http.MethodPatch, "/workers/"+tc.id, map[string]any{"load": 1}); got != tc.want || body["error"] == nil {
				t.Errorf("heartbeat: HTTP %d %v", got, body)
			}
			if got, _ := w.do(t, http.MethodGet, "/workers/"+tc.id+"/tasks/next", nil); got != tc.want {
				t.Errorf("poll: HTTP %d", got)
			}
			if got, _ := w.do(t, http.MethodPost, "/tasks/result", map[string]any{"worker_id": tc.id, "task_id": "x", "job_id": "y"}); got != tc.want {
				t.Errorf("result: HTTP %d", got)
			}
		})
	}
}

func TestHeartbeatOfAnUnknownWorker(t *testing.T) {
	s := startServer(t, []string{"raw"}, nil)
	status, body := s.worker("w-new", sharedToken, "1.0b17").do(t, http.MethodPatch, "/workers/w-new",
		map[string]any{"worker_id": "w-new", "status": "idle", "current_tasks": []string{}, "available_skills": []string{"echo_raw"}})
	if text, _ := body["error"].(string); status != http.StatusNotFound || !strings.Contains(strings.ToLower(text), "not found") {
		t.Errorf("C registers again only on an error with \"not found\": HTTP %d %v", status, body)
	}
	// A never registers again, so its heartbeat has to bring it back.
	old := s.worker("w-old", sharedToken, "")
	if status, body := old.do(t, http.MethodPatch, "/workers/w-old", map[string]any{"status": "idle", "load": 0, "supported_tasks": []string{"echo_raw"}}); status != http.StatusOK {
		t.Fatalf("heartbeat of an old worker: HTTP %d %v", status, body)
	}
	id := s.create(t, "jobs/tasks_raw", map[string]any{"task": "echo", "params": map[string]any{}})
	if task := old.take(t); task["job_id"] != id {
		t.Errorf("the worker taken in from its heartbeat got %v, want a task of %s", task, id)
	}
}

func TestHandWrittenWorker(t *testing.T) {
	s := startServer(t, []string{"raw"}, nil)
	w := s.worker("w-raw", sharedToken, "")
	if status := w.register(t, "echo_raw", "fail_invalid_raw"); status != http.StatusOK {
		t.Fatalf("register: HTTP %d", status)
	}
	for _, path := range []string{"/workers/w-raw/status", "/workers/w-raw"} {
		if status, body := w.do(t, http.MethodPatch, path, map[string]any{"load": 0.5}); status != http.StatusOK {
			t.Errorf("partial update of %s: HTTP %d %v", path, status, body)
		}
		if status, body := w.do(t, http.MethodPatch, path, nil); status != http.StatusOK {
			t.Errorf("empty update of %s: HTTP %d %v", path, status, body)
		}
	}

	id := s.create(t, "jobs/tasks_raw", map[string]any{"task": "echo", "params": map[string]any{"a": 1}})
	task := w.take(t)
	if task["job_id"] != id || task["type"] != "echo_raw" || task["task_id"] == nil {
		t.Fatalf("task %v", task)
	}
	if _, isNumber := task["priority"].(float64); !isNumber {
		t.Errorf("priority is %v; C stops polling when it is no number", task["priority"])
	}
	if _, isObject := task["tracing_context"].(map[string]any); !isObject {
		t.Errorf("tracing_context is %v; B loses a task without one", task["tracing_context"])
	}
	taskID, _ := task["task_id"].(string)
	if status, body := w.do(t, http.MethodGet, "/tasks/"+taskID+"/cancelled", nil); status != http.StatusOK || body["cancelled"] != false {
		t.Errorf("cancelled? HTTP %d %v", status, body)
	}
	result := map[string]any{"job_id": id, "task_id": taskID, "worker_id": w.id, "result": map[string]any{"data": map[string]any{"b": 2}}}
	if status, body := w.do(t, http.MethodPost, "/tasks/result", result); status != http.StatusOK || body["status"] != "accepted" {
		t.Errorf("result: HTTP %d %v", status, body)
	}
	if status, body := w.do(t, http.MethodPost, "/tasks/result", result); status != http.StatusOK {
		t.Errorf("the same result again must be 200: HTTP %d %v", status, body)
	}
	if j := s.awaitEnd(t, id); j.Status != "finished" || j.History["b"] != 2.0 {
		t.Errorf("ended as %s", j)
	}

	id = s.create(t, "jobs/tasks_raw", map[string]any{"task": "fail_invalid", "params": map[string]any{}})
	task = w.take(t)
	w.do(t, http.MethodPost, "/tasks/result", map[string]any{
		"job_id": id, "task_id": task["task_id"], "worker_id": w.id,
		"status": "failure", "error_type": "INVALID_INPUT_ERROR", "error": "no key",
	})
	if j := s.awaitEnd(t, id); j.Status != "failed" || j.Error == nil || j.Error.Code != "INVALID_INPUT_ERROR" || !strings.Contains(j.Error.Message, "no key") {
		t.Errorf("the oldest spelling of a failure: %s", j)
	}
}

func TestAccessTokens(t *testing.T) {
	s := startServer(t, []string{"raw"}, nil)
	w := s.worker("w-sts", sharedToken, "1.0b17")
	status, token := w.do(t, http.MethodPost, "/auth/token", map[string]any{})
	access, _ := token["access_token"].(string)
	if status != http.StatusOK || access == "" || token["worker_id"] != "w-sts" {
		t.Fatalf("token: HTTP %d %v", status, token)
	}
	if status := s.worker("w-sts", access, "1.0b17").register(t, "echo_raw"); status != http.StatusOK {
		t.Errorf("register with an access token: HTTP %d", status)
	}
	if status := s.worker("w-other", access, "1.0b17").register(t, "echo_raw"); status != http.StatusUnauthorized {
		t.Errorf("an access token is bound to its worker: HTTP %d", status)
	}
}
