package config

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is the one table of settings: names, defaults, and how each text is read.

// setting is one row of the table.
type setting struct {
	name    string
	aliases []string // other names of the same thing, from the cookbook
	def     string
	example string // a value that would be right
	help    string
	flag    bool // only on the command line
	hidden  bool // a secret
	set     func(c *Config, text string) error
	show    func(c *Config) string // nil: not listed
}

// Names of the settings that other code of this package asks about.
const (
	nameHost        = "API_HOST"
	nameStore       = "STORE_URL"
	nameRedisHost   = "REDIS_HOST"
	nameClientToken = "CLIENT_TOKEN"
	nameWorkerToken = "GLOBAL_WORKER_TOKEN"
	nameClients     = "CLIENTS_CONFIG_PATH"
	nameWorkers     = "WORKERS_CONFIG_PATH"
	nameSchedules   = "SCHEDULES_CONFIG_PATH"
	nameTLSCert     = "TLS_CERT_PATH"
	nameTLSKey      = "TLS_KEY_PATH"
	nameWebhookKey  = "WEBHOOK_SECRET"
	nameS3Endpoint  = "S3_ENDPOINT_URL"
	nameS3AccessKey = "S3_ACCESS_KEY"
	nameS3SecretKey = "S3_SECRET_KEY"
)

var settings = append(generalSettings, limitSettings()...)

