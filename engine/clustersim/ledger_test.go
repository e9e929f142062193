package clustersim

import (
	"sync"
)

// This file is the ledger: what the outside did, and what it was told.

type ledger struct {
	mu       sync.Mutex
	requests map[string]*request        // by key
	sent     map[string]map[answer]bool // by fence: what a worker that had it said
	taken    map[string]answer          // by fence: the result that was answered "accepted"
	cancels  map[string]*asked          // by job
	retries  map[string]*asked
	choices  map[string]map[string]bool // by job: decisions that people sent
	chosen   map[string]int             // by job: decisions that were accepted
}

// request is one client's wish for a job.
type request struct {
	key      string
	plan     *plan
	keyed    bool   // it carries an idempotency key
	arrived  int    // times that it reached a server
	accepted string // the id that the client was told
	refused  bool   // for good: the quota is used up
}

// asked counts how often something was asked of a job, and how often it was granted.
type asked struct{ sent, granted int }

// answer is a result in the world's words.
type answer struct{ status, code string }

func newLedger() *ledger {
	return &ledger{
		requests: map[string]*request{}, sent: map[string]map[answer]bool{}, taken: map[string]answer{},
		cancels: map[string]*asked{}, retries: map[string]*asked{}, choices: map[string]map[string]bool{}, chosen: map[string]int{},
	}
}

// write changes the ledger.
func (l *ledger) write(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ledger) said(fence string, a answer) {
	l.write(func() {
		if l.sent[fence] == nil {
			l.sent[fence] = map[answer]bool{}
		}
		l.sent[fence][a] = true
	})
}

// entry gives what was asked of a job; the caller holds the lock by write.
func entry(of map[string]*asked, id string) *asked {
	if of[id] == nil {
		of[id] = &asked{}
	}
	return of[id]
}
