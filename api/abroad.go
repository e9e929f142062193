package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/node"
	"orrery/workers"
	"orrery/workers/protocol"
)

// This file is for workers of several nodes: a worker may speak to any of them, whichever
// has its task.

// resultElsewhere is how long a result waits here for the owner of its job: longer than it
// takes until a dead node's jobs are another's. After it the worker sends it again.
const resultElsewhere = 20 * time.Second

// tellAll hands a worker's message on to all other nodes, once it was taken here.
func (s *Server) tellAll(c *fiber.Ctx) []*peers.Answer {
	if s.peers == nil || sealed(c) != nil {
		return nil
	}
	return s.peers.RelayAll(c.UserContext(), s.asItCame(c))
}

// beat is the reply to a heartbeat, as protocol.HeartbeatReply writes it.
type beatReply struct {
	Cancel []string `json:"cancel_task_ids"`
	Full   bool     `json:"require_full_sync"`
}

// joinBeats adds what other nodes answered to a heartbeat: what the worker is to stop, and
// that one of them does not know it and wants it to register.
func joinBeats(own []byte, others []*peers.Answer) ([]byte, error) {
	var all beatReply
	if err := json.Unmarshal(own, &all); err != nil {
		return nil, err
	}
	before := len(all.Cancel)
	for _, a := range others {
		switch a.Status {
		case http.StatusNotFound:
			return nil, workers.ErrUnknownWorker
		case http.StatusOK:
			var one beatReply
			if err := json.Unmarshal(a.Body, &one); err != nil {
				return nil, fmt.Errorf("the answer of another node to a heartbeat: %w", err)
			}
			all.Cancel, all.Full = append(all.Cancel, one.Cancel...), all.Full || one.Full
		}
	}
	if len(all.Cancel) == before {
		return own, nil
	}
	slices.Sort(all.Cancel)
	return protocol.HeartbeatReply(slices.Compact(all.Cancel), all.Full), nil
}

const (
	// arrivesHeader is in a poll that a node hands on: it will say when the task that it gets
	// has gone to the worker.
	arrivesHeader = "X-Orrery-Arrives"
	taskHeader    = "X-Orrery-Task" // in the answer to it: the task
)

// pollForOther answers a poll that another node holds.
func (s *Server) pollForOther(c *fiber.Ctx, who workers.Caller, query url.Values) ([]byte, error) {
	task, id, err := s.hub.PollOnce(s.held, who, query)
	if task != nil && c.Get(arrivesHeader) != "" {
		s.hub.Entrust(id)
		c.Set(taskHeader, id)
	}
	return task, err
}

// asker gives the way by which a poll that is held here asks other nodes, nil without any; and
// what is to be called when a task goes to the worker.
func (s *Server) asker(c *fiber.Ctx) (ask workers.Ask, arrived func(task []byte)) {
	if s.peers == nil {
		return nil, func([]byte) {}
	}
	var from node.Peer
	var got *peers.Answer // the last task of another node
	arrived = func(task []byte) {
		if got != nil && got.Header.Get(taskHeader) != "" && bytes.Equal(task, got.Body) {
			s.peers.Arrived(from, got.Header.Get(taskHeader))
		}
	}
	ask = func(ctx context.Context, id string) ([]byte, error) {
		for _, to := range s.peers.Others() {
			if to.ID != id {
				continue
			}
			a, err := s.askForTask(c, to)
			switch {
			case err != nil:
				return nil, err
			case a.Status == fiber.StatusNoContent:
				return nil, nil
			case a.Status != fiber.StatusOK:
				return nil, fmt.Errorf("the node %s answers %d to a poll: %.200s", id, a.Status, a.Body)
			}
			from, got = to, a
			return a.Body, nil
		}
		return nil, fmt.Errorf("the node %s is gone", id)
	}
	return ask, arrived
}

// askForTask hands a poll on that is held here.
func (s *Server) askForTask(c *fiber.Ctx, to node.Peer) (*peers.Answer, error) {
	ctx, cancel := context.WithTimeout(c.UserContext(), abroadAnswer)
	defer cancel()
	r := s.asItCame(c)
	r.Header.Set(arrivesHeader, "1")
	return s.peers.Relay(ctx, to, r)
}

// result takes a worker's result: here, or at the node that owns the task's job. While nobody
// can be asked it waits, for a worker of age B sends a result once.
func (s *Server) result(c *fiber.Ctx, who workers.Caller, raw []byte) (out []byte, a *peers.Answer, err error) {
	ctx := s.tracer.Remote(c.UserContext(), traceOf(c))
	out, err = s.hub.Result(ctx, who, raw)
	if !errors.Is(err, engine.ErrElsewhere) || s.peers == nil || sealed(c) != nil {
		return out, nil, err
	}
	r, parseErr := protocol.ParseResult(raw)
	if parseErr != nil {
		return nil, nil, err // it was parsed before
	}
	jobID, ok := workers.JobOf(r.TaskID)
	end := s.clock.Now().Add(resultElsewhere)
	for ok {
		changed := s.peers.Changed()
		owner, known := s.peers.Owner(jobID)
		switch {
		case known && owner.Self:
			if out, err = s.hub.Result(ctx, who, raw); !errors.Is(err, engine.ErrElsewhere) {
				return out, nil, err
			}
		case known:
			if a, lost := s.relay(c, owner, resultElsewhere+5*time.Second); lost == nil && a.Header.Get(elsewhereHeader) == "" {
				return nil, a, nil
			} else if lost != nil {
				s.log.Debug("a result did not reach the node of its job; it is tried again", "job", jobID, "node", owner.ID, "error", lost)
			}
		}
		left := end.Sub(s.clock.Now())
		if left <= 0 || ctx.Err() != nil || s.held.Err() != nil {
			break
		}
		s.pauseFor(ctx, changed, min(lookAgain, left))
	}
	return nil, nil, err
}

// elsewhereHeader tells another node that a job is not, or no longer, this one's.
const elsewhereHeader = "X-Orrery-Elsewhere"

// workerResult takes a result. When it can not be stored the worker must send it again, and
// age B does so only after a network error: its connection is closed without an answer.
func (s *Server) workerResult(c *fiber.Ctx, _ *Client) error {
	raw, err := s.message(c)
	if err != nil {
		return err
	}
	who := caller(c, nil)
	out, a, err := s.result(c, who, raw)
	repeats := who.Age.RetriesResultOnServerError() || sealed(c) != nil // a node takes every answer
	switch {
	case a != nil && (a.Status < fiber.StatusInternalServerError || repeats):
		return pass(c, a)
	case a != nil, errors.Is(err, workers.ErrStoreFull) && !repeats:
		s.log.Error("a result could not be stored; the worker sends it again", "error", err)
		c.Context().HijackSetNoResponse(true)
		c.Context().Hijack(func(net.Conn) {}) // the framework closes it
		return nil
	case err != nil:
		if sealed(c) != nil && errors.Is(err, engine.ErrElsewhere) {
			c.Set(elsewhereHeader, "1")
		}
		return err
	}
	return reply(c, out)
}
