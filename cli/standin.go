package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"orrery/engine/approval"
)

// This file is what `orrery dev` asks people with as long as a script's integration is not
// configured: the question and its one-time link are printed.

// standIn prints questions instead of sending them.
type standIn struct {
	name string
	out  io.Writer
}

var _ approval.Integration = (*standIn)(nil)

// Ask prints the question.
func (s *standIn) Ask(_ context.Context, r approval.Request) (json.RawMessage, error) {
	_, err := fmt.Fprintf(s.out, "\nA person is asked (here, because the integration %q is not configured): %s\n  %s: %s\n",
		s.name, strings.ReplaceAll(r.Message, "\n", " "), strings.Join(r.Decisions, " | "), r.Link)
	return json.RawMessage(`{}`), err
}

// Settle prints the outcome.
func (s *standIn) Settle(_ context.Context, r approval.Request, o approval.Outcome, _ json.RawMessage) error {
	how := o.How
	if o.How == approval.Decided {
		how = o.Decision + ", by " + o.By
	}
	_, err := fmt.Fprintf(s.out, "The question of job %s is settled: %s\n", r.JobID, how)
	return err
}

// standInFor takes the places of integrations that are not configured.
func (o *outside) standInFor(out io.Writer) {
	for name := range approvalSettings {
		if _, there := o.approvals[name]; !there {
			o.approvals[name] = &standIn{name, out}
		}
	}
}
