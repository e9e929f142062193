package config

import (
	"fmt"
	"slices"
	"strings"
)

// This file finds what is no fault and still not what somebody meant: for `orrery doctor`.

// Doubt is a setting, or several, that work otherwise than one may think.
type Doubt struct {
	Name    string // of the setting
	Problem string
	Remedy  string
}

// Doubts gives what a checked configuration should be asked about.
func (c *Config) Doubts() []Doubt {
	var out []Doubt
	when := func(doubtful bool, name, remedy, problem string, args ...any) {
		if doubtful {
			out = append(out, Doubt{name, fmt.Sprintf(problem, args...), remedy})
		}
	}
	when(!c.Loopback() && c.TLSCert == "", nameHost,
		"set "+nameTLSCert+" and "+nameTLSKey+", or listen on 127.0.0.1 behind a proxy that speaks TLS",
		"%s can be reached from other machines, and tokens and data go there in clear text", c.Host)
	when(c.ClientAPI && c.ClientToken == DefaultClientToken, nameClientToken, nameClientToken+"=\"$(openssl rand -hex 32)\"",
		"is the default, which every user of this machine knows")
	when(c.WorkerToken == DefaultWorkerToken, nameWorkerToken, nameWorkerToken+"=\"$(openssl rand -hex 32)\"",
		"is the default, which every user of this machine knows")
	for _, name := range []string{"RATE_LIMIT_LIMIT", "RATE_LIMIT_POLL_LIMIT", "RATE_LIMIT_HEARTBEAT_LIMIT"} {
		when(!c.rating && c.Set(name), name, "unset one of the two", "is set, and RATE_LIMITING_ENABLED=false switches it off")
	}
	when(c.Set("RATE_LIMIT_PERIOD") && c.RateLimit == 0 && c.RatePolls == 0 && c.RateBeats == 0 && c.rating, "RATE_LIMIT_PERIOD",
		"set RATE_LIMIT_LIMIT=100 too, or unset it", "is set, and there is no limit that it could be the period of")
	when(c.tlsEnabled == "false" && c.Set(nameTLSCert), nameTLSCert, "unset TLS_ENABLED to speak HTTPS", "is set, and TLS_ENABLED=false leaves it unused")
	when(!c.ClientAPI && c.Set(nameClients), nameClients, "unset one of the two", "is set, and ENABLE_CLIENT_API=false lets no client in")
	when(c.TLSCert != "" && strings.HasPrefix(c.PublicURL, "http:"), "PUBLIC_URL", "begin it with https://",
		"is %s, and this server speaks HTTPS: the links in messages do not work", c.PublicURL)
	asks := c.Approvals.TelegramToken != "" || c.Approvals.WebhookURL != ""
	when(!c.Loopback() && asks && c.PublicURL == "", "PUBLIC_URL", "set the address by which people reach this server",
		"is not set: requests for decisions go out without a link to their page")
	when(c.Approvals.TelegramToken != "" && len(c.Approvals.TelegramChats) == 0, "TELEGRAM_CHAT_ID", "set the chats that may be asked",
		"is not set: the bot has nobody to ask unless the script names a chat, and it may name none")
	when(!c.Loopback() && c.WebhookSecret == "", nameWebhookKey, nameWebhookKey+"=\"whsec_$(openssl rand -base64 32)\"",
		"is not set: jobs with a webhook_url are refused")
	when(c.S3.Endpoint != "" && c.TaskFilesDir == FilesOff, "TASK_FILES_DIR", "name a folder, or leave it at its default",
		"is off: with a bucket it is the place of local copies, so the scripts' calls that need one fail")
	return out
}

// Mistyped finds variables that look like a setting and are none. environ is as in Source.
func Mistyped(environ []string) []Doubt {
	var out []Doubt
	env := environment(environ)
	for name, value := range env {
		if value == "" || known(name) {
			continue
		}
		if meant := nearest(name, settingNames()); meant != "" && env[meant] == "" {
			out = append(out, Doubt{name, "is no setting", "did you mean " + meant + "?"})
		}
	}
	slices.SortFunc(out, func(a, b Doubt) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func known(name string) bool {
	return isIdle(name) || slices.Contains(settingNames(), name)
}

// settingNames are all names that the environment may use.
func settingNames() []string {
	var all []string
	for _, s := range settings {
		if !s.flag {
			all = append(append(all, s.name), s.aliases...)
		}
	}
	return all
}

// ownPrefix is what people put before a setting who expect one.
const ownPrefix = "ORRERY_"

// shortest is the length from which a likeness says something.
const shortest = 7

// nearest gives the name that somebody meant, "" when none is near: one that differs in a
// letter or two, one that goes on where the name stops, or one without our prefix.
func nearest(name string, names []string) string {
	if bare, ours := strings.CutPrefix(name, ownPrefix); ours && slices.Contains(names, bare) {
		return bare
	}
	if len(name) < shortest {
		return ""
	}
	best, least := "", 3
	for _, n := range names {
		if len(n) < shortest {
			continue
		}
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	if best != "" || !strings.Contains(name, "_") {
		return best
	}
	for _, n := range names {
		if strings.HasPrefix(n, name+"_") {
			return n
		}
	}
	return ""
}

// distance counts the letters to add, drop, change or swap with their neighbour.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3 // far; who asks wants no more
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
