package cli

import (
	"strings"
)

// This file is `orrery workers`.

type workersCmd struct {
	List workersListCmd `cmd:"" help:"List the workers that the server knows."`
}

func (workersCmd) Help() string { return "Example:\n  orrery workers list" }

type workersListCmd struct{ remote }

func (workersListCmd) Help() string { return "Example:\n  orrery workers list --format json" }

// Run lists them.
func (c *workersListCmd) Run(p *program) error {
	var list []struct {
		ID       string   `json:"worker_id"`
		Type     string   `json:"worker_type"`
		Status   string   `json:"status"`
		Skills   []string `json:"skills"`
		LastSeen string   `json:"last_seen"`
	}
	if shown, err := c.show(p, "/api/v1/workers", &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"WORKER", "TYPE", "STATUS", "LAST SEEN", "TASKS"}}
	for _, w := range list {
		rows = append(rows, []string{w.ID, w.Type, w.Status, w.LastSeen, strings.Join(w.Skills, ", ")})
	}
	return printTable(p.stdout, rows)
}
