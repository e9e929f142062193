package cli

import (
	"encoding/json"
	"fmt"
	"net/url"

	"orrery/engine/job"
)

// This file is `orrery jobs results`.

type jobsResultsCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
	paging
}

func (jobsResultsCmd) Help() string {
	return "Example:\n  orrery jobs results 0199a1b2-... --limit 10 --format json"
}

// Run prints one page of what the job's branches brought.
func (c *jobsResultsCmd) Run(p *program) error {
	return c.showPage(p, jobPath(c.ID, "/results"), url.Values{}, c.paging, resultRows)
}

// resultRows keeps the server's order.
func resultRows(raw []byte) ([][]string, error) {
	fields, err := job.Fields(raw)
	if err != nil {
		return nil, fmt.Errorf("the results that the server sent: %w", err)
	}
	rows := [][]string{{"TASK", "TYPE", "STATUS", "DATA"}}
	for _, f := range fields {
		var r struct {
			Status string          `json:"status"`
			Type   string          `json:"task_type"`
			Data   json.RawMessage `json:"data"`
		}
		if err := decodeReply(f.Value, "a result", &r); err != nil {
			return nil, err
		}
		rows = append(rows, []string{f.Key, r.Type, r.Status, oneLine(r.Data)})
	}
	return rows, nil
}
