package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
)

// This file maps what the server and the network say to the store's errors.

// unavailable is a failure of the server or of the way to it: the same may work later.
// Whether a write was done is open. It does not unwrap to its cause: a time-out of the
// network must not pass for the end of the caller's context, which promises that nothing
// was written.
type unavailable struct{ text string }

func (u *unavailable) Error() string { return u.text }

// Unavailable tells the HTTP side, which does not know this package, to ask for a repetition.
func (u *unavailable) Unavailable() bool { return true }

// passing tells failures that may be gone at the next try.
func passing(err error) bool {
	var u *unavailable
	return errors.Is(err, store.ErrFull) || errors.As(err, &u)
}

// remedies say what to do about a server's refusals, by their first word.
var remedies = []struct{ code, text string }{
	{"READONLY", "this server is a replica now; the client looks for the new master"},
	{"LOADING", "the server reads its data from disk; wait until it is done"},
	{"NOREPLICAS", "fewer replicas are connected than min-replicas-to-write asks for: start them"},
	{"NOSCRIPT", "the server was just restarted"},
	{"MOVED", "the slot has another master now; the client looks for it"},
	{"ASK", "the slot is being moved to another master"},
	{"MASTERDOWN", "the replica has lost its master"},
	{"CLUSTERDOWN", "a part of the cluster's slots is served by nobody: look at CLUSTER INFO"},
	{"TRYAGAIN", "slots are being moved"},
	{"BUSY", "another script keeps the server busy"},
	{"UNKILLABLE", "another script keeps the server busy"},
}

// nonLocal is what a script says that met a key of a slot that moves.
const nonLocal = "access a non local key"

// denied say what the operator must change before anything works.
var denied = []struct{ code, text string }{
	{"NOAUTH", "the server wants a password: put it into STORE_URL, as in redis://:PASSWORD@HOST, that of Sentinels as ?sentinel_password="},
	{"WRONGPASS", "the user or password in STORE_URL is wrong"},
	{"NOPERM", "the user in STORE_URL lacks rights: it needs all keys of its prefix, and scripts"},
	{"WRONGTYPE", "another program uses keys of the same prefix: give a prefix of its own in STORE_URL, as in ?prefix=orrery2"},
}

// classify tells what an error of the client means. ctx errors of the caller stay as they are.
func (s *Store) classify(err error) error {
	if err == nil || errors.Is(err, goredis.Nil) {
		return err
	}
	if errors.Is(err, goredis.ErrClosed) {
		if s.isClosed() {
			return store.ErrClosed
		}
		return s.away(err)
	}
	var few *tooFew
	if errors.As(err, &few) {
		return &unavailable{fmt.Sprintf("%s: %v: start the replicas, or lower wait= in STORE_URL", s.name, few)}
	}
	var answer goredis.Error
	if !errors.As(err, &answer) {
		return s.away(err)
	}
	text := answer.Error()
	if strings.HasPrefix(text, "OOM") {
		return fmt.Errorf("%w (%s: %s); raise its maxmemory", store.ErrFull, s.name, text)
	}
	if strings.HasPrefix(text, "MISCONF") {
		return fmt.Errorf("%w (%s: %s); make room on its disk", store.ErrFull, s.name, text)
	}
	if strings.Contains(text, nonLocal) {
		return &unavailable{fmt.Sprintf("%s: %s; its slot is being moved to another master", s.name, text)}
	}
	for _, r := range remedies {
		if strings.HasPrefix(text, r.code) {
			return &unavailable{fmt.Sprintf("%s: %s; %s", s.name, text, r.text)}
		}
	}
	for _, r := range denied {
		if strings.Contains(text, r.code) {
			return fmt.Errorf("%s: %s; %s", s.name, text, r.text)
		}
	}
	return fmt.Errorf("%s: %s", s.name, text)
}

func (s *Store) away(err error) error {
	return &unavailable{fmt.Sprintf("%s can not be reached: %v", s.name, err)}
}

// readError is classify for a read: the end of the caller's context is told as it is.
func (s *Store) readError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return s.classify(err)
}
