package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"orrery/engine/job"
)

// This file shows what has not left the server yet, and lets an operator try again what was
// given up.

// The states of a delivery.
const (
	DeliveryPending = "pending"  // not tried yet
	DeliveryRetried = "retrying" // tries failed, the next has a date
	DeliverySent    = "sent"     // a request that waits for its decision
	DeliveryGivenUp = "given_up"
)

// Delivery is one message to the outside that is still kept.
type Delivery struct {
	ID       string `json:"id"`
	JobID    string `json:"job_id"`
	Kind     string `json:"kind"` // webhook, approval, approval_ended
	To       string `json:"to"`   // the host of a webhook, or the integration
	Event    string `json:"event,omitempty"`
	State    string `json:"state"`
	Attempts int    `json:"attempts"` // that failed
	Error    string `json:"error,omitempty"`
	Next     *Time  `json:"next_attempt_at,omitempty"`
	Sent     *Time  `json:"sent_at,omitempty"`
	GivenUp  *Time  `json:"given_up_at,omitempty"`
}

func deliveryOf(m *job.Message) Delivery {
	d := Delivery{ID: m.ID, JobID: m.JobID, Kind: string(m.Kind), To: receiver(*m), State: DeliveryPending,
		Attempts: m.Attempts, Error: m.Error, Sent: timePtr(m.Sent), GivenUp: timePtr(m.GivenUp)}
	if m.Kind == job.MsgWebhook {
		var n job.WebhookNote
		if json.Unmarshal(m.Body, &n) == nil { // an unreadable one is shown all the same
			d.Event = n.Event
		}
	}
	switch {
	case m.GivenUp != nil:
		d.State = DeliveryGivenUp
	case m.Sent != nil:
		d.State = DeliverySent
	default:
		d.Next = timePtr(&m.Due)
		if m.Error != "" {
			d.State = DeliveryRetried
		}
	}
	return d
}

// words tells a delivery in a sentence.
func (d Delivery) words() string {
	what := map[string]string{
		string(job.MsgWebhook): "the webhook " + d.Event + " to " + d.To, string(job.MsgApproval): "the request to " + d.To,
		string(job.MsgApprovalEnded): "the word to " + d.To + " that the question has ended",
	}[d.Kind]
	switch d.State {
	case DeliverySent:
		return fmt.Sprintf("%s was sent at %s", what, d.Sent)
	case DeliveryGivenUp:
		return fmt.Sprintf("%s was given up at %s (try %d): %s", what, d.GivenUp, d.Attempts, d.Error)
	case DeliveryRetried:
		return fmt.Sprintf("%s failed (try %d): %s; it is tried again at %s", what, max(d.Attempts, 1), d.Error, d.Next)
	}
	return what + " is on its way"
}

// outsideOf gives what is kept for the outside of a job.
func (e *Engine) outsideOf(ctx context.Context, id string) ([]Delivery, error) {
	all, err := e.messagesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for i := range all {
		if isOutside(all[i]) {
			out = append(out, deliveryOf(&all[i]))
		}
	}
	return out, nil
}

// GivenUp lists deliveries that were given up, after the given id, at most limit.
func (e *Engine) GivenUp(ctx context.Context, after string, limit int) ([]Delivery, error) {
	all, err := e.givenUp(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Delivery, len(all))
	for i := range all {
		out[i] = deliveryOf(&all[i])
	}
	return out, nil
}

// Redeliver tries again what was given up of a job, and gives how many messages that are.
// Faults: not_found, not_waiting when nothing was given up.
func (e *Engine) Redeliver(ctx context.Context, id, by string) (int, error) {
	if _, err := e.store.Job(ctx, id); err != nil {
		return 0, faultFrom(err, id)
	}
	all, err := e.messagesOf(ctx, id)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, m := range all {
		if m.GivenUp == nil {
			continue
		}
		if err := e.store.Postpone(ctx, revived(m, e.cfg.Clock.Now())); err != nil {
			return n, faultFrom(err, id)
		}
		n++
	}
	if n == 0 {
		return 0, faultf(NotWaiting, "nothing of job %s was given up", id)
	}
	e.cfg.Log.Info("deliveries are tried again", "job", id, "messages", n, "by", by)
	nudge(e.outbox)
	return n, nil
}

// decisionsOf lists, sorted, what a person may answer; "timeout" is taken by the clock.
func decisionsOf(w *job.Wait) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.Transitions)), func(d string) bool { return d == "timeout" })
}
