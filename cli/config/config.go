package config

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery/engine/scheduler"
)

// This file holds the checked configuration, as the rest of the program sees it.

// Tokens that hold on loopback when nothing else was configured. The worker's is the one an
// unconfigured Python worker SDK sends, so that it works against a fresh server.
const (
	DefaultClientToken = "dev-client-token"
	DefaultWorkerToken = "your-secret-worker-token"
	// DefaultWebhookSecret signs webhooks on loopback; beyond it there is none by default.
	DefaultWebhookSecret = "whsec_b3JyZXJ5LCBvbiB0aGlzIG1hY2hpbmUgb25seSAwMTI="
)

// Config is everything a server is told from outside. Load makes it; its zero value is not usable.
type Config struct {
	Host              string // where to listen; loopback by default
	Port              int    // 0 lets the system choose
	Store             StoreURL
	redis             redisSettings // REDIS_HOST and its like
	BlueprintsDir     string
	BlueprintEnv      []string          // variables that scripts may read with env.get
	Databases         map[string]Secret // name -> address, for the sql module
	HistoryURI        Secret            // of the copy of the history; "" for none
	TaskFilesDir      string            // "off": none
	S3                S3                // Endpoint "": files are in TaskFilesDir
	FilesCleanup      bool              // remove files of ended jobs
	FilesKept         time.Duration     // after the job's end
	LedgerPath        string            // "": beside the store; "off": none
	RevisionsKept     time.Duration     // after their last use
	Strict            bool              // refuse to start with a bad blueprint
	ClientAPI         bool              // ENABLE_CLIENT_API
	ClientToken       Secret
	WorkerToken       Secret
	ClientsPath       string // "" when there is no such file
	WorkersPath       string // "" when there is no such file
	SchedulesPath     string // "" when there is no such file
	Schedules         []scheduler.Schedule
	Clients           []Client
	Workers           []Worker
	WorkerTimeout     time.Duration // one attempt of a task
	WorkerPollTimeout time.Duration // how long a poll is held, at most 30 s
	WorkerTTL         time.Duration // a worker silent for so long has lost its tasks
	CancelGrace       time.Duration // how long a worker may take to stop a cancelled task
	JobMaxRetries     int           // tries after the first
	Runners           int           // pure steps at once; 0 lets the engine choose
	Limits            Limits
	TLSCert, TLSKey   string        // both or none
	TLSAuthority      string        // certificates that clients' certificates are verified by; "" asks for none
	TLSRequire        bool          // refuse who comes without a certificate
	tlsEnabled        string        // TLS_ENABLED: "", true or false
	PublicURL         string        // where people reach this server; "" when only this machine does
	OutgoingAllow     []string      // internal addresses, networks and names that may be called
	WebhookSecret     Secret        // keys that webhooks are signed with; "" refuses webhooks
	Approvals         Approvals     // ways to people
	PriorityAging     time.Duration // a waiting task gains a whole priority in this time; 0: never
	RateLimit         int           // requests of a client in RatePeriod; 0: no limit
	RatePolls         int           // polls of a worker; more are answered late; 0: no limit
	RateBeats         int           // heartbeats of a worker; more are answered late; 0: no limit
	RatePeriod        time.Duration
	rating            bool // RATE_LIMITING_ENABLED
	LogLevel          slog.Level
	LogFormat         string // "text" or "json"
	InstanceID        string
	NodeURL           string         // where other nodes reach this one; "" for the address that it listens on
	Zone              *time.Location // readable logs and schedules; the API is UTC
	SharedClient      Shared         // CLIENT_TOKEN, before clients.toml was looked at
	SharedWorker      Shared         // GLOBAL_WORKER_TOKEN, before workers.toml was looked at
	Warnings          []string       // each one line, for the log at start

	explicit map[string]bool // settings that somebody set
}

// Approvals are the integrations that requests for decisions go to; a way whose first field
// is empty is not configured.
type Approvals struct {
	TelegramToken     Secret
	TelegramChats     []int64 // the first one is asked when the script names none
	TelegramApprovers []int64 // users who may decide; none: everybody in the chat
	TelegramURL       string
	WebhookURL        string
	WebhookSecret     Secret
}

// S3 is the server of the jobs' files.
type S3 struct {
	Endpoint             string
	AccessKey, SecretKey Secret
	Bucket, Region       string
	Concurrency          int
}

// FilesOff is the word that turns the folder of files off.
const FilesOff = "off"

// Addr gives host:port to listen on.
func (c *Config) Addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Loopback reports whether the server is reachable from this machine only.
func (c *Config) Loopback() bool { return loopbackHost(c.Host) }

// Set reports whether a setting was given by flag, environment or file.
func (c *Config) Set(name string) bool { return c.explicit[name] }

// String lists every setting, secrets masked, for `orrery doctor` and the log.
func (c *Config) String() string {
	var b strings.Builder
	for _, s := range settings {
		if s.show != nil {
			fmt.Fprintf(&b, "%s=%s\n", s.name, s.show(c))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		fmt.Fprintf(&b, "%s%s=%s\n", databaseEnv, strings.ToUpper(name), c.Databases[name])
	}
	fmt.Fprintf(&b, "clients=%d workers=%d\n", len(c.Clients), len(c.Workers))
	return b.String()
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Secret is text that is never printed: every way of formatting it gives a mask.
type Secret string

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

// String masks the text and tells only whether there is one.
func (s Secret) String() string {
	if s == "" {
		return "(none)"
	}
	return "(hidden)"
}

// GoString masks the text for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText masks the text for JSON and structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue masks the text for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Fault is one reason not to start.
type Fault struct {
	Name    string // the setting, or file:line
	Problem string
	Example string // "" when an example would say nothing new
}

func (f Fault) String() string {
	if f.Example == "" {
		return f.Name + ": " + f.Problem
	}
	return f.Name + ": " + f.Problem + "; for example " + f.Example
}

// Faults is the error of Load: every fault that was found, in the order of settings.
type Faults []Fault

// Error puts each fault on a line of its own after a line that counts them.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f)+1)
	noun := "faults"
	if len(f) == 1 {
		noun = "fault"
	}
	lines = append(lines, fmt.Sprintf("the configuration has %d %s", len(f), noun))
	for _, one := range f {
		lines = append(lines, "  "+one.String())
	}
	return strings.Join(lines, "\n")
}

var _ error = Faults(nil)
