package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file reads jobs and passes on what people ask of them.

// encodeJSON writes JSON without escaping <, > and &: the answers are no HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func noJob(id string) error {
	return problem(codeNotFound, "there is no job "+strconv.Quote(shortened(id)))
}

// shortened cuts what a caller sent before it is repeated in an answer.
func shortened(text string) string {
	if len(text) > 64 {
		return strings.ToValidUTF8(text[:64], "") + "..."
	}
	return text
}

// visibleJob gives the job's row when it exists for the client. A malformed id and another
// client's job answer alike, so that ids can not be probed.
func (s *Server) visibleJob(ctx context.Context, id string, who *Client) (*job.Job, error) {
	if _, ok := job.ParseID(id); !ok {
		return nil, noJob(id)
	}
	j, err := s.jobs.Job(ctx, id)
	if engine.FaultCode(err) == engine.NotFound {
		return nil, noJob(id)
	}
	if err != nil {
		return nil, err
	}
	if !who.sees(j.Client.ID) {
		return nil, noJob(id)
	}
	return j, nil
}

func (s *Server) getJob(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	v, err := s.jobs.View(c.UserContext(), j.ID)
	if err != nil {
		return err
	}
	if v.ResultsNext != "" { // where to get them says more than where they begin
		v.ResultsNext = "/api/v1/jobs/" + j.ID + "/results?" + url.Values{"cursor": {v.ResultsNext}}.Encode()
	}
	return c.JSON(v)
}

// jobResults gives a page of the results of a job's branches; the next one is in the Link header.
func (s *Server) jobResults(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	page, next, err := s.jobs.Results(c.UserContext(), j, c.Query("cursor"), limit)
	if err != nil {
		return err
	}
	if next != "" {
		c.Set(fiber.HeaderLink, "<"+c.Path()+"?"+url.Values{"cursor": {next}, "limit": {strconv.Itoa(limit)}}.Encode()+`>; rel="next"`)
	}
	if page == nil {
		page = json.RawMessage("{}")
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(page)
}

// limitOf reads how many entries a page is to have.
func limitOf(c *fiber.Ctx) (int, error) {
	text := c.Query("limit")
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, problem(codeBadRequest, "limit must be a whole number from 1 to 1000")
	}
	return n, nil
}

func (s *Server) jobWhy(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	why, err := s.jobs.Why(c.UserContext(), j.ID)
	if err != nil {
		return err
	}
	return c.JSON(why)
}

// graphTypes are the media types of the formats that a graph can be had in.
var graphTypes = map[string]string{
	"svg": "image/svg+xml", "png": "image/png", "dot": "text/vnd.graphviz; charset=utf-8", "mermaid": "text/plain; charset=utf-8",
}

// jobGraph draws where the job has been: ?format=svg|png|dot|mermaid, ?dark=true, ?legend=true.
func (s *Server) jobGraph(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	look, err := lookOf(c, "svg")
	if err != nil {
		return err
	}
	return s.sendJobGraph(c, j, look)
}

// lookOf reads how a picture is asked for.
func lookOf(c *fiber.Ctx, format string) (GraphLook, error) {
	look := GraphLook{Format: strings.Clone(c.Query("format", format)), Dark: c.QueryBool("dark"), Legend: c.QueryBool("legend")} // what fiber gives is only lent
	if graphTypes[look.Format] == "" {
		return look, problem(codeBadRequest, "format is "+strconv.Quote(shortened(look.Format))+"; it is one of svg, png, dot, mermaid")
	}
	return look, nil
}

func (s *Server) sendJobGraph(c *fiber.Ctx, j *job.Job, look GraphLook) error {
	records, err := s.jobs.Ways(c.UserContext(), j.ID)
	if err != nil {
		return err
	}
	picture, err := s.prints.JobGraph(c.UserContext(), j, records, look)
	if err != nil { // its revision may have been forgotten since it ended
		return editionProblem(err)
	}
	c.Set(fiber.HeaderContentType, graphTypes[look.Format])
	return c.Send(picture)
}

