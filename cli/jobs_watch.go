package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"orrery/engine/job"
	"orrery/engine/simulate"
)

// This file is `orrery jobs watch`, and the following that `jobs start --wait` shares.

type jobsWatchCmd struct {
	remote
	ID string `arg:"" help:"The job's id."`
}

func (jobsWatchCmd) Help() string {
	return "Exit code 1 when the job does not finish.\n\nExample:\n  orrery jobs watch 0199a1b2-..."
}

// Run follows the job.
func (c *jobsWatchCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return p.follow(cl, c.ID, c.Format)
}

// follow prints a job's history as it grows, and fails when the job does not finish. As
// JSON it prints the job itself, at its end.
func (p *program) follow(cl *client, id, format string) error {
	err := cl.stream(p.ctx, jobPath(id, "/events"), func(e event) (bool, error) {
		if e.name == "end" {
			return true, nil
		}
		var r job.Record
		if err := json.Unmarshal(e.data, &r); err != nil {
			return false, fmt.Errorf("an event of job %s can not be read: %w", id, err)
		}
		if format == "text" {
			printRecord(p.stdout, id, r)
		}
		return false, nil
	})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &failure{
			line:   fmt.Sprintf("the server at %s ended the stream; the job goes on without it", cl.base),
			detail: "Follow it again: orrery jobs watch " + id,
		}
	}
	if err != nil {
		return err
	}
	raw, _, err := cl.call(p.ctx, http.MethodGet, jobPath(id, ""), nil)
	if err != nil {
		return err
	}
	if format == "json" {
		fmt.Fprintln(p.stdout, indented(raw))
	}
	var j jobView
	if err := decodeReply(raw, jobPath(id, ""), &j); err != nil {
		return err
	}
	if format == "text" {
		fmt.Fprintf(p.stdout, "%s in state %s\nstate_history: %s\n", j.Status, j.State, indented(j.StateHistory))
	}
	return jobVerdict(j)
}

// printRecord writes one history record and what its handler logged.
func printRecord(w io.Writer, id string, r job.Record) {
	at := r.At.Format("15:04:05.000")
	for _, line := range r.Log {
		fmt.Fprintf(w, "%s    [%s] %s\n", at, line.Level, line.Message)
	}
	fmt.Fprintf(w, "%s  %s\n", at, simulate.Describe(id, r))
}

// jobVerdict makes a job that did not finish the command's failure.
func jobVerdict(j jobView) error {
	switch {
	case j.Status == string(job.Finished):
		return nil
	case j.Error != nil:
		return &failure{line: j.Error.Code + ": " + j.Error.Message, detail: j.place()}
	case j.Reason != "":
		return &failure{line: j.Status + ": " + j.Reason}
	}
	return &failure{line: fmt.Sprintf("%s: the job ended in state %s", j.Status, j.State)}
}
