package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"orrery/engine/job"
	"orrery/engine/simulate"
	"orrery/workers"
	"orrery/workers/emulate"
)

// This file is `orrery run`: one job (or a scenario's) in this process.

type runCmd struct {
	File      string   `arg:"" help:"Blueprint file (.star)."`
	Blueprint string   `help:"Name of the blueprint, when the file has several." placeholder:"NAME"`
	Data      string   `help:"initial_data, an object: JSON or @FILE." placeholder:"JSON"`
	Scenario  string   `help:"File that scripts the worker, people and the client." placeholder:"FILE"`
	Root      string   `help:"Folder that // means in load paths (default: the file's folder)." placeholder:"DIR"`
	Env       []string `help:"Variable that scripts may read with env.get; without a value it is taken from the environment. May be repeated." placeholder:"NAME[=VALUE]" sep:"none"`
	RealTime  bool     `help:"Let waits and retries last as long as they say."`
	Format    string   `enum:"text,json" default:"text" help:"text prints the timeline as it goes, json one object at the end."`

	example json.RawMessage // of the chosen blueprint
}

func (runCmd) Help() string {
	return `Tasks are answered by an emulated worker, unless a scenario scripts the replies. Time is
simulated: waits and retries take none. An approval is asked on the terminal; without one the
first key of its transitions is taken. Exit code 1 when the job did not finish.

Examples:
  orrery run examples/01-linear-pipeline/blueprint.star
  orrery run flow.star --data '{"text": "hello"}' --format json
  orrery run flow.star --scenario failing_worker.json`
}

// Run simulates and prints.
func (c *runCmd) Run(p *program) error {
	opts, note, err := c.options(p)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return c.hint(c.runJSON(p, opts, note), opts)
	}
	if note != "" {
		fmt.Fprintln(p.stdout, note)
	}
	opts.Show = simulate.Printer(p.stdout)
	opts.Ask = p.asker()
	report, err := simulate.Run(p.ctx, *opts)
	if err != nil {
		return err
	}
	if err := printOutcome(p.stdout, report); err != nil {
		return err
	}
	return c.hint(verdict(report), opts)
}

// hint adds the blueprint's example data to the failure of a job that ran without any: that
// none was given is its likeliest cause.
func (c *runCmd) hint(err error, opts *simulate.Options) error {
	var f *failure
	if !errors.As(err, &f) || c.Data != "" || c.Scenario != "" || len(c.example) == 0 {
		return err
	}
	f.detail = strings.TrimLeft(strings.TrimRight(f.detail, "\n")+"\n", "\n") +
		fmt.Sprintf("The job had no data; the blueprint's example is: --data %s", shellQuote(string(c.example)))
	return err
}

// runJSON keeps stdout to the one object, and the first line of stderr to a failed job.
func (c *runCmd) runJSON(p *program, opts *simulate.Options, note string) error {
	report, err := simulate.Run(p.ctx, *opts)
	if err != nil {
		return err
	}
	if err := printJSON(p.stdout, report); err != nil {
		return err
	}
	err = verdict(report)
	var f *failure
	switch {
	case note == "":
	case errors.As(err, &f):
		f.detail = strings.TrimLeft(f.detail+"\n"+note, "\n")
	default:
		fmt.Fprintln(p.stderr, note)
	}
	return err
}

// options gathers what the simulation needs from the flags, the scenario and the files.
// note is a line for the reader, or "".
func (c *runCmd) options(p *program) (opts *simulate.Options, note string, err error) {
	opts = &simulate.Options{Limits: p.limits, RealTime: c.RealTime, Scenario: &simulate.Scenario{}, Fits: workers.Fits, Emulate: emulate.Reply}
	if opts.InitialData, err = dataArgument("--data", c.Data); err != nil {
		return nil, "", err
	}
	if c.Scenario != "" {
		if opts.Scenario, err = simulate.ReadScenario(c.Scenario); err != nil {
			return nil, "", usagef("%v", err)
		}
	}
	if opts.Env, err = p.scriptEnv(c.Env, opts.Scenario.Env); err != nil {
		return nil, "", err
	}
	note, err = c.load(opts)
	return opts, note, err
}