func (s *Server) listJobs(c *fiber.Ctx, who *Client) error {
	jobs, err := s.page(c, who, c.Query("status"))
	if err != nil {
		return err
	}
	return c.JSON(jobs)
}

// listQuarantined lists what a person has still to look at. Closed jobs are left out of a
// page, which may be short for it.
func (s *Server) listQuarantined(c *fiber.Ctx, who *Client) error {
	jobs, err := s.page(c, who, string(job.Quarantined))
	if err != nil {
		return err
	}
	return c.JSON(slices.DeleteFunc(jobs, func(v *engine.View) bool { return v.Closed }))
}

// page gives one page of jobs; the next one goes into the Link header.
func (s *Server) page(c *fiber.Ctx, who *Client, status string) ([]*engine.View, error) {
	var q store.Query
	for _, one := range strings.Split(status, ",") {
		if one == "" {
			continue
		}
		if !job.Status(one).Valid() {
			return nil, problem(codeBadRequest, "there is no status "+strconv.Quote(one)).with("statuses", job.Statuses)
		}
		q.Status = append(q.Status, job.Status(one))
	}
	var err error
	if q.Limit, err = limitOf(c); err != nil {
		return nil, err
	}
	q.Blueprint, q.Cursor = c.Query("blueprint"), c.Query("cursor")
	if who.role == roleClient {
		q.Client = who.Name
	}
	jobs, next, err := s.jobs.List(c.UserContext(), q)
	if err != nil {
		return nil, err
	}
	if jobs == nil {
		jobs = []*engine.View{}
	}
	if next != "" {
		more := url.Values{"cursor": {next}, "limit": {strconv.Itoa(q.Limit)}}
		if status := c.Query("status"); status != "" {
			more.Set("status", status)
		}
		if q.Blueprint != "" {
			more.Set("blueprint", q.Blueprint)
		}
		c.Set(fiber.HeaderLink, "<"+c.Path()+"?"+more.Encode()+`>; rel="next"`)
	}
	return jobs, nil
}

type done struct {
	Status string `json:"status"`
	JobID  string `json:"job_id"`
}

func (s *Server) cancelJob(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	if err := s.jobs.Cancel(c.UserContext(), j.ID, who.Name); err != nil {
		return err
	}
	return c.JSON(done{"cancellation_request_accepted", j.ID})
}

func (s *Server) retryJob(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	var in struct {
		Data     json.RawMessage `json:"data"`
		Revision string          `json:"revision"`
	}
	if err := s.decode(c, &in); err != nil {
		return err
	}
	if string(in.Data) == "null" {
		in.Data = nil
	}
	if in.Data != nil && in.Data[0] != '{' {
		return problem(codeBadRequest, "data must be a JSON object; it is merged into state_history")
	}
	if in.Revision != "" && in.Revision != "same" && in.Revision != "latest" {
		return problem(codeBadRequest, `revision must be "same" or "latest"`)
	}
	if err := s.jobs.Retry(c.UserContext(), j.ID, bytes.Clone(in.Data), in.Revision == "latest", who.Name); err != nil {
		return err
	}
	return c.JSON(done{"retry_accepted", j.ID})
}

func (s *Server) closeJob(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	if err := s.jobs.Close(c.UserContext(), j.ID, who.Name); err != nil {
		return err
	}
	return c.JSON(done{"closed", j.ID})
}

func (s *Server) approveJob(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	var in struct {
		Decision string `json:"decision"`
	}
	if err := s.decode(c, &in); err != nil {
		return err
	}
	if in.Decision == "" {
		return problem(codeBadRequest, `the body must name a decision: {"decision": "approved"}`).with("decisions", decisions(j))
	}
	if err := s.jobs.Decide(c.UserContext(), j.ID, in.Decision, who.Name); err != nil {
		return err
	}
	return c.JSON(done{"decision_accepted", j.ID})
}
