package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// This file is what people ask of a job: `orrery jobs cancel`, `retry` and `close`.

type jobsCancelCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (jobsCancelCmd) Help() string { return "Example:\n  orrery jobs cancel 0199a1b2-..." }

// Run asks for the cancel; a worker that has a task of the job is told to stop first.
func (c *jobsCancelCmd) Run(p *program) error {
	return c.ask(p, c.ID, "/cancel", nil)
}

type jobsRetryCmd struct {
	remote
	ID       string `arg:"" help:"The job's id."`
	Data     string `help:"Object that is merged into state_history first: JSON or @FILE." placeholder:"JSON"`
	Revision string `enum:"same,latest" default:"same" help:"Blueprint revision to go on with: same or latest."`
}

func (jobsRetryCmd) Help() string {
	return "Example:\n  orrery jobs retry 0199a1b2-... --revision latest --data '{\"limit\": 5}'"
}

// Run opens the job again in the state in which it failed.
func (c *jobsRetryCmd) Run(p *program) error {
	data, err := dataArgument("--data", c.Data)
	if err != nil {
		return err
	}
	return c.ask(p, c.ID, "/retry", struct {
		Data     json.RawMessage `json:"data,omitempty"`
		Revision string          `json:"revision"`
	}{data, c.Revision})
}

type jobsCloseCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (jobsCloseCmd) Help() string { return "Example:\n  orrery jobs close 0199a1b2-..." }

// Run closes the job; afterwards it can not be retried.
func (c *jobsCloseCmd) Run(p *program) error {
	return c.ask(p, c.ID, "/close", nil)
}

// ask posts to a job's resource and prints the answer. body nil sends an empty object.
func (r remote) ask(p *program, id, action string, body any) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	raw := []byte(`{}`)
	if body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	path := jobPath(id, action)
	reply, _, err := cl.call(p.ctx, http.MethodPost, path, raw)
	if err != nil {
		return err
	}
	if r.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(reply))
		return err
	}
	var answer struct {
		Status string `json:"status"`
	}
	if err := decodeReply(reply, path, &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, answer.Status)
	return err
}
