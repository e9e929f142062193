package cli

import (
	"fmt"

	"orrery/api/bench"
)

// This file is `orrery bench`.

type benchCmd struct {
	Shape   string `enum:"echo,lone" default:"echo" help:"echo: many jobs at once; lone: one after another."`
	Jobs    int    `help:"Jobs a round (default: 4000 for echo, 300 for lone)." placeholder:"N"`
	Rounds  int    `default:"5" help:"Rounds of each server; they alternate."`
	Clients int    `default:"32" help:"Requests to create jobs at once."`
	Workers int    `default:"16" help:"Workers polling."`
	Format  string `enum:"text,json" default:"text" help:"How to print: text or json."`
	Bare    string `hidden:"" help:"Serve the bare limit on this address."`
}

func (benchCmd) Help() string {
	return `Starts the real server as its own process on SQLite with full durability, and beside it a
bare server with the same routes and nothing behind them: the limit of this machine. One job
is three requests: create, poll, result. Quote the ratio: the figures depend on the machine.

Examples:
  orrery bench
  orrery bench --shape lone --format json`
}

// Run measures and prints.
func (c *benchCmd) Run(p *program) error {
	if c.Bare != "" {
		return bench.ServeBare(c.Bare)
	}
	for name, n := range map[string]int{"--jobs": c.Jobs, "--rounds": c.Rounds, "--clients": c.Clients, "--workers": c.Workers} {
		if n < 0 {
			return usagef("%s %d: give a number above 0", name, n)
		}
	}
	report, err := bench.Run(p.ctx, bench.Options{Shape: c.Shape, Jobs: c.Jobs, Rounds: c.Rounds, Clients: c.Clients, Workers: c.Workers}, p.stderr)
	if err != nil {
		return fmt.Errorf("the measurement was given up: %w", err)
	}
	if c.Format == "json" {
		return report.JSON(p.stdout)
	}
	return report.Text(p.stdout)
}
