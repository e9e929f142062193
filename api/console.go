package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers"
)

// This file serves the console: plain pages made here, without scripts, nothing fetched.

//go:embed console
var consoleFiles embed.FS

const (
	homeJobs    = 50
	pageRecords = 500
	shownJSON   = 64 << 10 // bytes of a job's data on its page
)

var (
	consoleCSS, consolePolicy = consoleStyle()
	pages                     = template.Must(template.New("").Funcs(template.FuncMap{
		"pretty": pretty, "pathword": url.PathEscape, "css": func() template.CSS { return template.CSS(consoleCSS) },
	}).ParseFS(consoleFiles, "console/*.html"))
)

// consoleStyle reads the style and the policy that lets this style in and nothing else.
func consoleStyle() (css, policy string) {
	raw, err := consoleFiles.ReadFile("console/style.css")
	if err != nil { // embedded: it is there or the program was not built
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return string(raw), "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// message is a page with one sentence.
type message struct{ Title, Text string }

// render sends a page. It is made in memory first, so that a fault is an error and not half a page.
func (s *Server) render(c *fiber.Ctx, status int, name string, data any) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderContentSecurityPolicy, consolePolicy)
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Status(status).Send(b.Bytes())
}

// home is the data of the first page.
type home struct {
	Who        *Client
	Dev        bool
	Faults     []string
	Blueprints []startable
	Jobs       []*engine.View
	Workers    []workers.View
	Approvals  bool
	Stores     bool // some blueprint has a data store, and the visitor may see it
}

// startable is a blueprint with what starts it.
type startable struct {
	Blueprint
	Path, Curl, Sample string
	May                bool
}

func (s *Server) pageHome(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return s.render(c, fiber.StatusOK, "signin", "")
	}
	q := store.Query{Limit: homeJobs}
	if who.role == roleClient {
		q.Client = who.Name
	}
	jobs, _, err := s.jobs.List(c.UserContext(), q)
	if err != nil {
		return err
	}
	h := home{Who: who, Dev: s.cfg.Dev, Jobs: jobs}
	if who.may(watchers) {
		h.Workers, h.Faults = s.hub.Snapshot(), s.prints.Faults()
	}
	for _, b := range s.prints.List() {
		h.Stores = h.Stores || len(b.Stores) > 0 && who.may(watchers)
		one := startable{Blueprint: b, Sample: "{}", May: who.may(creators) && b.Endpoint != ""}
		if len(b.Example) > 0 && b.Example[0] == '{' {
			one.Sample = pretty(b.Example)
		}
		if b.Endpoint != "" {
			one.Path = b.path()
			one.Curl = s.curl(c, b)
		}
		h.Blueprints = append(h.Blueprints, one)
	}
	return s.render(c, fiber.StatusOK, "home", h)
}

// curl gives a line that starts a job. The token stays a variable, except for one that was
// given to be shown (the public default of `dev`).
func (s *Server) curl(c *fiber.Ctx, b Blueprint) string {
	data := "{}"
	if len(b.Example) > 0 && b.Example[0] == '{' {
		var line bytes.Buffer
		if json.Compact(&line, b.Example) == nil {
			data = line.String()
		}
	}
	token := `"X-Client-Token: $ORRERY_TOKEN"`
	if s.cfg.ShownToken != "" {
		token = quote("X-Client-Token: " + s.cfg.ShownToken)
	}
	return "curl " + quote(c.BaseURL()+b.path()) + " -H " + token + " -d " + quote(data)
}

// quote makes one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// jobPage is the data of a job's page.
type jobPage struct {
	Who                        *Client
	Job                        *engine.View
	Why                        *engine.Why
	Records                    []job.Record
	Left                       int // records not shown
	Initial, History, Results  string
	Decisions                  []string
	Message, Link              string
	MayCancel, MayRetry, Watch bool
}

func (s *Server) pageJob(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return s.render(c, fiber.StatusUnauthorized, "signin", "")
	}
	p, err := s.readJobPage(c, who)
	if err != nil {
		return s.pageFault(c, err)
	}
	return s.render(c, fiber.StatusOK, "job", p)
}

func (s *Server) readJobPage(c *fiber.Ctx, who *Client) (*jobPage, error) {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return nil, err
	}
	p := &jobPage{Who: who}
	if p.Job, err = s.jobs.View(c.UserContext(), j.ID); err != nil {
		return nil, err
	}
	if p.Why, err = s.jobs.Why(c.UserContext(), j.ID); err != nil {
		return nil, err
	}
	p.Left = max(0, int(j.Records)-pageRecords)
	if p.Records, err = s.jobs.Records(c.UserContext(), j.ID, int64(p.Left)); err != nil {
		return nil, err
	}
	p.Initial, p.History, p.Results = pretty(p.Job.InitialData), pretty(p.Job.StateHistory), pretty(p.Job.AggregationResults)
	ended := p.Job.Status.Terminal()
	p.Watch = !ended
	p.MayCancel = !ended && who.may(creators)
	p.MayRetry = (p.Job.Status == job.Failed || p.Job.Status == job.Quarantined) && who.may(keepers)
	if a, ok := approvalOf(j); ok {
		p.Message = a.Message
		if who.may(deciders) {
			p.Decisions, p.Link = a.Decisions, s.approvalLink(j, who)
		}
	}
	return p, nil
}

