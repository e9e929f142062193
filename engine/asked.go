package engine

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"orrery/engine/approval"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file carries questions to people and their ends: the outbox row of a request stays,
// with the integration's receipt, until the question has ended and those asked were told.

var _ approval.Decider = (*Engine)(nil)

// errNotConfigured parks a request whose integration this server does not have.
type errNotConfigured struct{ name string }

func (e *errNotConfigured) Error() string {
	return fmt.Sprintf("the integration %q is not configured here, so nobody was asked: decide by command, API or page; once it is configured, a restart sends the request", e.name)
}

// Final says that trying again is pointless.
func (e *errNotConfigured) Final() bool { return true }

// askPerson sends a request. What is not waited for any more is not asked.
func (e *Engine) askPerson(ctx context.Context, m *job.Message) (note func(context.Context) error, err error) {
	if e.cfg.Approvals == nil {
		return e.crossOut(m.ID), nil
	}
	r, err := e.request(m)
	if err != nil {
		return nil, err
	}
	if waits, err := e.waitsFor(ctx, r.JobID, r.Step); err != nil || !waits {
		if err == nil && m.Began != nil {
			return e.leaveToTheEnd(ctx, m)
		}
		return e.crossOut(m.ID), err
	}
	with, ok := e.cfg.Approvals[m.To]
	if !ok {
		return nil, &errNotConfigured{m.To}
	}
	// Kept before the call, so that after a crash in the middle the integration knows that
	// somebody may have been asked already.
	r.Doubt = m.Began != nil
	now := e.cfg.Clock.Now()
	m.Began = &now
	if err := e.store.Postpone(ctx, *m); err != nil {
		return nil, laterFor(err)
	}
	receipt, err := with.Ask(ctx, *r)
	if err != nil {
		var sure interface{ NotSent() bool }
		if !r.Doubt && errors.As(err, &sure) && sure.NotSent() {
			m.Began = nil
		}
		return nil, err
	}
	sent := *m
	sent.Sent, sent.Began, sent.Receipt, sent.Error = &now, nil, receipt, ""
	e.cfg.Log.Info("a person is asked", "job", m.JobID, "integration", m.To)
	return func(ctx context.Context) error { return e.noteTry(ctx, sent) }, nil
}

// leaveToTheEnd keeps a request that may have been sent for the message that tells its end.
func (e *Engine) leaveToTheEnd(ctx context.Context, m *job.Message) (note func(context.Context) error, err error) {
	all, err := e.messagesOf(ctx, m.JobID)
	if err != nil {
		return nil, laterFor(err)
	}
	for i := range all {
		if all[i].Kind == job.MsgApprovalEnded {
			return nil, errLater
		}
	}
	return e.crossOut(m.ID), nil
}

// request builds the question of a message.
func (e *Engine) request(m *job.Message) (*approval.Request, error) {
	var a job.ApprovalRequest
	if err := json.Unmarshal(m.Body, &a); err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	r := &approval.Request{
		ID: m.ID, JobID: a.JobID, Step: a.Step, Blueprint: a.Blueprint, Message: a.Message, Decisions: a.Decisions,
		Until: a.Until, Extra: a.Extra, Token: e.ApprovalToken(a.JobID, a.Step),
	}
	if e.cfg.PublicURL != "" {
		r.Link = e.cfg.PublicURL + "/_public/webhooks/approval/" + a.JobID + "?token=" + url.QueryEscape(r.Token)
	}
	return r, nil
}

// waitsFor reports whether a job waits for the answer to the question of a step.
func (e *Engine) waitsFor(ctx context.Context, id string, step int64) (bool, error) {
	j, err := e.store.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, laterFor(err)
	}
	return j.Status == job.WaitingHuman && j.Wait.Step == step, nil
}

// tellPerson tells those who were asked how it ended, and ends the request's row.
func (e *Engine) tellPerson(ctx context.Context, m job.Message) (note func(context.Context) error, err error) {
	var end job.ApprovalEnd
	if err := json.Unmarshal(m.Body, &end); err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	ask, err := e.requestRow(ctx, m.JobID, end.Step)
	if err != nil {
		return nil, laterFor(err)
	}
	if ask == nil {
		return e.crossOut(m.ID), nil
	}
	if e.flights.has(ask.ID) {
		return nil, errLater // it is being asked at this moment
	}
	with, ok := e.cfg.Approvals[m.To]
	if !ok || ask.Sent == nil && ask.Began == nil { // nobody was asked
		return e.crossOut(ask.ID, m.ID), nil
	}
	r, err := e.request(ask)
	if err != nil {
		return nil, err
	}
	r.Doubt = ask.Sent == nil
	if err := with.Settle(ctx, *r, outcomeOf(end), ask.Receipt); err != nil {
		return nil, err
	}
	return e.crossOut(ask.ID, m.ID), nil
}

func outcomeOf(end job.ApprovalEnd) approval.Outcome {
	return approval.Outcome{How: end.Outcome, Decision: end.Decision, By: end.By, At: end.At.Time}
}

// requestRow finds the outbox row of a question, or nil.
func (e *Engine) requestRow(ctx context.Context, id string, step int64) (*job.Message, error) {
	all, err := e.messagesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range all {
		var a job.ApprovalRequest
		if all[i].Kind != job.MsgApproval {
			continue
		}
		if err := json.Unmarshal(all[i].Body, &a); err != nil {
			return nil, fmt.Errorf("message %s: %w", all[i].ID, err)
		}
		if a.Step == step {
			return &all[i], nil
		}
	}
	return nil, nil
}

