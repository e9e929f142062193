package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// This file joins the four sources of settings and checks what they say together.

// DefaultFile is read when it is there and no other file was named.
const DefaultFile = "orrery.toml"

// Source is where settings come from.
type Source struct {
	Flags    map[string]string // by setting name; only those that were given
	Environ  []string          // NAME=value; nil takes the process's own
	File     string            // a settings file that must exist; "" takes DefaultFile if it is there
	Defaults map[string]string // by setting name: instead of the table's, for `orrery dev`
}

// Load reads and checks everything. The error is Faults with all that is wrong; the Config
// is nil then.
func Load(src Source) (*Config, error) {
	l := loader{src: src, cfg: &Config{Limits: defaultLimits(), explicit: map[string]bool{}}, env: environment(src.Environ)}
	l.readFile()
	for _, s := range settings {
		l.apply(s)
	}
	l.tokens()
	l.redisHost()
	l.databases()
	l.checkTogether()
	l.unknownLimits()
	l.checkOutgoing()
	l.schedules()
	l.warnIdle()
	if len(l.faults) > 0 {
		return nil, l.faults
	}
	return l.cfg, nil
}

type loader struct {
	src    Source
	cfg    *Config
	env    map[string]string
	file   map[string]string // by setting name
	sql    map[string]any    // the table [sql] of the file
	path   string            // of the settings file
	lines  string            // its text
	faults Faults
}

func environment(environ []string) map[string]string {
	if environ == nil {
		environ = os.Environ()
	}
	out := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			out[name] = value
		}
	}
	return out
}

func (l *loader) fault(name, example, problem string, args ...any) {
	l.faults = append(l.faults, Fault{Name: name, Problem: fmt.Sprintf(problem, args...), Example: example})
}

// readFile takes orrery.toml in; its keys are the settings' names in lower case.
func (l *loader) readFile() {
	l.path = cmp.Or(l.src.File, DefaultFile)
	text, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) && l.src.File == "" {
		return
	}
	if err != nil {
		l.fault(l.path, "", "cannot be read: %v", err)
		return
	}
	l.lines = string(text)
	var values map[string]any
	if _, err := toml.Decode(l.lines, &values); err != nil {
		l.faults = append(l.faults, tomlFault(l.path, err))
		return
	}
	l.file = map[string]string{}
	if limits, ok := values[limitsTable].(map[string]any); ok { // its keys are settings as well
		delete(values, limitsTable)
		for key, v := range limits {
			values[limitsTable+"."+key] = v
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if table, ok := values[key].(map[string]any); ok && key == databaseTable {
			l.sql = table
			continue
		}
		at := slices.IndexFunc(settings, func(s setting) bool { return s.key() == key && key != "" })
		if at < 0 {
			l.fault(l.placeOf(key), "api_port = 8080", "knows no setting %q%s; the keys are the variables' names in lower case, those of limits in the table [%s]", key, meant(key), limitsTable)
			continue
		}
		value, ok := plain(values[key])
		if !ok {
			l.fault(l.placeOf(key), key+" = \""+settings[at].example+"\"", "%s must be a text, a number, true, false or a list of texts", key)
			continue
		}
		l.file[settings[at].name] = value
	}
}

// meant proposes the key that somebody may have had in mind, for the middle of a sentence.
func meant(key string) string {
	var keys []string
	for _, s := range settings {
		if k := s.key(); k != "" {
			keys = append(keys, k)
		}
	}
	if k := nearest(key, keys); k != "" {
		return fmt.Sprintf(" (did you mean %q?)", k)
	}
	return ""
}

// placeOf gives file:line of a key in the settings file.
func (l *loader) placeOf(key string) string {
	if table, name, ok := strings.Cut(key, "."); ok {
		return place(l.path, lineOf(l.lines, table, name))
	}
	return place(l.path, lineOf(l.lines, "", key))
}

// plain gives the text of a scalar, or of a list of texts with commas.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case []any:
		var parts []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return "", false
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// apply sets one setting from the first source that has it. An empty variable counts as
// not set, because container tools pass variables on that way.
func (l *loader) apply(s setting) {
	value, from := s.def, ""
	if d, ok := l.src.Defaults[s.name]; ok {
		value = d
	}
	if v, ok := l.file[s.name]; ok {
		value, from = v, l.placeOf(s.key())+": "+s.key()
	}
	if !s.flag {
		for _, name := range append(slices.Clone(s.aliases), s.name) {
			if v := l.env[name]; v != "" {
				value, from = v, name
			}
		}
	}
	if v, ok := l.src.Flags[s.name]; ok {
		value, from = v, "--"+strings.ReplaceAll(strings.ToLower(s.name), "_", "-")
	}
	if from != "" {
		l.cfg.explicit[s.name] = true
	}
	// --listen was applied before; only a flag of the same rank may overrule it.
	if l.cfg.explicit["LISTEN"] && (s.name == nameHost || s.name == "API_PORT") {
		if _, ok := l.src.Flags[s.name]; !ok {
			return
		}
	}
	if err := s.set(l.cfg, value); err != nil {
		delete(l.cfg.explicit, s.name) // so that what it would have overruled is not missed as well
		l.fault(cmp.Or(from, s.name), s.name+"="+s.example, "%v", err)
	}
}

