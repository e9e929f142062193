package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/killpoint"
	"orrery/engine/store"
)

// This file delivers what leaves the server: clients' webhooks and requests to people. A slow
// receiver must not keep the jobs' own messages waiting, so each of these flies by itself;
// how one ended is written into its row.

const (
	flyAtOnce   = 64 // deliveries to the outside
	flyToOne    = 8  // of these to one receiver, so that a dead one does not take all places
	mostWaiting = 5000
	crowded     = 30 * time.Second // until the store brings one that waits again, also after a crash
	outsideTime = time.Minute      // for one try, whatever the receiver does
)

// pauses are the times between the tries of a delivery: ten tries over two days.
var pauses = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// Webhooks posts messages to clients. An error may have the methods Final() bool, which
// says that no other try is worth while, and RetryAfter() time.Duration.
type Webhooks interface {
	// Accept says at a job's creation whether an address could be called.
	Accept(client, address string) error
	// Post sends one try; id is the same for each.
	Post(ctx context.Context, client, address, id string, at time.Time, body []byte) error
}

// errLater leaves a message for a moment without counting a try.
var errLater = errors.New("it can not be delivered just now")

// laterFor marks an error of the store: nothing was tried, so no try is counted.
func laterFor(err error) error { return fmt.Errorf("%w: %w", errLater, err) }

// flights are the deliveries under way in this process, by message and by receiver, and
// those that wait for a place.
type flights struct {
	mu      sync.Mutex
	flying  map[string]struct{}
	to      map[string]int
	queues  map[string][]job.Message // by receiver
	waiting map[string]struct{}      // the messages in the queues
	landed  map[string]struct{}      // messages whose tries ended since the store was asked last
}

// look begins a new look at the store. What it reads of a message whose try ends meanwhile may
// be older than what became of that.
func (f *flights) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.landed = map[string]struct{}{}
}

// begin takes a place. flies says that the message is under way already, or was when the store
// was asked; free that it got a place now. One that waits leaves its queue.
func (f *flights) begin(m job.Message) (flies, free bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flying == nil {
		f.flying, f.to, f.queues, f.waiting = map[string]struct{}{}, map[string]int{}, map[string][]job.Message{}, map[string]struct{}{}
	}
	if _, flies = f.flying[m.ID]; flies {
		return true, false
	}
	if _, flies = f.landed[m.ID]; flies {
		return true, false
	}
	to := receiver(m)
	if _, waits := f.waiting[m.ID]; waits {
		delete(f.waiting, m.ID)
		f.queues[to] = slices.DeleteFunc(f.queues[to], func(other job.Message) bool { return other.ID == m.ID })
		if len(f.queues[to]) == 0 {
			delete(f.queues, to)
		}
	}
	return false, len(f.queues[to]) == 0 && f.take(m)
}

// take gives a message a place if there is one; the caller holds the lock.
func (f *flights) take(m job.Message) bool {
	to := receiver(m)
	if len(f.flying) >= flyAtOnce || f.to[to] >= flyToOne {
		return false
	}
	f.flying[m.ID] = struct{}{}
	f.to[to]++
	return true
}

// wait puts a message into its queue, or gives it a place that has become free.
func (f *flights) wait(m job.Message) (free bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.take(m) {
		return true
	}
	if to := receiver(m); len(f.waiting) < mostWaiting {
		f.waiting[m.ID] = struct{}{}
		f.queues[to] = append(f.queues[to], m)
	}
	return false // more are not remembered: the store brings them again
}

// end gives a place back, and to the next message that waits: of the same receiver, else of
// any other.
func (f *flights) end(m job.Message) (next job.Message, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flying, m.ID)
	if f.landed != nil {
		f.landed[m.ID] = struct{}{}
	}
	to := receiver(m)
	if f.to[to]--; f.to[to] == 0 {
		delete(f.to, to)
	}
	if next, ok = f.pop(to); ok {
		return next, true
	}
	for to := range f.queues {
		if next, ok = f.pop(to); ok {
			return next, true
		}
	}
	return next, false
}

func (f *flights) pop(to string) (next job.Message, ok bool) {
	queue := f.queues[to]
	if len(queue) == 0 || !f.take(queue[0]) {
		return next, false
	}
	next = queue[0]
	delete(f.waiting, next.ID)
	if f.queues[to] = queue[1:]; len(queue) == 1 {
		delete(f.queues, to)
	}
	return next, true
}

func (f *flights) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.flying[id]
	return ok
}

// receiver names who gets a message: a host, or an integration.
func receiver(m job.Message) string {
	if u, err := url.Parse(m.To); err == nil && u.Host != "" {
		return u.Host
	}
	return m.To
}

