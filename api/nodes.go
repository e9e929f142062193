package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/node"
)

// This file is for servers of which several share a store: what is for the owner of a job is
// handed on to it, as it came, and messages of other nodes are taken in.

const (
	ownerWait    = 3 * time.Second // for a job that is on its way from one node to another
	ownerAnswer  = 15 * time.Second
	abroadAnswer = 2 * time.Second        // of a node to what is asked on behalf of a poll
	watchAbroad  = 500 * time.Millisecond // between looks at another node's job, for streams
	lookAgain    = 250 * time.Millisecond // at whose a job is, if nobody says that it has changed
)

// foreignEvery is how often, in seconds, the log tells of refused requests of other nodes.
const foreignEvery = 60

const sealKey = "seal"

// sealed gives the seal of a request that another node sent; nil for everybody else's.
func sealed(c *fiber.Ctx) *peers.Seal {
	s, _ := c.Locals(sealKey).(*peers.Seal)
	return s
}

// unseal checks the seal of a request, if it has one.
func (s *Server) unseal(c *fiber.Ctx) error {
	header := c.Get(peers.Header)
	if header == "" || s.peers == nil {
		return nil
	}
	seal, err := s.peers.Open(header, c.Method(), string(c.Request().Header.RequestURI()))
	if err != nil {
		now := s.clock.Now().Unix()
		if last := s.foreign.Load(); now-last >= foreignEvery && s.foreign.CompareAndSwap(last, now) { // many come when a node was started again
			s.log.Warn("a request of another node was refused", "path", c.Path(), "ip", c.IP(), "reason", err)
		}
		c.Set(peers.RefusedHeader, "1")
		return problem(codeUnauthorized, "the request says that it comes from another node: "+err.Error())
	}
	c.Locals(sealKey, seal)
	return nil
}

// checkSeal compares what has come with what was sealed.
func checkSeal(c *fiber.Ctx, body []byte) error {
	if seal := sealed(c); seal != nil && !seal.Fits(body) {
		return problem(codeUnauthorized, "the request is not the one that the other node has sealed")
	}
	return nil
}

// nodeMessage takes a message of another node.
func (s *Server) nodeMessage(c *fiber.Ctx, _ *Client) error {
	out, err := s.peers.Receive(c.UserContext(), sealed(c).From, c.Params("word"), c.Body())
	switch {
	case errors.Is(err, peers.ErrUnknownWord):
		return problem(codeNotFound, err.Error())
	case err != nil:
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(out)
}

// listNodes shows the nodes that share the store, as this one knows them; none, as an empty
// list, where a server has its store for itself.
func (s *Server) listNodes(c *fiber.Ctx, _ *Client) error {
	all := []node.Peer{}
	if s.peers != nil {
		all = append(all, s.peers.All()...)
	}
	return c.JSON(all)
}

// elsewhere reports whether a job is for another node to deal with, or nobody's just now. A
// relayed request is dealt with here, whatever comes of it.
func (s *Server) elsewhere(c *fiber.Ctx, jobID string) bool {
	return s.peers != nil && sealed(c) == nil && s.isAbroad(jobID)
}

func (s *Server) isAbroad(jobID string) bool {
	if s.peers == nil {
		return false
	}
	if _, ok := job.ParseID(jobID); !ok {
		return false
	}
	owner, ok := s.peers.Owner(jobID)
	return !ok || !owner.Self
}

// toOwner hands a request on to the owner of a job. done is false when it is to be dealt with
// here: the job is this node's own, be it since a moment ago. What can only be read there is
// read here when the owner does not answer.
func (s *Server) toOwner(c *fiber.Ctx, jobID string) (done bool, err error) {
	if !s.elsewhere(c, jobID) {
		return false, nil
	}
	reads := c.Method() == fiber.MethodGet || c.Method() == fiber.MethodHead
	owner, ok := s.findOwner(c.UserContext(), jobID, ownerWait)
	switch {
	case ok && owner.Self:
		return false, nil
	case ok:
		a, failed := s.relay(c, owner, ownerAnswer)
		if failed == nil {
			return true, pass(c, a)
		}
		s.log.Warn("the node that owns a job does not answer", "job", jobID, "node", owner.ID, "url", owner.URL, "error", failed)
	}
	if reads {
		return false, nil
	}
	return true, unreachable(jobID)
}

func unreachable(jobID string) error {
	return problem(engine.Elsewhere, "job "+jobID+" is with another node, or on its way to one, and that one can not be reached just now: send the same again in a moment")
}

// findOwner waits for a job's owner, which may take long while a node has died.
func (s *Server) findOwner(ctx context.Context, jobID string, most time.Duration) (owner node.Peer, ok bool) {
	end := s.clock.Now().Add(most)
	for {
		changed := s.peers.Changed()
		if owner, ok = s.peers.Owner(jobID); ok || !s.clock.Now().Before(end) || ctx.Err() != nil {
			return owner, ok
		}
		s.pauseFor(ctx, changed, lookAgain)
	}
}

// pauseFor waits for news, at most d.
func (s *Server) pauseFor(ctx context.Context, news <-chan struct{}, d time.Duration) {
	timer := s.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C():
	case <-ctx.Done():
	}
}

// asItCame gives a request for another node. What it answers is unpacked; this server packs it
// as the caller wants.
func (s *Server) asItCame(c *fiber.Ctx) peers.Request {
	header := http.Header(c.GetReqHeaders())
	header.Del(fiber.HeaderAcceptEncoding)
	header.Set(fiber.HeaderXRequestID, s.requestID(c))
	return peers.Request{Method: c.Method(), Target: string(c.Request().Header.RequestURI()), Header: header, Body: c.Request().Body(), Certificate: certificateOf(c)}
}

func (s *Server) relay(c *fiber.Ctx, to node.Peer, most time.Duration) (*peers.Answer, error) {
	ctx, cancel := context.WithTimeout(c.UserContext(), most)
	defer cancel()
	return s.peers.Relay(ctx, to, s.asItCame(c))
}

// passed are the headers of another node's answer that the caller gets.
var passed = []string{fiber.HeaderContentType, fiber.HeaderRetryAfter, fiber.HeaderWWWAuthenticate, fiber.HeaderLocation, fiber.HeaderLink, fiber.HeaderAllow}

// pass gives the caller another node's answer.
func pass(c *fiber.Ctx, a *peers.Answer) error {
	for _, name := range passed {
		if v := a.Header.Get(name); v != "" {
			c.Set(name, v)
		}
	}
	return c.Status(a.Status).Send(a.Body)
}
