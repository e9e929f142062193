package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"orrery/engine/job"
)

// This file is `orrery jobs results`.

type jobsResultsCmd struct {
	remote
	ID     string `arg:"" help:"The job's id."`
	Limit  int    `default:"100" help:"At most so many (1 to 1000); fewer where they are long."`
	Cursor string `help:"Go on after an earlier page." placeholder:"CURSOR"`
}

func (jobsResultsCmd) Help() string {
	return "Example:\n  orrery jobs results 0199a1b2-... --limit 10 --format json"
}

// Run prints one page of what the job's branches brought; the way to the next page goes to stderr.
func (c *jobsResultsCmd) Run(p *program) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usagef("--limit is %d; it must be from 1 to 1000", c.Limit)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Cursor != "" {
		q.Set("cursor", c.Cursor)
	}
	path := jobPath(c.ID, "/results?"+q.Encode())
	raw, header, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		fmt.Fprintln(p.stdout, indented(raw))
	} else if err := printResults(p, raw); err != nil {
		return err
	}
	if next := nextCursor(header.Get("Link")); next != "" {
		fmt.Fprintf(p.stderr, "more: --cursor %s\n", next)
	}
	return nil
}

// printResults writes a table in the server's order.
func printResults(p *program, raw []byte) error {
	fields, err := job.Fields(raw)
	if err != nil {
		return fmt.Errorf("the results that the server sent: %w", err)
	}
	rows := [][]string{{"TASK", "TYPE", "STATUS", "DATA"}}
	for _, f := range fields {
		var r struct {
			Status string          `json:"status"`
			Type   string          `json:"task_type"`
			Data   json.RawMessage `json:"data"`
		}
		if err := decodeReply(f.Value, "a result", &r); err != nil {
			return err
		}
		rows = append(rows, []string{f.Key, r.Type, r.Status, oneLine(r.Data)})
	}
	return printTable(p.stdout, rows)
}
