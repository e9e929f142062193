package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"orrery/engine"
)

// This file answers with a job's history, which may be larger than memory.

// wholeHistory is how much of a history is made before it is sent, in bytes. A shorter one
// is an answer like others, with its length and packed; a longer one is streamed.
const wholeHistory = 2 << 20

var errLongHistory = errors.New("the history is longer than what is sent whole")

// jobHistory gives a job's events as one list.
func (s *Server) jobHistory(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	var whole bytes.Buffer
	list := eventList{w: &whole}
	err = s.jobs.History(c.UserContext(), j.ID, func(events []engine.HistoryEvent) error {
		if err := list.add(events); err != nil {
			return err
		}
		if whole.Len() > wholeHistory {
			return errLongHistory
		}
		return nil
	})
	if err != nil && !errors.Is(err, errLongHistory) {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	if err == nil {
		if err := list.end(); err != nil {
			return err
		}
		return c.Send(whole.Bytes())
	}
	s.streamHistory(c, j.ID)
	return nil
}

// streamHistory sends the history from its beginning. What fails on the way cuts the list
// off: it lacks its end, so nobody takes it for the whole.
func (s *Server) streamHistory(c *fiber.Ctx, id string) {
	conn := c.Context().Conn()
	s.streams.Add(1)
	c.Context().SetBodyStreamWriter(fasthttp.StreamWriter(func(w *bufio.Writer) {
		defer s.streams.Done()
		list := eventList{w: w}
		err := s.jobs.History(s.held, id, func(events []engine.HistoryEvent) error {
			_ = conn.SetWriteDeadline(time.Now().Add(s.cfg.Patience.Answer)) // a dead one fails at the next write
			if err := list.add(events); err != nil {
				return err
			}
			return w.Flush() // of a client that has gone it fails
		})
		if err == nil {
			err = list.end()
		}
		if err != nil && s.held.Err() == nil {
			s.log.Warn("a history was not sent to its end", "job", id, "error", err)
		}
	}))
}

// eventList writes events as a JSON list, one at a time.
type eventList struct {
	w   io.Writer
	any bool
}

func (l *eventList) add(events []engine.HistoryEvent) error {
	for i := range events {
		text, err := encodeJSON(&events[i])
		if err != nil {
			return err
		}
		before := ","
		if !l.any {
			before, l.any = "[", true
		}
		if _, err := fmt.Fprintf(l.w, "%s%s", before, text); err != nil {
			return err
		}
	}
	return nil
}

func (l *eventList) end() error {
	text := "]"
	if !l.any {
		text = "[]"
	}
	_, err := io.WriteString(l.w, text)
	return err
}
