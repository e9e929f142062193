package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"orrery/engine/webhook"
)

// This file kills the shipped binary while it tells clients how their jobs ended: every end is
// told, signed, and a repetition is the same message.

const hookFlow = `
hook = blueprint(name = "hook", api_version = "v1", api_endpoint = "jobs/hook")

def start(context, actions):
    context.state_history["n"] = context.initial_data["n"]
    actions.transition_to("finished")

hook.handler_for("start", is_start = True)(start)
`

const hookKey = "whsec_a2lsbHRlc3QsIGtpbGx0ZXN0LCBraWxsdGVzdCwgMzI="

// told is what one job's receiver got.
type told struct {
	ids    map[string]int // webhook-id: how often
	bodies map[string]bool
}

// hooks is a receiver that remembers by job.
type hooks struct {
	mu   sync.Mutex
	got  map[string]*told
	more chan struct{}
}

// receiver starts one; a message whose signature does not fit fails the test.
func receiver(t *testing.T) (*hooks, string) {
	t.Helper()
	keys, err := webhook.ParseKeys(hookKey)
	if err != nil {
		t.Fatal(err)
	}
	h := &hooks{got: map[string]*told{}, more: make(chan struct{}, 1)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its sender was killed
		}
		var b struct {
			JobID string `json:"job_id"`
		}
		if err := webhook.Verify(r.Header, body, keys, time.Now()); err != nil || json.Unmarshal(body, &b) != nil {
			t.Errorf("%v: %s", err, body)
		}
		h.take(b.JobID, r.Header.Get(webhook.HeaderID), string(body))
	}))
	t.Cleanup(s.Close)
	return h, s.URL
}

func (h *hooks) take(job, id, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.got[job] == nil {
		h.got[job] = &told{map[string]int{}, map[string]bool{}}
	}
	h.got[job].ids[id]++
	h.got[job].bodies[body] = true
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// wait returns when so many jobs were told of.
func (h *hooks) wait(ctx context.Context, t *testing.T, jobs int) {
	t.Helper()
	for {
		h.mu.Lock()
		n := len(h.got)
		h.mu.Unlock()
		if n == jobs {
			return
		}
		select {
		case <-h.more:
		case <-ctx.Done():
			t.Fatalf("%d of %d ends were told", n, jobs)
		}
	}
}

func TestKillsLoseNoWebhook(t *testing.T) {
	const jobs, kills = 40, 5
	h, url := receiver(t)
	s := newServer(t, program(t, ""))
	flows := filepath.Join(s.dir, "flows")
	if err := os.Mkdir(flows, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(flows, "hook.star"), []byte(hookFlow), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"BLUEPRINTS_DIR=" + flows, "OUTGOING_ALLOW=127.0.0.1", "WEBHOOK_SECRET=" + hookKey}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.start(env...)
	ids := map[string]bool{}
	for i := range jobs {
		id, err := s.submit(ctx, "jobs/hook", fmt.Sprintf("hook-%d", i), map[string]any{"initial_data": map[string]any{"n": i}, "webhook_url": url})
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
		if i%(jobs/kills) == jobs/kills-1 { // the last ones are being told
			s.kill()
			s.start(env...)
		}
	}
	h.wait(ctx, t, jobs)
	h.mu.Lock()
	defer h.mu.Unlock()
	again := 0
	for id, one := range h.got {
		if !ids[id] || len(one.ids) != 1 || len(one.bodies) != 1 {
			t.Errorf("job %s (ours: %v) was told by the messages %v, with %d bodies", id, ids[id], one.ids, len(one.bodies))
		}
		for _, n := range one.ids {
			again += n - 1
		}
	}
	t.Logf("%d ends told over %d kills, %d of them twice", jobs, kills, again)
}
