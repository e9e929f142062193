package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// This file is `orrery blueprints`: what there is, in which revisions, and what differs.

type blueprintsCmd struct {
	List     blueprintsListCmd     `cmd:"" help:"List the blueprints that new jobs can be started from."`
	Show     blueprintsShowCmd     `cmd:"" help:"Show a blueprint's states and transitions."`
	Versions blueprintsVersionsCmd `cmd:"" help:"List the kept revisions of a blueprint."`
	Diff     blueprintsDiffCmd     `cmd:"" help:"Say what differs between two revisions."`
	Upload   blueprintsUploadCmd   `cmd:"" help:"Put files into force on the server (administrators)."`
	Uploads  blueprintsUploadsCmd  `cmd:"" help:"List uploaded files."`
	Remove   blueprintsRemoveCmd   `cmd:"" help:"Take an uploaded file out of force (administrators)."`
	Reload   blueprintsReloadCmd   `cmd:"" help:"Have the server read its blueprint folder now."`
}

func (blueprintsCmd) Help() string { return "Example:\n  orrery blueprints diff orders" }

func blueprintPath(name, rest string) string {
	return "/api/v1/blueprints/" + url.PathEscape(name) + rest
}

type blueprintsListCmd struct{ remote }

func (blueprintsListCmd) Help() string {
	return "Example:\n  orrery blueprints list --format json"
}

// Run lists them, and says on stderr when the server refused the present files.
func (c *blueprintsListCmd) Run(p *program) error {
	var list []blueprintView
	shown, err := c.show(p, "/api/v1/blueprints", &list)
	if err != nil {
		return err
	}
	if !shown {
		rows := [][]string{{"NAME", "ENDPOINT", "REVISION", "FILE", "DESCRIPTION"}}
		for _, b := range list {
			rows = append(rows, []string{b.Name, b.path(), short(b.Revision), b.File, b.Description})
		}
		if err := printTable(p.stdout, rows); err != nil {
			return err
		}
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	var status struct {
		Blueprints struct {
			Faults []string `json:"faults"`
		} `json:"blueprints"`
	}
	if err := cl.get(p.ctx, "/_public/status", &status); err != nil || len(status.Blueprints.Faults) == 0 {
		return err
	}
	_, err = fmt.Fprintf(p.stderr, "The files have errors; what was in force before stays:\n  %s\n", strings.Join(status.Blueprints.Faults, "\n  "))
	return err
}

// short is as much of a revision as people need.
func short(revision string) string { return revision[:min(12, len(revision))] }

type blueprintsShowCmd struct {
	remote
	Name     string `arg:"" help:"The blueprint's name."`
	Revision string `help:"Another revision than the one in force: the beginning of its hash, or previous." placeholder:"REV"`
	Source   bool   `help:"Print the text instead."`
}

func (blueprintsShowCmd) Help() string {
	return "Example:\n  orrery blueprints show orders --revision previous --source"
}

// Run shows states and transitions, or the text.
func (c *blueprintsShowCmd) Run(p *program) error {
	query := ""
	if c.Revision != "" {
		query = "?revision=" + url.QueryEscape(c.Revision)
	}
	if c.Source {
		return c.source(p, query)
	}
	var b struct {
		blueprintView
		States []struct {
			Name, Kind, Status, File string
			Line                     int
		} `json:"states"`
		Transitions []struct{ From, To, Label, Kind, Condition string } `json:"transitions"`
	}
	if shown, err := c.show(p, blueprintPath(c.Name, query), &b); shown || err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s  revision %s  %s\n", b.Name, short(b.Revision), b.File)
	if b.Description != "" {
		fmt.Fprintln(p.stdout, b.Description)
	}
	fmt.Fprintln(p.stdout)
	rows := [][]string{{"STATE", "KIND", "ENDS", "AT"}}
	for _, s := range b.States {
		rows = append(rows, []string{s.Name, s.Kind, s.Status, fmt.Sprintf("%s:%d", s.File, s.Line)})
	}
	if err := printTable(p.stdout, rows); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	rows = [][]string{{"FROM", "TO", "KEY", "KIND", "CONDITION"}}
	for _, e := range b.Transitions {
		rows = append(rows, []string{e.From, e.To, e.Label, e.Kind, e.Condition})
	}
	return printTable(p.stdout, rows)
}

func (c *blueprintsShowCmd) source(p *program, query string) error {
	var s struct {
		Main  string            `json:"main"`
		Files map[string]string `json:"files"`
	}
	if shown, err := c.show(p, blueprintPath(c.Name, "/source"+query), &s); shown || err != nil {
		return err
	}
	for _, name := range sortedKeys(s.Files) {
		if len(s.Files) > 1 {
			fmt.Fprintf(p.stdout, "# ==== %s\n", name)
		}
		if _, err := fmt.Fprint(p.stdout, s.Files[name]); err != nil {
			return err
		}
	}
	return nil
}

type blueprintsVersionsCmd struct {
	remote
	Name string `arg:"" help:"The blueprint's name."`
}

func (blueprintsVersionsCmd) Help() string { return "Example:\n  orrery blueprints versions orders" }

// Run lists the revisions, newest first.
func (c *blueprintsVersionsCmd) Run(p *program) error {
	var list []struct {
		Revision string    `json:"revision"`
		File     string    `json:"file"`
		InForce  bool      `json:"in_force"`
		Since    time.Time `json:"since"`
		LiveJobs int       `json:"live_jobs"`
	}
	if shown, err := c.show(p, blueprintPath(c.Name, "/versions"), &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"REVISION", "SINCE", "LIVE JOBS", "FILE", ""}}
	for _, v := range list {
		since, mark := "", ""
		if !v.Since.IsZero() {
			since = v.Since.Format(time.RFC3339)
		}
		if v.InForce {
			mark = "in force"
		}
		rows = append(rows, []string{short(v.Revision), since, fmt.Sprint(v.LiveJobs), v.File, mark})
	}
	return printTable(p.stdout, rows)
}

