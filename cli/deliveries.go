package cli

import "fmt"

// This file is `orrery deliveries`.

type deliveriesCmd struct {
	List  deliveriesListCmd  `cmd:"" help:"List what could not be delivered to the outside and is not tried any more."`
	Retry deliveriesRetryCmd `cmd:"" help:"Try again what was given up of a job."`
}

func (deliveriesCmd) Help() string {
	return "Webhooks to clients, and requests to people, that failed too often or for good. Those that are still\n" +
		"tried are shown by `orrery jobs why`.\n\nExamples:\n  orrery deliveries list\n  orrery deliveries retry 0199a1b2-..."
}

type deliveriesListCmd struct{ remote }

func (deliveriesListCmd) Help() string { return "Example:\n  orrery deliveries list --format json" }

// Run lists them all, page by page.
func (c *deliveriesListCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	type delivery struct {
		ID       string `json:"id"`
		JobID    string `json:"job_id"`
		Kind     string `json:"kind"`
		To       string `json:"to"`
		Attempts int    `json:"attempts"`
		Error    string `json:"error"`
		GivenUp  string `json:"given_up_at"`
	}
	const path = "/api/v1/deliveries"
	all, err := cl.pages(p.ctx, path)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return printJSON(p.stdout, all)
	}
	rows := [][]string{{"JOB", "WHAT", "TO", "GIVEN UP", "TRIES", "LAST ERROR"}}
	for _, one := range all {
		var d delivery
		if err := decodeReply(one, path, &d); err != nil {
			return err
		}
		rows = append(rows, []string{d.JobID, d.Kind, d.To, d.GivenUp, fmt.Sprint(d.Attempts), d.Error})
	}
	return printTable(p.stdout, rows)
}

type deliveriesRetryCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (deliveriesRetryCmd) Help() string { return "Example:\n  orrery deliveries retry 0199a1b2-..." }

// Run has them tried at once.
func (c *deliveriesRetryCmd) Run(p *program) error {
	return c.ask(p, c.ID, "/redeliver", nil)
}