func isOutside(m job.Message) bool {
	return m.Kind == job.MsgWebhook || m.Kind == job.MsgApproval || m.Kind == job.MsgApprovalEnded
}

// launch begins deliveries in the background, as far as there are places; the others wait in
// memory, and their rows move out of the way of what the jobs tell each other. It gives how
// many messages are not due any more, or under way since now.
func (e *Engine) launch(ctx context.Context, messages []job.Message) (begun int, err error) {
	var crowd []job.Message
	for _, m := range messages {
		flies, free := e.flights.begin(m)
		switch {
		case free:
			begun++
			if err := e.fly(ctx, m); err != nil {
				return begun, err
			}
		case !flies:
			m.Due = e.cfg.Clock.Now().Add(crowded)
			crowd = append(crowd, m)
		}
	}
	if len(crowd) == 0 {
		return begun, nil
	}
	// Written before they wait: afterwards the row may be what a try has made of it.
	err = each(crowd, func(m job.Message) error { return e.noteTry(ctx, m) })
	if err != nil {
		return begun, err
	}
	e.soon(crowd[0].Due)
	for _, m := range crowd {
		if e.flights.wait(m) {
			if err := e.fly(ctx, m); err != nil {
				return begun, err
			}
		}
	}
	return begun + len(crowd), nil
}

// each does something for several messages at a time: most of it is waiting for the disk.
func each(messages []job.Message, do func(job.Message) error) error {
	errs := make([]error, len(messages))
	var busy sync.WaitGroup
	places := make(chan struct{}, sentAtOnce)
	for i := range messages {
		places <- struct{}{}
		busy.Go(func() {
			errs[i] = do(messages[i])
			<-places
		})
	}
	busy.Wait()
	return errors.Join(errs...)
}

// fly makes a delivery that has a place, and after it those that wait for one.
func (e *Engine) fly(ctx context.Context, m job.Message) error {
	if e.cancel == nil { // Settle: one after the other, always in the same order
		defer e.flights.end(m)
		return e.carry(ctx, m)
	}
	e.goes(func() {
		defer nudge(e.outbox)
		for more := true; more && ctx.Err() == nil; m, more = e.flights.end(m) {
			for err := e.carry(ctx, m); err != nil && ctx.Err() == nil; err = e.carryNote(ctx, m, err) {
				e.cfg.Log.Error("what became of a delivery could not be written; it is tried again", "message", m.ID, "error", err)
			}
		}
	})
	return nil
}

// unnoted is a delivery whose outcome could not be written: sending it again would be a
// second message, so only the note is tried again.
type unnoted struct {
	cause error
	note  func(context.Context) error
}

func (u *unnoted) Error() string { return u.cause.Error() }

func (e *Engine) carryNote(ctx context.Context, m job.Message, err error) error {
	var u *unnoted
	if !errors.As(err, &u) {
		return nil // nothing was sent: the row stands as it did, and is read again
	}
	if err := e.sleep(ctx, retryStore); err != nil {
		return err
	}
	if err := u.note(ctx); err != nil {
		return &unnoted{err, u.note}
	}
	return nil
}

// carry makes one try of a delivery and writes down what became of it.
func (e *Engine) carry(ctx context.Context, m job.Message) error {
	s := e.enter(m.JobID)
	defer s.leave()
	if !s.owned || s.fence != m.Fence { // it has waited here for its place; its owner sends it, as its row is now
		return nil
	}
	try, cancel := context.WithTimeout(ctx, outsideTime)
	note, err := e.send(try, &m)
	cancel()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	ctx = context.WithoutCancel(ctx) // what was done is written down, also while stopping
	killpoint.At("engine.outbox-sent")
	if err != nil {
		note = e.afterFailure(m, err)
	}
	if err := note(ctx); err != nil {
		return &unnoted{err, note}
	}
	killpoint.At("engine.outbox-noted")
	return nil
}

// noteTry writes what became of a message into its row, unless its shard has become another
// node's since the row was read: that one may have sent the message itself, and its note counts.
func (e *Engine) noteTry(ctx context.Context, m job.Message) error {
	err := e.store.Postpone(ctx, m)
	if errors.Is(err, store.ErrFenced) {
		e.cfg.Log.Warn("what became of a delivery is not written: another node has it now", "message", m.ID, "kind", m.Kind, "error", err)
		return nil
	}
	return err
}

// send hands one message to its carrier. note writes what a success means.
func (e *Engine) send(ctx context.Context, m *job.Message) (note func(context.Context) error, err error) {
	switch m.Kind {
	case job.MsgWebhook:
		err = e.postWebhook(ctx, *m)
	case job.MsgApproval:
		return e.askPerson(ctx, m)
	case job.MsgApprovalEnded:
		return e.tellPerson(ctx, *m)
	}
	return e.crossOut(m.ID), err
}

