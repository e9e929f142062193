package api

import (
	"context"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/workers"
	"orrery/workers/protocol"
)

// This file carries requests of workers to the hub, which knows what they mean, and its
// replies back in the way each age bears.

// Hub is what is asked of the workers' side; *workers.Hub implements it.
type Hub interface {
	Admits(c workers.Caller) bool
	Register(ctx context.Context, c workers.Caller, body []byte) ([]byte, error)
	Heartbeat(ctx context.Context, c workers.Caller, body []byte) ([]byte, error)
	Poll(ctx context.Context, c workers.Caller, query url.Values, hold time.Duration, ask workers.Ask) ([]byte, error)
	PollOnce(ctx context.Context, c workers.Caller, query url.Values) (body []byte, id string, err error)
	Entrust(id string)
	Result(ctx context.Context, c workers.Caller, body []byte) ([]byte, error)
	Event(ctx context.Context, c workers.Caller, body []byte) ([]byte, error)
	AuthToken(ctx context.Context, c workers.Caller) ([]byte, error)
	AuthRefresh(ctx context.Context, c workers.Caller, body []byte) ([]byte, error)
	WebSocketAuth(token string) (workers.Identity, bool)
	Connect(conn workers.Conn, who workers.Identity) *workers.Link
	Cancelled(taskID string) bool
	Snapshot() []workers.View
	Stats() workers.Stats
}

var _ Hub = (*workers.Hub)(nil)

// caller gathers who a request says it comes from; strings are copies.
func caller(c *fiber.Ctx, registration []byte) workers.Caller {
	header := func(name string) string { return c.Get(name) }
	id := c.Params("worker")
	if id == "" {
		id = c.Get(protocol.HeaderWorkerID)
	}
	proved := certificateOf(c)
	if id == "" { // the oldest SDKs name no worker in their headers; a certificate does
		id = proved
	}
	return workers.Caller{
		WorkerID: id, Certificate: proved, Token: c.Get(protocol.HeaderToken), Version: c.Get(protocol.HeaderVersion),
		Age: protocol.DetectAge(header, registration),
	}
}

// certificateOf gives the common name of the client's certificate, "" without one. Only one
// that the listener has verified against TLS_CA_PATH is looked at.
//
// Of a request that another node sends it is the one that this node was shown.
func certificateOf(c *fiber.Ctx) string {
	if seal := sealed(c); seal != nil {
		return seal.Certificate
	}
	state := c.Context().TLSConnectionState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return ""
	}
	return state.VerifiedChains[0][0].Subject.CommonName
}

// reply sends the hub's JSON; every age parses it by its content type.
func reply(c *fiber.Ctx, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(body)
}

// exchange hands one message to the hub.
func (s *Server) exchange(c *fiber.Ctx, do func(context.Context, workers.Caller, []byte) ([]byte, error)) error {
	raw, err := s.message(c)
	if err != nil {
		return err
	}
	out, err := do(c.UserContext(), caller(c, nil), raw)
	if err != nil {
		return err
	}
	return reply(c, out)
}

func (s *Server) workerRegister(c *fiber.Ctx, _ *Client) error {
	raw, err := s.message(c)
	if err != nil {
		return err
	}
	out, err := s.hub.Register(c.UserContext(), caller(c, raw), raw)
	if err != nil {
		s.refused(c, err)
		return err
	}
	s.tellAll(c)
	return reply(c, out)
}

// refused tells the operator about a worker that may not come in: the oldest SDKs print no
// more than the status. Once a second is enough: they all try again and again.
func (s *Server) refused(c *fiber.Ctx, err error) {
	now := s.clock.Now().Unix()
	if last := s.refusal.Swap(now); last != now {
		s.log.Warn("a worker was refused at its registration", "ip", c.IP(), "reason", err)
	}
}

