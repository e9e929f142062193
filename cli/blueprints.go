package cli

import (
	"fmt"
	"net/http"
)

// This file is `orrery blueprints`.

type blueprintsCmd struct {
	List blueprintsListCmd `cmd:"" help:"List the blueprints that new jobs can be started from."`
}

func (blueprintsCmd) Help() string { return "Example:\n  orrery blueprints list" }

type blueprintsListCmd struct{ remote }

func (blueprintsListCmd) Help() string {
	return "Example:\n  orrery blueprints list --format json"
}

// Run lists them.
func (c *blueprintsListCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	const path = "/api/v1/blueprints"
	raw, _, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	var list []blueprintView
	if err := decodeReply(raw, path, &list); err != nil {
		return err
	}
	rows := [][]string{{"NAME", "ENDPOINT", "FILE", "DESCRIPTION"}}
	for _, b := range list {
		rows = append(rows, []string{b.Name, b.path(), b.File, b.Description})
	}
	return printTable(p.stdout, rows)
}
