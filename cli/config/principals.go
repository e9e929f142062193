package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"orrery/engine/webhook"
)

// This file reads clients.toml (recipe 17) and workers.toml (recipe 24).

// Roles that a client may have.
var Roles = []string{"client", "viewer", "approver", "operator", "admin"}

// Client is one table of clients.toml.
type Client struct {
	Name            string
	Token           Digest
	Plan            string
	Role            string          // one of Roles; "client" when the file says nothing
	MonthlyAttempts int64           // jobs a calendar month (UTC); -1 without end
	WebhookSecret   Secret          // keys of this client's webhooks; "" takes the server's
	Params          json.RawMessage // an object: every key of the table but the token
}

// Worker is one table of workers.toml.
type Worker struct {
	ID    string
	Token Digest
}

// Digest is the SHA-256 of a token. The files may hold it instead of the token, and nothing
// else of a token is kept here.
type Digest [sha256.Size]byte

// String masks the digest: a token that people made up can be found from it.
func (Digest) String() string { return "(hidden)" }

// GoString masks the digest for %#v.
func (d Digest) GoString() string { return d.String() }

// MarshalText masks the digest for JSON and structured logs.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// DigestOf gives the digest of a token.
func DigestOf(token string) Digest { return sha256.Sum256([]byte(token)) }

var workerID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// LoadClients reads clients.toml. All faults are given at once, each with file and line.
func LoadClients(path string) ([]Client, Faults) {
	t, faults := readTables(path)
	var out []Client
	for _, name := range t.names {
		if c, ok := t.client(name, &faults); ok {
			out = append(out, c)
		}
	}
	return out, faults
}

// LoadWorkers reads workers.toml. All faults are given at once, each with file and line.
func LoadWorkers(path string) ([]Worker, Faults) {
	t, faults := readTables(path)
	var out []Worker
	for _, id := range t.names {
		if !workerID.MatchString(id) {
			faults = append(faults, Fault{t.at(id, ""), fmt.Sprintf("%q is no worker id: 1 to 128 letters, digits, _ or -", id), "[worker-001]"})
			continue
		}
		if token, ok := t.token(id, &faults); ok {
			out = append(out, Worker{ID: id, Token: token})
		}
	}
	return out, faults
}

// tables is a TOML file that holds nothing but tables with a token each.
type tables struct {
	path, text string
	names      []string // sorted
	by         map[string]map[string]any
	holder     map[Digest]string // who has a token already
}

func readTables(path string) (tables, Faults) {
	t := tables{path: path, by: map[string]map[string]any{}, holder: map[Digest]string{}}
	text, err := os.ReadFile(path)
	if err != nil {
		return t, Faults{{path, "cannot be read: " + err.Error(), ""}}
	}
	t.text = string(text)
	var values map[string]any
	if _, err := toml.Decode(t.text, &values); err != nil {
		return t, Faults{tomlFault(path, err)}
	}
	var faults Faults
	for _, name := range slices.Sorted(maps.Keys(values)) {
		table, ok := values[name].(map[string]any)
		if !ok {
			faults = append(faults, Fault{place(path, lineOf(t.text, "", name)), fmt.Sprintf("%q stands outside a table; every entry belongs under a name", name), "[name]"})
			continue
		}
		t.names = append(t.names, name)
		t.by[name] = table
	}
	return t, faults
}

func (t tables) at(table, key string) string { return place(t.path, lineOf(t.text, table, key)) }