// workerHeartbeat takes a partial update, at both of its paths. What it says counts at once;
// only the answer comes later when a worker beats too fast.
func (s *Server) workerHeartbeat(c *fiber.Ctx, _ *Client) error {
	raw, err := s.message(c)
	if err != nil {
		return err
	}
	out, err := s.hub.Heartbeat(c.UserContext(), caller(c, nil), raw)
	if err != nil {
		return err
	}
	if out, err = joinBeats(out, s.tellAll(c)); err != nil {
		return err
	}
	if sealed(c) == nil {
		s.holdBack(s.beats.queue(c.Params("worker")))
	}
	return reply(c, out)
}

// workerEvent takes an event to the node that owns its task's job.
func (s *Server) workerEvent(c *fiber.Ctx, _ *Client) error {
	raw, err := s.message(c)
	if err != nil {
		return err
	}
	if ev, err := protocol.ParseEvent(raw); err == nil {
		if done, err := s.taskElsewhere(c, ev.TaskID); done {
			return err
		}
	}
	return s.exchange(c, s.hub.Event)
}

// taskElsewhere hands a request about a task on to the node that owns its job.
func (s *Server) taskElsewhere(c *fiber.Ctx, taskID string) (done bool, err error) {
	jobID, ok := workers.JobOf(taskID)
	if !ok || !s.elsewhere(c, jobID) {
		return false, nil
	}
	owner, ok := s.findOwner(c.UserContext(), jobID, ownerWait)
	switch {
	case !ok:
		return true, unreachable(jobID)
	case owner.Self:
		return false, nil
	}
	a, err := s.relay(c, owner, ownerAnswer)
	if err != nil {
		s.log.Debug("what a worker says of its task did not reach the node of its job", "job", jobID, "node", owner.ID, "error", err)
		return true, unreachable(jobID)
	}
	return true, pass(c, a)
}

// workerPoll holds the request until there is a task or the time is up. A refusal is held
// back too, for the ages that would ask again at once.
func (s *Server) workerPoll(c *fiber.Ctx, _ *Client) error {
	who := caller(c, nil)
	query, err := url.ParseQuery(string(c.Context().QueryArgs().QueryString()))
	if err != nil {
		query = nil // as if it had none: a poll is not refused for what it need not say
	}
	var task []byte
	ask, arrived := s.asker(c)
	if sealed(c) != nil {
		task, err = s.pollForOther(c, who, query)
	} else {
		if s.polls != nil && s.hub.Admits(who) { // names that nobody proved are not counted
			s.holdBack(s.polls.queue(who.WorkerID))
		}
		task, err = s.hub.Poll(s.held, who, query, s.cfg.PollHold, ask)
	}
	switch {
	case err != nil:
		if sealed(c) == nil {
			s.holdBack(workers.DelayError(who.Age))
		}
		return err
	case task == nil:
		return c.SendStatus(fiber.StatusNoContent)
	}
	defer arrived(task)
	return reply(c, task)
}

// holdBack waits, but not over a shutdown.
func (s *Server) holdBack(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := s.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-s.held.Done():
	}
}

// workerCancelled answers workers that ask for themselves whether to stop. Those that name
// themselves nowhere are let in by their token alone.
func (s *Server) workerCancelled(c *fiber.Ctx, _ *Client) error {
	who := caller(c, nil)
	if who.WorkerID == "" {
		who.WorkerID = c.Query("worker_id")
	}
	ok := s.hub.Admits(who)
	if who.WorkerID == "" {
		_, ok = s.hub.WebSocketAuth(who.Token)
	}
	if !ok {
		return workers.ErrUnauthorized
	}
	if done, err := s.taskElsewhere(c, c.Params("task")); done {
		return err
	}
	return c.JSON(fiber.Map{"cancelled": s.hub.Cancelled(c.Params("task"))})
}

func (s *Server) workerToken(c *fiber.Ctx, _ *Client) error {
	out, err := s.hub.AuthToken(c.UserContext(), caller(c, nil))
	if err != nil {
		return err
	}
	return reply(c, out)
}

func (s *Server) workerRefresh(c *fiber.Ctx, _ *Client) error {
	return s.exchange(c, s.hub.AuthRefresh)
}
