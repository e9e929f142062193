package api

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file tests the stream of a job's changes over a real socket.

// stream reads one event (or comment) at a time.
type eventStream struct {
	t *testing.T
	r *bufio.Reader
	c func()
}

func (b *bench) follow(id string, headers ...string) *eventStream {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", b.base+"/api/v1/jobs/"+id+"/events", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-Client-Token", "t-client")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("stream: %s", read(b.t, resp))
	}
	b.t.Cleanup(func() { cancel(); resp.Body.Close() })
	return &eventStream{b.t, bufio.NewReader(resp.Body), cancel}
}

// next gives the lines up to the next empty one; "" at the end of the stream.
func (s *eventStream) next() string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "|")
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, line)
	}
}

func TestEvents(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	b.engine.change(id, job.Running, "one")
	s := b.follow(id)
	if got := s.next(); !strings.HasPrefix(got, `id: 1|event: step|data: {"n":1,`) {
		t.Fatalf("first: %s", got)
	}
	b.engine.change(id, job.Running, "two")
	if got := s.next(); !strings.HasPrefix(got, "id: 2|event: step|data:") || !strings.Contains(got, `"two"`) {
		t.Fatalf("second: %s", got)
	}
	b.engine.change(id, job.Finished, "finished")
	if got := s.next(); !strings.HasPrefix(got, "id: 3|") {
		t.Fatalf("third: %s", got)
	}
	if got := s.next(); !strings.HasPrefix(got, "event: end|data:") || !strings.Contains(got, `"status":"finished"`) {
		t.Fatalf("end: %s", got)
	}
	if got := s.next(); got != "" {
		t.Fatalf("after the end: %s", got)
	}
	again := b.follow(id, "Last-Event-ID", "2")
	if got := again.next(); !strings.HasPrefix(got, "id: 3|") {
		t.Fatalf("taken up again: %s", got)
	}
	b.as("client", "GET", "/api/v1/jobs/"+id+"/events", "", "Last-Event-ID", "x").want(t, http.StatusBadRequest, "bad_request")
}

// TestSilentStream: a comment after 15 s tells both ends that the line is alive.
func TestSilentStream(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	b.engine.change(id, job.Running, "one")
	s := b.follow(id)
	s.next()
	<-b.clock.Armed()
	b.clock.Advance(beat)
	if got := s.next(); got != ": still here" {
		t.Fatalf("got %q", got)
	}
	b.engine.change(id, job.Cancelled, "x")
	s.next()
	if got := s.next(); !strings.Contains(got, "cancelled") {
		t.Fatalf("got %q", got)
	}
}

// TestClientGone: a stream nobody reads ends by itself, noticed at a flush.
func TestClientGone(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	b.engine.change(id, job.Running, "one")
	s := b.follow(id)
	s.next()
	s.c()
	ended := make(chan struct{})
	go func() { b.s.streams.Wait(); close(ended) }()
	deadline := time.After(20 * time.Second)
	for {
		// The first writes may still fit into the socket's buffers.
		select {
		case <-b.clock.Armed():
			b.clock.Advance(beat)
		case <-ended:
			return
		case <-deadline:
			t.Fatal("the stream goes on without a reader")
		}
	}
}

// TestShutdownEndsStreams is the cleanup of listen: it fails when a stream holds it up.
func TestShutdownEndsStreams(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	b.engine.change(id, job.Running, "one")
	s := b.follow(id)
	s.next()
	b.s.release()
	if got := s.next(); got != "" {
		t.Errorf("got %q", got)
	}
	b.do("GET", "/_public/status", "").want(t, http.StatusServiceUnavailable, "shutting_down")
}
