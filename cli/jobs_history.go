package cli

import (
	"fmt"
	"net/http"

	"orrery/engine/job"
)

// This file is `orrery jobs history`.

type jobsHistoryCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (jobsHistoryCmd) Help() string {
	return "Example:\n  orrery jobs history 0199a1b2-... --format json"
}

// Run prints every record; as JSON the events that the API gives.
func (c *jobsHistoryCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	path := jobPath(c.ID, "/history")
	raw, _, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	var events []struct {
		Timestamp string      `json:"timestamp"`
		State     string      `json:"state"`
		Type      string      `json:"event_type"`
		Record    *job.Record `json:"record"`
	}
	if err := decodeReply(raw, path, &events); err != nil {
		return err
	}
	for _, e := range events {
		if e.Record != nil {
			printRecord(p.stdout, c.ID, *e.Record)
		} else if e.Type == "state_started" {
			fmt.Fprintf(p.stdout, "%.12s  enters %s\n", clockOf(e.Timestamp), e.State)
		}
	}
	return nil
}

// clockOf cuts the time of day out of an RFC 3339 time.
func clockOf(at string) string {
	if len(at) < 23 {
		return at
	}
	return at[11:23]
}
