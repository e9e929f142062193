package cli

import (
	"fmt"
	"slices"
	"strings"

	"orrery/api/bench"
	"orrery/cli/config"
)

// This file is `orrery bench`.

type benchCmd struct {
	Shape   string `default:"echo" help:"Kind of load; see below."`
	Jobs    int    `help:"Jobs a round (default: what suits the shape)." placeholder:"N"`
	Rounds  int    `help:"Rounds of each server; they alternate (default: 5)." placeholder:"N"`
	Clients int    `help:"Requests to create jobs at once (default: 32)." placeholder:"N"`
	Workers int    `help:"Workers polling (default: 16)." placeholder:"N"`
	Load    string `enum:"std,lean" default:"std" help:"How the load speaks HTTP: std is net/http, lean leaves more of the processor to the server."`
	Store   string `help:"Measure on this store too, which must be empty (what STORE_URL takes); its jobs stay there." placeholder:"URL"`
	URL     string `name:"url" help:"Measure this running server, which has the shape's blueprint; without a limit beside it." placeholder:"URL"`
	Token   string `env:"ORRERY_TOKEN" help:"Client token of --url." placeholder:"TOKEN"`
	Worker  string `name:"worker-token" env:"WORKER_TOKEN" help:"Worker token of --url." placeholder:"TOKEN"`
	Source  bool   `name:"print-blueprint" help:"Print the shape's blueprint, for the server of --url, and end."`
	Format  string `enum:"text,json" default:"text" help:"How to print: text or json."`
	Bare    string `hidden:"" help:"Serve the bare limit on this address."`
}

func (benchCmd) Help() string {
	names, about := bench.Shapes()
	var list strings.Builder
	for _, name := range names {
		fmt.Fprintf(&list, "  %-9s %s\n", name, about[name])
	}
	return `Starts the real server as its own process on SQLite with full durability, and beside it a
bare server with the same routes and nothing behind them: the limit of this machine. One job
is three requests: create, poll, result. Quote the ratio: the figures depend on the machine.
With --store a second real server, on that store, takes turns with the one on SQLite.

Shapes:
` + list.String() + `
Examples:
  orrery bench
  orrery bench --shape lone --format json
  orrery bench --store postgres://orrery:secret@db/orrery?search_path=bench
  orrery bench --print-blueprint >blueprints/bench.star
  orrery bench --url http://127.0.0.1:8080 --token client-token --worker-token worker-token`
}

// Run measures and prints.
func (c *benchCmd) Run(p *program) error {
	if c.Bare != "" {
		return bench.ServeBare(c.Bare)
	}
	if names, _ := bench.Shapes(); !slices.Contains(names, c.Shape) {
		return usagef("--shape %s: choose one of %s", c.Shape, strings.Join(names, ", "))
	}
	for name, n := range map[string]int{"--jobs": c.Jobs, "--rounds": c.Rounds, "--clients": c.Clients, "--workers": c.Workers} {
		if n < 0 {
			return usagef("%s %d: give a number above 0", name, n)
		}
	}
	if c.Source {
		text, err := bench.Blueprint(c.Shape)
		fmt.Fprint(p.stdout, text)
		return err
	}
	name := ""
	if c.Store != "" {
		if c.URL != "" || c.Shape == "aged" {
			return usagef("--store does not go with --url, nor with --shape aged, which writes a SQLite file")
		}
		u, err := config.ParseStoreURL(c.Store)
		if err != nil {
			return usagef("--store %v", err)
		}
		name = u.String()
	}
	report, err := bench.Run(p.ctx, bench.Options{
		Store: c.Store, StoreName: name,
		Shape: c.Shape, Jobs: c.Jobs, Rounds: c.Rounds, Clients: c.Clients, Workers: c.Workers, Load: c.Load,
		URL: c.URL, ClientToken: c.Token, WorkerToken: c.Worker,
	}, p.stderr)
	if err != nil {
		return fmt.Errorf("the measurement was given up: %w", err)
	}
	if c.Format == "json" {
		return report.JSON(p.stdout)
	}
	return report.Text(p.stdout)
}
