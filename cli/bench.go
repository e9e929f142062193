package cli

import (
	"errors"
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
	Nodes   []int  `help:"Measure so many nodes on --store, a Redis or PostgreSQL, in places of their own that are removed afterwards." placeholder:"N,..."`
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
With --nodes besides, so many servers share that store, one after the other; clients and
workers are spread over them. Beside SQLite and the bare server stands the store's own limit:
the same rows in as many commits, with nothing of Orrery before them.

Shapes:
` + list.String() + `
Examples:
  orrery bench
  orrery bench --shape lone --format json
  orrery bench --store postgres://orrery:secret@db/orrery?search_path=bench
  orrery bench --store redis://127.0.0.1:6379 --nodes 1,2,3
  orrery bench --store redis://127.0.0.1:6379 --nodes 1,2 --shape wake --format json
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
	if len(c.Nodes) > 0 {
		return c.overNodes(p)
	}
	if c.Shape == "wake" {
		return usagef("--shape wake measures the way of a task from node to node: give --store and --nodes, such as 1,2")
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

// mostNodes is more than a measurement on one machine can mean anything for.
const mostNodes = 16

// overNodes measures several servers on one store.
func (c *benchCmd) overNodes(p *program) error {
	if !slices.Contains(bench.NodeShapes(), c.Shape) {
		return usagef("--nodes goes with --shape %s, not with %s", strings.Join(bench.NodeShapes(), ", "), c.Shape)
	}
	for _, n := range c.Nodes {
		if n < 1 || n > mostNodes {
			return usagef("--nodes %d: give numbers from 1 to %d, with commas between, such as 1,2,3", n, mostNodes)
		}
	}
	if c.URL != "" || c.Store == "" {
		return usagef("--nodes needs --store with a Redis or a PostgreSQL that several servers can share, and no --url")
	}
	u, err := config.ParseStoreURL(c.Store)
	if err != nil {
		return usagef("--store %v", err)
	}
	if u.Kind != config.StoreRedis && u.Kind != config.StorePostgres {
		return usagef("--store %s: only one server can use it; --nodes needs a Redis or a PostgreSQL", u)
	}
	server, err := openYardstick(p.ctx, u)
	if err != nil {
		return fmt.Errorf("look at the store: %w", err)
	}
	report, err := bench.RunNodes(p.ctx, bench.Options{
		Nodes: c.Nodes, Server: server, StoreName: u.String(),
		Shape: c.Shape, Jobs: c.Jobs, Rounds: c.Rounds, Clients: c.Clients, Workers: c.Workers, Load: c.Load,
	}, p.stderr)
	if err = errors.Join(err, server.Close()); err != nil {
		return fmt.Errorf("the measurement was given up: %w", err)
	}
	if c.Format == "json" {
		return report.JSON(p.stdout)
	}
	return report.Text(p.stdout)
}
