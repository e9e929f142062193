package cli

import (
	"maps"
	"slices"
	"strconv"
)

// This file is `orrery dashboard`: the numbers of a running server.

type dashboardCmd struct{ remote }

func (dashboardCmd) Help() string { return "Example:\n  orrery dashboard --format json" }

// Run prints jobs by status, tasks and workers; statuses without jobs are left out.
func (c *dashboardCmd) Run(p *program) error {
	var numbers map[string]map[string]int64
	if shown, err := c.show(p, "/api/v1/dashboard", &numbers); shown || err != nil {
		return err
	}
	rows := [][]string{{"WHAT", "", "NUMBER"}}
	for _, what := range slices.Sorted(maps.Keys(numbers)) {
		for _, which := range slices.Sorted(maps.Keys(numbers[what])) {
			if n := numbers[what][which]; n > 0 || which == "total" || what != "jobs" {
				rows = append(rows, []string{what, which, strconv.FormatInt(n, 10)})
			}
		}
	}
	return printTable(p.stdout, rows)
}
