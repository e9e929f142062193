package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// This file is `orrery jobs list`.

type jobsListCmd struct {
	remote
	Status    string `help:"Only jobs with this status." placeholder:"STATUS"`
	Blueprint string `help:"Only jobs of this blueprint." placeholder:"NAME"`
	Limit     int    `default:"100" help:"At most so many (1 to 1000)."`
	Cursor    string `help:"Go on after an earlier list." placeholder:"CURSOR"`
}

func (jobsListCmd) Help() string {
	return "Example:\n  orrery jobs list --status quarantined --limit 20"
}

// Run lists jobs; the way to the next page goes to stderr, so that stdout stays a table.
func (c *jobsListCmd) Run(p *program) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usagef("--limit is %d; it must be from 1 to 1000", c.Limit)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"status": c.Status, "blueprint": c.Blueprint, "cursor": c.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	path := "/api/v1/jobs?" + q.Encode()
	raw, header, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		fmt.Fprintln(p.stdout, indented(raw))
	} else {
		var jobs []jobView
		if err := decodeReply(raw, path, &jobs); err != nil {
			return err
		}
		rows := [][]string{{"ID", "BLUEPRINT", "STATE", "STATUS", "UPDATED"}}
		for _, j := range jobs {
			rows = append(rows, []string{j.ID, j.Blueprint, j.State, j.Status, j.UpdatedAt})
		}
		if err := printTable(p.stdout, rows); err != nil {
			return err
		}
	}
	if next := nextCursor(header.Get("Link")); next != "" {
		fmt.Fprintf(p.stderr, "more: --cursor %s\n", next)
	}
	return nil
}

// nextCursor reads the cursor out of a Link header with rel="next".
func nextCursor(link string) string {
	for _, part := range strings.Split(link, ",") {
		target, rel, _ := strings.Cut(part, ";")
		if !strings.Contains(rel, `rel="next"`) {
			continue
		}
		if u, err := url.Parse(strings.Trim(strings.TrimSpace(target), "<>")); err == nil {
			return u.Query().Get("cursor")
		}
	}
	return ""
}
