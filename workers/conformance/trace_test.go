// Recipe 20 with the unmodified Python SDKs: the trace reaches their handlers.

package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/observe/collector"
)

const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
)

// TestTraceReachesPythonWorkers: what the handler gets are the headers of the task's
// dispatch, in the client's trace; the result stands below it.
func TestTraceReachesPythonWorkers(t *testing.T) {
	venvs := needPython(t)
	for sdk, script := range map[string]string{"1.0b7": "workers/traced_b7.py", "1.0b20": "../../examples/20-tracing/worker.py"} {
		t.Run(sdk, func(t *testing.T) {
			c := collector.Start(t)
			script, err := filepath.Abs(script)
			if err != nil {
				t.Fatal(err)
			}
			s := startServer(t, nil, nil, blueprintFile{"tracing.star", readFile(t, "../../examples/20-tracing/blueprint.star"),
				[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}})
			startProcess(t, process{
				name: "traced worker", path: filepath.Join(venvs, sdk, "bin", "python"), args: []string{script}, dir: t.TempDir(),
				env: []string{"ORCHESTRATOR_URL=" + s.base, "WORKER_ID=traced", "WORKER_TOKEN=" + sharedToken, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "WORKER_SHUTDOWN_TIMEOUT=2"},
			})
			s.awaitWorker(t, "traced")
			var made struct {
				JobID string `json:"job_id"`
			}
			code, raw, _ := call(t, http.MethodPost, s.base+"/api/v1/jobs/tracing", map[string]string{
				"X-Client-Token": clientToken, "traceparent": "00-" + clientTrace + "-" + clientSpan + "-01"}, map[string]any{"text": "follow me"})
			if code != http.StatusAccepted {
				t.Fatalf("%d %s", code, raw)
			}
			if err := json.Unmarshal(raw, &made); err != nil {
				t.Fatal(err)
			}
			j := s.awaitEnd(t, made.JobID)

			spans := map[string]collector.Span{}
			waitFor(t, patience, "the spans of the last state and of the result", func() (string, bool) {
				for _, span := range c.Spans() {
					spans[span.Name] = span
				}
				_, ended := spans["state finished"]
				_, back := spans["result traced_work"]
				return fmt.Sprint(len(spans), " spans"), ended && back
			})
			dispatch, result := spans["dispatch traced_work"], spans["result traced_work"]
			if want := "00-" + clientTrace + "-" + dispatch.ID + "-01"; j.History["worker_saw"] != want {
				t.Errorf("the handler saw %v, want %s", j.History["worker_saw"], want)
			}
			if result.Parent != dispatch.ID {
				t.Errorf("the result %+v does not stand below the dispatch %s", result, dispatch.ID)
			}
			for name, span := range spans {
				if span.TraceID != clientTrace {
					t.Errorf("%s is of the trace %s", name, span.TraceID)
				}
				for key, value := range span.Attrs {
					if strings.Contains(value, "follow me") {
						t.Errorf("%s holds data of the job: %s=%s", name, key, value)
					}
				}
			}
		})
	}
}
