package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"orrery/cli/config"
	"orrery/cli/doctor"
	"orrery/engine/store"
)

// This file is `orrery doctor`.

type doctorCmd struct {
	serveFlags
	Format string `enum:"text,json" default:"text" help:"How to print: text or json."`
	Quiet  bool   `short:"q" help:"Print only what is not in order."`
}

func (doctorCmd) Help() string {
	return `Looks at what a server with these settings would meet, running or not: configuration, machine, blueprints,
store, other nodes, files, databases, port. Nothing is changed. Exit code 1 when something is bad;
warnings alone are 0.

Examples:
  orrery doctor
  orrery doctor --store-url sqlite:/var/lib/orrery/orrery.db --format json
  STORE_URL=postgres://orrery@db/orrery orrery doctor --quiet`
}

// Run examines and prints.
func (c *doctorCmd) Run(p *program) error {
	s := &doctor.Subject{Environ: os.Environ(), Now: time.Now()}
	s.Config, s.Fault = config.Load(config.Source{Flags: c.flags(), File: c.Config})
	if s.Config != nil {
		s.Store = func(ctx context.Context) []store.Finding { return inspect(ctx, s.Config.Store) }
		s.Nodes = runningNodes(s.Config.Store)
	}
	all := doctor.Examine(p.ctx, s)
	var err error
	if c.Format == "json" {
		err = printJSON(p.stdout, map[string]any{"verdict": doctor.Worst(all), "findings": all})
	} else {
		err = c.print(p.stdout, all)
	}
	if err == nil && doctor.Worst(all) == store.BadVerdict {
		return &failure{}
	}
	return err
}

// print lists findings under their areas, and counts them.
func (c *doctorCmd) print(w io.Writer, all []doctor.Finding) error {
	var b strings.Builder
	numbers, area := map[store.Verdict]int{}, ""
	for _, f := range all {
		numbers[f.Verdict]++
		if c.Quiet && f.Verdict == store.FineVerdict {
			continue
		}
		if f.Area != area {
			area = f.Area
			fmt.Fprintln(&b, area)
		}
		fmt.Fprintf(&b, "  %-4s  %s: %s\n", f.Verdict, f.Check, f.Saw)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "        -> %s\n", f.Remedy)
		}
	}
	fmt.Fprintf(&b, "%d in order, %s, %d bad\n", numbers[store.FineVerdict], count(numbers[store.WarnVerdict], "warning"), numbers[store.BadVerdict])
	_, err := io.WriteString(w, b.String())
	return err
}

// runningNodes reads the leases of nodes; nil when the store belongs to one process.
func runningNodes(u config.StoreURL) func(ctx context.Context) ([]store.Lease, error) {
	if u.Kind == config.StoreSQLite || u.Kind == config.StoreMemory {
		return nil
	}
	return func(ctx context.Context) (held []store.Lease, err error) {
		schema, err := schemaOf(ctx, u)
		if err != nil || schema.Have != schema.Want {
			return nil, err // there is none on a store that is still to be made or raised
		}
		s, err := openStore(ctx, u, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		leases, ok := s.(store.Leases)
		if !ok {
			return nil, fmt.Errorf("%s keeps no leases", u)
		}
		return leases.Held(ctx, "node/")
	}
}
