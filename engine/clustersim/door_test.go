package clustersim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"orrery/api/peers"
	"orrery/engine"
	ownership "orrery/engine/node"
	"orrery/workers"
	"orrery/workers/protocol"
)

// This file is the door of a node: it does with requests what package api does (which is HTTP
// and therefore not here): what is for the owner of a job is handed on to it, once, by the real
// package peers.

// What is asked of nodes.
const (
	opSubmit   = "submit"
	opCancel   = "cancel"
	opRetry    = "retry"
	opDecide   = "decide"
	opRegister = "register"
	opBeat     = "beat"
	opPoll     = "poll"
	opResult   = "result"
	opEvent    = "event"
)

// door is the path of requests that nodes hand on.
const door = "/door/"

// How long package api waits for others (api/nodes.go, api/abroad.go).
const (
	ownerWait       = 3 * time.Second
	ownerAnswer     = 15 * time.Second
	abroadAnswer    = 2 * time.Second
	resultElsewhere = 20 * time.Second
	lookAgain       = 250 * time.Millisecond
)

// elsewhereHeader tells another node that a job is not this one's.
const elsewhereHeader = "X-Elsewhere"

// order is a request as it comes to a node.
type order struct {
	Op     string          `json:"op"`
	Job    string          `json:"job,omitempty"`
	Submit *engine.Request `json:"-"` // any node takes new jobs
	Word   string          `json:"word,omitempty"`
	Step   int64           `json:"step,omitempty"`
	Latest bool            `json:"latest,omitempty"`
	Caller workers.Caller  `json:"caller"`
	Query  url.Values      `json:"query,omitempty"`
	Hold   time.Duration   `json:"hold,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// refusal is a fault on its way from one node to another.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// serve does what a request asks. seal is not nil for one that another node has handed on.
func (s *server) serve(ctx context.Context, o *order, seal *peers.Seal) ([]byte, error) {
	first := s.peers != nil && seal == nil // others may have to be asked
	switch o.Op {
	case opSubmit:
		s.link.w.ledger.write(func() { s.link.w.ledger.requests[o.Submit.BodyHash].arrived++ })
		id, _, err := s.engine.Submit(ctx, *o.Submit)
		return []byte(id), err
	case opCancel:
		if out, err, done := s.toOwner(ctx, o, o.Job, first); done {
			return out, err
		}
		return nil, s.engine.Cancel(ctx, o.Job, "client")
	case opRetry:
		return nil, s.engine.Retry(ctx, o.Job, o.Body, o.Latest, "person")
	case opDecide: // by the link of one question: a late copy of the request must not answer the next one
		return nil, s.engine.DecideByToken(ctx, o.Job, o.Word, s.engine.ApprovalToken(o.Job, o.Step))
	case opRegister:
		out, err := s.hub.Register(ctx, o.Caller, o.Body)
		if err == nil && first {
			s.peers.RelayAll(ctx, handedOn(o))
		}
		return out, err
	case opBeat:
		out, err := s.hub.Heartbeat(ctx, o.Caller, o.Body)
		if err == nil && first {
			return joinBeats(out, s.peers.RelayAll(ctx, handedOn(o)))
		}
		return out, err
	case opPoll:
		if seal != nil {
			task, _, err := s.hub.PollOnce(s.held, o.Caller, o.Query)
			return task, err
		}
		return s.hub.Poll(s.held, o.Caller, o.Query, o.Hold, s.asker(o))
	case opResult:
		return s.result(ctx, o, first)
	case opEvent:
		if jobID, ok := workers.JobOf(o.Word); ok {
			if out, err, done := s.toOwner(ctx, o, jobID, first); done {
				return out, err
			}
		}
		return s.hub.Event(ctx, o.Caller, o.Body)
	}
	return nil, fmt.Errorf("nobody knows %q", o.Op)
}

// toOwner hands a request on to the owner of a job; done is false when that is this node.
func (s *server) toOwner(ctx context.Context, o *order, jobID string, first bool) (out []byte, err error, done bool) {
	if !first {
		return nil, nil, false
	}
	owner, ok := s.findOwner(ctx, jobID)
	if ok && owner.Self {
		return nil, nil, false
	}
	if ok {
		a, lost := s.relay(ctx, owner, o, ownerAnswer)
		if lost == nil {
			out, err = opened(a)
			return out, err, true
		}
	}
	return nil, &engine.Fault{Code: engine.Elsewhere, Message: "its owner can not be reached: try again"}, true
}

// findOwner waits for a job's owner, for a while.
func (s *server) findOwner(ctx context.Context, jobID string) (owner ownership.Peer, ok bool) {
	end := s.clock.Now().Add(ownerWait)
	for {
		changed := s.peers.Changed()
		if owner, ok = s.peers.Owner(jobID); ok || !s.clock.Now().Before(end) || ctx.Err() != nil {
			return owner, ok
		}
		pauseFor(ctx, changed, lookAgain)
	}
}

func pauseFor(ctx context.Context, news <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// result takes a worker's result: here, or at the node that owns the job.
func (s *server) result(ctx context.Context, o *order, first bool) (out []byte, err error) {
	out, err = s.hub.Result(ctx, o.Caller, o.Body)
	jobID, ok := workers.JobOf(o.Word)
	if !errors.Is(err, engine.ErrElsewhere) || !first || !ok {
		return out, err
	}
	end := s.clock.Now().Add(resultElsewhere)
	for {
		changed := s.peers.Changed()
		owner, known := s.peers.Owner(jobID)
		switch {
		case known && owner.Self:
			if out, err = s.hub.Result(ctx, o.Caller, o.Body); !errors.Is(err, engine.ErrElsewhere) {
				return out, err
			}
		case known:
			if a, lost := s.relay(ctx, owner, o, resultElsewhere+5*time.Second); lost == nil && a.Header.Get(elsewhereHeader) == "" {
				return opened(a)
			}
		}
		left := end.Sub(s.clock.Now())
		if left <= 0 || ctx.Err() != nil || s.held.Err() != nil {
			return nil, err
		}
		pauseFor(ctx, changed, min(lookAgain, left))
	}
}

// asker gives the way by which a poll that is held here asks other nodes.
func (s *server) asker(o *order) workers.Ask {
	if s.peers == nil {
		return nil
	}
	return func(ctx context.Context, id string) ([]byte, error) {
		for _, to := range s.peers.Others() {
			if to.ID != id {
				continue
			}
			a, err := s.relay(ctx, to, o, abroadAnswer)
			if err != nil {
				return nil, err
			}
			return opened(a)
		}
		return nil, fmt.Errorf("the node %s is gone", id)
	}
}

// joinBeats adds what other nodes answered to a heartbeat.
func joinBeats(own []byte, others []*peers.Answer) ([]byte, error) {
	var all struct {
		Cancel []string `json:"cancel_task_ids"`
		Full   bool     `json:"require_full_sync"`
	}
	if err := json.Unmarshal(own, &all); err != nil {
		return nil, err
	}
	for _, a := range others {
		body, err := opened(a)
		if errors.Is(err, workers.ErrUnknownWorker) {
			return nil, err
		}
		if err != nil {
			continue
		}
		one := all
		one.Cancel = nil
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, err
		}
		all.Cancel, all.Full = append(all.Cancel, one.Cancel...), all.Full || one.Full
	}
	return protocol.HeartbeatReply(all.Cancel, all.Full), nil
}

// handedOn is a request for another node.
func handedOn(o *order) peers.Request {
	body, err := json.Marshal(o)
	if err != nil {
		panic(err) // it was made here
	}
	return peers.Request{Method: http.MethodPost, Target: door + o.Op, Header: http.Header{}, Body: body}
}

func (s *server) relay(ctx context.Context, to ownership.Peer, o *order, most time.Duration) (*peers.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return s.peers.Relay(ctx, to, handedOn(o))
}

// take opens what another node sends, and answers it.
func (s *server) take(method, target, seal string, body []byte) (status int, header http.Header, reply []byte) {
	header = http.Header{}
	opened, err := s.peers.Open(seal, method, target)
	if err != nil || !opened.Fits(body) {
		return http.StatusUnauthorized, header, nil
	}
	var out []byte
	if word, ok := strings.CutPrefix(target, peers.Path); ok {
		out, err = s.peers.Receive(s.ctx, opened.From, word, body)
	} else {
		o := &order{}
		if err = json.Unmarshal(body, o); err == nil {
			out, err = s.serve(s.ctx, o, opened)
		}
	}
	if err == nil && out == nil {
		return http.StatusNoContent, header, nil
	}
	if err == nil {
		return http.StatusOK, header, out
	}
	if errors.Is(err, engine.ErrElsewhere) {
		header.Set(elsewhereHeader, "1")
	}
	status = http.StatusInternalServerError
	if errors.Is(err, workers.ErrUnknownWorker) {
		status = http.StatusNotFound
	}
	text, err := json.Marshal(refusal{engine.FaultCode(err), err.Error()})
	if err != nil {
		panic(err) // two strings
	}
	return status, header, text
}

// opened gives what another node answered as if it had been said here.
func opened(a *peers.Answer) ([]byte, error) {
	switch a.Status {
	case http.StatusOK:
		return a.Body, nil
	case http.StatusNoContent:
		return nil, nil
	case http.StatusNotFound:
		return nil, workers.ErrUnknownWorker
	case http.StatusUnauthorized:
		return nil, errors.New("the other node does not know this one")
	}
	var r refusal
	if err := json.Unmarshal(a.Body, &r); err != nil {
		return nil, fmt.Errorf("the answer %d %q: %w", a.Status, a.Body, err)
	}
	return nil, &engine.Fault{Code: cmp.Or(r.Code, "internal"), Message: r.Message}
}