var generalSettings = []setting{
	{name: "LISTEN", example: "127.0.0.1:8080", flag: true, help: "host:port, instead of API_HOST and API_PORT", set: setListen},
	text(nameHost, "127.0.0.1", "0.0.0.0", "address to listen on", func(c *Config) *string { return &c.Host }),
	{name: "API_PORT", def: "8080", example: "8080", help: "port to listen on, 0 for any free one",
		set:  func(c *Config, v string) (err error) { c.Port, err = whole(v, 0, 65535); return },
		show: func(c *Config) string { return strconv.Itoa(c.Port) }},
	{name: nameStore, def: "sqlite:.orrery/orrery.db", example: "sqlite:.orrery/orrery.db", help: "where jobs are kept",
		set:  func(c *Config, v string) (err error) { c.Store, err = ParseStoreURL(v); return },
		show: func(c *Config) string { return c.Store.String() }},
	{name: nameRedisHost, example: "redis.internal", help: "keeps jobs in this Redis, unless STORE_URL names another place",
		set: func(c *Config, v string) error { c.redis.host = v; return nil }},
	{name: "REDIS_PORT", def: "6379", example: "6379", help: "the port of REDIS_HOST",
		set: func(c *Config, v string) error { c.redis.port = v; return nil }}, // read later: Kubernetes sets it to other things
	{name: "REDIS_DB", def: "0", example: "0", help: "the number of the database at REDIS_HOST",
		set: func(c *Config, v string) error { c.redis.db = v; return nil }},
	{name: "REDIS_PASSWORD", hidden: true, example: "the output of `openssl rand -hex 32`", help: "the password of REDIS_HOST; a user's goes into STORE_URL",
		set: func(c *Config, v string) error { c.redis.password = Secret(v); return nil }},
	{name: "REDIS_WAIT_REPLICAS", def: "0", example: "1", help: "how many replicas of REDIS_HOST must have a write before it counts; in STORE_URL wait=",
		set: func(c *Config, v string) error { c.redis.wait = v; return nil }},
	text("LEDGER_PATH", "", "/var/lib/orrery/ledger", "file of what this process is at, for the next one to know what ended it; beside the SQLite file or in .orrery by default, off for none", func(c *Config) *string { return &c.LedgerPath }),
	text("BLUEPRINTS_DIR", "blueprints", "./blueprints", "folder of the blueprints", func(c *Config) *string { return &c.BlueprintsDir }),
	{name: "BLUEPRINT_ENV", example: "REGION,FEATURE_X", help: "variables that scripts may read, with commas",
		set: setBlueprintEnv, show: func(c *Config) string { return strings.Join(c.BlueprintEnv, ",") }},
	text("TASK_FILES_DIR", ".orrery/files", "/var/lib/orrery/files", "folder of the jobs' files, or of their copies with S3; off for none", func(c *Config) *string { return &c.TaskFilesDir }),
	text(nameS3Endpoint, "", "http://127.0.0.1:9000", "S3 server of the jobs' files, instead of the folder", func(c *Config) *string { return &c.S3.Endpoint }),
	secret(nameS3AccessKey, []string{"S3_ACCESS_KEY_ID"}, "", "access key of the S3 server", func(c *Config) *Secret { return &c.S3.AccessKey }),
	secret(nameS3SecretKey, []string{"S3_SECRET_ACCESS_KEY"}, "", "secret key of the S3 server", func(c *Config) *Secret { return &c.S3.SecretKey }),
	{name: "S3_DEFAULT_BUCKET", aliases: []string{"S3_BUCKET_NAME"}, example: "orrery-files", help: "bucket of the jobs' files",
		set: func(c *Config, v string) error { c.S3.Bucket = v; return nil }, show: func(c *Config) string { return c.S3.Bucket }},
	text("S3_REGION", "us-east-1", "eu-west-1", "region of the bucket", func(c *Config) *string { return &c.S3.Region }),
	{name: "S3_MAX_CONCURRENCY", def: "8", example: "8", help: "parts of files (8 MiB each) that go up at once",
		set:  func(c *Config, v string) (err error) { c.S3.Concurrency, err = whole(v, 1, 256); return },
		show: func(c *Config) string { return strconv.Itoa(c.S3.Concurrency) }},
	toggle("S3_AUTO_CLEANUP", "true", "remove the files of jobs that ended FILES_RETENTION_SECONDS ago", func(c *Config) *bool { return &c.FilesCleanup }),
	seconds("FILES_RETENTION_SECONDS", "604800", "how long files stay after their job's end", func(c *Config) *time.Duration { return &c.FilesKept }),
	seconds("REVISIONS_RETENTION_SECONDS", "2592000", "how long a blueprint's revision stays after its last use when no job needs it (at least 3 h)", func(c *Config) *time.Duration { return &c.RevisionsKept }),
	secret("HISTORY_DATABASE_URI", nil, "", "database that gets a copy of all history: sqlite:PATH or postgresql://...", func(c *Config) *Secret { return &c.HistoryURI }),
	toggle("STRICT", "false", "refuse to start with a bad blueprint", func(c *Config) *bool { return &c.Strict }),
	toggle("ENABLE_CLIENT_API", "true", "serve clients at /api", func(c *Config) *bool { return &c.ClientAPI }),
	secret(nameClientToken, nil, DefaultClientToken, "token of the one admin client", func(c *Config) *Secret { return &c.ClientToken }),
	secret(nameWorkerToken, []string{"WORKER_TOKEN"}, DefaultWorkerToken, "token that all workers share", func(c *Config) *Secret { return &c.WorkerToken }),
	text(nameClients, "clients.toml", "/etc/orrery/clients.toml", "file of the clients", func(c *Config) *string { return &c.ClientsPath }),
	text(nameWorkers, "workers.toml", "/etc/orrery/workers.toml", "file of the workers' own tokens", func(c *Config) *string { return &c.WorkersPath }),
	text(nameSchedules, "schedules.toml", "/etc/orrery/schedules.toml", "file of the schedules", func(c *Config) *string { return &c.SchedulesPath }),
	seconds("WORKER_TIMEOUT_SECONDS", "300", "how long an attempt of a task may take", func(c *Config) *time.Duration { return &c.WorkerTimeout }),
	seconds("WORKER_POLL_TIMEOUT_SECONDS", "30", "how long a worker's poll is held (at most 30)", func(c *Config) *time.Duration { return &c.WorkerPollTimeout }),
	seconds("WORKER_TTL_SECONDS", "45", "how long a silent worker counts as alive", func(c *Config) *time.Duration { return &c.WorkerTTL }),
	seconds("CANCEL_GRACE_SECONDS", "30", "how long a worker may take to stop a cancelled task", func(c *Config) *time.Duration { return &c.CancelGrace }),
	{name: "JOB_MAX_RETRIES", def: "3", example: "3", help: "tries of a task after the first",
		set:  func(c *Config, v string) (err error) { c.JobMaxRetries, err = whole(v, 0, 1000); return },
		show: func(c *Config) string { return strconv.Itoa(c.JobMaxRetries) }},
	{name: "EXECUTOR_MAX_CONCURRENT_JOBS", def: "0", example: "100", help: "pure steps that run at once, 0 for as many as fit the machine",
		set:  func(c *Config, v string) (err error) { c.Runners, err = whole(v, 0, 100_000); return },
		show: func(c *Config) string { return strconv.Itoa(c.Runners) }},
	text(nameTLSCert, "", "/etc/orrery/server.crt", "certificate; with it the server speaks HTTPS", func(c *Config) *string { return &c.TLSCert }),
	text(nameTLSKey, "", "/etc/orrery/server.key", "private key of the certificate", func(c *Config) *string { return &c.TLSKey }),
	{name: "PUBLIC_URL", example: "https://orrery.example.com", help: "where people reach this server, for links in messages",
		set: setPublicURL, show: func(c *Config) string { return c.PublicURL }},
	{name: "OUTGOING_ALLOW", example: "10.1.0.0/16,hooks.internal:8443", help: "internal addresses, networks and names that webhooks and scripts may call, with commas",
		set: setOutgoingAllow, show: func(c *Config) string { return strings.Join(c.OutgoingAllow, ",") }},
	webhookKeys(nameWebhookKey, DefaultWebhookSecret, "key that webhooks are signed with, several with commas", func(c *Config) *Secret { return &c.WebhookSecret }),
	secret("TELEGRAM_BOT_TOKEN", nil, "", "token of the bot that asks for decisions", func(c *Config) *Secret { return &c.Approvals.TelegramToken }),
	idList("TELEGRAM_CHAT_ID", "-1001234567890", "chats that may be asked, with commas; the first one by default", func(c *Config) *[]int64 { return &c.Approvals.TelegramChats }),
	idList("TELEGRAM_APPROVERS", "12345678,87654321", "users who may decide; without it everybody in the chat", func(c *Config) *[]int64 { return &c.Approvals.TelegramApprovers }),
	httpURL("TELEGRAM_API_URL", "https://api.telegram.org", "the Bot API", func(c *Config) *string { return &c.Approvals.TelegramURL }),
	httpURL("APPROVAL_WEBHOOK_URL", "", "where requests for decisions of the integration \"webhook\" are posted", func(c *Config) *string { return &c.Approvals.WebhookURL }),
	webhookKeys("APPROVAL_WEBHOOK_SECRET", "", "key that they are signed with (default: WEBHOOK_SECRET)", func(c *Config) *Secret { return &c.Approvals.WebhookSecret }),
	{name: "TLS_ENABLED", example: "true", help: "false serves plain HTTP although there is a certificate; true refuses to start without one",
		set: func(c *Config, v string) error {
			if v = strings.ToLower(v); v != "" && v != "true" && v != "false" {
				return fmt.Errorf("%q is neither true nor false", v)
			}
			c.tlsEnabled = v
			return nil
		}},
	text("TLS_CA_PATH", "", "/etc/orrery/workers-ca.crt", "certificates of the authority that signs those of workers; one with a worker's id as common name stands for its token", func(c *Config) *string { return &c.TLSAuthority }),
	toggle("TLS_REQUIRE_CLIENT_CERT", "false", "refuse connections without such a certificate", func(c *Config) *bool { return &c.TLSRequire }),
	{name: "PRIORITY_AGING_SECONDS", def: "0", example: "60", help: "a waiting task gains a whole priority in so many seconds, so that urgent ones can not keep it waiting for ever; 0 for never",
		set: setAging, show: func(c *Config) string { return strconv.FormatFloat(c.PriorityAging.Seconds(), 'f', -1, 64) }},
	toggle("RATE_LIMITING_ENABLED", "true", "let the rate limits that are set hold", func(c *Config) *bool { return &c.rating }),
	rate("RATE_LIMIT_LIMIT", "100", "requests of one client in a period; more are answered 429", func(c *Config) *int { return &c.RateLimit }),
	rate("RATE_LIMIT_POLL_LIMIT", "60", "polls of one worker in a period; more are answered late", func(c *Config) *int { return &c.RatePolls }),
	rate("RATE_LIMIT_HEARTBEAT_LIMIT", "120", "heartbeats of one worker in a period; more are answered late", func(c *Config) *int { return &c.RateBeats }),
	seconds("RATE_LIMIT_PERIOD", "60", "the period of the rate limits", func(c *Config) *time.Duration { return &c.RatePeriod }),
	{name: "LOG_LEVEL", def: "INFO", example: "INFO", help: "DEBUG, INFO, WARNING or ERROR", set: setLogLevel,
		show: func(c *Config) string { return c.LogLevel.String() }},
	{name: "LOG_FORMAT", def: "text", example: "json", help: "text or json", set: setLogFormat,
		show: func(c *Config) string { return c.LogFormat }},
	text("INSTANCE_ID", "", "orrery-1", "name of this process in logs and among the nodes of a store; the machine's by default", func(c *Config) *string { return &c.InstanceID }),
	{name: "NODE_URL", example: "http://10.0.0.7:8080", help: "where the other nodes of a shared store reach this one; by default the address that it listens on",
		set: setNodeURL, show: func(c *Config) string { return c.NodeURL }},
	{name: "TZ", def: "Local", example: "Europe/Madrid", help: "time zone of schedules and readable logs", set: setZone,
		show: func(c *Config) string { return c.Zone.String() }},
}

