package hook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"orrery/engine/approval"
	"orrery/engine/clock"
	"orrery/engine/outbound"
	"orrery/engine/webhook"
)

// This file tests what the receiver of the generic webhook gets.

func TestAskAndSettle(t *testing.T) {
	keys, err := webhook.ParseKeys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	var bodies []map[string]any
	var ids []string
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = webhook.Verify(r.Header, raw, keys, time.Now())
		}
		body := map[string]any{}
		if err == nil {
			err = json.Unmarshal(raw, &body)
		}
		if err != nil {
			t.Error(err)
		}
		bodies, ids = append(bodies, body), append(ids, r.Header.Get(webhook.HeaderID))
		w.WriteHeader(status)
	}))
	defer s.Close()
	guard, err := outbound.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	h := New(s.URL, keys, guard, clock.Real{})
	until := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := approval.Request{ID: "j/2/0", JobID: "j", Step: 2, Blueprint: "moderation", Message: "go on?", Decisions: []string{"no", "yes"}, Until: &until,
		Extra: json.RawMessage(`{"team": "news"}`), Link: "https://o.example/_public/webhooks/approval/j?token=t", Token: "t"}
	if _, err := h.Ask(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"event": "approval_requested", "job_id": "j", "step": 2.0, "blueprint_name": "moderation", "message": "go on?", "until": "2026-11-24T12:00:00.000Z",
		"decide_url": "https://o.example/_public/webhooks/approval/j", "page_url": r.Link, "token": "t",
	} {
		if bodies[0][key] != want {
			t.Errorf("%s is %v, want %v", key, bodies[0][key], want)
		}
	}
	if extra, ok := bodies[0]["extra"].(map[string]any); !ok || extra["team"] != "news" {
		t.Errorf("extra: %v", bodies[0]["extra"])
	}
	for _, o := range []approval.Outcome{{How: approval.Decided, Decision: "yes", By: "ana", At: until}, {How: approval.Expired, At: until}} {
		if err := h.Settle(t.Context(), r, o, nil); err != nil {
			t.Fatal(err)
		}
	}
	if b := bodies[1]; b["event"] != "approval_settled" || b["outcome"] != "decided" || b["decision"] != "yes" || b["by"] != "ana" {
		t.Errorf("%v", b)
	}
	if b := bodies[2]; b["outcome"] != "expired" || b["decision"] != nil || b["by"] != nil {
		t.Errorf("%v", b)
	}
	r.Link, status = "", http.StatusInternalServerError
	if _, err := h.Ask(t.Context(), r); err == nil {
		t.Error("a receiver that fails is no failure")
	}
	if ids[3] != ids[0] || ids[1] == ids[0] || ids[1] != ids[2] {
		t.Errorf("ids: %v", ids)
	}
	if _, there := bodies[3]["page_url"]; there {
		t.Error("a link without an address")
	}
}
