package api

import (
	"context"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
)

// This file shows operators what could not be delivered to the outside, and lets them have it
// tried again.

// Deliveries is what is asked of the outbox; *engine.Engine implements it.
type Deliveries interface {
	GivenUp(ctx context.Context, after string, limit int) ([]engine.Delivery, error)
	Redeliver(ctx context.Context, id, by string) (int, error)
}

const deliveriesPage = 100

// listDeliveries gives what was given up, a page at a time; the Link header has the next one.
func (s *Server) listDeliveries(c *fiber.Ctx, _ *Client) error {
	list, err := s.jobs.GivenUp(c.UserContext(), c.Query("after"), deliveriesPage)
	if err != nil {
		return err
	}
	if list == nil {
		list = []engine.Delivery{}
	}
	if len(list) == deliveriesPage {
		c.Set(fiber.HeaderLink, "<"+c.Path()+"?after="+url.QueryEscape(list[len(list)-1].ID)+`>; rel="next"`)
	}
	return c.JSON(list)
}

// redeliver tries again what was given up of one job.
func (s *Server) redeliver(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	n, err := s.jobs.Redeliver(c.UserContext(), j.ID, who.Name)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"status": "delivery_accepted", "job_id": j.ID, "messages": n})
}
