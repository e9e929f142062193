package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// This file switches tracing on, by the environment, and off again.

// Tracer makes spans. nil is one that is switched off. Its methods may be called from any
// goroutine.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New gives a tracer as the OTEL_* variables say, or nil when they switch tracing off. An
// error names the variable that can not be followed. env must be the process's own
// environment: the OpenTelemetry SDK reads the rest of its variables there by itself.
func New(ctx context.Context, env func(name string) (string, bool), version string, log *slog.Logger) (*Tracer, error) {
	on, err := wanted(env)
	if !on || err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx) // connects when there is something to send
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "orrery"), attribute.String("service.version", version)),
		resource.WithFromEnv(), // last, so that OTEL_SERVICE_NAME wins
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&complaints{log: log})
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracer{provider, provider.Tracer("orrery")}, nil
}

// wanted reads what decides between on and off.
func wanted(env func(string) (string, bool)) (bool, error) {
	get := func(name string) string {
		v, _ := env(name)
		return strings.TrimSpace(v)
	}
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch which := get("OTEL_TRACES_EXPORTER"); which {
	case "", "otlp":
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q; this program has otlp and none", which)
	}
	if get("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false, nil
	}
	protocol := get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = get("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; this program speaks http/protobuf (a collector takes it at port 4318)", protocol)
	}
	return true, nil
}

// flushGrace is how long a stop waits for the collector.
const flushGrace = 5 * time.Second

// Close sends what is left. A collector that does not answer is given up after 5 s.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushGrace)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return errors.Join(errors.New("the last spans could not be sent"), err)
	}
	return nil
}

// complaints logs what the SDK could not do, once a minute at most: a collector that is down
// must not fill the log.
type complaints struct {
	log  *slog.Logger
	last atomic.Int64 // Unix seconds
}

// Handle is called by the SDK.
func (c *complaints) Handle(err error) {
	now := time.Now().Unix()
	if last := c.last.Load(); now-last >= 60 && c.last.CompareAndSwap(last, now) {
		c.log.Warn("spans could not be sent; see OTEL_EXPORTER_OTLP_ENDPOINT", "error", err)
	}
}