// tokens reads the two files of those who may come in.
func (l *loader) tokens() {
	c := l.cfg
	c.SharedClient = Shared{Token: c.ClientToken, Chosen: c.explicit[nameClientToken] || l.src.Defaults[nameClientToken] != ""}
	c.SharedWorker = Shared{Token: c.WorkerToken, Chosen: c.explicit[nameWorkerToken] || l.src.Defaults[nameWorkerToken] != ""}
	c.ClientsPath = l.present(nameClients, c.ClientsPath)
	c.WorkersPath = l.present(nameWorkers, c.WorkersPath)
	var faults Faults
	c.Clients, c.ClientToken, faults = c.ReadClients()
	l.faults = append(l.faults, faults...)
	c.Workers, c.WorkerToken, faults = c.ReadWorkers()
	l.faults = append(l.faults, faults...)
	// A default that gave way stays away: a file that is emptied later must not open the door.
	c.SharedClient.Token, c.SharedWorker.Token = c.ClientToken, c.WorkerToken
}

// present gives path when there is such a file, and "" when it is the default and absent.
func (l *loader) present(name, path string) string {
	if path == "" {
		return ""
	}
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return path
	case errors.Is(err, fs.ErrNotExist) && !l.cfg.explicit[name]:
		return ""
	}
	l.fault(name, "", "the file cannot be read: %v", err)
	return ""
}

func (l *loader) checkTogether() {
	c := l.cfg
	if c.Host == "" || strings.ContainsAny(c.Host, " /") {
		l.fault(nameHost, nameHost+"=127.0.0.1", "%q is no address", c.Host)
	}
	if c.tlsEnabled == "false" {
		c.TLSCert, c.TLSKey, c.TLSAuthority, c.TLSRequire = "", "", "", false
	}
	if c.TLSCert == "" && (c.tlsEnabled == "true" || c.TLSAuthority != "" || c.TLSRequire) {
		l.fault(nameTLSCert, nameTLSCert+"=server.crt "+nameTLSKey+"=server.key", "is missing: TLS_ENABLED, TLS_CA_PATH and TLS_REQUIRE_CLIENT_CERT need a certificate")
	}
	if c.TLSRequire && c.TLSAuthority == "" {
		l.fault("TLS_REQUIRE_CLIENT_CERT", "TLS_CA_PATH=workers-ca.crt", "needs TLS_CA_PATH, to verify the certificates by")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		l.fault(nameTLSCert+", "+nameTLSKey, nameTLSCert+"=server.crt "+nameTLSKey+"=server.key", "one is set without the other")
	}
	if c.S3.Endpoint != "" && (c.S3.AccessKey == "" || c.S3.SecretKey == "" || c.S3.Bucket == "") {
		l.fault(nameS3Endpoint, nameS3AccessKey+"=... "+nameS3SecretKey+"=... S3_DEFAULT_BUCKET=orrery-files", "an S3 server needs %s, %s and S3_DEFAULT_BUCKET too", nameS3AccessKey, nameS3SecretKey)
	}
	if c.WorkerPollTimeout > 30*time.Second {
		c.WorkerPollTimeout = 30 * time.Second
		c.Warnings = append(c.Warnings, "WORKER_POLL_TIMEOUT_SECONDS is above 30: polls are held 30 s, longer ones are given up by workers")
	}
	if !c.Loopback() {
		const why = "is the default, which everybody knows, and %s=%s can be reached from other machines"
		if c.ClientAPI && c.ClientToken == DefaultClientToken {
			l.fault(nameClientToken, nameClientToken+"=\"$(openssl rand -hex 32)\"", why, nameHost, c.Host)
		}
		if c.WorkerToken == DefaultWorkerToken {
			l.fault(nameWorkerToken, nameWorkerToken+"=\"$(openssl rand -hex 32)\"", why, nameHost, c.Host)
		}
	}
	if !c.rating {
		c.RateLimit, c.RatePolls, c.RateBeats = 0, 0, 0
	}
	if c.InstanceID == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "orrery"
		}
		c.InstanceID = host
	}
}

// warnIdle names every variable that somebody set for nothing, in one line.
func (l *loader) warnIdle() {
	var found []string
	for name, value := range l.env {
		if value != "" && (isIdle(name) || l.cfg.redis.idle && strings.HasPrefix(name, "REDIS_")) {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		l.cfg.Warnings = append(l.cfg.Warnings, "set, but without any effect in this build: "+strings.Join(found, ", "))
	}
}

func isIdle(name string) bool {
	if slices.Contains(settingNames(), name) {
		return false
	}
	for _, pattern := range idle {
		if prefix, open := strings.CutSuffix(pattern, "*"); open && strings.HasPrefix(name, prefix) || name == pattern {
			return true
		}
	}
	return false
}
