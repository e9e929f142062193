package api

import (
	"errors"
	"net/url"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/analysis"
	"orrery/engine/blueprint"
)

// This file is about the revisions of blueprints: what there is, what differs, moving jobs,
// and blueprints that an administrator uploads.

const (
	codeRefused = "blueprint_refused" // findings say why
	codeStays   = "job_stays"         // a job can not move to the newest revision
)

// editionProblem gives errors about blueprints their codes.
func editionProblem(err error) error {
	var load *blueprint.LoadError
	var refused *blueprint.UploadError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &load):
		return problem(codeRefused, "the blueprints have errors, so nothing was changed: "+load.Error()).with("findings", findingsOf(load.Findings))
	case errors.As(err, &refused) && refused.Conflict:
		return problem("conflict", refused.Reason)
	case errors.As(err, &refused):
		return problem(codeBadRequest, refused.Reason)
	case errors.Is(err, blueprint.ErrUnknown):
		return problem(codeUnknown, err.Error())
	}
	return err
}

// findingsOf gives a list that is one in JSON also when it is empty.
func findingsOf(list []blueprint.Finding) []blueprint.Finding {
	return append([]blueprint.Finding{}, list...)
}

// nameParam is the name in the path, decoded.
func nameParam(c *fiber.Ctx, param string) string {
	name := c.Params(param)
	if decoded, err := url.PathUnescape(name); err == nil {
		name = decoded
	}
	return string([]byte(name)) // what fiber gives is only lent
}

// showBlueprint describes a blueprint with its graph; ?revision= for another than the newest.
func (s *Server) showBlueprint(c *fiber.Ctx, who *Client) error {
	bp, err := s.edition(c, who)
	if err != nil {
		return err
	}
	g, err := bp.Graph()
	if err != nil {
		return err
	}
	return c.JSON(struct {
		blueprint.Info
		States []*analysis.State `json:"states"`
		Edges  []*analysis.Edge  `json:"transitions"`
	}{bp.Info(), g.States, g.Edges})
}

// version is a revision with the number of its jobs that have not ended.
type version struct {
	blueprint.Version
	LiveJobs int `json:"live_jobs"`
}

func (s *Server) blueprintVersions(c *fiber.Ctx, _ *Client) error {
	all, err := s.versions(c, nameParam(c, "name"))
	if err != nil {
		return err
	}
	return c.JSON(all)
}

func (s *Server) versions(c *fiber.Ctx, name string) ([]version, error) {
	all, err := s.editions.Versions(c.UserContext(), name)
	if err != nil {
		return nil, editionProblem(err)
	}
	live, err := s.jobs.LiveRevisions(c.UserContext(), name)
	if err != nil {
		return nil, err
	}
	out := make([]version, len(all))
	for i, v := range all {
		out[i] = version{v, live[v.Revision]}
	}
	return out, nil
}

// blueprintDiff compares ?from= (default: the revision before) with ?to= (default: the one in force).
func (s *Server) blueprintDiff(c *fiber.Ctx, _ *Client) error {
	d, err := s.compare(c)
	if err != nil {
		return err
	}
	return c.JSON(d)
}

func (s *Server) compare(c *fiber.Ctx) (*blueprint.Diff, error) {
	name := nameParam(c, "name")
	from, err := s.editions.Find(c.UserContext(), name, string([]byte(c.Query("from", "previous"))))
	if err != nil {
		return nil, editionProblem(err)
	}
	to, err := s.editions.Find(c.UserContext(), name, string([]byte(c.Query("to"))))
	if err != nil {
		return nil, editionProblem(err)
	}
	return blueprint.Compare(from, to)
}

// blueprintSource gives the texts of a revision, ?revision= as in the list of versions.
func (s *Server) blueprintSource(c *fiber.Ctx, _ *Client) error {
	bp, err := s.editions.Find(c.UserContext(), nameParam(c, "name"), string([]byte(c.Query("revision"))))
	if err != nil {
		return editionProblem(err)
	}
	return c.JSON(fiber.Map{"name": bp.Name, "revision": bp.Revision, "main": bp.File, "files": bp.Program.Files})
}

func (s *Server) migrateJob(c *fiber.Ctx, who *Client) error {
	j, err := s.visibleJob(c.UserContext(), c.Params("id"), who)
	if err != nil {
		return err
	}
	var in struct {
		DryRun bool `json:"dry_run"`
	}
	if err := s.decode(c, &in); err != nil {
		return err
	}
	m, err := s.jobs.Migrate(c.UserContext(), j.ID, in.DryRun, who.Name)
	if err != nil {
		return err
	}
	if !in.DryRun && (m.Stays() || m.Outcome == "ended") {
		return problem(codeStays, "job "+j.ID+" stays on its revision: "+m.Reason).with("move", m)
	}
	return c.JSON(m)
}

// migrateAll moves the jobs of a blueprint, a page at a time: each for itself.
func (s *Server) migrateAll(c *fiber.Ctx, who *Client) error {
	in := struct {
		DryRun bool   `json:"dry_run"`
		Cursor string `json:"cursor"`
		Limit  int    `json:"limit"`
	}{Limit: 100}
	if err := s.decode(c, &in); err != nil {
		return err
	}
	if in.Limit < 1 || in.Limit > 1000 {
		return problem(codeBadRequest, "limit is "+strconv.Itoa(in.Limit)+"; it is from 1 to 1000")
	}
	moves, next, err := s.jobs.MigrateAll(c.UserContext(), nameParam(c, "name"), in.DryRun, who.Name, in.Cursor, in.Limit)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, m := range moves {
		counts[m.Outcome]++
	}
	if moves == nil {
		return c.JSON(fiber.Map{"jobs": []int{}, "counts": counts, "cursor": next})
	}
	return c.JSON(fiber.Map{"jobs": moves, "counts": counts, "cursor": next})
}

func (s *Server) listUploads(c *fiber.Ctx, _ *Client) error { return c.JSON(s.editions.Uploads()) }

func (s *Server) upload(c *fiber.Ctx, who *Client) error {
	var in struct {
		Files  map[string]string `json:"files"`
		DryRun bool              `json:"dry_run"`
	}
	if err := s.decode(c, &in); err != nil {
		return err
	}
	changes, found, err := s.editions.Upload(c.UserContext(), in.Files, who.Name, in.DryRun)
	if err != nil {
		return editionProblem(err)
	}
	return c.JSON(fiber.Map{"status": uploadStatus(in.DryRun), "blueprints": changes, "findings": findingsOf(found)})
}

func (s *Server) removeUpload(c *fiber.Ctx, who *Client) error {
	dry := c.QueryBool("dry_run")
	changes, err := s.editions.RemoveUpload(c.UserContext(), nameParam(c, "*"), who.Name, dry)
	if err != nil {
		return editionProblem(err)
	}
	return c.JSON(fiber.Map{"status": uploadStatus(dry), "blueprints": changes, "findings": findingsOf(nil)})
}

func uploadStatus(dry bool) string {
	if dry {
		return "checked"
	}
	return "in_force"
}

// reloadBlueprints reads the directory now; what is wrong with it is the answer.
func (s *Server) reloadBlueprints(c *fiber.Ctx, _ *Client) error {
	if err := s.editions.Reload(c.UserContext()); err != nil {
		return editionProblem(err)
	}
	return c.JSON(fiber.Map{"status": "in_force", "blueprints": len(s.prints.List())})
}
