// Package cli is the command line: the only place where Orrery's parts are put together.
//
// There is one file per command; it holds the command's flags and its printing, and no
// logic that another part could own. wire.go joins the parts of a server, client.go speaks
// to a running one.
//
// Exit codes: 0 good, 1 the thing asked about is bad (a failed check, a failed job, a
// server that is not there), 2 wrong usage. Errors go to stderr: one line first, then
// detail.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"orrery/cli/config"
	"orrery/engine"
	"orrery/engine/draw"
	"orrery/starlib/guard"
)

// This file holds the list of commands and the way from arguments to an exit code.

// grammar is every command; kong reads the flags from the tags.
type grammar struct {
	Dev        devCmd        `cmd:"" help:"Start everything in one process, with every example loaded and emulated workers."`
	Serve      serveCmd      `cmd:"" help:"Start the server."`
	Run        runCmd        `cmd:"" help:"Run one job of a blueprint file in this process, without a server."`
	Check      checkCmd      `cmd:"" help:"Find mistakes in blueprint files without running them."`
	Test       testCmd       `cmd:"" help:"Run the tests that stand beside blueprints (*_test.star)."`
	Fmt        fmtCmd        `cmd:"" help:"Give blueprint files their one form, that of buildifier."`
	Docs       docsCmd       `cmd:"" help:"Print the reference: modules, functions, rules."`
	Lsp        lspCmd        `cmd:"" help:"Serve an editor: the Language Server Protocol on standard input and output."`
	Render     renderCmd     `cmd:"" help:"Draw the graph of a blueprint file."`
	Jobs       jobsCmd       `cmd:"" help:"Start, look at and steer jobs of a running server."`
	Approvals  approvalsCmd  `cmd:"" help:"See and take the decisions that jobs wait for."`
	Schedules  schedulesCmd  `cmd:"" help:"See what starts by the clock, and check a file of schedules."`
	Deliveries deliveriesCmd `cmd:"" help:"See and repeat what could not be delivered to the outside."`
	Blueprints blueprintsCmd `cmd:"" help:"See the blueprints of a running server."`
	Dashboard  dashboardCmd  `cmd:"" help:"See the numbers of a running server: jobs, tasks, workers."`
	Stores     storesCmd     `cmd:"" help:"See what the jobs of blueprints share."`
	Store      storeCmd      `cmd:"" help:"Copy, check and raise the place where jobs are kept."`
	Workers    workersCmd    `cmd:"" help:"See the workers of a running server."`
	Doctor     doctorCmd     `cmd:"" help:"Look at what a server would meet here, and say what to mend."`
	Bench      benchCmd      `cmd:"" help:"Measure this machine: jobs a second, beside the limit."`
	Port       portCmd       `cmd:"" help:"Turn Python blueprints into Starlark ones."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// program is what every command works with instead of the process's globals, so that
// tests run commands in-process.
type program struct {
	ctx    context.Context // cancelled by the first SIGINT or SIGTERM
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	limits engine.Limits // of jobs, for commands without a server
	env    func(name string) (string, bool)
}

// exited carries an exit code out of kong's help flags.
type exited int

// Main runs the program with the given arguments (without its name) and gives the exit code.
// It must be called first thing: in a process that was started to lay out one graph it does
// that and does not return.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	draw.ChildMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // after the first signal the next one ends the process at once
	p := &program{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, env: os.LookupEnv}
	return p.main(args)
}

func (p *program) main(args []string) (code int) {
	nothing := len(args) == 0
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exited)
			if !ok {
				panic(r)
			}
			if code = int(e); nothing {
				code = 2
			}
		}
	}()
	parser, err := kong.New(&grammar{},
		kong.Name("orrery"),
		kong.Description("A job orchestrator whose blueprints are Starlark scripts.\n\nStart with: orrery dev examples"),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil { // the grammar itself is wrong: a test runs every --help
		fmt.Fprintln(p.stderr, "orrery:", err)
		return 2
	}
	if nothing { // the list of commands is the best answer, but nothing was asked
		args, parser.Stdout = []string{"--help"}, p.stderr
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return p.wrongUsage(err)
	}
	limits, err := config.EnvLimits(p.env)
	if err != nil {
		return p.report(&failure{line: "the limits in the environment are wrong", detail: err.Error()})
	}
	p.limits = limits.Job
	guard.SetLoad(limits.Job.Loading())
	return p.report(parsed.Run(p))
}

// wrongUsage says what is wrong with the arguments and where the right ones stand.
func (p *program) wrongUsage(err error) int {
	fmt.Fprintf(p.stderr, "orrery: %v\n", err)
	command := "orrery"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			command += " " + node.Path()
		}
	}
	fmt.Fprintf(p.stderr, "See: %s --help\n", command)
	return 2
}

// report prints a command's error and gives its exit code.
func (p *program) report(err error) int {
	if err == nil {
		return 0
	}
	var u *usageError
	if errors.As(err, &u) {
		fmt.Fprintf(p.stderr, "orrery: %s\n", u.text)
		return 2
	}
	var f *failure
	if errors.As(err, &f) {
		if f.line != "" {
			fmt.Fprintln(p.stderr, f.line)
		}
		if f.detail != "" {
			fmt.Fprintln(p.stderr, strings.TrimRight(f.detail, "\n"))
		}
		return 1
	}
	if errors.Is(err, context.Canceled) && p.ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(p.stderr, "orrery: %v\n", err)
	return 1
}

// usageError is a fault in the arguments that kong can not see: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// failure is a bad answer to what was asked: exit code 1. An empty line prints nothing:
// then the command has said it all.
type failure struct{ line, detail string }

func (e *failure) Error() string { return e.line }
