// Configuration: fields over environment over defaults. The variables are those
// of the Python SDK, so that a worker can be replaced without its deployment.

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"orrery/workers/protocol"
)

// Config says where the orchestrator is and what the worker offers. Whatever is
// zero comes from the environment variable named beside it, else the default.
type Config struct {
	// Orchestrators are those that the worker serves, ORCHESTRATORS_CONFIG, a JSON
	// list of {"url", "token", "priority", "weight"}; without it there is the one
	// of URL and Token.
	Orchestrators []Orchestrator
	Mode          Mode // MULTI_ORCHESTRATOR_MODE [FAILOVER]

	URL   string // ORCHESTRATOR_URL [http://localhost:8080]
	Token string // WORKER_INDIVIDUAL_TOKEN, else WORKER_TOKEN; needed
	ID    string // WORKER_ID [worker-<uuid>]
	Type  string // WORKER_TYPE [go-worker]; for people only

	MaxConcurrent     int           // MAX_CONCURRENT_TASKS [10]
	HeartbeatInterval time.Duration // HEARTBEAT_INTERVAL [15], seconds
	PollTimeout       time.Duration // TASK_POLL_TIMEOUT [30], seconds
	ShutdownTimeout   time.Duration // WORKER_SHUTDOWN_TIMEOUT [30], seconds
	ResultAttempts    int           // RESULT_MAX_RETRIES [5]
	// RetryDelay is the first wait after a fault; it doubles up to a minute.
	RetryDelay time.Duration // RESULT_RETRY_INITIAL_DELAY [1], seconds
	// WebSockets is "true" or "false"; without one, cancels come by heartbeat.
	WebSockets string // WORKER_ENABLE_WEBSOCKETS [true]
	// SecretKey makes the worker check that tasks are signed with it.
	SecretKey string // ORCHESTRATOR_SECRET_KEY, else SECRET_KEY

	CostPerSkill map[string]float64  // COST_PER_SKILL, a JSON object
	GPU          protocol.GPU        // GPU_MODEL and GPU_VRAM_GB
	Artifacts    []protocol.Artifact // INSTALLED_ARTIFACTS, else INSTALLED_MODELS, a JSON list
	Software     map[string]string   // INSTALLED_SOFTWARE, a JSON object
	Extra        map[string]any      // WORKER_EXTRA_<NAME>; JSON when it starts with { or [

	HTTPClient *http.Client // for TLS certificates or proxies; its Timeout must be 0
	Logger     *slog.Logger // [slog.Default()]
}

// Orchestrator is one server that a worker serves.
type Orchestrator struct {
	URL      string `json:"url"`
	Token    string `json:"token"`    // [Config.Token]
	Priority int    `json:"priority"` // [10]; the lowest is the first in Failover
	Weight   int    `json:"weight"`   // [1]; a share of the turns in RoundRobin
}

// Mode says in which order a worker asks several orchestrators for tasks. In all
// modes one that can not be reached is passed over until it answers again.
type Mode string

const (
	// Failover asks the first in the order of priority, and glances at the others
	// so that nothing stays there when the first one is back.
	Failover Mode = "FAILOVER"
	// RoundRobin asks one after the other, by weight.
	RoundRobin Mode = "ROUND_ROBIN"
)

func (c Config) webSockets() bool { return c.WebSockets == "true" }

// fill completes c and reports every fault at once.
func (c Config) fill() (Config, error) {
	var e environment
	c.Token = e.text(c.Token, "", "WORKER_INDIVIDUAL_TOKEN", "WORKER_TOKEN")
	c.Orchestrators = e.orchestrators(c)
	c.Mode = Mode(strings.ToUpper(e.text(string(c.Mode), string(Failover), "MULTI_ORCHESTRATOR_MODE")))
	c.ID = e.text(c.ID, "worker-"+uuid.NewString(), "WORKER_ID")
	c.Type = e.text(c.Type, "go-worker", "WORKER_TYPE")
	c.MaxConcurrent = e.count(c.MaxConcurrent, 10, "MAX_CONCURRENT_TASKS")
	c.HeartbeatInterval = e.seconds(c.HeartbeatInterval, 15, "HEARTBEAT_INTERVAL")
	c.PollTimeout = e.seconds(c.PollTimeout, 30, "TASK_POLL_TIMEOUT")
	c.ShutdownTimeout = e.seconds(c.ShutdownTimeout, 30, "WORKER_SHUTDOWN_TIMEOUT")
	c.ResultAttempts = e.count(c.ResultAttempts, 5, "RESULT_MAX_RETRIES")
	c.RetryDelay = e.seconds(c.RetryDelay, 1, "RESULT_RETRY_INITIAL_DELAY")
	c.WebSockets = strings.ToLower(e.text(c.WebSockets, "true", "WORKER_ENABLE_WEBSOCKETS"))
	c.SecretKey = e.text(c.SecretKey, "", "ORCHESTRATOR_SECRET_KEY", "SECRET_KEY")
	if c.CostPerSkill == nil {
		e.json(&c.CostPerSkill, "COST_PER_SKILL", `{"echo": 0.01}`)
	}
	if c.Artifacts == nil {
		e.json(&c.Artifacts, "INSTALLED_MODELS", `[{"name": "sd", "version": "1.5"}]`)
		e.json(&c.Artifacts, "INSTALLED_ARTIFACTS", `[{"name": "sd", "version": "1.5"}]`)
	}
	if c.Software == nil {
		c.Software = map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}
		e.json(&c.Software, "INSTALLED_SOFTWARE", `{"ffmpeg": "7.1"}`)
	}
	if c.GPU.Model == "" {
		c.GPU.Model = os.Getenv("GPU_MODEL")
		c.GPU.VRAMGB = e.number("GPU_VRAM_GB")
	}
	if c.Extra == nil {
		c.Extra = extraFromEnvironment()
	}
	if c.HTTPClient == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = e.tls()
		c.HTTPClient = &http.Client{Transport: transport}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	e.check(c)
	return c, errors.Join(e.faults...)
}

