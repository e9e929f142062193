package cli

import "net/url"

// This file is `orrery jobs list`.

type jobsListCmd struct {
	remote
	Status    string `help:"Only jobs with this status." placeholder:"STATUS"`
	Blueprint string `help:"Only jobs of this blueprint." placeholder:"NAME"`
	paging
}

func (jobsListCmd) Help() string {
	return "Example:\n  orrery jobs list --status quarantined --limit 20"
}

// Run prints one page of jobs, newest first.
func (c *jobsListCmd) Run(p *program) error {
	q := url.Values{}
	setIf(q, "status", c.Status)
	setIf(q, "blueprint", c.Blueprint)
	return c.showPage(p, "/api/v1/jobs", q, c.paging, jobRows)
}

func jobRows(raw []byte) ([][]string, error) {
	var jobs []jobView
	if err := decodeReply(raw, "/api/v1/jobs", &jobs); err != nil {
		return nil, err
	}
	rows := [][]string{{"ID", "BLUEPRINT", "STATE", "STATUS", "UPDATED"}}
	for _, j := range jobs {
		rows = append(rows, []string{j.ID, j.Blueprint, j.State, j.Status, j.UpdatedAt})
	}
	return rows, nil
}