// idle are variables of the original, and of the contract, that change nothing in this
// build. A name that ends in * stands for all that begin so; one that is a setting is none.
var idle = []string{
	"REDIS_*", "WATCHER_*", "WORKER_HEALTH_CHECK_INTERVAL_SECONDS",
	"WORKER_AUTH_MODE",
}

// Setting describes one setting for help texts.
type Setting struct {
	Name     string   // environment variable
	Key      string   // in orrery.toml; "" when it is only a flag
	Flag     string   // on the command line, without dashes before it
	Aliases  []string // further environment variables
	Default  string
	Help     string
	IsSecret bool
}

// Settings lists every setting in the order of help texts.
func Settings() []Setting {
	out := make([]Setting, 0, len(settings))
	for _, s := range settings {
		one := Setting{Name: s.name, Key: s.key(), Flag: strings.ReplaceAll(strings.ToLower(s.name), "_", "-"), Aliases: s.aliases, Default: s.def, Help: s.help}
		one.IsSecret = s.hidden
		out = append(out, one)
	}
	return out
}

func (s setting) key() string {
	if s.flag {
		return ""
	}
	if limit, ok := strings.CutPrefix(s.name, limitPrefix); ok {
		return limitsTable + "." + strings.ToLower(limit)
	}
	return strings.ToLower(s.name)
}

