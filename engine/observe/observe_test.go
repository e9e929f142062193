package observe_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"orrery/engine/observe"
	"orrery/engine/observe/collector"
)

// This file tests the switch, and how spans find their parents. The whole trace of a job is
// tested in cli/trace_test.go.

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func TestOnAndOff(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for name, c := range map[string]struct {
		env map[string]string
		on  bool
		bad string
	}{
		"nothing said":       {nil, false, ""},
		"an endpoint":        {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true, ""},
		"one for traces":     {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint + "/v1/traces"}, true, ""},
		"disabled":           {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "true"}, false, ""},
		"exporter none":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"another exporter":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "zipkin"}, false, "zipkin"},
		"another protocol":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "4318"},
		"protocol of traces": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, ""},
	} {
		tracer, err := observe.New(t.Context(), env(c.env), "1", slog.New(slog.DiscardHandler))
		if (tracer != nil) != c.on || (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: on %v, %v", name, tracer != nil, err)
		}
		if err := tracer.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func started(t *testing.T) (*observe.Tracer, *collector.Collector) {
	t.Helper()
	c := collector.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	tracer, err := observe.New(t.Context(), env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}), "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tracer, c
}

const (
	traceA = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceB = "11111111111111111111111111111111"
	spanA  = "00f067aa0ba902b7"
	spanB  = "2222222222222222"
)

func headers(trace, span, flags string) observe.Headers {
	return observe.Headers{"traceparent": "00-" + trace + "-" + span + "-" + flags}
}

func TestParents(t *testing.T) {
	tracer, c := started(t)
	remote := func(h observe.Headers) context.Context { return tracer.Remote(t.Context(), h) }
	start := func(name string, ctx context.Context, of observe.Headers) {
		_, span := tracer.Start(ctx, name, observe.Internal, of)
		span.End("")
	}
	start("of its headers", t.Context(), headers(traceA, spanA, "01"))
	start("of a context of the same trace", remote(headers(traceA, spanB, "01")), headers(traceA, spanA, "01"))
	start("not of a context of another", remote(headers(traceB, spanB, "01")), headers(traceA, spanA, "01"))
	start("not of nonsense", t.Context(), observe.Headers{"traceparent": "00-1-2-03"})
	start("not of nothing", t.Context(), nil)
	_, quiet := tracer.Start(t.Context(), "not sampled", observe.Internal, headers(traceA, spanA, "00"))
	if got := quiet.Headers()["traceparent"]; !strings.HasPrefix(got, "00-"+traceA) || !strings.HasSuffix(got, "-00") {
		t.Errorf("what is not sampled passes %q on", got)
	}
	quiet.End("")
	_, bad := tracer.Start(t.Context(), "failed", observe.Internal, headers(traceA, spanA, "01"))
	bad.End("SCRIPT_ERROR")
	_, never := tracer.Start(t.Context(), "never ended", observe.Internal, nil)
	_ = never
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]collector.Span{}
	for _, s := range c.Spans() {
		got[s.Name] = s
	}
	for name, want := range map[string]string{"of its headers": spanA, "of a context of the same trace": spanB, "not of a context of another": spanA, "failed": spanA} {
		if got[name].Parent != want || got[name].TraceID != traceA {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	for _, name := range []string{"not of nonsense", "not of nothing"} {
		if s := got[name]; s.Parent != "" || s.TraceID == "" || s.TraceID == traceA {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if len(got) != 6 || got["failed"].Error != "SCRIPT_ERROR" || got["failed"].Service != "orrery" {
		t.Errorf("%d spans: %v", len(got), got)
	}
}

// A collector that is down costs a line in the log, and the stop ends in time.
func TestCollectorIsDown(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	tracer, err := observe.New(t.Context(), env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}), "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracer.Start(t.Context(), "lost", observe.Internal, nil)
	span.End("")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tracer.Close(ended); err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

// Switched off, the tracer is nil and does nothing.
func TestOffCostsNothing(t *testing.T) {
	var tracer *observe.Tracer
	ctx, of := t.Context(), headers(traceA, spanA, "01")
	if n := testing.AllocsPerRun(100, func() {
		in := tracer.Remote(ctx, of)
		_, span := tracer.Start(in, "x", observe.Internal, of)
		if span.Headers() != nil {
			t.Error("a span of nobody has headers")
		}
		span.End("")
	}); n != 0 {
		t.Errorf("%v allocations a span", n)
	}
}
