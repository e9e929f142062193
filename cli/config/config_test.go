package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// This file tests where settings come from and what stops a start.

// in runs the test in an empty folder with the given files.
func in(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func load(t *testing.T, src Source) *Config {
	t.Helper()
	if src.Environ == nil {
		src.Environ = []string{}
	}
	c, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func faultsOf(t *testing.T, src Source) Faults {
	t.Helper()
	if src.Environ == nil {
		src.Environ = []string{}
	}
	c, err := Load(src)
	var f Faults
	if !errors.As(err, &f) {
		t.Fatalf("Load gave %v, %v; want faults", c, err)
	}
	return f
}

func TestDefaults(t *testing.T) {
	in(t, nil)
	c := load(t, Source{})
	if c.Addr() != "127.0.0.1:8080" || !c.Loopback() || c.Store != (StoreURL{Kind: StoreSQLite, Path: ".orrery/orrery.db"}) {
		t.Errorf("addr %s, store %s", c.Addr(), c.Store)
	}
	if c.WorkerTimeout != 5*time.Minute || c.WorkerTTL != 45*time.Second || c.CancelGrace != 30*time.Second || c.JobMaxRetries != 3 {
		t.Errorf("times %v %v %v, retries %d", c.WorkerTimeout, c.WorkerTTL, c.CancelGrace, c.JobMaxRetries)
	}
	if c.ClientToken.Reveal() != DefaultClientToken || c.WorkerToken.Reveal() != DefaultWorkerToken || !c.ClientAPI {
		t.Error("the default tokens do not hold on loopback")
	}
	if len(c.Warnings) != 0 || c.Set("API_PORT") || c.InstanceID == "" {
		t.Errorf("warnings %v, instance %q", c.Warnings, c.InstanceID)
	}
}

func TestPrecedence(t *testing.T) {
	file := map[string]string{DefaultFile: "api_port = 1001\nworker_ttl_seconds = 7.5\nblueprint_env = [\"A\", \"B\"]\nstrict = true\n"}
	in(t, file)
	if c := load(t, Source{}); c.Port != 1001 || c.WorkerTTL != 7500*time.Millisecond || !slices.Equal(c.BlueprintEnv, []string{"A", "B"}) || !c.Strict {
		t.Errorf("file: %s", c)
	}
	env := []string{"API_PORT=1002", "WORKER_TOKEN=alias", "API_HOST="}
	if c := load(t, Source{Environ: env}); c.Port != 1002 || c.WorkerToken.Reveal() != "alias" || c.Host != "127.0.0.1" {
		t.Errorf("environment: %s", c)
	}
	env = append(env, "GLOBAL_WORKER_TOKEN=proper")
	c := load(t, Source{Environ: env, Flags: map[string]string{"API_PORT": "1003"}})
	if c.Port != 1003 || c.WorkerToken.Reveal() != "proper" || !c.Set("API_PORT") {
		t.Errorf("flags: %s", c)
	}
	c = load(t, Source{Environ: env, Flags: map[string]string{"LISTEN": "[::1]:0"}, Defaults: map[string]string{"BLUEPRINTS_DIR": "examples"}})
	if c.Addr() != "[::1]:0" || !c.Loopback() || c.BlueprintsDir != "examples" {
		t.Errorf("listen: %s", c)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	in(t, map[string]string{DefaultFile: "api_portt = 1\nlog_format = 3\n"})
	f := faultsOf(t, Source{Environ: []string{
		"API_PORT=high", "STORE_URL=redis://:geheim@host/x", "WORKER_TTL_SECONDS=-1", "LOG_LEVEL=loud", "TLS_CERT_PATH=x", "TZ=Mars/Base",
		"CLIENTS_CONFIG_PATH=nowhere.toml", "BLUEPRINT_ENV=A=B", "CLIENT_TOKEN=with space", "ENABLE_CLIENT_API=perhaps",
	}})
	text := f.Error()
	for _, want := range []string{
		"orrery.toml:1", "api_portt", "orrery.toml:2: log_format", "API_PORT", `"high"`, "STORE_URL", "no database number", "WORKER_TTL_SECONDS",
		"LOG_LEVEL", "TLS_KEY_PATH", "Mars/Base", "CLIENTS_CONFIG_PATH", "BLUEPRINT_ENV", "CLIENT_TOKEN", "ENABLE_CLIENT_API", "for example API_PORT=8080",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, secret := range []string{"geheim", "with space"} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is printed: %s", text)
		}
	}
	if len(f) != 12 {
		t.Errorf("%d faults, want 12:\n%s", len(f), text)
	}
}

func TestBeyondLoopback(t *testing.T) {
	in(t, nil)
	f := faultsOf(t, Source{Environ: []string{"API_HOST=0.0.0.0"}})
	if len(f) != 2 || f[0].Name != "CLIENT_TOKEN" || f[1].Name != "GLOBAL_WORKER_TOKEN" {
		t.Errorf("faults: %v", f)
	}
	load(t, Source{Environ: []string{"API_HOST=0.0.0.0", "CLIENT_TOKEN=a", "GLOBAL_WORKER_TOKEN=b"}})
	f = faultsOf(t, Source{Environ: []string{"CLIENT_TOKEN=a", "GLOBAL_WORKER_TOKEN=b"}, Flags: map[string]string{"LISTEN": ":8080"}})
	if len(f) != 1 || f[0].Name != "API_HOST" {
		t.Errorf("an empty host: %v", f)
	}
	f = faultsOf(t, Source{Environ: []string{}, Flags: map[string]string{"LISTEN": "127.0.0.1:99999"}})
	if len(f) != 1 || f[0].Name != "--listen" {
		t.Errorf("a bad port: %v", f)
	}
	if c := load(t, Source{Environ: []string{"API_HOST=0.0.0.0", "ENABLE_CLIENT_API=false", "GLOBAL_WORKER_TOKEN=b"}}); c.ClientAPI {
		t.Error("the client API is on")
	}
}

func TestIdleVariablesAreOneWarning(t *testing.T) {
	in(t, nil)
	c := load(t, Source{Environ: []string{"REDIS_STREAM=x", "REDIS_PORT=tcp://10.0.0.1:6379", "WATCHER_INTERVAL_SECONDS=20", "S3_REGION=", "HOME=/"}})
	want := "REDIS_PORT, REDIS_STREAM, WATCHER_INTERVAL_SECONDS"
	if len(c.Warnings) != 1 || !strings.HasSuffix(c.Warnings[0], ": "+want) {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestPrincipals(t *testing.T) {
	in(t, map[string]string{
		"clients.toml": "[client_premium]\ntoken = \"vip\"\nplan = \"premium\"\nmonthly_attempts = 100000\nlanguages = [\"en\", \"de\"]\n\n[ops]\ntoken = \"o\"\nrole = \"operator\"\n",
		"workers.toml": "[worker-001]\ntoken = \"w1\"\nnote = \"any\"\n",
	})
	c := load(t, Source{})
	if len(c.Clients) != 2 || len(c.Workers) != 1 {
		t.Fatalf("%d clients, %d workers", len(c.Clients), len(c.Workers))
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	premium, ops := c.Clients[0], c.Clients[1]
	if premium.Name != "client_premium" || premium.Role != "client" || premium.MonthlyAttempts != 100000 || premium.Token != DigestOf("vip") {
		t.Errorf("premium: %+v", premium)
	}
	var params map[string]any
	if err := json.Unmarshal(premium.Params, &params); err != nil || params["plan"] != "premium" || params["token"] != nil || len(params["languages"].([]any)) != 2 {
		t.Errorf("params %s, %v", premium.Params, err)
	}
	if ops.Role != "operator" || ops.MonthlyAttempts != -1 {
		t.Errorf("ops: %+v", ops)
	}
	if c.Workers[0].ID != "worker-001" || c.Workers[0].Token != DigestOf("w1") {
		t.Errorf("workers: %+v", c.Workers)
	}
	if c.ClientToken != "" || c.WorkerToken != "" {
		t.Error("a default token holds beside the files")
	}
	dev := load(t, Source{Defaults: map[string]string{"CLIENT_TOKEN": DefaultClientToken}})
	if dev.ClientToken.Reveal() != DefaultClientToken {
		t.Error("a default that was asked for was dropped")
	}
}

func TestBadPrincipals(t *testing.T) {
	in(t, nil)
	path := filepath.Join(t.TempDir(), "clients.toml")
	text := "loose = 1\n[a]\nplan = 3\ntoken = \"same\"\n[b]\ntoken = \"same\"\nrole = \"king\"\n[c]\nmonthly_attempts = -5\n[d]\ntoken = \"\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, faults := LoadClients(path)
	got := strings.ReplaceAll(faults.Error(), path, "F")
	for _, want := range []string{"F:1: \"loose\"", "F:3: plan of [a]", "F:6: [b] has the same token as [a]", "F:7: role of [b]", "F:8: [c] has no token", "F:9: monthly_attempts", "F:11: the token of [d]"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "\"same\"") {
		t.Error("a token is printed")
	}
	if err := os.WriteFile(path, []byte("[ok]\ntoken = \"x\"\n[\"bad id\"]\ntoken = \"y\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if workers, faults := LoadWorkers(path); len(workers) != 1 || len(faults) != 1 || !strings.HasSuffix(faults[0].Name, ":3") {
		t.Errorf("workers %v, faults %v", workers, faults)
	}
	if err := os.WriteFile(path, []byte("[ok]\ntoken = = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, faults := LoadWorkers(path); len(faults) != 1 || !strings.HasSuffix(faults[0].Name, ":2") {
		t.Errorf("syntax: %v", faults)
	}
}

func TestReservedClientName(t *testing.T) {
	in(t, map[string]string{"clients.toml": "[admin]\ntoken = \"x\"\n"})
	f := faultsOf(t, Source{Environ: []string{"CLIENT_TOKEN=y"}})
	if len(f) != 1 || !strings.Contains(f[0].Problem, "[admin]") {
		t.Errorf("faults %v", f)
	}
	load(t, Source{})
}

func TestSecretsDoNotPrint(t *testing.T) {
	in(t, nil)
	c := load(t, Source{Environ: []string{"CLIENT_TOKEN=geheim1", "GLOBAL_WORKER_TOKEN=geheim2"}})
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{c.String(), fmt.Sprintf("%v %+v %#v %s", *c, *c, *c, c.ClientToken), string(asJSON)} {
		if strings.Contains(text, "geheim") {
			t.Errorf("printed: %s", text)
		}
	}
	if !strings.Contains(c.String(), "CLIENT_TOKEN=(hidden)") {
		t.Errorf("the list lacks the masked token:\n%s", c)
	}
}

func TestParseStoreURL(t *testing.T) {
	for text, want := range map[string]StoreURL{
		"sqlite:x.db": {Kind: StoreSQLite, Path: "x.db"}, "sqlite:///var/x.db": {Kind: StoreSQLite, Path: "/var/x.db"}, "memory:": {Kind: StoreMemory},
		"redis://:pw@h/2?prefix=x":  {StoreRedis, "redis://h:6379", "redis://:pw@h/2?prefix=x"},
		"redis-sentinel://a,b/main": {StoreRedis, "redis-sentinel://a:26379,b:26379/main", "redis-sentinel://a,b/main"},
		"redis-cluster://a:1,b:2":   {StoreRedis, "redis-cluster://a:1,b:2", "redis-cluster://a:1,b:2"},
		"postgres://u:pw@h/d":       {StorePostgres, "postgres://h:5432/d", "postgres://u:pw@h/d"},
		"postgresql://u:p%40w@a,b:6/d?search_path=x&sslmode=require": {StorePostgres, "postgres://a:5432,b:6/d?search_path=x",
			"postgresql://u:p%40w@a,b:6/d?search_path=x&sslmode=require"},
	} {
		if got, err := ParseStoreURL(text); err != nil || got != want {
			t.Errorf("%s gave %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x.db", "sqlite:", "memory:x", "postgres://u:geheim@h:x/d", "postgres://u:geheim@h/d?sslmode=perhaps", "postgres:u:geheim@h",
		"postgres://u:ge%heim@h/d", "postgres://u:geheim@h/d?sslrootcert=nowhere.pem&sslmode=verify-full", "mysql://x",
		"redis://", "redis://a,b", "redis://h/x", "redis://h?wait=x", "redis://h?await=1", "redis-sentinel://h", "redis-cluster://h/1"} {
		if got, err := ParseStoreURL(text); err == nil || strings.Contains(err.Error(), "heim") {
			t.Errorf("%q gave %v, %v", text, got, err)
		}
	}
}

func TestRedisHostChoosesTheStore(t *testing.T) {
	in(t, nil)
	for environ, want := range map[string]StoreURL{
		"REDIS_HOST=r": {StoreRedis, "redis://r:6379", "redis://r:6379/0"},
		"REDIS_HOST=::1 REDIS_PORT=7 REDIS_DB=3 REDIS_PASSWORD=a/b:c@d%20": {StoreRedis, "redis://[::1]:7", "redis://:a%2Fb:c@d%2520@[::1]:7/3"},
		"REDIS_HOST=r REDIS_WAIT_REPLICAS=2":                               {StoreRedis, "redis://r:6379", "redis://r:6379/0?wait=2"},
		"REDIS_HOST=r STORE_URL=sqlite:x.db":                               {Kind: StoreSQLite, Path: "x.db"},
		"REDIS_PORT=7":                                                     {Kind: StoreSQLite, Path: ".orrery/orrery.db"},
	} {
		c := load(t, Source{Environ: strings.Fields(environ)})
		if c.Store != want {
			t.Errorf("%s gave %#v, want %#v", environ, string(c.Store.URL), string(want.URL))
		}
		if unused := want.Kind != StoreRedis; unused != (len(c.Warnings) == 1) {
			t.Errorf("%s: warnings %q", environ, c.Warnings)
		}
	}
	c := load(t, Source{Environ: []string{"REDIS_HOST=r"}, Defaults: map[string]string{"STORE_URL": "memory:"}})
	if c.Store.Kind != StoreRedis {
		t.Errorf("a command's default stands above what was set: %s", c.Store)
	}
	f := faultsOf(t, Source{Environ: []string{"REDIS_HOST=r:1", "REDIS_PORT=tcp://10.0.0.1:6379", "REDIS_DB=x", "REDIS_WAIT_REPLICAS=-1"}})
	if len(f) != 4 || f[3].Name != "REDIS_WAIT_REPLICAS" || f[0].Name != "REDIS_HOST" || f[1].Name != "REDIS_PORT" || f[2].Name != "REDIS_DB" {
		t.Errorf("faults %v", f)
	}
}

func TestSettingsAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings() {
		if s.Help == "" || seen[s.Name] {
			t.Errorf("%s: help %q, seen before: %v", s.Name, s.Help, seen[s.Name])
		}
		seen[s.Name] = true
	}
	if !seen["STORE_URL"] || !seen["GLOBAL_WORKER_TOKEN"] {
		t.Error("settings are missing")
	}
}

func TestDatabases(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "orrery.toml")
	text := "store_url = \"sqlite:" + filepath.Join(folder, "jobs.db") + "\"\n[sql]\nreports = \"sqlite:reports.db\"\nwarehouse = \"postgresql://u:very-secret@h/db\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, Source{File: file, Environ: []string{"SQL_DATABASE_REPORTS=sqlite:other.db", "SQL_DATABASE_EMPTY="}})
	if len(c.Databases) != 2 || c.Databases["reports"].Reveal() != "sqlite:other.db" || c.Databases["warehouse"] == "" {
		t.Errorf("databases are %v", c.Databases)
	}
	if strings.Contains(c.String(), "very-secret") || !strings.Contains(c.String(), "SQL_DATABASE_WAREHOUSE=(hidden)") {
		t.Errorf("the list of settings is\n%s", c.String())
	}
	if err := os.Symlink("jobs.db", filepath.Join(folder, "link.db")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "jobs.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for env, part := range map[string]string{
		"SQL_DATABASE_A=mysql://h":                     "neither sqlite:PATH nor postgresql://",
		"SQL_DATABASE_1A=sqlite:x":                     "begins with a letter",
		"SQL_DATABASE_A=sqlite:" + folder + "/jobs.db": "in which the server keeps its jobs",
		"SQL_DATABASE_A=sqlite:" + folder + "/link.db": "in which the server keeps its jobs",
	} {
		if _, err := Load(Source{File: file, Environ: []string{env}}); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want a fault with %q", env, err, part)
		}
	}
}

func TestTLSSettingsTogether(t *testing.T) {
	in(t, nil)
	for env, want := range map[string]string{
		"TLS_ENABLED=true": "TLS_CERT_PATH", "TLS_CA_PATH=ca.crt": "TLS_CERT_PATH", "TLS_ENABLED=perhaps": "neither true nor false",
		"TLS_REQUIRE_CLIENT_CERT=true": "needs TLS_CA_PATH",
	} {
		if f := faultsOf(t, Source{Environ: []string{env}}); !strings.Contains(f.Error(), want) {
			t.Errorf("%s: no %q in %v", env, want, f)
		}
	}
	c := load(t, Source{Environ: []string{"TLS_ENABLED=false", "TLS_CERT_PATH=a", "TLS_KEY_PATH=b", "TLS_CA_PATH=c", "TLS_REQUIRE_CLIENT_CERT=true"}})
	if c.TLSCert != "" || c.TLSAuthority != "" || c.TLSRequire {
		t.Errorf("switched off, but %+v", c)
	}
}