type blueprintsDiffCmd struct {
	remote
	Name string `arg:"" help:"The blueprint's name."`
	From string `arg:"" optional:"" default:"previous" help:"Revision: the beginning of its hash, previous or latest."`
	To   string `arg:"" optional:"" default:"latest" help:"Revision to compare with."`
}

func (blueprintsDiffCmd) Help() string {
	return "Example:\n  orrery blueprints diff orders\n  orrery blueprints diff orders 3f2a9c latest"
}

// differing are names on one side or on both.
type differing struct{ Added, Removed, Changed []string }

// Run says what differs in the graph, in the handlers and in the text.
func (c *blueprintsDiffCmd) Run(p *program) error {
	var d struct {
		From, To                             string
		States, Transitions, Handlers, Files differing
		Functions                            []string
		Text                                 string
	}
	query := url.Values{"from": {c.From}, "to": {c.To}}.Encode()
	if shown, err := c.show(p, blueprintPath(c.Name, "/diff?"+query), &d); shown || err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s  %s -> %s\n", c.Name, short(d.From), short(d.To))
	if d.From == d.To {
		_, err := fmt.Fprintln(p.stdout, "nothing differs")
		return err
	}
	for _, part := range []struct {
		title string
		list  differing
	}{{"states", d.States}, {"transitions", d.Transitions}, {"handlers", d.Handlers}, {"other functions", differing{Changed: d.Functions}}, {"files", d.Files}} {
		if len(part.list.Added)+len(part.list.Removed)+len(part.list.Changed) == 0 {
			continue
		}
		fmt.Fprintf(p.stdout, "\n%s\n", part.title)
		for _, side := range []struct {
			mark  string
			names []string
		}{{"+", part.list.Added}, {"-", part.list.Removed}, {"~", part.list.Changed}} {
			for _, name := range side.names {
				fmt.Fprintf(p.stdout, "  %s %s\n", side.mark, name)
			}
		}
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s", d.Text)
	return err
}

// uploadReply is the answer to what changes blueprints.
type uploadReply struct {
	Status     string `json:"status"`
	Blueprints []struct{ Name, File, Change, Revision string }
	Findings   []struct {
		Rule, Severity, File, Message string
		Line, Col                     int
	}
}

// told prints it.
func (r remote) told(p *program, raw json.RawMessage, path string) error {
	if r.Format == "json" {
		_, err := fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	var u uploadReply
	if err := decodeReply(raw, path, &u); err != nil {
		return err
	}
	for _, f := range u.Findings {
		fmt.Fprintf(p.stderr, "%s:%d:%d: %s: %s [%s]\n", f.File, f.Line, f.Col, f.Severity, f.Message, f.Rule)
	}
	rows := [][]string{}
	for _, b := range u.Blueprints {
		rows = append(rows, []string{b.Change, b.Name, short(b.Revision), b.File})
	}
	if err := printTable(p.stdout, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, map[string]string{"checked": "checked; nothing was changed", "in_force": "in force"}[u.Status])
	return err
}
