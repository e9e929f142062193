package bench

import (
	"encoding/json"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

// This file is the limit: the routes of a job with nothing behind them.

const barePoll = 30 * time.Second

// ServeBare answers create, poll and result from a queue in memory, until the process ends.
func ServeBare(addr string) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	type task struct {
		id     string
		params json.RawMessage
	}
	queue := make(chan task, 1<<20)
	var made, done atomic.Int64
	app.Post("/api/v1/jobs/:endpoint", func(c *fiber.Ctx) error {
		var body map[string]json.RawMessage
		if err := json.Unmarshal(c.Body(), &body); err != nil {
			return c.SendStatus(fiber.StatusBadRequest)
		}
		id := strconv.FormatInt(made.Add(1), 10)
		queue <- task{id, append(json.RawMessage(nil), c.Body()...)}
		return c.Status(fiber.StatusAccepted).JSON(fiber.Map{"status": "accepted", "job_id": id})
	})
	app.Post("/_worker/workers/register", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "registered"}) })
	app.Get("/_worker/workers/:id/tasks/next", func(c *fiber.Ctx) error {
		select {
		case t := <-queue:
			return c.JSON(fiber.Map{"job_id": t.id, "task_id": t.id, "type": "bench_echo", "params": t.params})
		case <-time.After(barePoll):
			return c.SendStatus(fiber.StatusNoContent)
		}
	})
	app.Post("/_worker/tasks/result", func(c *fiber.Ctx) error {
		var body map[string]json.RawMessage
		if err := json.Unmarshal(c.Body(), &body); err != nil {
			return c.SendStatus(fiber.StatusBadRequest)
		}
		done.Add(1)
		return c.JSON(fiber.Map{"status": "accepted"})
	})
	app.Get("/_public/status", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "ok"}) })
	app.Get("/api/v1/dashboard", func(c *fiber.Ctx) error {
		return c.JSON(fiber.Map{"jobs": fiber.Map{"finished": done.Load()}})
	})
	return app.Listen(addr)
}
