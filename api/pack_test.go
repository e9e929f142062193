package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"orrery/engine/job"
)

// This file tests packed answers, and that packed requests come in.

func TestAnswersArePackedForThoseWhoAccept(t *testing.T) {
	b := newBench(t)
	for range 30 {
		b.engine.add(job.Job{Status: job.Finished, State: "done", Client: job.Client{ID: "ann"}})
	}
	const path = "/api/v1/jobs"
	plain := b.as("client", "GET", path, "")
	if plain.status != http.StatusOK || plain.header.Get("Content-Encoding") != "" || len(plain.body) < packFrom {
		t.Fatalf("plain: %d bytes, %s", len(plain.body), plain.header)
	}
	for accept, want := range map[string]string{
		"gzip": "gzip", "gzip, deflate": "gzip", "zstd": "zstd", "gzip, deflate, br, zstd": "zstd", "GZIP;q=0.5": "gzip",
		"zstd;q=0, gzip;q=0.1": "gzip", "br": "", "gzip;q=0": "", "identity": "", "zstd; q=0.0,*": "", "gzip;q=x": "",
	} {
		got := b.as("client", "GET", path, "", "Accept-Encoding", accept)
		if got.header.Get("Content-Encoding") != want || !strings.Contains(got.header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%q: encoding %q, Vary %q; want %q", accept, got.header.Get("Content-Encoding"), got.header.Get("Vary"), want)
			continue
		}
		if text := unpacked(t, want, got.body); text != plain.body {
			t.Errorf("%q: another answer: %.200s", accept, text)
		}
		if want != "" && len(got.body) > len(plain.body)/3 {
			t.Errorf("%q: %d of %d bytes", accept, len(got.body), len(plain.body))
		}
	}
	small := b.do("GET", "/_public/status", "", "Accept-Encoding", "gzip, zstd")
	if small.header.Get("Content-Encoding") != "" {
		t.Errorf("an answer of %d bytes was packed", len(small.body))
	}
}

func unpacked(t *testing.T, coding, body string) string {
	t.Helper()
	var from io.Reader = strings.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A job may be started with a packed body; one that grows beyond the limit is refused before
// it is in memory.
func TestRequestsComePacked(t *testing.T) {
	b := newBench(t)
	pack := map[string]func(text []byte) []byte{
		"gzip": func(text []byte) []byte {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			z.Write(text) //nolint:errcheck // into memory
			z.Close()     //nolint:errcheck // the same
			return out.Bytes()
		},
		"zstd": func(text []byte) []byte { return zstdPacker().EncodeAll(text, nil) },
	}
	for coding, do := range pack {
		b.as("client", "POST", "/api/v1/jobs/simple_linear", string(do([]byte(`{"initial_data": {"n": 7}}`))), "Content-Encoding", coding).ok(t, http.StatusAccepted, nil)
		var data map[string]int
		if err := json.Unmarshal(b.engine.last().InitialData, &data); err != nil || data["n"] != 7 {
			t.Errorf("%s: the engine got %s", coding, b.engine.last().InitialData)
		}
		bomb := do([]byte(`{"initial_data": {"x": "` + strings.Repeat("y", 64<<20) + `"}}`))
		if len(bomb) > 1<<20 {
			t.Fatalf("%s: the bomb has %d bytes", coding, len(bomb))
		}
		b.as("client", "POST", "/api/v1/jobs/simple_linear", string(bomb), "Content-Encoding", coding).want(t, http.StatusRequestEntityTooLarge, "too_large")
		b.as("client", "POST", "/api/v1/jobs/simple_linear", "not packed", "Content-Encoding", coding).want(t, http.StatusBadRequest, "bad_request")
	}
}
