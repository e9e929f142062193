package bench

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

// This file is the limit: the routes of a job with nothing behind them.

const barePoll = 30 * time.Second

// bareTask is a task of the limit.
type bareTask struct {
	job, id string
	params  json.RawMessage
	after   int // tasks that follow it in a row; below 0: a branch
}

// bare is a queue in memory: what a job costs when nothing is stored and no script runs.
type bare struct {
	queue      chan bareTask
	made, done atomic.Int64
	open       sync.Map // task id -> bareTask at a worker; "job "+id -> branches left
}

// ServeBare answers create, poll and result until the process ends. A job takes as many
// results as its shape says.
func ServeBare(addr string) error {
	b := &bare{queue: make(chan bareTask, 1<<20)}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/api/v1/jobs/:endpoint", b.create)
	app.Post("/_worker/workers/register", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "registered"}) })
	app.Get("/_worker/workers/:id/tasks/next", b.poll)
	app.Post("/_worker/tasks/result", b.result)
	app.Get("/_public/status", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "ok"}) })
	app.Get("/api/v1/dashboard", func(c *fiber.Ctx) error {
		return c.JSON(fiber.Map{"jobs": fiber.Map{"finished": b.done.Load()}})
	})
	return app.Listen(addr)
}

func (b *bare) create(c *fiber.Ctx) error {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(c.Body(), &body); err != nil {
		return c.SendStatus(fiber.StatusBadRequest)
	}
	s, err := shapeNamed(strings.TrimPrefix(c.Params("endpoint"), "bench_"))
	if err != nil {
		return c.SendStatus(fiber.StatusNotFound)
	}
	id := strconv.FormatInt(b.made.Add(1), 10)
	params := bytes.Clone(c.Body()) // the buffer is used again
	if s.branch {
		left := new(atomic.Int64)
		left.Store(int64(s.tasks))
		b.open.Store("job "+id, left)
		for i := range s.tasks {
			b.queue <- bareTask{job: id, id: id + "-" + strconv.Itoa(i), params: params, after: -1}
		}
	} else {
		b.queue <- bareTask{job: id, id: id, params: params, after: s.tasks - 1}
	}
	return c.Status(fiber.StatusAccepted).JSON(fiber.Map{"status": "accepted", "job_id": id})
}

func (b *bare) poll(c *fiber.Ctx) error {
	select {
	case t := <-b.queue:
		b.open.Store(t.id, t)
		return c.JSON(fiber.Map{"job_id": t.job, "task_id": t.id, "type": "bench_echo", "params": t.params})
	case <-time.After(barePoll):
		return c.SendStatus(fiber.StatusNoContent)
	}
}

func (b *bare) result(c *fiber.Ctx) error {
	var body struct {
		TaskID string          `json:"task_id"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(c.Body(), &body); err != nil {
		return c.SendStatus(fiber.StatusBadRequest)
	}
	found, ok := b.open.LoadAndDelete(body.TaskID)
	if !ok {
		return c.SendStatus(fiber.StatusNotFound)
	}
	switch t := found.(bareTask); {
	case t.after > 0:
		t.after--
		t.id += "+"
		b.queue <- t
	case t.after == 0:
		b.done.Add(1)
	default:
		left, _ := b.open.Load("job " + t.job)
		if left.(*atomic.Int64).Add(-1) == 0 {
			b.open.Delete("job " + t.job)
			b.done.Add(1)
		}
	}
	return c.JSON(fiber.Map{"status": "accepted"})
}
