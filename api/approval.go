package api

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/job"
)

// This file serves the one-time links that approval messages carry. The token in the link
// is the only right that counts here; a link that is followed shows a page and decides
// nothing, because mail programs follow links by themselves.

func badToken() error {
	return problem("bad_token", "the token is missing, was used, has expired or belongs to another job; ask for a new link or decide on the job's page")
}

// approvalPage asks the person once more, with one button for each decision.
func (s *Server) approvalPage(c *fiber.Ctx, _ *Client) error {
	id, token := c.Params("id"), c.Query("token")
	asked, err := s.askedBy(c, id, token)
	if err != nil {
		if p, _ := problemOf(err); p.status() < 500 {
			return s.render(c, p.status(), "message", message{Title: "This link does not count", Text: p.Detail})
		}
		return err
	}
	return s.render(c, fiber.StatusOK, "approval", struct {
		Approval
		Token string
	}{asked, token})
}

// askedBy gives what the token's job asks; anything wrong with id or token is one answer.
func (s *Server) askedBy(c *fiber.Ctx, id, token string) (Approval, error) {
	if _, ok := job.ParseID(id); !ok || token == "" {
		return Approval{}, badToken()
	}
	if err := s.jobs.CheckToken(c.UserContext(), id, token); err != nil {
		return Approval{}, err
	}
	j, err := s.jobs.Job(c.UserContext(), id)
	if err != nil {
		return Approval{}, err
	}
	a, ok := approvalOf(j)
	if !ok {
		return Approval{}, badToken() // decided between the two reads
	}
	return a, nil
}

// approvalDecide takes a decision as JSON, or as the form of the page above.
func (s *Server) approvalDecide(c *fiber.Ctx, _ *Client) error {
	id := c.Params("id")
	// curl names every body a form; ours has no brace in front.
	isForm := strings.HasPrefix(c.Get(fiber.HeaderContentType), fiber.MIMEApplicationForm) && !bytes.HasPrefix(bytes.TrimSpace(c.Request().Body()), []byte("{"))
	var in struct {
		Decision string `json:"decision"`
		Token    string `json:"token"`
	}
	if isForm {
		fields, err := form(c)
		if err != nil {
			return s.pageFault(c, err)
		}
		in.Decision, in.Token = fields.Get("decision"), fields.Get("token")
	} else {
		raw, err := s.jsonBody(c)
		if err != nil {
			return err
		}
		if raw != nil { // whoever calls may send more than is read here
			if err := json.Unmarshal(raw, &in); err != nil {
				return problem(codeBadRequest, `the body must be {"decision": "...", "token": "..."}`)
			}
		}
	}
	if in.Token == "" {
		in.Token = c.Query("token")
	}
	if in.Decision == "" {
		in.Decision = c.Query("decision")
	}
	err := badToken()
	if _, ok := job.ParseID(id); ok && in.Token != "" {
		err = s.jobs.DecideByToken(c.UserContext(), id, in.Decision, in.Token)
	}
	if code, _, ok := faultOf(err); ok && code == codeNotFound {
		err = badToken() // whether a job exists is nobody's business without a token
	}
	switch {
	case err == nil && isForm:
		return s.render(c, fiber.StatusOK, "message", message{Title: "Thank you", Text: "The decision " + in.Decision + " was taken."})
	case err == nil:
		return c.JSON(fiber.Map{"status": "approval_received", "job_id": id, "decision": in.Decision})
	case isForm:
		if p, known := problemOf(err); known {
			p.advise(c)
			return s.render(c, p.status(), "message", message{Title: "The decision was not taken", Text: p.Detail})
		}
	}
	return err
}
