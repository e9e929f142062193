package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"orrery/cli/config"
	"orrery/engine/blueprint"
)

// This file is `orrery dev`.

type devCmd struct {
	Dir         string `arg:"" optional:"" default:"." help:"Folder of blueprints."`
	Listen      string `help:"host:port to listen on (default 127.0.0.1:8080)." placeholder:"ADDR"`
	NoEmulation bool   `help:"Let tasks wait for real workers."`
}

func (devCmd) Help() string {
	return `One process with everything: the server on 127.0.0.1:8080, the store under .orrery/, every blueprint
of DIR, loaded again when a file changes, and emulated workers for task types that no real worker has
served yet.

Examples:
  orrery dev examples
  orrery dev blueprints --listen 127.0.0.1:9000 --no-emulation`
}

// Run serves until a signal comes.
func (c *devCmd) Run(p *program) error {
	flags := map[string]string{"BLUEPRINTS_DIR": c.Dir}
	if c.Listen != "" {
		flags["LISTEN"] = c.Listen
	}
	cfg, err := config.Load(config.Source{Flags: flags, Defaults: map[string]string{
		"CLIENT_TOKEN": config.DefaultClientToken, "GLOBAL_WORKER_TOKEN": config.DefaultWorkerToken,
		"OUTGOING_ALLOW": "127.0.0.0/8,::1", // whoever tries a webhook receives it on this machine
	}})
	if err != nil {
		return &failure{line: "orrery dev can not start with this configuration", detail: err.Error()}
	}
	log := newLog(p.stderr, cfg)
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	s, err := wire(p.ctx, cfg, log, wiring{dev: true, emulate: !c.NoEmulation, people: p.stdout})
	if err != nil {
		return err
	}
	c.greet(p, s)
	return s.run(p.ctx)
}

// greet prints what to open and one line that starts a job as it stands.
func (c *devCmd) greet(p *program, s *server) {
	list := s.catalog.All()
	fmt.Fprintf(p.stdout, "Orrery runs %s of %s: %s\n", count(len(list), "blueprint"), c.Dir, s.baseURL())
	if s.emulator != nil {
		fmt.Fprintln(p.stdout, "Tasks are answered by emulated workers until a real one comes; their results are marked.")
	}
	if bp := showcase(list); bp != nil {
		fmt.Fprintf(p.stdout, "\nStart a job:\n\n  %s\n\n", curlLine(s.baseURL(), s.cfg.ClientToken.Reveal(), bp))
	}
	fmt.Fprintln(p.stdout, "Ctrl-C stops it.")
}

// showcase picks the blueprint of the curl line: the first with an endpoint in the order of
// files, rather one that comes with example data.
func showcase(list []*blueprint.Blueprint) *blueprint.Blueprint {
	byFile := slices.SortedStableFunc(slices.Values(list), func(a, b *blueprint.Blueprint) int { return cmp.Compare(a.File, b.File) })
	var best *blueprint.Blueprint
	for _, bp := range byFile {
		switch {
		case bp.Endpoint == "":
		case best == nil, len(best.Example) == 0 && len(bp.Example) > 0:
			best = bp
		}
	}
	return best
}

// curlLine starts a job of the blueprint with its example data, quoted for a POSIX shell.
func curlLine(base, token string, bp *blueprint.Blueprint) string {
	data := bp.Example
	if len(data) == 0 {
		data = json.RawMessage(`{}`)
	}
	body := `{"initial_data": ` + string(data) + `}`
	return fmt.Sprintf("curl -sS -X POST %s -H %s -H 'Content-Type: application/json' -d %s",
		base+endpointPath(bp.Version, bp.Endpoint), shellQuote("X-Client-Token: "+cmp.Or(token, "TOKEN")), shellQuote(body))
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
