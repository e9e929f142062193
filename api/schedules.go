package api

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/scheduler"
)

// This file shows what starts by the clock.

// Schedules is what is asked of the scheduler; *scheduler.Scheduler implements it.
type Schedules interface {
	List(ctx context.Context) ([]scheduler.View, error)
}

var _ Schedules = (*scheduler.Scheduler)(nil)

func (s *Server) listSchedules(c *fiber.Ctx, _ *Client) error {
	if s.schedules == nil {
		return c.JSON([]scheduler.View{})
	}
	list, err := s.schedules.List(c.UserContext())
	if err != nil {
		return err
	}
	return c.JSON(list)
}

func (s *Server) reloadSchedules(c *fiber.Ctx, who *Client) error {
	if s.cfg.ReloadSchedules == nil {
		return problem(codeBadRequest, "this server was started without a schedules.toml; set SCHEDULES_CONFIG_PATH and start it again")
	}
	n, err := s.cfg.ReloadSchedules(c.UserContext())
	if err != nil {
		return problem(codeBadRequest, "schedules.toml was not taken over, the schedules from before stay in force: "+err.Error())
	}
	s.log.Info("schedules were read again", "by", who.Name, "schedules", n)
	return c.JSON(fiber.Map{"status": "reloaded", "schedules": n})
}
