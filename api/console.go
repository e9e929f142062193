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
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
	"orrery/engine/analysis"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers"
)

// This file serves the console: plain pages made here, without scripts; what they fetch comes from here.

//go:embed console
var consoleFiles embed.FS

const (
	homeJobs    = 30
	homeSeconds = 5 // until a page with live jobs loads itself again
	jobSeconds  = 3
	pageRecords = 500
	pageResults = 100      // of branches, on the pages after the first
	shownJSON   = 64 << 10 // bytes of a job's data on its page
)

var (
	consoleCSS, consolePolicy = consoleStyle()
	pages                     = template.Must(template.New("").Funcs(template.FuncMap{
		"pretty": pretty, "pathword": url.PathEscape, "ago": ago, "short": short, "words": words,
		"css": func() template.CSS { return template.CSS(consoleCSS) },
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
		"'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
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

// frame is what every page of a visitor has around it.
type frame struct {
	Title  string
	Who    *Client
	Dev    bool
	Faults []string // of the last reload; the revisions from before stay in force
	Stores bool     // some blueprint has a data store, and the visitor may see it
	Live   int      // seconds after which the page loads itself again; 0: it does not
	Now    time.Time
}

// frame gives the frame of a page for a visitor.
func (s *Server) frame(who *Client, title string) frame {
	f := frame{Title: title, Who: who, Dev: s.cfg.Dev, Now: s.clock.Now()}
	if !who.may(watchers) {
		return f
	}
	for _, one := range s.prints.Faults() {
		var text strings.Builder
		_ = analysis.Text(&text, []analysis.Finding{one}) // a strings.Builder does not fail
		f.Faults = append(f.Faults, strings.TrimRight(text.String(), "\n"))
	}
	f.Stores = slices.ContainsFunc(s.prints.List(), func(b Blueprint) bool { return len(b.Stores) > 0 })
	return f
}

// home is the data of the first page.
type home struct {
	frame
	Counts     []count
	Status     string // what is asked for; "" is all
	Blueprint  string
	Blueprints []startable
	Jobs       []*engine.View
	Next       string // the query of the next page of jobs
	Workers    []workers.View
	Missing    []string // nodes that did not say what they know of the workers
}

// count is how many jobs there are of a status.
type count struct {
	Status job.Status
	N      int64
}

func (s *Server) pageHome(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return s.render(c, fiber.StatusOK, "signin", "")
	}
	h := home{frame: s.frame(who, "Jobs"), Status: strings.Clone(c.Query("status")), Blueprint: strings.Clone(c.Query("blueprint"))}
	q := store.Query{Limit: homeJobs, Blueprint: h.Blueprint, Cursor: strings.Clone(c.Query("cursor"))}
	if who.role == roleClient {
		q.Client = who.Name
	}
	if job.Status(h.Status).Valid() {
		q.Status = []job.Status{job.Status(h.Status)}
	}
	var err error
	var next string
	if h.Jobs, next, err = s.jobs.List(c.UserContext(), q); err != nil {
		return s.pageFault(c, err)
	}
	if next != "" {
		h.Next = "?" + url.Values{"status": {h.Status}, "blueprint": {h.Blueprint}, "cursor": {next}}.Encode()
	}
	if slices.ContainsFunc(h.Jobs, func(v *engine.View) bool { return !v.Status.Terminal() }) {
		h.Live = homeSeconds
	}
	if who.may(watchers) {
		h.Workers, h.Missing = s.allWorkers(c.UserContext())
		counts, err := s.jobs.Counts(c.UserContext())
		if err != nil {
			return err
		}
		for _, status := range job.Statuses {
			if counts[status] > 0 {
				h.Counts = append(h.Counts, count{status, counts[status]})
			}
		}
	}
	for _, b := range s.prints.List() {
		h.Blueprints = append(h.Blueprints, s.startable(c, b, who))
	}
	return s.render(c, fiber.StatusOK, "home", h)
}

// startable is a blueprint with what starts it.
type startable struct {
	Blueprint
	Path, Curl, Sample string
	May                bool
}

func (s *Server) startable(c *fiber.Ctx, b Blueprint, who *Client) startable {
	one := startable{Blueprint: b, Sample: "{}", May: who.may(creators) && b.Endpoint != ""}
	if len(b.Example) > 0 && b.Example[0] == '{' {
		one.Sample = pretty(b.Example)
	}
	if b.Endpoint != "" {
		one.Path = b.path()
		one.Curl = s.curl(c, b)
	}
	return one
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
	frame
	Job                       *engine.View
	Why                       *engine.Why
	Records                   []job.Record
	Left                      int // records not shown
	Initial, History, Results string
	MoreResults               string // the way to the next page of them
	Decisions                 []string
	Message, Link             string
	NoPicture                 string // why there is none
	Ended                     bool
	MayCancel, MayRetry       bool
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
	p := &jobPage{frame: s.frame(who, j.Blueprint), Ended: j.Status.Terminal()}
	if p.Job, err = s.jobs.View(c.UserContext(), j.ID); err != nil {
		return nil, err
	}
	if p.Why, err = s.jobs.Why(c.UserContext(), j.ID); err != nil {
		return nil, err
	}
	if p.Records, err = s.jobs.Newest(c.UserContext(), j, pageRecords); err != nil {
		return nil, err
	}
	p.Left = int(j.Records) - len(p.Records)
	results, next := p.Job.AggregationResults, p.Job.ResultsNext
	if after := c.Query("results"); after != "" {
		if results, next, err = s.jobs.Results(c.UserContext(), j, after, pageResults); err != nil {
			return nil, err
		}
	}
	if next != "" {
		p.MoreResults = "?" + url.Values{"results": {next}}.Encode()
	}
	p.Initial, p.History, p.Results = pretty(p.Job.InitialData), pretty(p.Job.StateHistory), pretty(results)
	if !p.Ended {
		p.Live = jobSeconds
	}
	p.MayCancel = !p.Ended && who.may(creators)
	p.MayRetry = (p.Job.Status == job.Failed || p.Job.Status == job.Quarantined) && who.may(keepers)
	if _, err := s.editions.Find(c.UserContext(), j.Blueprint, j.Revision); err != nil {
		p.NoPicture = err.Error()
	}
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
	p.advise(c)
	return s.render(c, p.status(), "message", message{Title: "This did not work", Text: p.Detail})
}

func (s *Server) pageLogin(c *fiber.Ctx, _ *Client) error {
	if err := ownForm(c); err != nil {
		return s.pageFault(c, err)
	}
	fields, err := form(c)
	if err != nil {
		return s.pageFault(c, err)
	}
	who := s.client(fields.Get("token"))
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
	c.Cookie(&fiber.Cookie{Name: sessionCookie, Path: "/", HTTPOnly: true, SameSite: "Strict", MaxAge: -1})
	if err := s.sessions.close(c.UserContext(), c.Cookies(sessionCookie), s.doors.Load().names); err != nil {
		return err
	}
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
	fields, err := form(c)
	if err != nil {
		return s.pageFault(c, err)
	}
	r, err := readCreate([]byte(fields.Get("data")), s.cfg.Limits.Depth)
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
	fields, err := form(c)
	if err != nil {
		return s.pageFault(c, err)
	}
	switch action {
	case "cancel":
		err = s.jobs.Cancel(c.UserContext(), j.ID, who.Name)
	case "decide":
		err = s.jobs.Decide(c.UserContext(), j.ID, fields.Get("decision"), who.Name)
	case "retry":
		err = s.jobs.Retry(c.UserContext(), j.ID, nil, fields.Get("revision") == "latest", who.Name)
	case "close":
		err = s.jobs.Close(c.UserContext(), j.ID, who.Name)
	}
	if err != nil {
		return s.pageFault(c, err)
	}
	return c.Redirect("/jobs/"+j.ID, fiber.StatusSeeOther)
}

// ago says how long before now a moment was.
func ago(now time.Time, at any) string {
	var t time.Time
	switch at := at.(type) {
	case engine.Time:
		t = time.Time(at)
	case job.Time:
		t = at.Time
	case time.Time:
		t = at
	}
	switch d := now.Sub(t); {
	case d < 2*time.Second:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

// short is as much of a revision as people need to tell it from others.
func short(revision string) string { return revision[:min(len(revision), 12)] }

// words makes a status readable.
func words(s job.Status) string { return strings.ReplaceAll(string(s), "_", " ") }

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
