package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"orrery/engine"
)

// This file tests the start of jobs: paths, bodies, packing, repetition.

const start = "/api/v1/jobs/simple_linear"

func TestCreate(t *testing.T) {
	b := newBench(t)
	var got accepted
	a := b.as("client", "POST", start, `{"name": "x"}`, "traceparent", "00-1-2-01", "tracestate", "k=v", "X-Secret", "s", "baggage", "b=1")
	a.ok(t, http.StatusAccepted, &got)
	if got.Status != "accepted" || len(got.JobID) != 36 || a.header.Get("Location") != "/api/v1/jobs/"+got.JobID {
		t.Errorf("answer %s, %v", a, a.header)
	}
	r := b.engine.last()
	if r.Blueprint != "linear" || string(r.InitialData) != `{"name": "x"}` || r.Client.ID != "ann" || r.Client.Plan != "premium" || string(r.Client.Params) != `{"plan":"premium"}` {
		t.Errorf("request %+v", r)
	}
	if len(r.Trace) != 2 || r.Trace["traceparent"] != "00-1-2-01" || r.Trace["tracestate"] != "k=v" {
		t.Errorf("trace %v", r.Trace)
	}
}

func TestBodies(t *testing.T) {
	b := newBench(t)
	for body, want := range map[string]engine.Request{
		`{}`:                              {InitialData: []byte(`{}`)},
		`{"initial_data": {"a": 1}}`:      {InitialData: []byte(`{"a": 1}`)},
		`{"initial\u005fdata": {"a": 1}}`: {InitialData: []byte(`{"a": 1}`)},
		`{"webhook_url": "https://h/x"}`:  {InitialData: []byte(`{}`), WebhookURL: "https://h/x"},
		`{"dispatch_timeout": 1.5}`:       {InitialData: []byte(`{}`), DispatchTimeout: 1.5},
		`{"result_timeout": null}`:        {InitialData: []byte(`{}`)},
		` {"data": {"initial_data": 3}} `: {InitialData: []byte(`{"data": {"initial_data": 3}}`)},
		`{"big": 9223372036854775807, "f": 1e300, "s": "\u00e9\"[[{"}`:                                {InitialData: []byte(`{"big": 9223372036854775807, "f": 1e300, "s": "\u00e9\"[[{"}`)},
		`{"initial_data": {}, "webhook_url": "http://h", "dispatch_timeout": 1, "result_timeout": 2}`: {InitialData: []byte(`{}`), WebhookURL: "http://h", DispatchTimeout: 1, ResultTimeout: 2},
	} {
		b.as("client", "POST", start, body).ok(t, http.StatusAccepted, nil)
		r := b.engine.last()
		if string(r.InitialData) != string(want.InitialData) || r.WebhookURL != want.WebhookURL || r.DispatchTimeout != want.DispatchTimeout || r.ResultTimeout != want.ResultTimeout {
			t.Errorf("%s gave %+v", body, r)
		}
	}
}

func TestBadBodies(t *testing.T) {
	b := newBench(t)
	for body, code := range map[string]string{
		``: "bad_request", ` `: "bad_request", `[]`: "bad_request", `null`: "bad_request", `"x"`: "bad_request", `3`: "bad_request",
		`{`: "bad_json", `{"a":}`: "bad_json", `{} {}`: "bad_json", `{"a": NaN}`: "bad_json", "{\"a\": \"\xff\"}": "bad_json", "\xef\xbb\xbf{}": "bad_json",
		`{"a": 9223372036854775808}`: "bad_json", `{"a": 1e999}`: "bad_json", `{"a": -99999999999999999999}`: "bad_json",
		strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101): "bad_json",
		strings.Repeat("[", 1<<20):                                    "bad_json",
		`{"initial_data": [], "webhook_url": "http://h"}`:             "bad_request",
		`{"initial_data": null}`:                                      "bad_request",
		`{"initial_data": {}, "prio": 1, "also": 2}`:                  "bad_request",
		`{"dispatch_timeout": 0}`:                                     "bad_request",
		`{"dispatch_timeout": "5"}`:                                   "bad_request",
		`{"result_timeout": 1e10}`:                                    "bad_request",
		`{"webhook_url": "file:///etc/passwd"}`:                       "bad_request",
		`{"webhook_url": "/relative"}`:                                "bad_request",
		`{"webhook_url": "http://user:secret@h/"}`:                    "bad_request",
		`{"webhook_url": 7}`:                                          "bad_request",
	} {
		b.as("client", "POST", start, body).want(t, http.StatusBadRequest, code)
	}
	if got := b.as("client", "POST", start, `{"initial_data": {}, "prio": 1, "also": 2}`); !strings.Contains(got.body, "also, prio") {
		t.Errorf("unknown keys are not named: %s", got)
	}
	if got := b.as("client", "POST", start, "{\n\"a\":}"); !strings.Contains(got.body, "line 2") {
		t.Errorf("no position: %s", got)
	}
	if len(b.engine.asked) != 0 {
		t.Errorf("%d jobs were submitted", len(b.engine.asked))
	}
}

