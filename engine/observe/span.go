package observe

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// This file makes spans and carries them over as headers.

// Headers are traceparent and tracestate; nil is no trace.
type Headers = map[string]string

// Kind says from where a span was caused.
type Kind = trace.SpanKind

// The kinds of spans.
const (
	Server   = trace.SpanKindServer   // a request from outside
	Internal = trace.SpanKindInternal // work of our own
	Producer = trace.SpanKindProducer // something was queued for others
	Consumer = trace.SpanKindConsumer // an answer to that came
)

// Attr is a fact about a span.
type Attr = attribute.KeyValue

// Text is a name. Never data of a job.
func Text(key, value string) Attr { return attribute.String(key, value) }

// Number is a number.
func Number(key string, value int64) Attr { return attribute.Int64(key, value) }

// Span is a piece of work that goes on. nil is one that is not traced.
type Span struct{ span trace.Span }

var w3c propagation.TraceContext

// Remote notes the headers that a request came with, so that Start makes children of them.
func (t *Tracer) Remote(ctx context.Context, h Headers) context.Context {
	if t == nil || len(h) == 0 {
		return ctx
	}
	return w3c.Extract(ctx, propagation.MapCarrier(h))
}

// Start begins a span of the trace that the headers belong to: below the span that the
// context carries, if that is of the same trace, else below the headers' own. Without
// headers the context alone counts, and with neither a new trace begins.
func (t *Tracer) Start(ctx context.Context, name string, kind Kind, of Headers, attrs ...Attr) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	own := trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.MapCarrier(of)))
	if own.IsValid() && trace.SpanContextFromContext(ctx).TraceID() != own.TraceID() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, own)
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	return ctx, &Span{span}
}

// Headers give the span to others. nil for a span that is not traced.
func (s *Span) Headers() Headers {
	if s == nil {
		return nil
	}
	h := Headers{}
	w3c.Inject(trace.ContextWithSpan(context.Background(), s.span), propagation.MapCarrier(h))
	return h
}

// Set adds facts.
func (s *Span) Set(attrs ...Attr) {
	if s != nil {
		s.span.SetAttributes(attrs...)
	}
}

// End ends the span; code is that of an error, "" for none. A span that is never ended is
// never sent.
func (s *Span) End(code string) {
	if s == nil {
		return
	}
	if code != "" {
		s.span.SetStatus(codes.Error, code)
		s.span.SetAttributes(attribute.String("error.type", code))
	}
	s.span.End()
}
