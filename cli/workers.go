package cli

import (
	"slices"
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
	type worker struct {
		ID       string   `json:"worker_id"`
		Type     string   `json:"worker_type"`
		Status   string   `json:"status"`
		Skills   []string `json:"skills"`
		LastSeen string   `json:"last_seen"`
		Nodes    []string `json:"nodes"`
	}
	var list []worker
	if shown, err := c.show(p, "/api/v1/workers", &list); shown || err != nil {
		return err
	}
	several := slices.ContainsFunc(list, func(w worker) bool { return len(w.Nodes) > 0 })
	rows := [][]string{{"WORKER", "TYPE", "STATUS", "LAST SEEN", "TASKS"}}
	if several {
		rows[0] = append(rows[0], "POLLS AT")
	}
	for _, w := range list {
		row := []string{w.ID, w.Type, w.Status, w.LastSeen, strings.Join(w.Skills, ", ")}
		if several {
			row = append(row, strings.Join(w.Nodes, ", "))
		}
		rows = append(rows, row)
	}
	return printTable(p.stdout, rows)
}
