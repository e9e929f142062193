package api

import (
	"errors"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/blueprint"
)

// This file serves the console's pages about blueprints: what there is, a blueprint with its
// picture and revisions, what differs between two, and the pictures themselves.

// picturePolicy is how a picture may be shown when somebody opens it alone: as a picture.
const picturePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

// blueprintsPage is the data of the list.
type blueprintsPage struct {
	frame
	Blueprints []startable
	Uploads    []blueprint.Uploaded
	Watcher    bool // who may see uploads
	MayReload  bool
}

func (s *Server) pageBlueprints(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return s.render(c, fiber.StatusUnauthorized, "signin", "")
	}
	p := blueprintsPage{frame: s.frame(who, "Blueprints"), Watcher: who.may(watchers), MayReload: who.may(keepers)}
	for _, b := range s.prints.List() {
		p.Blueprints = append(p.Blueprints, s.startable(c, b, who))
	}
	if p.Watcher {
		p.Uploads = s.editions.Uploads()
	}
	return s.render(c, fiber.StatusOK, "blueprints", p)
}

// blueprintPage is the data of a blueprint's page.
type blueprintPage struct {
	frame
	Name     string
	Page     string             // its path
	Print    *startable         // nil when it is not in force any more
	Upload   blueprint.Uploaded // where it came by the API
	Versions []version
}

func (s *Server) pageBlueprint(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return s.render(c, fiber.StatusUnauthorized, "signin", "")
	}
	p, err := s.readBlueprintPage(c, who)
	if err != nil {
		return s.pageFault(c, err)
	}
	return s.render(c, fiber.StatusOK, "blueprint", p)
}

func (s *Server) readBlueprintPage(c *fiber.Ctx, who *Client) (*blueprintPage, error) {
	name := nameParam(c, "name")
	p := &blueprintPage{frame: s.frame(who, name), Name: name, Page: pageOf(name)}
	for _, b := range s.prints.List() {
		if b.Name == name {
			one := s.startable(c, b, who)
			p.Print = &one
		}
	}
	if !who.may(watchers) {
		if p.Print == nil {
			return nil, problem(codeUnknown, "there is no blueprint of this name")
		}
		return p, nil
	}
	var err error
	if p.Versions, err = s.versions(c, name); err != nil {
		return nil, err
	}
	for _, u := range s.editions.Uploads() {
		if p.Print != nil && u.File == p.Print.File {
			p.Upload = u
		}
	}
	return p, nil
}

// diffPage is the data of the page that compares two revisions.
type diffPage struct {
	frame
	Page  string // of the blueprint
	Diff  *blueprint.Diff
	Sides []string // both revisions
	Parts []diffPart
	Lines []diffLine
}

// diffPart is one kind of things that differ.
type diffPart struct {
	Title string
	blueprint.Lists
}

// diffLine is a line of the text's difference, with its style.
type diffLine struct{ Class, Text string }

func (s *Server) pageDiff(c *fiber.Ctx, _ *Client) error {
	who, err := s.watcher(c, "the revisions of blueprints")
	if who == nil {
		return err
	}
	d, err := s.compare(c)
	if err != nil {
		return s.pageFault(c, err)
	}
	p := diffPage{frame: s.frame(who, d.Name), Page: pageOf(d.Name), Diff: d, Sides: []string{d.From, d.To}}
	for _, part := range []diffPart{{"States", d.States}, {"Transitions", d.Transitions}, {"Handlers", d.Handlers}, {"Files", d.Files}} {
		if !part.Empty() {
			p.Parts = append(p.Parts, part)
		}
	}
	for line := range strings.Lines(d.Text) {
		p.Lines = append(p.Lines, diffLine{lineClass(line), strings.TrimRight(line, "\n")})
	}
	return s.render(c, fiber.StatusOK, "diff", p)
}

func lineClass(line string) string {
	switch {
	case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
		return "file"
	case strings.HasPrefix(line, "+"):
		return "plus"
	case strings.HasPrefix(line, "-"):
		return "minus"
	case strings.HasPrefix(line, "@@"):
		return "at"
	}
	return ""
}

// pagePicture sends a blueprint's picture to a page.
func (s *Server) pagePicture(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return problem(codeUnauthorized, "sign in on the first page")
	}
	bp, err := s.edition(c, who)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentSecurityPolicy, picturePolicy)
	return s.sendGraph(c, bp, GraphLook{Format: "svg", Dark: c.QueryBool("dark")})
}

// pageJobPicture sends a job's picture to its page.
func (s *Server) pageJobPicture(c *fiber.Ctx, _ *Client) error {
	who := s.visitor(c)
	if who == nil {
		return problem(codeUnauthorized, "sign in on the first page")
	}
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentSecurityPolicy, picturePolicy)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return s.sendJobGraph(c, j, GraphLook{Format: "svg", Dark: c.QueryBool("dark")})
}

// pageReload reads the directory again. What is wrong with it stands on the page that follows.
func (s *Server) pageReload(c *fiber.Ctx, _ *Client) error {
	if _, err := s.formFrom(c, keepers); err != nil {
		return s.pageFault(c, err)
	}
	var refused *blueprint.LoadError
	if err := s.editions.Reload(c.UserContext()); err != nil && !errors.As(err, &refused) {
		return s.pageFault(c, err)
	}
	return c.Redirect("/blueprints", fiber.StatusSeeOther)
}

// pageOf is the path of a blueprint's page.
func pageOf(name string) string { return "/blueprints/" + url.PathEscape(name) }

// Page is its page.
func (s startable) Page() string { return pageOf(s.Name) }
