package api

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file shows what runs here: blueprints, workers, approvals, counts, health.

func (s *Server) listBlueprints(c *fiber.Ctx, _ *Client) error {
	all := s.prints.List()
	if all == nil {
		all = []Blueprint{}
	}
	return c.JSON(all)
}

// blueprintGraph draws a blueprint: ?format=dot|svg|png|mermaid, ?dark=true, ?legend=true, and
// ?revision= for another than the one in force.
func (s *Server) blueprintGraph(c *fiber.Ctx, who *Client) error {
	look, err := lookOf(c, "dot")
	if err != nil {
		return err
	}
	bp, err := s.edition(c, who)
	if err != nil {
		return err
	}
	return s.sendGraph(c, bp, look)
}

// edition finds the blueprint that a path and its ?revision= name.
func (s *Server) edition(c *fiber.Ctx, who *Client) (*blueprint.Blueprint, error) {
	name, revision := nameParam(c, "name"), strings.Clone(c.Query("revision"))
	if revision != "" && !who.may(watchers) {
		return nil, problem(codeForbidden, "other revisions than the one in force are shown to viewers, operators and admins")
	}
	bp, err := s.editions.Find(c.UserContext(), name, revision)
	if !errors.Is(err, blueprint.ErrUnknown) || revision != "" {
		return bp, editionProblem(err)
	}
	var names []string
	for _, b := range s.prints.List() {
		names = append(names, b.Name)
	}
	p := problem(codeUnknown, "there is no blueprint "+strconv.Quote(shortened(name)))
	if near := nearest(name, names); near != "" {
		p.Detail += "; did you mean " + strconv.Quote(near) + "?"
	}
	return nil, p
}

func (s *Server) sendGraph(c *fiber.Ctx, bp *blueprint.Blueprint, look GraphLook) error {
	picture, err := s.prints.Graph(c.UserContext(), bp, look)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, graphTypes[look.Format])
	return c.Send(picture)
}

// Approval is one job that waits for a person.
type Approval struct {
	JobID       string       `json:"job_id"`
	Blueprint   string       `json:"blueprint_name"`
	State       string       `json:"state"`
	Message     string       `json:"message"`
	Integration string       `json:"integration"`
	Decisions   []string     `json:"decisions"`
	Link        string       `json:"link,omitempty"` // path with the one-time token; only for those who may decide
	Since       engine.Time  `json:"since"`
	Until       *engine.Time `json:"until,omitempty"`
}

// approvalOf gives what a person is asked; ok is false when nobody is asked anything.
func approvalOf(j *job.Job) (a Approval, ok bool) {
	if j.Status != job.WaitingHuman || j.Wait == nil {
		return a, false
	}
	a = Approval{
		JobID: j.ID, Blueprint: j.Blueprint, State: j.State, Message: j.Wait.Message, Integration: j.Wait.Integration,
		Decisions: decisions(j), Since: engine.Time(j.Wait.Since),
	}
	if j.Wait.Until != nil {
		until := engine.Time(*j.Wait.Until)
		a.Until = &until
	}
	return a, true
}

// decisions lists, sorted, what a person may answer; "timeout" is taken by the clock.
func decisions(j *job.Job) []string {
	if j.Status != job.WaitingHuman || j.Wait == nil {
		return []string{}
	}
	out := slices.Sorted(maps.Keys(j.Wait.Transitions))
	return slices.DeleteFunc(out, func(d string) bool { return d == "timeout" })
}

// approvalLink is the one-time link for what the job waits for now. Whoever has it may
// decide, so it is shown to nobody who may not.
func (s *Server) approvalLink(j *job.Job, who *Client) string {
	if !who.may(deciders) {
		return ""
	}
	return "/_public/webhooks/approval/" + j.ID + "?token=" + url.QueryEscape(s.jobs.ApprovalToken(j.ID, j.Wait.Step))
}

// listApprovals gives the newest 1,000 jobs that wait for a person.
func (s *Server) listApprovals(c *fiber.Ctx, who *Client) error {
	views, _, err := s.jobs.List(c.UserContext(), store.Query{Status: []job.Status{job.WaitingHuman}, Limit: 1000})
	if err != nil {
		return err
	}
	out := []Approval{}
	for _, v := range views {
		j, err := s.jobs.Job(c.UserContext(), v.ID)
		if engine.FaultCode(err) == engine.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if a, ok := approvalOf(j); ok { // it may have been decided since the list was read
			a.Link = s.approvalLink(j, who)
			out = append(out, a)
		}
	}
	return c.JSON(out)
}

// dashboard has the original's two members; jobs are counted by status, in all under "total".
func (s *Server) dashboard(c *fiber.Ctx, _ *Client) error {
	counts, err := s.jobs.Counts(c.UserContext())
	if err != nil {
		return err
	}
	jobs := map[string]int64{}
	var total int64
	for _, status := range job.Statuses {
		jobs[string(status)] = counts[status]
		total += counts[status]
	}
	jobs["total"] = total
	stats, missing := s.allNumbers(c.UserContext())
	nameMissing(c, missing)
	return c.JSON(fiber.Map{
		"workers": fiber.Map{"total": stats.Workers, "polling": stats.Polling},
		"jobs":    jobs,
		"tasks":   fiber.Map{"queued": stats.Queued, "at_workers": stats.Leased},
	})
}

// status is for load balancers and people; it needs no token, so it tells nothing of jobs.
func (s *Server) status(c *fiber.Ctx, _ *Client) error {
	if s.held.Err() != nil {
		return problem(codeStopping, "the server is shutting down")
	}
	word, faults := "ok", []string{}
	for _, f := range s.prints.Faults() { // without the lines of the files
		word = "degraded"
		faults = append(faults, fmt.Sprintf("%s:%d:%d: %s [%s]", f.File, f.Line, f.Col, f.Message, f.Rule))
	}
	return c.JSON(fiber.Map{
		"status": word, "version": s.cfg.Version, "uptime_seconds": int64(s.clock.Now().Sub(s.started).Seconds()),
		"blueprints": fiber.Map{"loaded": len(s.prints.List()), "faults": faults},
	})
}