// load reads FILE and the scenario's further files, and chooses the blueprint.
func (c *runCmd) load(opts *simulate.Options) (note string, err error) {
	if info, err := os.Stat(c.File); err != nil || info.IsDir() {
		return "", usagef("%s is no file that can be read; orrery run takes one blueprint file", c.File)
	}
	root := c.Root
	if root == "" {
		root = filepath.Dir(c.File)
	}
	name, err := under(root, c.File)
	if err != nil {
		return "", err
	}
	sources := []simulate.File{{Root: root, Name: name}}
	for _, also := range opts.Scenario.Also {
		if !filepath.IsAbs(also) {
			also = filepath.Join(opts.Scenario.Dir, also)
		}
		if name, err = under(root, also); err != nil { // it stands elsewhere: then it has its own root
			sources = append(sources, simulate.File{Root: filepath.Dir(also), Name: filepath.Base(also)})
			continue
		}
		sources = append(sources, simulate.File{Root: root, Name: name})
	}
	files, err := simulate.LoadFiles(sources...)
	if err != nil {
		return "", &failure{line: fmt.Sprintf("%s can not be run: it has errors", c.File), detail: err.Error()}
	}
	bp, alone, err := files.Choose(c.Blueprint)
	if err != nil {
		return "", usagef("%s: %v", c.File, err)
	}
	if !alone {
		note = fmt.Sprintf("%s has several blueprints; %q is run (--blueprint names another)", c.File, bp.Name)
	}
	opts.Catalog, opts.Blueprint, c.example = files, bp.Name, bp.Example
	opts.Stores = bp.Stores
	return note, nil
}

// scriptEnv gives env.get of scripts: the scenario's values, then what --env allows.
func (p *program) scriptEnv(flags []string, scenario map[string]string) (func(string) (string, bool), error) {
	values := map[string]string{}
	for _, f := range flags {
		name, value, given := strings.Cut(f, "=")
		if name == "" {
			return nil, usagef("--env %q has no name; write NAME or NAME=VALUE", f)
		}
		if !given {
			var ok bool
			if value, ok = p.env(name); !ok {
				continue // scripts then see it as not set, as they would on a server
			}
		}
		values[name] = value
	}
	for name, value := range scenario {
		values[name] = value
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}, nil
}

// asker lets a person on the terminal decide approvals; nil when there is no terminal.
func (p *program) asker() func(simulate.Question) (string, bool) {
	file, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	lines := bufio.NewScanner(file)
	return func(q simulate.Question) (string, bool) { return askDecision(p.stdout, lines, q) }
}

// askDecision asks until the answer is one of the decisions; ok is false at the end of input.
func askDecision(out io.Writer, lines *bufio.Scanner, q simulate.Question) (string, bool) {
	fmt.Fprintf(out, "\nApproval in state %s (%s): %s\n", q.State, q.Integration, q.Message)
	for {
		fmt.Fprintf(out, "Decide (%s): ", strings.Join(q.Decisions, ", "))
		if !lines.Scan() {
			fmt.Fprintln(out)
			return "", false
		}
		if answer := strings.TrimSpace(lines.Text()); slices.Contains(q.Decisions, answer) {
			return answer, true
		}
	}
}

// printOutcome ends the timeline with each job's end and what it left in state_history.
func printOutcome(w io.Writer, r *simulate.Report) error {
	for _, run := range r.Runs {
		status := string(run.Status)
		if run.Stuck != "" {
			status = "stuck (" + status + ")"
		}
		fmt.Fprintf(w, "\n%s: %s in state %s\n", run.Blueprint, status, run.FinalState)
		fmt.Fprintf(w, "state_history: %s\n", indented(run.StateHistory))
	}
	if len(r.Stores) > 0 {
		raw, err := json.Marshal(r.Stores)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "stores: %s\n", indented(raw))
	}
	return nil
}

// verdict makes a job that did not finish the command's failure; the first such job counts.
func verdict(r *simulate.Report) error {
	for _, run := range r.Runs {
		if run.Status == job.Finished {
			continue
		}
		f := &failure{}
		switch {
		case run.Error != nil:
			f.line = run.Error.Code + ": " + run.Error.Message
		case run.Reason != "":
			f.line = fmt.Sprintf("%s: %s", run.Status, run.Reason)
		default:
			f.line = fmt.Sprintf("%s: the job ended in state %s", run.Status, run.FinalState)
		}
		if e := run.Cause; e != nil {
			if e.File != "" {
				f.detail = fmt.Sprintf("%s:%d:%d\n", e.File, e.Line, e.Col)
			}
			f.detail += e.Trace
		}
		return f
	}
	return nil
}
