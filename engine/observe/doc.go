// Package observe sends traces to an OpenTelemetry collector, by OTLP over HTTP.
//
// Words: a span is one piece of work with a beginning and an end; a trace is all spans of
// one job, from the client's request through its steps, tasks and workers to its end. The
// headers of a span (traceparent, tracestate; W3C Trace Context) are how it gets children
// elsewhere: they are kept with the job and its tasks, so that a trace outlives a restart.
//
// It is configured by the standard OTEL_* variables and off without an endpoint: New then
// gives a nil *Tracer, whose methods do nothing.
//
// Spans carry names and numbers: of jobs, blueprints, states, tasks, workers, and error
// codes. They never carry data of jobs, messages of errors, or tokens.
package observe
