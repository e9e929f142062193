package api

import (
	"context"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/workers"
)

// This file shows what only all nodes together know: the workers and what they do.

// missingHeader names nodes that did not say in time what they know: the answer lacks what no
// other node knows.
const missingHeader = "X-Orrery-Missing-Nodes"

// allWorkers gives the workers as all nodes know them, and the nodes that did not answer.
func (s *Server) allWorkers(ctx context.Context) (all []workers.View, missing []string) {
	if s.peers == nil {
		return s.hub.Snapshot(), nil
	}
	views, missing := s.peers.Workers(ctx)
	return workers.Together(views), missing
}

// allNumbers gives the counts of all nodes, and the nodes that did not answer.
func (s *Server) allNumbers(ctx context.Context) (sum workers.Stats, missing []string) {
	sum = s.hub.Stats()
	if s.peers == nil {
		return sum, nil
	}
	others, missing := s.peers.Numbers(ctx)
	for _, one := range others {
		sum = sum.Together(one)
	}
	return sum, missing
}

// nameMissing tells the caller what an answer lacks.
func nameMissing(c *fiber.Ctx, missing []string) {
	if len(missing) > 0 {
		slices.Sort(missing)
		c.Set(missingHeader, strings.Join(missing, ", "))
	}
}

func (s *Server) listWorkers(c *fiber.Ctx, _ *Client) error {
	all, missing := s.allWorkers(c.UserContext())
	nameMissing(c, missing)
	return c.JSON(all)
}