// pageFault shows a known fault as a page.
func (s *Server) pageFault(c *fiber.Ctx, err error) error {
	p, known := problemOf(err)
	if !known {
		return err
	}
	return s.render(c, p.status(), "message", message{Title: "This did not work", Text: p.Detail})
}

func (s *Server) pageLogin(c *fiber.Ctx, _ *Client) error {
	if err := ownForm(c); err != nil {
		return s.pageFault(c, err)
	}
	who := s.client(c.FormValue("token"))
	if who == nil || !s.cfg.ClientAPI {
		return s.render(c, fiber.StatusUnauthorized, "signin", "This token is not known here.")
	}
	s.signIn(c, who)
	return c.Redirect("/", fiber.StatusSeeOther)
}

func (s *Server) pageLogout(c *fiber.Ctx, _ *Client) error {
	if err := ownForm(c); err != nil {
		return s.pageFault(c, err)
	}
	s.sessions.close(c.Cookies(sessionCookie))
	c.Cookie(&fiber.Cookie{Name: sessionCookie, Path: "/", HTTPOnly: true, SameSite: "Strict", MaxAge: -1})
	return c.Redirect("/", fiber.StatusSeeOther)
}

// pageStart starts a job from the form of a blueprint.
func (s *Server) pageStart(c *fiber.Ctx, _ *Client) error {
	who, err := s.formFrom(c, creators)
	if err != nil {
		return s.pageFault(c, err)
	}
	name, err := url.PathUnescape(c.Params("name"))
	if err != nil {
		return s.pageFault(c, problem(codeBadRequest, "the blueprint's name in the path is not well formed"))
	}
	if !slices.ContainsFunc(s.prints.List(), func(b Blueprint) bool { return b.Name == name && b.Endpoint != "" }) {
		return s.pageFault(c, problem(codeUnknown, "there is no blueprint "+strconv.Quote(name)+" that can be started from outside"))
	}
	r, err := readCreate([]byte(c.FormValue("data")))
	if err != nil {
		return s.pageFault(c, err)
	}
	leave, err := s.admitCreate(c.UserContext())
	if err != nil {
		return s.pageFault(c, err)
	}
	defer leave()
	r.Blueprint, r.Client, r.Attempts = name, who.forJob(), who.Attempts
	id, _, err := s.submit(c.UserContext(), r)
	if err != nil {
		return s.pageFault(c, err)
	}
	s.metrics.accepted(name)
	return c.Redirect("/jobs/"+id, fiber.StatusSeeOther)
}

// formFrom gives the visitor behind a form of ours, when the role may do it.
func (s *Server) formFrom(c *fiber.Ctx, need access) (*Client, error) {
	if err := ownForm(c); err != nil {
		return nil, err
	}
	who := s.visitor(c)
	switch {
	case who == nil:
		return nil, problem(codeUnauthorized, "you are not signed in any more; go back to the first page and sign in")
	case !who.may(need):
		return nil, problem(codeForbidden, fmt.Sprintf("the role %q may not do this", who.Role))
	}
	return who, nil
}

// pageAct does what a button of a job's page says.
func (s *Server) pageAct(c *fiber.Ctx, _ *Client) error {
	needs := map[string]access{"cancel": creators, "decide": deciders, "retry": keepers, "close": keepers}
	action := c.Params("action")
	need, ok := needs[action]
	if !ok {
		return problem(codeNoRoute, "a job's page has no action "+strconv.Quote(shortened(action)))
	}
	who, err := s.formFrom(c, need)
	if err != nil {
		return s.pageFault(c, err)
	}
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return s.pageFault(c, err)
	}
	switch action {
	case "cancel":
		err = s.jobs.Cancel(c.UserContext(), j.ID, who.Name)
	case "decide":
		err = s.jobs.Decide(c.UserContext(), j.ID, c.FormValue("decision"), who.Name)
	case "retry":
		err = s.jobs.Retry(c.UserContext(), j.ID, nil, c.FormValue("revision") == "latest", who.Name)
	case "close":
		err = s.jobs.Close(c.UserContext(), j.ID, who.Name)
	}
	if err != nil {
		return s.pageFault(c, err)
	}
	return c.Redirect("/jobs/"+j.ID, fiber.StatusSeeOther)
}

// pretty indents JSON for a page and cuts what is too long to read.
func pretty(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	if b.Len() > shownJSON {
		return strings.ToValidUTF8(b.String()[:shownJSON], "") + "\n... (cut; the API gives the whole)"
	}
	return b.String()
}