// token reads the token of one table, as it is or as its SHA-256; two tables with one token
// would be one person.
func (t tables) token(name string, faults *Faults) (Digest, bool) {
	const example = `token = "the output of openssl rand -hex 32"`
	fault := func(key, problem string) {
		*faults = append(*faults, Fault{t.at(name, key), fmt.Sprintf(problem, name), example})
	}
	plain, asText := t.by[name]["token"]
	hashed, asHash := t.by[name]["token_sha256"]
	key := "token"
	var digest Digest
	switch {
	case asText && asHash:
		fault("token_sha256", "[%s] has both token and token_sha256; give one of them")
		return digest, false
	case asHash:
		key = "token_sha256"
		text, ok := hashed.(string)
		raw, err := hex.DecodeString(strings.TrimPrefix(text, "sha256:"))
		if !ok || err != nil || len(raw) != len(digest) {
			*faults = append(*faults, Fault{t.at(name, key), fmt.Sprintf("token_sha256 of [%s] must be the 64 hexadecimal digits of a SHA-256", name),
				"token_sha256 = \"$(printf %s \"$TOKEN\" | sha256sum | cut -d' ' -f1)\""})
			return digest, false
		}
		copy(digest[:], raw)
	case asText:
		text, ok := plain.(string)
		if !ok || text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			fault(key, "the token of [%s] must be a text of visible ASCII characters")
			return digest, false
		}
		digest = DigestOf(text)
	default:
		fault("", "[%s] has no token")
		return digest, false
	}
	if other := t.holder[digest]; other != "" {
		*faults = append(*faults, Fault{t.at(name, key), fmt.Sprintf("[%s] has the same token as [%s]", name, other), example})
		return digest, false
	}
	t.holder[digest] = name
	return digest, true
}

func (t tables) client(name string, faults *Faults) (Client, bool) {
	table := t.by[name]
	c := Client{Name: name, Role: "client", MonthlyAttempts: -1}
	before := len(*faults)
	c.Token, _ = t.token(name, faults)
	wrong := func(key, want, example string) {
		*faults = append(*faults, Fault{t.at(name, key), fmt.Sprintf("%s of [%s] must be %s", key, name, want), example})
	}
	var ok bool
	if v, given := table["plan"]; given {
		if c.Plan, ok = v.(string); !ok {
			wrong("plan", "a text", `plan = "premium"`)
		}
	}
	if v, given := table["role"]; given {
		if c.Role, ok = v.(string); !ok || !slices.Contains(Roles, c.Role) {
			wrong("role", "one of "+strings.Join(Roles, ", "), `role = "viewer"`)
		}
	}
	if v, given := table["monthly_attempts"]; given {
		if c.MonthlyAttempts, ok = v.(int64); !ok || c.MonthlyAttempts < 0 {
			wrong("monthly_attempts", "a whole number, 0 or more", "monthly_attempts = 1000")
		}
	}
	if v, given := table["webhook_secret"]; given {
		text, _ := v.(string)
		if _, err := webhook.ParseKeys(text); err != nil { // the error does not hold the text
			wrong("webhook_secret", "keys of webhooks: "+err.Error(), `webhook_secret = "whsec_..."`)
		}
		c.WebhookSecret = Secret(text)
	}
	params := maps.Clone(table)
	delete(params, "token")
	delete(params, "webhook_secret")
	delete(params, "token_sha256")
	var err error
	if c.Params, err = json.Marshal(params); err != nil { // TOML knows inf and nan, JSON does not
		*faults = append(*faults, Fault{t.at(name, ""), fmt.Sprintf("[%s] holds a value that is no JSON: %v", name, err), "rate = 1.5"})
	}
	return c, len(*faults) == before
}

// at2 joins a file and a line; line 0 is unknown.
func place(path string, line int) string {
	if line == 0 {
		return path
	}
	return path + ":" + strconv.Itoa(line)
}

func tomlFault(path string, err error) Fault {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		// The message of a duplicate or bad value names keys, never values of other keys.
		return Fault{place(path, parse.Position.Line), "is no valid TOML: " + parse.Message, ""}
	}
	return Fault{path, "is no valid TOML: " + err.Error(), ""}
}

// lineOf finds where [table] begins, or where key is set in it; 0 when it is written in a
// form this simple search does not know (inline tables, dotted keys).
func lineOf(text, table, key string) int {
	current := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			current = strings.Trim(strings.TrimSpace(name), `"'`)
			if current == table && key == "" {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if ok && key != "" && current == table && strings.Trim(strings.TrimSpace(name), `"'`) == key {
			return i + 1
		}
	}
	return 0
}
