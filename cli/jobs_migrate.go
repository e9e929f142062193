package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// This file is `orrery jobs migrate`.

type jobsMigrateCmd struct {
	remote
	ID        string `arg:"" optional:"" help:"The job's id."`
	Blueprint string `help:"All waiting jobs of a blueprint that are on an older revision." placeholder:"NAME"`
	DryRun    bool   `help:"Only say what would happen to each."`
	Partly    bool   `help:"With --blueprint: move those that fit although others do not."`
}

func (jobsMigrateCmd) Help() string {
	return "A job that waits is moved to the newest revision of its blueprint when that has the state where it stands and all states that the wait can lead to; else it stays as it is. Without --partly no job of a blueprint is moved when one does not fit.\n\n" +
		"Example:\n  orrery jobs migrate 0199a1b2-... --dry-run\n  orrery jobs migrate --blueprint orders"
}

// moveView is what became of one job.
type moveView struct {
	JobID   string `json:"job_id"`
	State   string `json:"state"`
	Status  string `json:"status"`
	From    string `json:"from"`
	To      string `json:"to"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	Missing []struct {
		State string `json:"state"`
		Why   string `json:"why"`
	} `json:"missing,omitempty"`
}

// stays reports whether the job can not move now.
func (m moveView) stays() bool { return m.Outcome == "mismatch" || m.Outcome == "busy" }

// Run moves one job, or those of a blueprint.
func (c *jobsMigrateCmd) Run(p *program) error {
	if (c.ID == "") == (c.Blueprint == "") {
		return usagef("name a job, or a blueprint with --blueprint: orrery jobs migrate 0199a1b2-...")
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	if c.ID != "" {
		return c.one(p, cl)
	}
	moves, err := c.all(p, cl, true)
	if err != nil {
		return err
	}
	staying := 0
	for _, m := range moves {
		if m.stays() {
			staying++
		}
	}
	if c.DryRun || staying > 0 && !c.Partly {
		if err := c.print(p, moves); err != nil {
			return err
		}
		if staying > 0 {
			return &failure{line: fmt.Sprintf("%d of %s can not be moved; nothing was changed", staying, count(len(moves), "job"))}
		}
		return nil
	}
	if moves, err = c.all(p, cl, false); err != nil {
		return err
	}
	if err := c.print(p, moves); err != nil {
		return err
	}
	for _, m := range moves {
		if m.stays() {
			return &failure{line: "some jobs stay on their revision"}
		}
	}
	return nil
}

func (c *jobsMigrateCmd) one(p *program, cl *client) error {
	raw, err := json.Marshal(map[string]bool{"dry_run": c.DryRun})
	if err != nil {
		return err
	}
	path := jobPath(c.ID, "/migrate")
	reply, _, err := cl.call(p.ctx, http.MethodPost, path, raw)
	if err != nil {
		return err
	}
	var m moveView
	if err := decodeReply(reply, path, &m); err != nil {
		return err
	}
	if err := c.print(p, []moveView{m}); err != nil {
		return err
	}
	if m.stays() {
		return &failure{line: "the job can not be moved: " + m.Reason}
	}
	return nil
}

// all goes through the pages of a blueprint's jobs.
func (c *jobsMigrateCmd) all(p *program, cl *client, dry bool) ([]moveView, error) {
	moves, cursor := []moveView{}, ""
	for {
		raw, err := json.Marshal(map[string]any{"dry_run": dry, "cursor": cursor, "limit": 200})
		if err != nil {
			return nil, err
		}
		path := blueprintPath(c.Blueprint, "/migrate")
		reply, _, err := cl.call(p.ctx, http.MethodPost, path, raw)
		if err != nil {
			return nil, err
		}
		var page struct {
			Jobs   []moveView `json:"jobs"`
			Cursor string     `json:"cursor"`
		}
		if err := decodeReply(reply, path, &page); err != nil {
			return nil, err
		}
		moves = append(moves, page.Jobs...)
		if cursor = page.Cursor; cursor == "" {
			return moves, nil
		}
	}
}

func (c *jobsMigrateCmd) print(p *program, moves []moveView) error {
	if c.Format == "json" {
		if c.ID != "" {
			return printJSON(p.stdout, moves[0])
		}
		return printJSON(p.stdout, moves)
	}
	if len(moves) == 0 {
		_, err := fmt.Fprintln(p.stdout, "every job runs on the newest revision")
		return err
	}
	rows := [][]string{{"JOB", "STATE", "STATUS", "FROM", "TO", "OUTCOME", "REASON"}}
	for _, m := range moves {
		rows = append(rows, []string{m.JobID, m.State, m.Status, short(m.From), short(m.To), m.Outcome, m.Reason})
	}
	return printTable(p.stdout, rows)
}
