package cli

import (
	"fmt"
	"log/slog"

	"orrery/cli/config"
)

// This file is `orrery serve`.

type serveCmd struct{ serveFlags }

// serveFlags are the settings that have flags; doctor takes the same.
type serveFlags struct {
	Config string `help:"Settings file (default: orrery.toml, when it is there)." placeholder:"FILE"`
	Listen string `help:"host:port to listen on." placeholder:"ADDR"`
	Strict bool   `help:"Refuse to start with a bad blueprint."`

	BlueprintsDir       *string `help:"Folder of the blueprints." placeholder:"DIR"`
	BlueprintEnv        *string `help:"Variables that scripts may read, with commas." placeholder:"NAMES"`
	StoreURL            *string `name:"store-url" help:"Where jobs are kept: sqlite:PATH, postgres://..., redis://... or memory:." placeholder:"URL"`
	NodeURL             *string `name:"node-url" help:"Where the other nodes of a shared store reach this one." placeholder:"URL"`
	ClientsConfigPath   *string `help:"File of the clients." placeholder:"FILE"`
	WorkersConfigPath   *string `help:"File of the workers' own tokens." placeholder:"FILE"`
	SchedulesConfigPath *string `help:"File of the schedules." placeholder:"FILE"`
	WorkerTTLSeconds    *string `name:"worker-ttl-seconds" help:"How long a silent worker counts as alive." placeholder:"S"`
	WorkerTimeout       *string `name:"worker-timeout-seconds" help:"How long an attempt of a task may take." placeholder:"S"`
	CancelGraceSeconds  *string `help:"How long a worker may take to stop." placeholder:"S"`
	JobMaxRetries       *string `help:"Tries of a task after the first." placeholder:"N"`
	TLSCertPath         *string `name:"tls-cert-path" help:"Certificate; with it the server speaks HTTPS." placeholder:"FILE"`
	TLSKeyPath          *string `name:"tls-key-path" help:"Private key of the certificate." placeholder:"FILE"`
	LogLevel            *string `help:"DEBUG, INFO, WARNING or ERROR." placeholder:"LEVEL"`
	LogFormat           *string `help:"text or json." placeholder:"FORMAT"`
}

func (serveCmd) Help() string {
	return `Settings come from flags, over the environment, over orrery.toml, over defaults. Every setting has
an environment variable (API_HOST, API_PORT, CLIENT_TOKEN, GLOBAL_WORKER_TOKEN, ...).

Servers on one PostgreSQL or Redis share its jobs. Each is a node: INSTANCE_ID is its name in logs, and
NODE_URL the address by which the others reach it (by default the one it listens on).

Examples:
  orrery serve --blueprints-dir blueprints
  CLIENT_TOKEN=$(openssl rand -hex 32) GLOBAL_WORKER_TOKEN=$(openssl rand -hex 32) \
    orrery serve --listen 0.0.0.0:8080
  orrery serve --store-url redis://db/0 --listen 0.0.0.0:8080 --node-url http://10.0.0.7:8080`
}

// Run serves until a signal comes.
func (c *serveCmd) Run(p *program) error {
	cfg, err := config.Load(config.Source{Flags: c.flags(), File: c.Config})
	if err != nil {
		return &failure{line: "the server can not start with this configuration", detail: err.Error()}
	}
	log := newLog(p.stderr, cfg)
	warn(log, cfg)
	s, err := wire(p.ctx, cfg, log, wiring{})
	if err != nil {
		return err
	}
	log.Info("orrery serves", "url", s.baseURL(), "store", cfg.Store.String(), "blueprints", cfg.BlueprintsDir, "version", readVersion().Version)
	return s.run(p.ctx)
}

// flags gives those that were set, by the setting's name.
func (c *serveFlags) flags() map[string]string {
	set := map[string]string{}
	for name, value := range map[string]*string{
		"BLUEPRINTS_DIR": c.BlueprintsDir, "BLUEPRINT_ENV": c.BlueprintEnv, "STORE_URL": c.StoreURL, "NODE_URL": c.NodeURL,
		"CLIENTS_CONFIG_PATH": c.ClientsConfigPath, "SCHEDULES_CONFIG_PATH": c.SchedulesConfigPath,
		"WORKERS_CONFIG_PATH": c.WorkersConfigPath,
		"WORKER_TTL_SECONDS":  c.WorkerTTLSeconds, "WORKER_TIMEOUT_SECONDS": c.WorkerTimeout,
		"CANCEL_GRACE_SECONDS": c.CancelGraceSeconds, "JOB_MAX_RETRIES": c.JobMaxRetries,
		"TLS_CERT_PATH": c.TLSCertPath, "TLS_KEY_PATH": c.TLSKeyPath,
		"LOG_LEVEL": c.LogLevel, "LOG_FORMAT": c.LogFormat,
	} {
		if value != nil {
			set[name] = *value
		}
	}
	if c.Listen != "" {
		set["LISTEN"] = c.Listen
	}
	if c.Strict {
		set["STRICT"] = "true"
	}
	return set
}

// warn says at the start what the configuration lets one expect wrongly.
func warn(log *slog.Logger, cfg *config.Config) {
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	if cfg.ClientToken == config.DefaultClientToken || cfg.WorkerToken == config.DefaultWorkerToken {
		log.Warn(fmt.Sprintf("default tokens are in use, which everybody knows; they hold because %s is loopback", cfg.Host))
	}
}
