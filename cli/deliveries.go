package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// This file is `orrery deliveries`.

type deliveriesCmd struct {
	List  deliveriesListCmd  `cmd:"" help:"List what could not be delivered to the outside and is not tried any more."`
	Retry deliveriesRetryCmd `cmd:"" help:"Try again what was given up of a job."`
}

func (deliveriesCmd) Help() string {
	return "Webhooks to clients, and requests to people, that failed too often or for good. Those that are still\n" +
		"tried are shown by `orrery jobs why`.\n\nExamples:\n  orrery deliveries list\n  orrery deliveries retry 0199a1b2-..."
}

type deliveriesListCmd struct{ remote }

func (deliveriesListCmd) Help() string { return "Example:\n  orrery deliveries list --format json" }

// Run lists them all, page by page.
func (c *deliveriesListCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	type delivery struct {
		ID       string `json:"id"`
		JobID    string `json:"job_id"`
		Kind     string `json:"kind"`
		To       string `json:"to"`
		Attempts int    `json:"attempts"`
		Error    string `json:"error"`
		GivenUp  string `json:"given_up_at"`
	}
	var raws []json.RawMessage
	rows := [][]string{{"JOB", "WHAT", "TO", "GIVEN UP", "TRIES", "LAST ERROR"}}
	for path := "/api/v1/deliveries"; path != ""; {
		raw, header, err := cl.call(p.ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		var list []json.RawMessage
		if err := decodeReply(raw, path, &list); err != nil {
			return err
		}
		for _, one := range list {
			var d delivery
			if err := decodeReply(one, path, &d); err != nil {
				return err
			}
			rows = append(rows, []string{d.JobID, d.Kind, d.To, d.GivenUp, fmt.Sprint(d.Attempts), d.Error})
		}
		raws = append(raws, list...)
		path = nextPage(header)
	}
	if c.Format == "json" {
		raw, err := json.Marshal(append([]json.RawMessage{}, raws...))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	return printTable(p.stdout, rows)
}

// nextPage gives the path of the Link header's next page, or "".
func nextPage(h http.Header) string {
	link, rel, _ := strings.Cut(h.Get("Link"), ">")
	if !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	return strings.TrimPrefix(link, "<")
}

type deliveriesRetryCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (deliveriesRetryCmd) Help() string { return "Example:\n  orrery deliveries retry 0199a1b2-..." }

// Run has them tried at once.
func (c *deliveriesRetryCmd) Run(p *program) error {
	return c.ask(p, c.ID, "/redeliver", nil)
}
