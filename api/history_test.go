package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"orrery/engine"
	"orrery/engine/job"
)

// This file tests that a history is answered whole when it is short, and streamed when it is
// longer than what the server holds of one.

func TestHistoryWholeAndStreamed(t *testing.T) {
	for _, c := range []struct {
		events int
		cut    error
		whole  bool
	}{
		{1, nil, true}, {wholeHistory / (101 << 10), nil, true}, {100, nil, false}, {100, errors.New("the store is gone"), false},
	} {
		b := newBench(t)
		b.listen()
		b.engine.events, b.engine.cut = c.events, c.cut
		id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
		r, err := http.NewRequestWithContext(t.Context(), "GET", b.base+"/api/v1/jobs/"+id+"/history", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Client-Token", "t-client")
		r.Header.Set("Accept-Encoding", "identity")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || (resp.ContentLength >= 0) != c.whole {
			t.Fatalf("%d events: %v, %s, length %d", c.events, err, resp.Status, resp.ContentLength)
		}
		var list []struct {
			EventID string `json:"event_id"`
		}
		err = json.Unmarshal(raw, &list)
		if c.cut != nil {
			if err == nil {
				t.Errorf("a history that was cut off reads as a whole one of %d events", len(list))
			}
			continue
		}
		if err != nil || len(list) != c.events || list[c.events-1].EventID == list[0].EventID && c.events > 1 {
			t.Errorf("%d events read as %d: %v", c.events, len(list), err)
		}
	}
}

func TestHistoryThatFailsAtOnce(t *testing.T) {
	b := newBench(t)
	b.listen()
	b.engine.events, b.engine.cut = 3, &engine.Fault{Code: engine.Elsewhere, Message: "with another node"}
	id := b.engine.add(job.Job{Status: job.Running, State: "start", Client: job.Client{ID: "ann"}})
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.base+"/api/v1/jobs/"+id+"/history", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Client-Token", "t-client")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 400 {
		t.Errorf("a short history that failed is answered %s", resp.Status)
	}
}
