package cli

import (
	"fmt"
	"net/http"
)

// This file is `orrery jobs why`.

type jobsWhyCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (jobsWhyCmd) Help() string { return "Example:\n  orrery jobs why 0199a1b2-..." }

// Run prints what the job waits for, since when, and what can be done.
func (c *jobsWhyCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	path := jobPath(c.ID, "/why")
	raw, _, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	var w struct {
		Status  string   `json:"status"`
		State   string   `json:"state"`
		Since   string   `json:"since"`
		Until   string   `json:"until"`
		Reason  string   `json:"reason"`
		Details []string `json:"details"`
		Do      []string `json:"do"`
	}
	if err := decodeReply(raw, path, &w); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, w.Reason)
	fmt.Fprintf(p.stdout, "  state %s, %s since %s", w.State, w.Status, w.Since)
	if w.Until != "" {
		fmt.Fprintf(p.stdout, ", until %s", w.Until)
	}
	fmt.Fprintln(p.stdout)
	for _, d := range w.Details {
		fmt.Fprintln(p.stdout, "  "+d)
	}
	if len(w.Do) > 0 {
		fmt.Fprintln(p.stdout, "What can be done:")
	}
	for _, d := range w.Do {
		fmt.Fprintln(p.stdout, "  "+d)
	}
	return nil
}
