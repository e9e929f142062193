// Package hook asks for decisions by posting a signed webhook to an address of the
// operator's: a program there asks people in its own way and decides by the API.
//
// Both messages, approval_requested and approval_settled, carry job_id and step, which name
// the question, and are signed by the Standard Webhooks scheme. A repetition has the same
// webhook-id, so the receiver can drop it.
package hook

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"orrery/engine/approval"
	"orrery/engine/clock"
	"orrery/engine/outbound"
	"orrery/engine/webhook"
)

const callTimeout = 15 * time.Second

// Hook is the integration. Make it with New.
type Hook struct {
	url    string
	keys   []webhook.Key
	client *http.Client
	clock  clock.Clock
}

var _ approval.Integration = (*Hook)(nil)

// New makes a hook that posts to an address and signs with keys.
func New(url string, keys []webhook.Key, guard *outbound.Guard, c clock.Clock) *Hook {
	return &Hook{url: url, keys: keys, client: guard.Client(callTimeout), clock: c}
}

// asked is the body of a request.
type asked struct {
	Event     string          `json:"event"`
	JobID     string          `json:"job_id"`
	Step      int64           `json:"step"`
	Blueprint string          `json:"blueprint_name"`
	Message   string          `json:"message"`
	Decisions []string        `json:"decisions"`
	Until     *string         `json:"until"`
	Extra     json.RawMessage `json:"extra,omitempty"`
	DecideURL string          `json:"decide_url,omitempty"` // takes a POST of {"decision", "token"}
	Token     string          `json:"token"`
	PageURL   string          `json:"page_url,omitempty"` // for a person's browser
}

// settled is the body of what ends it.
type settled struct {
	Event    string  `json:"event"`
	JobID    string  `json:"job_id"`
	Step     int64   `json:"step"`
	Outcome  string  `json:"outcome"` // decided, expired or cancelled
	Decision *string `json:"decision"`
	By       *string `json:"by"`
	At       string  `json:"at"`
}

// Ask posts the request.
func (h *Hook) Ask(ctx context.Context, r approval.Request) (json.RawMessage, error) {
	page, _, _ := strings.Cut(r.Link, "?")
	a := asked{Event: "approval_requested", JobID: r.JobID, Step: r.Step, Blueprint: r.Blueprint, Message: r.Message,
		Decisions: r.Decisions, Extra: r.Extra, DecideURL: page, Token: r.Token, PageURL: r.Link}
	if r.Until != nil {
		a.Until = stamp(*r.Until)
	}
	return json.RawMessage(`{}`), h.post(ctx, r.ID, a)
}

// Settle posts the outcome.
func (h *Hook) Settle(ctx context.Context, r approval.Request, o approval.Outcome, _ json.RawMessage) error {
	s := settled{Event: "approval_settled", JobID: r.JobID, Step: r.Step, Outcome: o.How, At: *stamp(o.At)}
	if o.How == approval.Decided {
		s.Decision = &o.Decision
	}
	if o.By != "" {
		s.By = &o.By
	}
	return h.post(ctx, r.ID+"/end", s)
}

func (h *Hook) post(ctx context.Context, id string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return webhook.Post(ctx, h.client, h.url, "msg_"+strings.ReplaceAll(id, "/", "_"), h.clock.Now(), raw, h.keys)
}

func stamp(t time.Time) *string {
	s := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &s
}