func text(name, def, example, help string, at func(*Config) *string) setting {
	return setting{name: name, def: def, example: example, help: help,
		set:  func(c *Config, v string) error { *at(c) = v; return nil },
		show: func(c *Config) string { return *at(c) }}
}

func toggle(name, def, help string, at func(*Config) *bool) setting {
	return setting{name: name, def: def, example: "true", help: help,
		set: func(c *Config, v string) error {
			switch strings.ToLower(v) {
			case "true", "1", "yes", "on":
				*at(c) = true
			case "false", "0", "no", "off":
				*at(c) = false
			default:
				return fmt.Errorf("%q is neither true nor false", v)
			}
			return nil
		},
		show: func(c *Config) string { return strconv.FormatBool(*at(c)) }}
}

func secret(name string, aliases []string, def, help string, at func(*Config) *Secret) setting {
	return setting{name: name, aliases: aliases, def: def, hidden: true, example: "the output of `openssl rand -hex 32`", help: help,
		set: func(c *Config, v string) error {
			if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
				return fmt.Errorf("holds a space or a character that a header cannot carry")
			}
			*at(c) = Secret(v)
			return nil
		},
		show: func(c *Config) string { return at(c).String() }}
}

func seconds(name, def, help string, at func(*Config) *time.Duration) setting {
	return setting{name: name, def: def, example: def, help: help,
		set: func(c *Config, v string) error {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || math.IsNaN(f) || f <= 0 || f > 366*24*3600 {
				return fmt.Errorf("%q is no number of seconds above 0 and up to 366 days", v)
			}
			*at(c) = time.Duration(f * float64(time.Second))
			return nil
		},
		show: func(c *Config) string { return strconv.FormatFloat(at(c).Seconds(), 'f', -1, 64) }}
}

func setAging(c *Config, v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 366*24*3600 {
		return fmt.Errorf("%q is no number of seconds from 0 to 366 days", v)
	}
	c.PriorityAging = time.Duration(f * float64(time.Second))
	return nil
}

// rate is a count in a period; 0 is no limit.
func rate(name, example, help string, at func(*Config) *int) setting {
	return setting{name: name, def: "0", example: example, help: help + "; 0 for no limit",
		set:  func(c *Config, v string) (err error) { *at(c), err = whole(v, 0, 1_000_000); return },
		show: func(c *Config) string { return strconv.Itoa(*at(c)) }}
}

func whole(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is no whole number from %d to %d", v, least, most)
	}
	return n, nil
}

func setListen(c *Config, v string) error {
	if v == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%q is no host:port", v)
	}
	if c.Port, err = whole(port, 0, 65535); err != nil {
		return fmt.Errorf("the port %w", err)
	}
	c.Host = host
	return nil
}

func setBlueprintEnv(c *Config, v string) error {
	for _, name := range strings.Split(v, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if strings.ContainsAny(name, "= \t") {
			return fmt.Errorf("%q is no name of a variable", name)
		}
		if !slices.Contains(c.BlueprintEnv, name) {
			c.BlueprintEnv = append(c.BlueprintEnv, name)
		}
	}
	return nil
}

func setLogLevel(c *Config, v string) error {
	switch strings.ToUpper(v) {
	case "DEBUG":
		c.LogLevel = slog.LevelDebug
	case "INFO":
		c.LogLevel = slog.LevelInfo
	case "WARNING", "WARN":
		c.LogLevel = slog.LevelWarn
	case "ERROR", "CRITICAL":
		c.LogLevel = slog.LevelError
	default:
		return fmt.Errorf("%q is none of DEBUG, INFO, WARNING, ERROR", v)
	}
	return nil
}

func setLogFormat(c *Config, v string) error {
	if v != "text" && v != "json" {
		return fmt.Errorf("%q is neither text nor json", v)
	}
	c.LogFormat = v
	return nil
}

func setZone(c *Config, v string) error {
	zone, err := time.LoadLocation(v)
	if err != nil {
		return fmt.Errorf("%q is no known time zone", v)
	}
	c.Zone = zone
	return nil
}