// Answer takes a decision that came to an integration.
func (e *Engine) Answer(ctx context.Context, a approval.Answer) (v approval.Verdict, err error) {
	token := e.ApprovalToken(a.JobID, a.Step)
	if !hmac.Equal([]byte(token[:approval.ProofSize]), []byte(a.Proof)) {
		return approval.Verdict{Why: "this answer does not belong to any question of this server"}, nil
	}
	if ask, err := e.requestRow(ctx, a.JobID, a.Step); err != nil {
		return v, err
	} else if ask != nil {
		if v.Request, err = e.request(ask); err != nil {
			return v, err
		}
	}
	decision, err := e.choice(ctx, a)
	if err == nil {
		err = e.decideIf(ctx, a.JobID, decision, a.By, func(j *job.Job) error {
			if j.Status != job.WaitingHuman || j.Wait.Step != a.Step {
				return faultf(NotWaiting, "the question was answered already")
			}
			return nil
		})
	}
	switch FaultCode(err) {
	case "":
		v.Taken, v.Ended = err == nil, err == nil
		if v.Taken {
			v.Outcome = &approval.Outcome{How: approval.Decided, Decision: decision, By: a.By, At: e.cfg.Clock.Now()}
		}
		return v, err
	case NotWaiting, Ended, NotFound:
		v.Ended, v.Why = true, "This question has been settled already."
		if v.Outcome, err = e.endOf(ctx, a.JobID, a.Step); v.Outcome != nil {
			v.Why = settled(*v.Outcome)
		}
		return v, err
	case StoreFull, Conflict:
		return v, err
	}
	v.Why = err.Error()
	return v, nil
}

// choice names the decision that an answer means.
func (e *Engine) choice(ctx context.Context, a approval.Answer) (string, error) {
	j, err := e.store.Job(ctx, a.JobID)
	if err != nil {
		return "", faultFrom(err, a.JobID)
	}
	if j.Status != job.WaitingHuman || j.Wait.Step != a.Step {
		return "", faultf(NotWaiting, "the question was answered already")
	}
	names := decisionsOf(j.Wait)
	if a.Choice < 0 || a.Choice >= len(names) {
		return "", faultf(BadDecision, "this question has no such answer")
	}
	return names[a.Choice], nil
}

// settled says how a question ended, for people.
func settled(o approval.Outcome) string {
	switch o.How {
	case approval.Expired:
		return "Nobody decided in time: the deadline has passed."
	case approval.Cancelled:
		return "The job was cancelled; nothing is to be decided any more."
	}
	return fmt.Sprintf("It was decided already: %s, by %s at %s.", o.Decision, o.By, Time(o.At))
}

// badToken tells the holder of a link that was good once how its question ended. Anybody
// else gets the refusal as it stands.
func (e *Engine) badToken(ctx context.Context, id, token string, refusal error) error {
	end, err := e.endWhere(ctx, id, func(step int64) bool {
		return hmac.Equal([]byte(e.ApprovalToken(id, step)), []byte(token))
	})
	if err != nil || end == nil {
		return refusal
	}
	return faultf(BadToken, "this link was for one question, which has ended. %s", settled(*end))
}

// endOf finds how the question of a step ended; nil when it has not, or when nothing is
// known of it any more.
func (e *Engine) endOf(ctx context.Context, id string, step int64) (*approval.Outcome, error) {
	return e.endWhere(ctx, id, func(s int64) bool { return s == step })
}

// endsSeen is how far back the end of a question is looked for: whoever asks may be anybody
// with a job's id, and histories can be long.
const endsSeen = 500

// endWhere looks through the newest records of a job for the end of a question that was
// asked at a step which is meant.
func (e *Engine) endWhere(ctx context.Context, id string, meant func(step int64) bool) (*approval.Outcome, error) {
	j, err := e.store.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	records, err := e.newest(ctx, j, endsSeen, func(r *job.Record) job.Record {
		return job.Record{N: r.N, At: r.At, Kind: r.Kind, Step: r.Step, By: r.By, Detail: job.Clip(r.Detail, job.MaxText)}
	})
	if err != nil {
		return nil, err
	}
	step := int64(0) // after which the job stood last
	for i := range records {
		if records[i].Kind == job.RecStep {
			step = records[i].Step
		}
		if o := endIn(&records[i]); o != nil && step > 0 && meant(step) {
			return o, nil
		}
	}
	return nil, nil
}

// endIn reads a record that can end a question; which one it ends the step before it tells.
func endIn(r *job.Record) *approval.Outcome {
	switch r.Kind {
	case job.RecApproval:
		return &approval.Outcome{How: approval.Decided, Decision: r.Detail, By: r.By, At: r.At.Time}
	case job.RecTimer:
		return &approval.Outcome{How: approval.Expired, At: r.At.Time}
	case job.RecCancelled:
		return &approval.Outcome{How: approval.Cancelled, By: r.By, At: r.At.Time}
	}
	return nil
}

// resumeParked sends the requests that were parked because their integration was missing,
// when it is there now.
func (e *Engine) resumeParked(ctx context.Context) error {
	for after := ""; ; {
		batch, err := e.givenUp(ctx, after, outboxBatch)
		if err != nil {
			return fmt.Errorf("read the deliveries that were given up: %w", err)
		}
		for _, m := range batch {
			after = m.ID
			if _, there := e.cfg.Approvals[m.To]; !there || m.Kind != job.MsgApproval || m.Error != (&errNotConfigured{m.To}).Error() {
				continue
			}
			if err := e.store.Postpone(ctx, revived(m, e.cfg.Clock.Now())); err != nil {
				return err
			}
		}
		if len(batch) < outboxBatch {
			return nil
		}
	}
}

// revived is a message that was given up and begins anew.
func revived(m job.Message, now time.Time) job.Message {
	m.GivenUp, m.Attempts, m.Due = nil, 0, now
	return m
}
