package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"orrery/engine/store"
)

// This file says what the server's and the driver's errors mean.

// SQLSTATE codes that matter here (PostgreSQL's manual, appendix A).
const (
	uniqueViolation = "23505"
	readOnly        = "25006"
	serialization   = "40001"
	deadlock        = "40P01"
	lockTimeout     = "55P03"
	queryCanceled   = "57014"
	diskFull        = "53100"
	limitReached    = "53400"
	tooLong         = "54000"
)

// unavailable is a failure of the server or of the way to it: the same may work later. Whether a
// write was done is open.
type unavailable struct{ error }

func (u *unavailable) Unwrap() error { return u.error }

// Unavailable tells the HTTP side, which does not know this package, to ask for a repetition.
func (u *unavailable) Unavailable() bool { return true }

// passing tells failures that may be gone at the next try.
func passing(err error) bool {
	var u *unavailable
	return errors.Is(err, store.ErrFull) || errors.As(err, &u)
}

// code gives the SQLSTATE of an error, "" for what is not the server's.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isFatal tells what ends the connection. The server may have committed before it said so. One
// that takes no writes is of no use either: the next one may lead to the server that does.
func isFatal(err error) bool {
	var e *pgconn.PgError
	var told *ours
	if !errors.As(err, &e) {
		return err != nil && !errors.As(err, &told)
	}
	return e.Code == readOnly || e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}

// isGuard tells that something a batch was built on is no longer so. Nothing of it was written.
func isGuard(err error) bool {
	c := code(err)
	return errors.Is(err, errGuard) || !isFatal(err) && (c == guardFailed || c == uniqueViolation)
}

// isVictim tells that the server rolled a batch back for the sake of another transaction.
func isVictim(err error) bool {
	c := code(err)
	return !isFatal(err) && (c == serialization || c == deadlock)
}

// isOwn tells that the server refused something in the batch, not the batch as such: nothing of
// it was written, and the others of it may be good.
func isOwn(err error) bool {
	if err == nil || isFatal(err) {
		return false
	}
	switch c := code(err); c {
	case lockTimeout, queryCanceled:
		return true
	default:
		switch c[:2] {
		case "53", "57", "58", "XX":
			return false
		}
	}
	return true
}

// ours marks an error that this package made of what it read, so that it is not taken for one of
// the server.
type ours struct{ error }

func (o *ours) Unwrap() error { return o.error }

// remedies say what the operator must change before anything works, by code.
var remedies = map[string]string{
	"28P01": "the user or the password in STORE_URL is wrong",
	"28000": "the server lets this user not in from here: look at its pg_hba.conf, and at the user in STORE_URL",
	"3D000": "there is no such database: make it with createdb, or name another in STORE_URL",
	"42501": "the user in STORE_URL lacks a right: GRANT CREATE ON DATABASE ... TO ... lets Orrery make its schema; one that another user has made needs USAGE and CREATE",
	"42704": "a parameter in STORE_URL is none that the server knows",
	"22023": "a parameter in STORE_URL has a value that the server does not take",
	"08P01": "something between Orrery and the server refuses what Orrery asks for: name the server itself, not a pooler such as PgBouncer",
	"53300": "the server has no connection left: raise its max_connections, or end other clients",
}

// errNoWrites is said of a server that is there and can only be read. What the driver says of it
// is left out: it names the user and every address that was tried.
var errNoWrites = errors.New("no server was found that takes writes: the one that answers is a replica, or has default_transaction_read_only on; name the primary, or all of them, as in postgres://user@host1,host2/database")

// explain says what an error of the server or of the way to it means for the caller.
func (s *Store) explain(err error) error {
	var told *ours
	c := code(err)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told.error
	case c == diskFull || c == limitReached:
		return fmt.Errorf("%w (%w); make room on the server's disk", store.ErrFull, err)
	case c == readOnly || errors.Is(err, pgconn.ErrReadOnlyConnection):
		return &unavailable{errNoWrites}
	case c == tooLong:
		return fmt.Errorf("a key is too long for PostgreSQL's index: %w", err)
	case c == "": // not wrapped: a time limit of this package must not look like one of the caller
		return &unavailable{fmt.Errorf("the PostgreSQL server can not be reached, or the connection to it broke: %s", oneLine(err))}
	}
	remedy, known := remedies[c]
	if !known {
		remedy = "look at the PostgreSQL server and its log"
	}
	switch c[:2] {
	case "08", "40", "53", "55", "57", "58":
		return &unavailable{fmt.Errorf("%s (SQLSTATE %s); %s", words(err), c, remedy)}
	}
	if known {
		return fmt.Errorf("%s (SQLSTATE %s); %s", words(err), c, remedy)
	}
	return err
}

// words gives what the server itself said: the driver adds the user and every address tried.
func words(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Severity + ": " + e.Message
	}
	return oneLine(err)
}

// oneLine joins the lines of an error of several tries, each once: without and with TLS the same
// is said twice.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}
