package store

// This file says how a driver tells `orrery doctor` what it sees.
//
// Each driver of a durable store has a function
//
//	Inspect(ctx context.Context, address string) []store.Finding
//
// that looks at the store behind an address, whether a server uses it or not, and changes
// nothing there: no tables are made, no schema is raised. That the store can not be reached
// is a finding too. A driver that has tables has also
//
//	Schema(ctx context.Context, address string) (store.Schema, error)

// Verdict says what a finding means.
type Verdict string

// The verdicts.
const (
	FineVerdict Verdict = "ok"
	WarnVerdict Verdict = "warn" // it works, and something may be lost or slow
	BadVerdict  Verdict = "bad"  // it does not work, or promises can not be kept
)

// Finding is one thing that was looked at.
type Finding struct {
	Check   string  `json:"check"`            // what was looked at: "version", "appendfsync"
	Saw     string  `json:"saw"`              // what it is, without secrets
	Verdict Verdict `json:"verdict"`          // FineVerdict, WarnVerdict or BadVerdict
	Remedy  string  `json:"remedy,omitempty"` // what to do, of all but FineVerdict
}

// Fine is a finding that needs nothing.
func Fine(check, saw string) Finding { return Finding{Check: check, Saw: saw, Verdict: FineVerdict} }

// Warn is a finding that should be looked at.
func Warn(check, saw, remedy string) Finding {
	return Finding{Check: check, Saw: saw, Verdict: WarnVerdict, Remedy: remedy}
}

// Bad is a finding that must be mended.
func Bad(check, saw, remedy string) Finding {
	return Finding{Check: check, Saw: saw, Verdict: BadVerdict, Remedy: remedy}
}

// Schema is the version of a store's tables or keys.
type Schema struct {
	Have  int      `json:"have"`            // 0: there is no store yet
	Want  int      `json:"want"`            // the newest that this Orrery knows
	Steps []string `json:"steps,omitempty"` // what leads from Have to Want, for people; empty when Have is Want or newer
}
