package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"orrery/engine/draw"
)

// This file is `orrery jobs get`.

type jobsGetCmd struct {
	remote
	ID    string `arg:"" help:"The job's id."`
	Graph string `help:"Draw where the job has been into this file: .svg, .png, .dot or .mmd." placeholder:"OUT"`
}

func (jobsGetCmd) Help() string {
	return "Examples:\n  orrery jobs get 0199a1b2-... --format json\n  orrery jobs get 0199a1b2-... --graph job.svg"
}

// Run prints the job.
func (c *jobsGetCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	if c.Graph != "" {
		return c.draw(p, cl)
	}
	path := jobPath(c.ID, "")
	raw, _, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	var j jobView
	if err := decodeReply(raw, path, &j); err != nil {
		return err
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
	} else {
		printJob(p.stdout, j)
	}
	if j.ResultsNext != "" { // stdout would look like all there is
		fmt.Fprintf(p.stderr, "there are more branch results than are shown: orrery jobs results %s\n", c.ID)
	}
	return err
}

// draw saves the job's picture.
func (c *jobsGetCmd) draw(p *program, cl *client) error {
	format, err := draw.FormatOf(c.Graph)
	if err != nil {
		return usagef("--graph: %v", err)
	}
	picture, _, err := cl.call(p.ctx, http.MethodGet, jobPath(c.ID, "/graph?legend=true&format="+string(format)), nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Graph, picture, 0o644); err != nil {
		return fmt.Errorf("the picture can not be written: %w", err)
	}
	_, err = fmt.Fprintln(p.stdout, c.Graph)
	return err
}

// printJob writes what there is of a job, a line each; empty things are left out.
func printJob(w io.Writer, j jobView) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-14s %s\n", name, value)
		}
	}
	line("job", j.ID)
	line("blueprint", j.Blueprint)
	line("state", j.State)
	line("status", j.Status)
	if j.Waiting != nil {
		line("waiting", fmt.Sprintf("%s, since %s", j.Waiting.Detail, j.Waiting.Since))
		line("until", j.Waiting.Until)
	}
	line("cancel asked", j.CancelRequested)
	if j.Error != nil {
		line("error", j.Error.Code+": "+j.Error.Message)
		line("at", strings.ReplaceAll(strings.TrimRight(j.place(), "\n"), "\n", "\n"+strings.Repeat(" ", 15)))
	}
	line("reason", j.Reason)
	line("created", j.CreatedAt)
	line("updated", j.UpdatedAt)
	line("ended", j.EndedAt)
	line("children", strings.Join(j.Children, " "))
	if len(j.InitialData) > 0 {
		fmt.Fprintf(w, "initial_data   %s\n", indented(j.InitialData))
	}
	if len(j.StateHistory) > 0 {
		fmt.Fprintf(w, "state_history  %s\n", indented(j.StateHistory))
	}
}
