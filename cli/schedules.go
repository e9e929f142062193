package cli

import (
	"fmt"
	"net/http"
	"time"

	"orrery/cli/config"
)

// This file is `orrery schedules`.

type schedulesCmd struct {
	List    schedulesListCmd    `cmd:"" help:"List the schedules of a running server, with their next and last runs."`
	Reload  schedulesReloadCmd  `cmd:"" help:"Have the server read its file of schedules again."`
	Preview schedulesPreviewCmd `cmd:"" help:"Check a file of schedules and show its next dates, without a server."`
}

func (schedulesCmd) Help() string {
	return "Examples:\n  orrery schedules list\n  orrery schedules preview schedules.toml"
}

type schedulesListCmd struct{ remote }

func (schedulesListCmd) Help() string { return "Example:\n  orrery schedules list --format json" }

// Run lists them.
func (c *schedulesListCmd) Run(p *program) error {
	var list []struct {
		Name      string `json:"name"`
		Blueprint string `json:"blueprint_name"`
		Timing    string `json:"timing"`
		Zone      string `json:"time_zone"`
		Paused    bool   `json:"paused"`
		Next      string `json:"next_run_at"`
		Last      *struct {
			JobID     string `json:"job_id"`
			Status    string `json:"status"`
			CreatedAt string `json:"created_at"`
		} `json:"last_run"`
		Error string `json:"error"`
	}
	if shown, err := c.show(p, "/api/v1/schedules", &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"SCHEDULE", "BLUEPRINT", "WHEN", "NEXT RUN", "LAST RUN", "LAST JOB", "ERROR"}}
	for _, s := range list {
		row := []string{s.Name, s.Blueprint, s.Timing + " (" + s.Zone + ")", s.Next, "", "", s.Error}
		if s.Paused {
			row[3] = "paused"
		}
		if s.Last != nil {
			row[4], row[5] = s.Last.CreatedAt+" "+s.Last.Status, s.Last.JobID
		}
		rows = append(rows, row)
	}
	return printTable(p.stdout, rows)
}

type schedulesReloadCmd struct{ remote }

func (schedulesReloadCmd) Help() string {
	return "The server also notices a changed file by itself within seconds.\n\nExample:\n  orrery schedules reload"
}

// Run asks for it; a file with faults is refused with all of them.
func (c *schedulesReloadCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	raw, _, err := cl.call(p.ctx, http.MethodPost, "/api/v1/admin/reload-schedules", nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, indented(raw))
	return err
}

type schedulesPreviewCmd struct {
	File     string `arg:"" help:"The file of schedules." type:"path"`
	Count    int    `default:"5" help:"How many dates of each."`
	Timezone string `default:"Local" help:"Zone of schedules that name none, as TZ on the server."`
}

func (schedulesPreviewCmd) Help() string {
	return "Examples:\n  orrery schedules preview schedules.toml\n  orrery schedules preview schedules.toml --count 3 --timezone Europe/Madrid"
}

// Run prints each schedule's dates in its own zone.
func (c *schedulesPreviewCmd) Run(p *program) error {
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil {
		return usagef("%q is no known time zone", c.Timezone)
	}
	list, faults := config.LoadSchedules(c.File, zone)
	if len(faults) > 0 {
		return &failure{line: fmt.Sprintf("%s has %s", c.File, count(len(faults), "fault")), detail: faults.Error()}
	}
	now := time.Now()
	for _, s := range list {
		fmt.Fprintf(p.stdout, "%s: %s starts %s\n", s.Name, s.Timing, s.Blueprint)
		for _, at := range s.Timing.Upcoming(now, c.Count) {
			fmt.Fprintln(p.stdout, "  "+at.In(s.Timing.Zone()).Format("Mon 2006-01-02 15:04:05 MST"))
		}
	}
	return nil
}
