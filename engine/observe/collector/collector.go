// Package collector is a receiver of traces for tests: OTLP over HTTP, read with the official
// protobuf types, so that what is sent is what a real collector would take.
package collector

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it was received.
type Span struct {
	Service string // service.name of the sender
	Name    string
	Kind    string
	TraceID string // hexadecimal
	ID      string
	Parent  string // "" for a root
	Attrs   map[string]string
	Error   string // description of an error status
}

// Collector is a server at URL until the test ends.
type Collector struct {
	URL string

	mu    sync.Mutex
	spans []Span
	raw   [][]byte
	fault string
	came  chan struct{}
}

// Start begins to listen.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{came: make(chan struct{}, 1)}
	s := httptest.NewServer(c)
	t.Cleanup(func() {
		s.Close()
		if c.fault != "" {
			t.Errorf("the collector got what no collector takes: %s", c.fault)
		}
	})
	c.URL = s.URL
	return c
}

// ServeHTTP takes one export request, as the specification of OTLP says.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(why string) {
		c.mu.Lock()
		c.fault = why
		c.mu.Unlock()
		http.Error(w, why, http.StatusBadRequest)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		refuse(r.Method + " " + r.URL.Path + " as " + r.Header.Get("Content-Type"))
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			refuse(err.Error())
			return
		}
		body = z
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		refuse(err.Error())
		return
	}
	var in collect.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &in); err != nil {
		refuse(err.Error())
		return
	}
	out, err := proto.Marshal(&collect.ExportTraceServiceResponse{})
	if err != nil {
		refuse(err.Error())
		return
	}
	c.take(&in, raw)
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Write(out) // the sender's loss, if it is gone
}

func (c *Collector) take(in *collect.ExportTraceServiceRequest, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, raw)
	for _, rs := range in.ResourceSpans {
		service := attrs(rs.Resource.GetAttributes())["service.name"]
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, Span{
					Service: service, Name: s.Name, Kind: s.Kind.String(), TraceID: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
					Parent: hex.EncodeToString(s.ParentSpanId), Attrs: attrs(s.Attributes), Error: errorOf(s.Status),
				})
			}
		}
	}
	select {
	case c.came <- struct{}{}:
	default:
	}
}

func errorOf(s *trace.Status) string {
	if s.GetCode() != trace.Status_STATUS_CODE_ERROR {
		return ""
	}
	return s.GetMessage()
}

// attrs gives attributes as text.
func attrs(list []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		text := kv.Value.GetStringValue()
		if text == "" {
			text = kv.Value.String()
		}
		out[kv.Key] = text
	}
	return out
}

// Spans gives what has come so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Raw gives the bodies of all requests, unpacked: whatever is in them was sent.
func (c *Collector) Raw() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.raw...)
}

// Came gives a signal after requests.
func (c *Collector) Came() <-chan struct{} { return c.came }
