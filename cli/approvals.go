package cli

import (
	"strings"
)

// This file is `orrery approvals`.

type approvalsCmd struct {
	List    approvalsListCmd    `cmd:"" help:"List the decisions that jobs wait for."`
	Approve approvalsApproveCmd `cmd:"" help:"Decide for a job that waits."`
}

func (approvalsCmd) Help() string {
	return "Examples:\n  orrery approvals list\n  orrery approvals approve 0199a1b2-... approved"
}

type approvalsListCmd struct{ remote }

func (approvalsListCmd) Help() string { return "Example:\n  orrery approvals list" }

// Run lists who waits, what for, and what can be answered.
func (c *approvalsListCmd) Run(p *program) error {
	var list []struct {
		JobID     string   `json:"job_id"`
		Blueprint string   `json:"blueprint_name"`
		State     string   `json:"state"`
		Message   string   `json:"message"`
		Decisions []string `json:"decisions"`
		Link      string   `json:"link"`
	}
	if shown, err := c.show(p, "/api/v1/approvals", &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"JOB", "BLUEPRINT", "STATE", "DECISIONS", "MESSAGE", "ONE-TIME LINK"}}
	for _, a := range list {
		link := a.Link
		if link != "" { // the server names the path only: it can not know by which address it is reached
			link = strings.TrimRight(c.URL, "/") + link
		}
		rows = append(rows, []string{a.JobID, a.Blueprint, a.State, strings.Join(a.Decisions, "|"), strings.ReplaceAll(a.Message, "\n", " "), link})
	}
	return printTable(p.stdout, rows)
}

type approvalsApproveCmd struct {
	remote
	ID       string `arg:"" help:"The job's id."`
	Decision string `arg:"" help:"One of the decisions that the job offers, for example approved."`
}

func (approvalsApproveCmd) Help() string {
	return "Examples:\n  orrery approvals approve 0199a1b2-... approved\n  orrery approvals approve 0199a1b2-... rejected"
}

// Run takes the decision.
func (c *approvalsApproveCmd) Run(p *program) error {
	return c.ask(p, c.ID, "/approve", map[string]string{"decision": c.Decision})
}