// crossOut gives the note of what has been delivered.
func (e *Engine) crossOut(ids ...string) func(context.Context) error {
	return func(ctx context.Context) error { return e.store.Delivered(ctx, ids...) }
}

// afterFailure gives the note of a try that failed: the next one's date, or the end of trying.
func (e *Engine) afterFailure(m job.Message, cause error) func(context.Context) error {
	now := e.cfg.Clock.Now()
	wait, final := time.Second, false
	if !errors.Is(cause, errLater) {
		var asks interface{ RetryAfter() time.Duration }
		var ends interface{ Final() bool }
		m.Error = cause.Error()
		if errors.As(cause, &asks) && asks.RetryAfter() > 0 {
			wait = asks.RetryAfter()
		}
		// An integration that is only busy (a chat takes so many messages a minute) is waited
		// for; the receiver of a webhook may not keep us waiting without end.
		if busy := wait > time.Second && m.Kind != job.MsgWebhook; !busy {
			m.Attempts++
			final = m.Attempts > len(pauses) || errors.As(cause, &ends) && ends.Final()
			if !final {
				wait = max(wait, time.Duration(float64(pauses[m.Attempts-1])*e.cfg.Jitter()))
			}
		}
	}
	if final {
		m.GivenUp = &now
	} else {
		m.Due = now.Add(wait).Truncate(time.Millisecond)
	}
	return func(ctx context.Context) error {
		if err := e.noteTry(ctx, m); err != nil {
			return err
		}
		switch {
		case final:
			e.cfg.Log.Warn("a delivery was given up; see `orrery deliveries list`", "message", m.ID, "kind", m.Kind, "tries", m.Attempts, "error", m.Error)
			return nil
		case !errors.Is(cause, errLater):
			e.cfg.Log.Warn("a delivery failed; it is tried again", "message", m.ID, "kind", m.Kind, "try", m.Attempts, "next", Time(m.Due), "error", m.Error)
		}
		e.soon(m.Due)
		return nil
	}
}

// soon makes the outbox look again at a date.
func (e *Engine) soon(at time.Time) {
	e.againMu.Lock()
	if e.again.IsZero() || at.Before(e.again) {
		e.again = at
	}
	e.againMu.Unlock()
	nudge(e.outbox)
}

// acceptWebhook refuses an address that could never be called, when the client can still be told.
func (e *Engine) acceptWebhook(r Request) error {
	if r.WebhookURL == "" {
		return nil
	}
	if e.cfg.Webhooks == nil {
		return faultf(BadRequest, "webhook_url: this process delivers no webhooks; leave it out and follow GET /api/v1/jobs/{id}/events")
	}
	if err := e.cfg.Webhooks.Accept(r.Client.ID, r.WebhookURL); err != nil {
		return faultf(BadRequest, "webhook_url: %v", err)
	}
	return nil
}

// webhookBody is what a client receives.
type webhookBody struct {
	Event  string          `json:"event"`
	JobID  string          `json:"job_id"`
	Status job.Status      `json:"status"`
	Result json.RawMessage `json:"result"`
	Error  *string         `json:"error"`
}

// postWebhook tells a client how its job ended.
func (e *Engine) postWebhook(ctx context.Context, m job.Message) error {
	if e.cfg.Webhooks == nil {
		return fmt.Errorf("this process delivers no webhooks")
	}
	var n job.WebhookNote
	if err := json.Unmarshal(m.Body, &n); err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	j, data, err := e.store.Load(ctx, m.JobID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // removed meanwhile, with all that could be told of it
	}
	if err != nil {
		return laterFor(err)
	}
	b := webhookBody{Event: n.Event, JobID: m.JobID, Status: n.Status}
	if n.Error != "" {
		b.Error = &n.Error
	}
	if b.Result, err = e.resultAt(ctx, j, data, n.Record); err != nil {
		return laterFor(err)
	}
	body, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	return e.cfg.Webhooks.Post(ctx, j.Client.ID, m.To, "msg_"+strings.ReplaceAll(m.ID, "/", "_"), e.cfg.Clock.Now(), body)
}

// resultAt gives state_history as one record of the history left it: a job that was reopened
// before its first end was told must not be told with what came after.
func (e *Engine) resultAt(ctx context.Context, j *job.Job, data store.Data, record int64) (json.RawMessage, error) {
	if j.Records == record {
		return e.withProgress(ctx, j.ID, orEmpty(data.History))
	}
	b := historyBuilder{job: j.ID}
	err := e.eachRecord(ctx, j.ID, 0, func(r *job.Record) (bool, error) {
		if r.N > record {
			return false, nil
		}
		return true, b.fold(r)
	})
	return orEmpty(b.history), err
}
