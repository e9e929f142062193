// Package approval says what an integration is: a way by which the request for a decision
// reaches a person, and by which the answer may come back.
//
// Words: a Request is one question of one job, asked at one step. An Integration asks it
// (Ask), and tells those who were asked how it ended (Settle), whoever decided and by
// whichever way. A receipt is what the integration needs to find its message again. A
// Listener is an integration that answers come to by itself; it hands them to the Decider.
//
// The engine is authoritative: it takes one decision, keeps requests and receipts in the
// outbox, and calls Ask and Settle at least once. A further integration (Slack, e-mail)
// implements Integration in a package of its own below this one and is joined in cli; the
// engine does not change.
package approval

import (
	"context"
	"encoding/json"
	"time"
)

// Request is one question.
type Request struct {
	ID        string // the same on every repetition
	JobID     string
	Step      int64 // of the job: with JobID it names the question
	Blueprint string
	Message   string
	Decisions []string // sorted
	Until     *time.Time
	Extra     json.RawMessage // further keywords of await_human_approval, an object or nil
	Link      string          // page on which the holder of the link decides, once; "" when this server has no public address
	Token     string          // counts for this question only, once
	// Doubt says that an earlier Ask may have reached its receiver: the process died, or the
	// answer was lost, before the receipt was kept.
	Doubt bool
}

// How a question ended.
const (
	Decided   = "decided"
	Expired   = "expired"   // nobody decided in time
	Cancelled = "cancelled" // the job was cancelled meanwhile
)

// Outcome is the end of a question.
type Outcome struct {
	How      string // Decided, Expired or Cancelled
	Decision string // of Decided
	By       string // who decided or cancelled: a client's name, "link", "telegram:..."
	At       time.Time
}

// Integration is one way to people. Its methods may be called from any goroutine. An error
// may have the methods Final() bool (another try is pointless), RetryAfter() time.Duration,
// and NotSent() bool (the request reached nobody for sure).
type Integration interface {
	// Ask sends the request and gives a receipt of at most 4 KiB, a JSON value.
	Ask(ctx context.Context, r Request) (receipt json.RawMessage, err error)
	// Settle tells how the question ended. receipt is nil when none was kept (see Doubt).
	Settle(ctx context.Context, r Request, o Outcome, receipt json.RawMessage) error
}

// Answer is a decision that came to a Listener.
type Answer struct {
	JobID    string
	Step     int64
	Choice   int    // which of the request's Decisions
	Proof    string // the first ProofSize characters of the request's Token
	By       string // who decided, for the history
	Received time.Time
}

// ProofSize is the number of a token's characters that make an answer believable: 96 bits.
const ProofSize = 16

// Verdict says what became of an answer.
type Verdict struct {
	Taken   bool
	Why     string   // for the person whose answer was not taken
	Ended   bool     // the question has ended; Outcome says how, where that is still known
	Outcome *Outcome // nil when it is not known
	Request *Request // the question, where it is still known
}

// Decider takes answers. *engine.Engine implements it.
type Decider interface {
	// Answer takes an answer, durably, or says why not. The error is for what may work later.
	Answer(ctx context.Context, a Answer) (Verdict, error)
}

// Listener is an integration to which answers come by themselves.
type Listener interface {
	Integration
	// Listen hands answers over until ctx ends.
	Listen(ctx context.Context, d Decider)
}
