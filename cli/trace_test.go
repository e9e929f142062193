package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/observe"
	"orrery/engine/observe/collector"
	sdk "orrery/workers/client"
)

// This file tests recipe 20 with a whole server, a worker with spans of its own, and a
// receiver of OTLP.

const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	jobSecret   = "nobody-may-see-this"
)

// traced is a job of the recipe under way: a server that reports to a collector.
type traced struct {
	*running
	url string
}

func startTraced(t *testing.T, env map[string]string) *traced {
	t.Helper()
	folder, err := filepath.Abs("../examples/20-tracing")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	r := serveIn(t, "dev", folder, "--listen", "127.0.0.1:0", "--no-emulation")
	return &traced{r, r.find(t, r.out, shownURL)}
}

// worker serves the recipe's task with a span of its own, until the test ends.
func (s *traced) worker(t *testing.T, tracer *observe.Tracer) <-chan map[string]string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	saw, ended := make(chan map[string]string, 10), make(chan struct{})
	w := sdk.New(sdk.Config{URL: s.url, Token: "your-secret-worker-token", ID: "tracer"})
	w.Handle("traced_work", func(ctx context.Context, task *sdk.Task) (map[string]any, error) {
		saw <- task.Tracing
		_, span := tracer.Start(ctx, "work on it", observe.Internal, task.Tracing)
		if span != nil {
			task.Tracing = span.Headers()
		}
		span.End("")
		return map[string]any{"answer": jobSecret}, nil
	})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("worker: %v", err)
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	return saw
}

// job starts a job with trace headers and waits for its end.
func (s *traced) job(t *testing.T, traceparent string) (id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/jobs/tracing", strings.NewReader(`{"text": "`+jobSecret+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Client-Token", "dev-client-token")
	req.Header.Set("traceparent", traceparent)
	req.Header.Set("tracestate", "vendor=kept")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s, %v", res.StatusCode, raw, err)
	}
	var answer struct {
		JobID string `json:"job_id"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	waitFor(t, s.url, answer.JobID, `"finished"`)
	return answer.JobID
}

func TestOneTraceFromTheClientToTheWorkerAndBack(t *testing.T) {
	c := collector.Start(t)
	t.Setenv("OTEL_SERVICE_NAME", "worker")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	tracer, err := observe.New(t.Context(), os.LookupEnv, "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := startTraced(t, map[string]string{"OTEL_SERVICE_NAME": "", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=collector-token"})
	saw := s.worker(t, tracer)
	id := s.job(t, "00-"+clientTrace+"-"+clientSpan+"-01")
	if got := <-saw; !strings.HasPrefix(got["traceparent"], "00-"+clientTrace+"-") || got["tracestate"] != "vendor=kept" {
		t.Errorf("the worker got the trace %v", got)
	}
	s.end(t) // the last spans leave
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	byName := map[string]collector.Span{}
	for _, span := range c.Spans() {
		if span.TraceID != clientTrace {
			t.Errorf("%s is of the trace %s", span.Name, span.TraceID)
		}
		if twice, ok := byName[span.Name]; ok {
			t.Errorf("two spans %s: %v and %v", span.Name, twice, span)
		}
		byName[span.Name] = span
	}
	parent := clientSpan
	for _, want := range []struct{ name, service, kind string }{
		{"create tracing_flow", "orrery", "SPAN_KIND_SERVER"},
		{"state start", "orrery", "SPAN_KIND_INTERNAL"},
		{"dispatch traced_work", "orrery", "SPAN_KIND_PRODUCER"},
		{"work on it", "worker", "SPAN_KIND_INTERNAL"},
		{"result traced_work", "orrery", "SPAN_KIND_CONSUMER"},
		{"state evaluate", "orrery", "SPAN_KIND_INTERNAL"},
	} {
		span, ok := byName[want.name]
		if !ok || span.Service != want.service || span.Kind != want.kind || span.Parent != parent {
			t.Errorf("span %s: %+v, there %v; want it from %s as %s below %s", want.name, span, ok, want.service, want.kind, parent)
		}
		if want.service == "orrery" && span.Attrs["orrery.job.id"] != id {
			t.Errorf("span %s is of job %q", want.name, span.Attrs["orrery.job.id"])
		}
		parent = span.ID
	}
	if last := byName["state finished"]; last.Parent != byName["result traced_work"].ID {
		t.Errorf("the end: %+v", last)
	}
	if len(byName) != 7 {
		t.Errorf("%d kinds of spans, want 7: %v", len(byName), byName)
	}
	for _, body := range c.Raw() {
		for _, secret := range []string{jobSecret, "dev-client-token", "your-secret-worker-token", "collector-token"} {
			if bytes.Contains(body, []byte(secret)) {
				t.Errorf("%q was sent to the collector", secret)
			}
		}
	}
}

// Without an endpoint nothing is traced, and the client's trace reaches the worker as it came.
func TestWithoutTracingTheHeadersPass(t *testing.T) {
	s := startTraced(t, nil)
	saw := s.worker(t, nil)
	s.job(t, "00-"+clientTrace+"-"+clientSpan+"-01")
	if got := <-saw; got["traceparent"] != "00-"+clientTrace+"-"+clientSpan+"-01" || got["tracestate"] != "vendor=kept" || len(got) != 2 {
		t.Errorf("the worker got the trace %v", got)
	}
	s.end(t)
}

func TestServerRefusesATracingProtocolItHasNot(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	inFolder(t)
	r := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	if code := <-r.ended; code != 1 || !strings.Contains(r.err.String(), "http/protobuf") {
		t.Errorf("ends with %d: %s", code, r.err)
	}
}