// environment reads variables and collects what is wrong with them.
type environment struct{ faults []error }

func (e *environment) fault(format string, args ...any) {
	e.faults = append(e.faults, fmt.Errorf("client: "+format, args...))
}

func (e *environment) check(c Config) {
	seen := map[string]bool{}
	for _, o := range c.Orchestrators {
		if u, err := url.Parse(o.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || seen[o.URL] {
			e.fault("ORCHESTRATOR_URL, or a url of ORCHESTRATORS_CONFIG, is %q; each must stand once and be like http://localhost:8080", o.URL)
		}
		seen[o.URL] = true
		if o.Token == "" {
			e.fault("no token for %s; set WORKER_TOKEN to the server's GLOBAL_WORKER_TOKEN, or WORKER_INDIVIDUAL_TOKEN to this worker's own", o.URL)
		}
		if o.Weight < 1 || o.Weight > 1000 {
			e.fault("ORCHESTRATORS_CONFIG gives %s the weight %d; it must be from 1 to 1000", o.URL, o.Weight)
		}
	}
	if c.Mode != Failover && c.Mode != RoundRobin {
		e.fault("MULTI_ORCHESTRATOR_MODE is %q; it must be FAILOVER or ROUND_ROBIN", c.Mode)
	}
	if !protocol.ValidID(c.ID) {
		e.fault("WORKER_ID is %q; it must be 1 to 128 letters, digits, _ or -", c.ID)
	}
	if c.WebSockets != "true" && c.WebSockets != "false" {
		e.fault("WORKER_ENABLE_WEBSOCKETS is %q; it must be true or false", c.WebSockets)
	}
}

// text returns the given value, the first variable that is set, or a default.
func (e *environment) text(given, fallback string, names ...string) string {
	if given != "" {
		return given
	}
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return fallback
}

func (e *environment) count(given, fallback int, name string) int {
	text := os.Getenv(name)
	if given > 0 {
		return given
	}
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 10_000 {
		e.fault("%s is %q; it must be a whole number from 1 to 10000, such as %d", name, text, fallback)
		return fallback
	}
	return n
}

func (e *environment) seconds(given time.Duration, fallback float64, name string) time.Duration {
	if given > 0 {
		return given
	}
	s := fallback
	if text := os.Getenv(name); text != "" {
		var err error
		if s, err = strconv.ParseFloat(text, 64); err != nil || !(s > 0 && s <= 86_400) {
			e.fault("%s is %q; it must be seconds above 0, such as %g", name, text, fallback)
			s = fallback
		}
	}
	return time.Duration(s * float64(time.Second))
}

func (e *environment) number(name string) float64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0) {
		e.fault("%s is %q; it must be a number, such as 16", name, text)
		return 0
	}
	return f
}

func (e *environment) json(into any, name, example string) {
	text := os.Getenv(name)
	if text == "" {
		return
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		e.fault("%s is not the JSON that is wanted, such as %s: %v", name, example, err)
	}
}

// extraFromEnvironment collects WORKER_EXTRA_REGION=eu as {"region": "eu"}.
func extraFromEnvironment() map[string]any {
	out := map[string]any{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(name, "WORKER_EXTRA_")
		if !ours {
			continue
		}
		var decoded any = value
		if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
			// What only looks like JSON stays the text it is.
			if json.Unmarshal([]byte(value), &decoded) != nil {
				decoded = value
			}
		}
		out[strings.ToLower(name)] = decoded
	}
	return out
}