func TestUnknownEndpoint(t *testing.T) {
	b := newBench(t)
	got := b.as("client", "POST", "/api/v1/jobs/simple_liner", "{}")
	got.want(t, http.StatusNotFound, "unknown_blueprint")
	if !strings.Contains(got.body, "did you mean "+start) || !strings.Contains(got.body, `"endpoints":["`+start+`"]`) {
		t.Errorf("no help: %s", got)
	}
	for _, path := range []string{"/api/v2/jobs/simple_linear", "/api/jobs/simple_linear", "/api/", "/api/child"} {
		b.as("client", "POST", path, "{}").want(t, http.StatusNotFound, "unknown_blueprint")
	}
}

func TestIdempotency(t *testing.T) {
	b := newBench(t)
	send := func(role, key, body string) (got accepted) {
		b.as(role, "POST", start, body, "Idempotency-Key", key).ok(t, http.StatusAccepted, &got)
		return got
	}
	first := send("client", "k1", `{"a":1}`)
	if again := send("client", "k1", `{"a":1}`); again != first {
		t.Errorf("again gave %v, first %v", again, first)
	}
	if other := send("other", "k1", `{"a":1}`); other == first {
		t.Error("another client got the same job")
	}
	b.as("client", "POST", start, `{"a":2}`, "Idempotency-Key", "k1").want(t, http.StatusConflict, "idempotency_mismatch")
	b.as("client", "POST", start, `{}`, "Idempotency-Key", strings.Repeat("k", 256)).want(t, http.StatusBadRequest, "bad_request")
}

func TestPackedBodies(t *testing.T) {
	b := newBench(t)
	packers := map[string]func(string) string{"gzip": gzipped(t), "zstd": zstded(t)}
	for coding, pack := range packers {
		b.as("client", "POST", start, pack(`{"packed": "`+coding+`"}`), "Content-Encoding", coding).ok(t, http.StatusAccepted, nil)
		if got := string(b.engine.last().InitialData); got != `{"packed": "`+coding+`"}` {
			t.Errorf("%s: %s", coding, got)
		}
		// A bomb: small on the wire, far too large when unpacked.
		bomb := pack(`{"a": "` + strings.Repeat("a", 64<<20) + `"}`)
		if len(bomb) > 1<<20 {
			t.Fatalf("%s: the bomb has %d bytes", coding, len(bomb))
		}
		b.as("client", "POST", start, bomb, "Content-Encoding", coding).want(t, http.StatusRequestEntityTooLarge, "too_large")
		b.as("client", "POST", start, `{}`, "Content-Encoding", coding).want(t, http.StatusBadRequest, "bad_request")
		whole := pack(`{"packed": "and cut off"}`)
		b.as("client", "POST", start, whole[:len(whole)-6], "Content-Encoding", coding).want(t, http.StatusBadRequest, "bad_request")
	}
	b.as("client", "POST", start, `{}`, "Content-Encoding", "br").want(t, http.StatusUnsupportedMediaType, "unsupported_encoding")
	b.as("client", "POST", start, `{}`, "Content-Encoding", "gzip, gzip").want(t, http.StatusUnsupportedMediaType, "unsupported_encoding")
}

func gzipped(t *testing.T) func(string) string {
	return func(s string) string {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		if _, err := w.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.String()
	}
}

func zstded(t *testing.T) func(string) string {
	return func(s string) string {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return string(w.EncodeAll([]byte(s), nil))
	}
}

func TestTooLarge(t *testing.T) {
	b := newBench(t)
	b.listen()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Refused by its length, when no more than its first bytes have come.
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nX-Client-Token: t-client\r\nContent-Length: %d\r\n\r\n{\"a\":", start, DefaultLimits().Body+1); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp).want(t, http.StatusRequestEntityTooLarge, "too_large")
	b.engine.fail = &engine.Fault{Code: engine.TooLarge, Message: "initial_data has too many bytes"}
	b.as("client", "POST", start, `{}`).want(t, http.StatusRequestEntityTooLarge, "too_large")
}

func TestStoreFull(t *testing.T) {
	b := newBench(t)
	b.engine.fail = &engine.Fault{Code: engine.StoreFull, Message: "the disk is full"}
	got := b.as("client", "POST", start, `{}`)
	got.want(t, http.StatusServiceUnavailable, "store_full")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"a", "", 1}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.d {
			t.Errorf("%q to %q is %d, want %d", c.a, c.b, got, c.d)
		}
	}
	if got := nearest("abc", []string{"xyz", "abd"}); got != "abd" {
		t.Errorf("nearest gave %q", got)
	}
}
