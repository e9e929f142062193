package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"orrery/engine/outbound"
)

// This file posts one message and reads the answer as far as it counts.

const (
	callTimeout = 15 * time.Second
	answerLimit = 64 << 10 // bytes of an answer that are read, so that the connection can be used again
	longestWait = 24 * time.Hour
)

// Sender posts messages. Make it with New.
type Sender struct {
	guard  *outbound.Guard
	client *http.Client
	keys   func(client string) []Key
}

// New makes a sender that calls through the guard and signs with what keys gives for a
// client of this server; no key means that the client gets no webhooks.
func New(guard *outbound.Guard, keys func(client string) []Key) *Sender {
	return &Sender{guard: guard, client: guard.Client(callTimeout), keys: keys}
}

// Failure is a try that did not succeed.
type Failure struct {
	Status int // of the answer; 0 when there was none
	Cause  string
	final  bool
	wait   time.Duration
}

// Error says what happened, without the address: that may hold a secret of the receiver.
func (f *Failure) Error() string { return f.Cause }

// Final reports whether another try is pointless.
func (f *Failure) Final() bool { return f.final }

// RetryAfter is the pause that the receiver asked for, or 0.
func (f *Failure) RetryAfter() time.Duration { return f.wait }

// Accept says whether a webhook could be sent to an address for a client: an error for
// people when not. Names are looked at when they are called, addresses right here.
func (s *Sender) Accept(client, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errors.New("it is no address")
	}
	if len(s.keys(client)) == 0 {
		return errors.New("this server has no key to sign webhooks with; its operator sets WEBHOOK_SECRET, or webhook_secret of the client in clients.toml")
	}
	return s.guard.Permits(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))
}

// Post sends one try of a message. The error is nil, ctx's, or *Failure.
func (s *Sender) Post(ctx context.Context, client, address, id string, at time.Time, body []byte) error {
	keys := s.keys(client)
	if len(keys) == 0 {
		return &Failure{Cause: "there is no key any more to sign it with (WEBHOOK_SECRET)", final: true}
	}
	return Post(ctx, s.client, address, id, at, body, keys)
}

// Post sends one try of a signed message with a client that must come from outbound.
func Post(ctx context.Context, client *http.Client, address, id string, at time.Time, body []byte, keys []Key) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return &Failure{Cause: "the address can not be called", final: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "orrery-webhook/1")
	req.Header.Set(HeaderID, id)
	req.Header.Set(HeaderTime, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(HeaderSignature, Sign(id, at, body, keys))
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return unanswered(err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, answerLimit))
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil // the status is the answer; what is wrong with the rest of it is the receiver's matter
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	}
	return answered(res)
}

// unanswered names what kept a call from being answered. The library's text begins with the
// whole address, which is left out.
func unanswered(err error) *Failure {
	f := &Failure{Cause: err.Error(), final: outbound.IsRefused(err)}
	var u *url.Error
	if errors.As(err, &u) {
		f.Cause = u.Err.Error()
	}
	var timeout net.Error
	var refused *outbound.Refused
	switch {
	case errors.As(err, &refused):
		f.Cause = refused.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		f.Cause = fmt.Sprintf("no answer within %s", callTimeout)
	}
	return f
}

func answered(res *http.Response) *Failure {
	f := &Failure{Status: res.StatusCode, Cause: "answered " + res.Status}
	switch {
	case res.StatusCode == http.StatusGone:
		f.Cause += ": the receiver wants no more of these"
		f.final = true
	case res.StatusCode >= 300 && res.StatusCode < 400:
		f.Cause += ", which is not followed: give the final address"
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.wait = min(time.Duration(seconds)*time.Second, longestWait)
	} else if date, err := http.ParseTime(res.Header.Get("Retry-After")); err == nil {
		f.wait = min(max(time.Until(date), 0), longestWait)
	}
	return f
}
