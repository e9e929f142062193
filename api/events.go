package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// This file streams a job's changes as server-sent events.

const beat = 15 * time.Second // between comments on a silent stream

// jobEvents sends every history record of the job as one event, whose id is the record's
// number, then `end` when the job has ended. Last-Event-ID goes on where a stream broke off.
func (s *Server) jobEvents(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	var after int64
	if text := c.Get("Last-Event-ID"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return problem(codeBadRequest, "Last-Event-ID must be the id of an event of this stream")
		}
	}
	id := j.ID
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	// A client that takes nothing is let go; the time for taking the answer starts anew with
	// each look at the job. The connection stays valid for as long as the stream is written.
	conn := c.Context().Conn()
	extend := func() { _ = conn.SetWriteDeadline(time.Now().Add(s.cfg.Patience.Answer)) } // a dead one fails at the next write
	s.streams.Add(1)
	c.Context().SetBodyStreamWriter(fasthttp.StreamWriter(func(w *bufio.Writer) {
		defer s.streams.Done()
		if err := s.stream(s.held, w, id, after, extend); err != nil && s.held.Err() == nil {
			s.log.Debug("event stream ended", "job", id, "error", err)
		}
	}))
	return nil
}

// stream writes until the job has ended, the client is gone (a flush fails) or ctx ends.
func (s *Server) stream(ctx context.Context, w *bufio.Writer, id string, after int64, extend func()) error {
	// Watching begins before the first read, so that no change falls between them.
	changed, stop := s.jobs.Watch(id)
	defer stop()
	said := s.clock.Now()
	for {
		extend()
		j, err := s.jobs.Job(ctx, id)
		if err != nil {
			return err
		}
		from := after
		if after, err = s.writeRecords(ctx, w, id, after, extend); err != nil {
			return err
		}
		if j.Status.Terminal() {
			return event(w, "", "end", map[string]any{"job_id": id, "status": j.Status, "current_state": j.State, "error": j.Error})
		}
		if from != after {
			said = s.clock.Now()
		}
		if err := w.Flush(); err != nil {
			return err
		}
		nap := said.Add(beat).Sub(s.clock.Now())
		if s.isAbroad(id) { // nobody here hears of its changes
			nap = min(nap, watchAbroad)
		}
		timer := s.clock.NewTimer(max(nap, time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-changed:
		case <-timer.C():
		}
		timer.Stop()
		if s.clock.Now().Sub(said) >= beat {
			said = s.clock.Now()
			if _, err := w.WriteString(": still here\n\n"); err != nil {
				return err
			}
		}
	}
}

// writeRecords sends all records after the given one and gives the number of the last.
func (s *Server) writeRecords(ctx context.Context, w *bufio.Writer, id string, after int64, extend func()) (int64, error) {
	for {
		extend()
		records, err := s.jobs.Records(ctx, id, after)
		if err != nil || len(records) == 0 {
			return after, err
		}
		for _, r := range records {
			if err := event(w, strconv.FormatInt(r.N, 10), string(r.Kind), r); err != nil {
				return after, err
			}
			after = r.N
		}
	}
}

// event writes one event and flushes it; JSON holds no line break, so one data line is enough.
func event(w *bufio.Writer, id, name string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(w, "%sevent: %s\ndata: %s\n\n", id, name, raw); err != nil {
		return err
	}
	return w.Flush()
}
