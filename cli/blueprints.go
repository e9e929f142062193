package cli

import ()

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
	var list []blueprintView
	if shown, err := c.show(p, "/api/v1/blueprints", &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"NAME", "ENDPOINT", "FILE", "DESCRIPTION"}}
	for _, b := range list {
		rows = append(rows, []string{b.Name, b.path(), b.File, b.Description})
	}
	return printTable(p.stdout, rows)
}
